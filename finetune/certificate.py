"""The certificate: a fresh process loads what was saved, with the most public loader, and must find the same model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import finetune
from finetune.compute import Compute, compute
from finetune.data.sources.rows import as_rows
from finetune.data.table import Rows
from finetune.errors import FinetuneError
from finetune.evaluation import Encoder, evaluate
from finetune.predict import DECISIONS, Predictor, load, load_artefact
from finetune.quiet import quiet_libraries
from finetune.recipe import load_recipe
from finetune.run_directory import FORMAT, RunDirectory, load_own_code, read_json, write_json, writing
from finetune.tuning.full import Full

ROWS = 64
"""Rows that are compared, spread evenly over the scored split."""
BATCH = 16
"""Most features in a batch of the comparison."""
BATCH_TOKENS = 4096
"""Most tokens of one, which bounds memory where logits are of a whole vocabulary."""
NUMBERS = 2**20
"""Logits of a batch that are kept: all, or those at evenly spread positions."""
TOLERANCE = 1e-4
"""Largest difference of a logit, relative to its size where that is above 1."""
LAUNCHER = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "ROLE_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
)
LAUNCHER_PREFIXES = ("ACCELERATE_", "TORCHELASTIC_")

MERGED, CODE = "--merged", "--code"
"""In the fresh process's arguments: before the folder of a merged model, between the runs and the files that may be
executed."""

EXPECTED, PREDICTIONS, RESULT = "expected.safetensors", "predictions.json", "certificate.json"


def record(
    run: RunDirectory, module: nn.Module, encoder: Encoder, rows: Rows, here: Compute, decisions: dict[str, Any]
) -> None:
    """Write what the trained model in memory answers, in fp32, for a fresh process to find again.

    Args:
        run: The run's directory.
        module: The model; its weights become fp32.
        encoder: Makes features and batches.
        rows: The scored split.
        here: This process.
        decisions: What the task calibrated.
    """
    chosen = rows.select(np.unique(np.linspace(0, len(rows) - 1, ROWS).astype(int)).tolist())
    tensors, predictions = _probe(module.float(), encoder, chosen, here.alone("fp32"), decisions)
    run.certificate.mkdir(exist_ok=True)
    (run.certificate / RESULT).unlink(missing_ok=True)
    with writing(run.certificate):
        save_file(tensors, run.certificate / EXPECTED)
    task = encoder.task
    columns = [column.name for column in (*task.inputs(), *task.targets())]
    columns += [column.name for column in task.optional() if column.name in chosen.columns]
    records = list(chosen.table.select_columns(columns))
    write_json(run.certificate / PREDICTIONS, {"format": FORMAT, "rows": records, "predictions": predictions})


def _probe(
    module: nn.Module, encoder: Encoder, rows: Rows, alone: Compute, decisions: dict[str, Any]
) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """What a model gets and answers for some rows: every input and logit, and the predictions."""
    mode = encoder.task.probed
    features = encoder.features(rows, mode, keep=False)
    module.eval()
    tensors = {}
    with torch.inference_mode():
        for number, piece in enumerate(_pieces(features.lengths)):
            batch = encoder.batch(features, piece, mode).to(alone.device)
            for name, tensor in batch.inputs.items():
                tensors[f"inputs/{name}/{number}"] = tensor.cpu().contiguous()
            for name, value in module(**batch.inputs).items():
                if name.endswith("logits"):
                    tensors[f"logits/{name}/{number}"] = _spread(value).float().cpu().contiguous()
    done = evaluate(module, encoder, rows, alone, 4096, labelled=True, decisions=decisions, keep=False)
    return tensors, done.predictions


def _pieces(lengths: np.ndarray) -> list[range]:
    """Features of each batch, in their order."""
    found, start = [], 0
    while start < len(lengths):
        end = start + 1
        while (
            end < min(start + BATCH, len(lengths))
            and lengths[start : end + 1].max() * (end + 1 - start) <= BATCH_TOKENS
        ):
            end += 1
        found.append(range(start, end))
        start = end
    return found


def _spread(logits: torch.Tensor) -> torch.Tensor:
    """Logits `(batch, length, vocabulary)` at evenly spread positions, as many as are kept; smaller ones whole."""
    if logits.dim() < 3 or logits.numel() <= NUMBERS:
        return logits
    positions = logits.flatten(0, -2)
    return positions[:: -(-logits.numel() // NUMBERS)]


def probed_rows(run: RunDirectory) -> Rows:
    """The rows that a run's certificate compares."""
    return as_rows(read_json(run.certificate / PREDICTIONS)["rows"], "certificate")


def examine(run: RunDirectory, merged: Path | None = None) -> dict[str, Any]:
    """Load a saved model as a stranger would and compare; writes and returns the certificate.

    Args:
        run: The run whose answers are expected.
        merged: Folder of a plain model made of the run's, which is examined instead; its certificate lies there.
    """
    stored = read_json(run.certificate / PREDICTIONS)
    expected = load_file(run.certificate / EXPECTED)
    predictor = load(run.path) if merged is None else _load_plain(run, merged)
    rows = probed_rows(run)
    found, predictions = _probe(
        predictor.module, predictor.encoder, rows, compute("fp32").alone("fp32"), predictor.decisions
    )
    largest, reasons = _compare(expected, found)
    reasons += _other_labels(predictor)
    differing = _differing(predictor, stored["predictions"], predictions)
    if differing:
        reasons.append(f"the predictions of {differing} rows differ")
    certificate = {
        "format": FORMAT,
        "holds": not reasons,
        "reasons": reasons,
        "loader": predictor.recipe.tuning.loader,
        "rows": len(rows),
        "largest_difference": largest,
        "tolerance": TOLERANCE,
        "differing_predictions": differing,
        "finetune": finetune.__version__,
        "process": os.getpid(),
    }
    write_json(result_of(run, merged), certificate)
    return certificate


def _load_plain(run: RunDirectory, folder: Path) -> Predictor:
    """A model that a run's was merged into, loaded without the run's tuning method."""
    recipe = load_recipe(str(run.path)).model_copy(update={"tuning": Full()})
    with quiet_libraries():
        module, encoder = load_artefact(recipe, folder)
    here = compute("fp32")
    return Predictor(recipe, module.to(here.device).eval(), encoder, here, read_json(folder / DECISIONS)["decisions"])


def result_of(run: RunDirectory, merged: Path | None = None) -> Path:
    """Where the certificate lies."""
    return (merged or run.certificate) / RESULT


def _compare(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> tuple[float, list[str]]:
    """The largest relative difference of a logit, and what is wrong in words."""
    if expected.keys() != found.keys():
        return float("inf"), ["the model gets other inputs or gives other outputs"]
    largest, reasons = 0.0, []
    for name, before in expected.items():
        now = found[name]
        if before.shape != now.shape:
            return float("inf"), [f"{name} has another shape: {tuple(before.shape)} and {tuple(now.shape)}"]
        if name.startswith("inputs/"):
            if not torch.equal(before, now):
                reasons.append(f"the saved tokenizer gives other {name.split('/')[1]}")
        else:
            difference = ((before - now).abs() / before.abs().clamp(min=1)).max()
            largest = max(largest, float(difference) if torch.isfinite(difference) else float("inf"))
    if largest > TOLERANCE:
        reasons.append(f"the logits differ by up to {largest:.2g}; {TOLERANCE:g} is allowed")
    return largest, sorted(set(reasons))


def _other_labels(predictor: Predictor) -> list[str]:
    """What the saved configuration says otherwise than the task: whoever loads it alone goes by that."""
    config: Any = predictor.module.config
    wanted = predictor.recipe.task.head(config).changes
    wrong = [name for name, value in wanted.items() if getattr(config, name, None) != value]
    return [f"the saved configuration has another {name}" for name in wrong]


def _differing(predictor: Predictor, before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> int:
    task = predictor.recipe.task
    return sum(not task.agree(first, second, TOLERANCE) for first, second in zip(before, now, strict=True))


def certify(
    runs: Sequence[RunDirectory],
    code: Sequence[str],
    interrupted: Callable[[], bool] = lambda: False,
    merged: Path | None = None,
) -> list[dict[str, Any]]:
    """Certificates of runs, from one fresh process without anything of this one but the files.

    A process that dies leaves a certificate that does not hold and says why.

    Args:
        runs: The runs.
        code: Files with the user's own classes that may be executed.
        interrupted: Asked while the fresh process works.
        merged: Folder of a plain model made of the only run's, which is examined instead.

    Raises:
        KeyboardInterrupt: `interrupted` said so.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in LAUNCHER and not name.startswith(LAUNCHER_PREFIXES)
    }
    environment["FINETUNE_CERTIFYING"] = "1"
    for run in runs:  # an older certificate must not speak for what a process that dies did not see
        result_of(run, merged).unlink(missing_ok=True)
    paths = [str(run.path.resolve()) for run in runs]
    folder = [] if merged is None else [MERGED, str(merged.resolve())]
    command = [sys.executable, "-m", "finetune.certificate", *folder, *paths, CODE, *code]
    # a session of its own: Ctrl-C on a terminal reaches this process only, which then decides
    child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        errors = _wait(child, interrupted)
    finally:
        child.kill()
    found = []
    for run in runs:
        if result_of(run, merged).exists():
            found.append(read_json(result_of(run, merged)))
        else:
            last = next(iter(errors.strip().splitlines()[::-1]), f"exit code {child.returncode}")
            found.append({"format": FORMAT, "holds": False, "reasons": [f"the fresh process failed: {last}"]})
    return found


def _wait(child: subprocess.Popen[str], interrupted: Callable[[], bool]) -> str:
    """What a process writes to its error stream until it ends."""
    while True:
        try:
            return child.communicate(timeout=0.2)[1]
        except subprocess.TimeoutExpired:
            if interrupted():
                raise KeyboardInterrupt from None


def main(arguments: Sequence[str]) -> int:
    """Examine runs, one after the other; the exit code says whether all certificates hold."""
    paths, code = arguments[: arguments.index(CODE)], arguments[arguments.index(CODE) + 1 :]
    merged = None
    if paths[0] == MERGED:
        merged, paths = Path(paths[1]), paths[2:]
    holds = True
    for path in paths:
        run = RunDirectory(Path(path))
        try:
            load_own_code(run, code)
            with quiet_libraries():
                holds &= examine(run, merged)["holds"]
        except Exception as error:  # whatever is wrong with one run, the others are still examined
            problems = error.problems if isinstance(error, FinetuneError) else [f"{type(error).__name__}: {error}"]
            write_json(result_of(run, merged), {"format": FORMAT, "holds": False, "reasons": list(problems)})
            holds = False
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
