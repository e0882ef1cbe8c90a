"""A suite killed with -9 at any instant and started again ends like one that was never interrupted."""

import json
import os
import time
from functools import partial
from pathlib import Path

import pytest

from tests.support import killed
from tests.support.rows import reviews, write_csv

STEPS = 12
FILE = """
from finetune import Classification, Data, Recipe, Training

def made(name, seed):
    return Recipe(
        name=name,
        task=Classification(),
        data=Data.files(train="train.csv", validation="validation.csv"),
        model={model!r},
        training=Training(
            steps={steps}, batch_size=8, precision="fp32", seed=seed, save_every=3, evaluate_every=6, keep=2
        ),
    )

recipes = {{"one": made("one", 0), "two": made("two", 1), "three": made("three", 2)}}
"""


def words(file: Path, out: Path) -> list[str]:
    return ["suite", str(file), "--out", str(out)]


def finish(file: Path, out: Path) -> None:
    _, status = os.waitpid(killed.start_command(words(file, out)), 0)
    assert os.waitstatus_to_exitcode(status) == 0


def kill_when(file: Path, out: Path, due) -> bool:
    """Kill the suite as soon as `due`; False if it ended before."""
    return killed.kill_command_when(words(file, out), due)


def cells(out: Path) -> dict[str, dict]:
    """Of suite.json; where the runs lie is relative to it."""
    found: dict[str, dict] = json.loads((out / "suite.json").read_text("utf-8"))["cells"]
    return found


def runs(out: Path) -> dict[str, killed.RunDirectory]:
    return {path.parent.parent.name: killed.RunDirectory(path.parent) for path in out.glob("runs/*/*/identity.json")}


def stamps(out: Path) -> dict[Path, int]:
    """When each file of the finished runs was last written."""
    finished = [run.path for run in runs(out).values() if run.status == "complete"]
    return {path: path.stat().st_mtime_ns for run in finished for path in run.rglob("*") if path.is_file()}


def instants(folder: Path, longest: float) -> dict:
    """What is hit -> makes the question whether its time has come, for a suite in `folder`."""
    place = folder / "runs"

    def begun(name: str):
        return lambda: any(place.glob(f"{name}/*/recipe.json"))

    def recorded(count: int):
        def due() -> bool:
            try:
                return sum(cell["status"] == "complete" for cell in cells(folder).values()) >= count
            except FileNotFoundError:
                return False

        return due

    def checkpoint(name: str, step: int):
        return lambda: any(int(path.name[5:13]) >= step for path in place.glob(f"{name}/*/checkpoints/step-*"))

    def unfinished(name: str, latest: int):
        partial_ones = f"{name}/*/checkpoints/step-*{killed.checkpoint.UNFINISHED}"
        return lambda: any(place.glob(partial_ones)) or checkpoint(name, latest)()  # writing takes but a moment

    return {
        "before the first recipe is done": killed.after(longest * 0.1),
        "as the second begins": begun("two"),
        "as the first is recorded": recorded(1),
        "at a checkpoint of the second": checkpoint("two", 6),
        "into a checkpoint of the third": unfinished("three", 9),
        "as the second is recorded": recorded(2),
    }


def work(folder: Path, model: str, results) -> None:
    """All kills, in a process of its own: single-threaded, and warm once it has made a run itself."""
    import torch

    from finetune import finishing
    from finetune.cli import main
    from finetune.statistics import resampling

    torch.set_num_threads(1)
    confirmed = {"format": 1, "holds": True, "reasons": [], "loader": "transformers", "rows": 0}
    finishing.certify = lambda found, *_: [{**confirmed, "largest_difference": 0.0} for _ in found]  # seconds a run
    resampling.bootstrap = partial(resampling.bootstrap, resamples=20)
    write_csv(killed.clean(folder / "suite"), train=reviews(48), validation=reviews(12, seed=1))
    file = folder / "suite" / "three.py"
    file.write_text(FILE.format(model=model, steps=STEPS), "utf-8")
    main(["suite", str(file), "--out", str(folder / "warm"), "--only", "one", "training.steps=1"])
    began = time.monotonic()
    finish(file, folder / "whole")
    longest = time.monotonic() - began
    whole, prints = cells(folder / "whole"), {k: killed.fingerprint(v) for k, v in runs(folder / "whole").items()}
    lines, different = [], []
    for number, kind in enumerate(instants(folder, longest)):
        out = folder / str(number)
        hit = kill_when(file, out, instants(out, longest)[kind])
        before = stamps(out)
        done = sorted({path.relative_to(out).parts[1] for path in before})
        lines.append(f"suite killed {kind}: {f'complete were {done}' if hit else 'it had ended'}")
        finish(file, out)
        different += [f"{kind}: scores of {name} differ" for name in whole if cells(out)[name] != whole[name]]
        different += [
            f"{kind}: files of {k} differ" for k, v in runs(out).items() if killed.fingerprint(v) != prints[k]
        ]
        different += [
            f"{kind}: {path} was written again" for path, stamp in before.items() if stamps(out)[path] != stamp
        ]
    results.put((lines, different))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, tiny_bert):
    return killed.in_a_process(work, tmp_path_factory.mktemp("suites"), tiny_bert)


def test_a_killed_suite_ends_like_a_whole_one_and_leaves_finished_runs_alone(outcome, capsys):
    lines, different = outcome
    killed.show(lines, capsys)
    assert len(lines) == 6
    assert different == []


def test_kills_fell_before_between_and_after_finished_runs(outcome):
    lines, _ = outcome
    assert not any("it had ended" in line for line in lines)
    assert sum("complete were []" in line for line in lines) >= 1
    assert sum("complete were ['one']" in line for line in lines) >= 2
    assert sum("complete were ['one', 'two']" in line for line in lines) >= 1
