"""A comparison killed with -9 at any instant and started again ends like one that was never interrupted."""

import json
import os
from functools import partial
from pathlib import Path

import pytest

from tests.support import killed
from tests.support.rows import reviews, write_csv

STEPS = 6
FILE = """
from finetune import Classification, Data, Recipe, Training

recipe = Recipe(
    name="reviews",
    task=Classification(),
    data=Data.files(train="train.csv", validation="validation.csv"),
    model={model!r},
    training=Training(steps={steps}, batch_size=8, precision="fp32", save_every=2, evaluate_every=3, keep=2),
)
"""
WORDS = ("--tuning", "full", "--seeds", "2", "--learning-rates", "2", "--extensions", "0", "--keep-checkpoints")


def words(file: Path, out: Path) -> list[str]:
    return ["compare", str(file), *WORDS, "--out", str(out)]


def finish(file: Path, out: Path) -> None:
    _, status = os.waitpid(killed.start_command(words(file, out)), 0)
    assert os.waitstatus_to_exitcode(status) == 0


def kill_when(file: Path, out: Path, due) -> bool:
    """Kill the comparison as soon as `due`; False if it ended before."""
    return killed.kill_command_when(words(file, out), due)


def runs(out: Path) -> dict[str, killed.RunDirectory]:
    return {path.parent.name: killed.RunDirectory(path.parent) for path in out.glob("runs/*/*/identity.json")}


def scored(out: Path) -> set[str]:
    """The runs that need no more training."""
    return {name for name, run in runs(out).items() if "scores" in run.read_report()}


def stamps(out: Path) -> dict[Path, int]:
    """When the log and the model of each run were last written that needs nothing but an examination."""
    over = [run for run in runs(out).values() if (run.certificate / "predictions.json").exists()]
    files = [path for run in over for path in (run.metrics, run.model / "model.safetensors")]
    return {path: path.stat().st_mtime_ns for path in files}


def told(out: Path) -> list[dict]:
    """What comparison.json says but for what depends on the clock."""
    methods = json.loads((out / "comparison.json").read_text("utf-8"))["methods"]
    return [{name: value for name, value in method.items() if name != "costs"} for method in methods]


def instants(out: Path) -> dict:
    """What is hit -> the question whether its time has come."""
    unfinished = f"runs/*/*/checkpoints/step-*{killed.checkpoint.UNFINISHED}"
    return {
        "into a checkpoint of the search": lambda: any(out.glob(unfinished)),
        "as the first final run begins": lambda: len(runs(out)) >= 3,
        "as the first final run is scored": lambda: len(scored(out)) >= 3,
    }


def work(folder: Path, model: str, results) -> None:
    """All kills, in a process of its own: single-threaded, and warm once it has made a comparison itself."""
    import torch

    from finetune import costs, finishing
    from finetune.cli import main
    from finetune.comparison.result import Comparison
    from finetune.run_directory import write_json
    from finetune.statistics import resampling

    torch.set_num_threads(1)
    confirmed = {"format": 1, "holds": True, "reasons": [], "loader": "transformers", "rows": 0}
    finishing.certify = lambda found, *_: [{**confirmed, "largest_difference": 0.0} for _ in found]  # seconds a run
    resampling.bootstrap = partial(resampling.bootstrap, resamples=5)
    Comparison.save = lambda found: write_json(found.out / "comparison.json", found.content)  # seconds of pictures
    costs.latency = costs.forgetting = lambda run: {}  # a second a model
    write_csv(killed.clean(folder / "recipe"), train=reviews(48), validation=reviews(12, seed=1))
    file = folder / "recipe" / "reviews.py"
    file.write_text(FILE.format(model=model, steps=STEPS), "utf-8")
    main(
        [
            "compare",
            str(file),
            "--tuning",
            "full",
            "--seeds",
            "1",
            "--learning-rates",
            "1",
            "--out",
            str(folder / "warm"),
        ]
    )
    finish(file, folder / "whole")
    whole, prints = told(folder / "whole"), {k: killed.fingerprint(v) for k, v in runs(folder / "whole").items()}
    lines, different = [], []
    for number, kind in enumerate(instants(folder)):
        out = folder / str(number)
        hit = kill_when(file, out, instants(out)[kind])
        before = stamps(out)
        lines.append(f"comparison killed {kind}: {f'scored were {len(scored(out))} runs' if hit else 'it had ended'}")
        finish(file, out)
        different += [f"{kind}: what is told differs"] if told(out) != whole else []
        different += [
            f"{kind}: files of {k} differ" for k, v in runs(out).items() if killed.fingerprint(v) != prints[k]
        ]
        different += [f"{kind}: there are other runs"] if runs(out).keys() != prints.keys() else []
        different += [f"{kind}: {path} was written again" for path, at in before.items() if stamps(out)[path] != at]
    results.put((lines, different))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, tiny_bert):
    return killed.in_a_process(work, tmp_path_factory.mktemp("comparisons"), tiny_bert)


def test_a_killed_comparison_ends_like_a_whole_one_and_leaves_finished_runs_alone(outcome, capsys):
    lines, different = outcome
    killed.show(lines, capsys)
    assert len(lines) == 3
    assert different == []


def test_kills_fell_into_the_search_and_into_the_final_runs(outcome):
    lines, _ = outcome
    assert not any("it had ended" in line for line in lines)
    assert [int(line.split("scored were ")[1][0]) for line in lines] == [0, 2, 3]
