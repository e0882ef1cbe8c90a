"""How long a saved model takes for an answer, as it was saved and merged."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from finetune.certificate import probed_rows
from finetune.errors import RecipeError
from finetune.evaluation import outputs
from finetune.predict import Predictor, load
from finetune.quiet import quiet_libraries
from finetune.run_directory import RunDirectory

WRITTEN = 8
"""Tokens that each answer has where a model writes, if its run lets it write so many: all methods write as many."""


def latency(run: str | Path, rows: int = 64, repeats: int = 3) -> dict[str, Any]:
    """Seconds that a row takes, each by itself: no batch, so that nothing depends on what stands beside it.

    From token ids to what scoring needs of the answer, in this process, on the device and in the number format of the
    run's scores: the median of some passes over the rows that its certificate compared, after one that does not count.
    What writes makes so many tokens, neither more nor fewer: see `WRITTEN`.

    Args:
        run: A finished run.
        rows: How many of those rows, at most.
        repeats: Passes that count.

    Returns:
        `latency_seconds`, `merged_latency_seconds` and `unmergeable`: the second is None where nothing is merged, the
        third says why where that cannot be, and is empty where the saved model is a plain one already.

    Raises:
        RunError: The run is not finished.
    """
    predictor = load(run)
    tuning = predictor.recipe.tuning
    task: Any = predictor.recipe.task
    if task.target_limit is not None:
        count = min(WRITTEN, task.generation.max_new_tokens or WRITTEN)
        predictor = predictor.writing(f"max_new_tokens={count}", f"min_new_tokens={count}")
    found: dict[str, Any] = {"latency_seconds": None, "merged_latency_seconds": None, "unmergeable": tuning.unmergeable}
    with quiet_libraries():
        found["latency_seconds"] = _seconds(predictor, predictor.module, run, rows, repeats)
        if tuning.loader == "transformers" or tuning.unmergeable:
            return found
        try:
            merged = tuning.merge(predictor.module)
        except RecipeError as error:
            return {**found, "unmergeable": error.problems[0]}
        found["merged_latency_seconds"] = _seconds(predictor, merged, run, rows, repeats)
    return found


def _seconds(predictor: Predictor, module: nn.Module, run: str | Path, count: int, repeats: int) -> float:
    encoder, here = predictor.encoder, predictor.compute.alone(predictor.compute.precision)
    rows = probed_rows(RunDirectory(Path(run)))
    rows = rows.select(range(min(count, len(rows))))
    features = encoder.features(rows, "score", keep=False)
    passes = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        outputs(module, encoder, features, "score", here, batch_tokens=1)
        if here.device.type == "cuda":
            torch.cuda.synchronize()
        passes.append(time.perf_counter() - began)
    return median(passes[1:]) / len(rows)
