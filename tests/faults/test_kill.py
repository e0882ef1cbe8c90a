"""A run killed with -9 at any instant and run again ends bit-identical to one that was never interrupted."""

import random
import time

import pytest

from tests.support import killed
from tests.support.cases import recipe

KILLS = 20
STEPS = 40
TUNINGS = ("full", "lora")


def _work(folder, checkpoint_path, results) -> None:
    """All kills, in a process of its own: single-threaded, and warm once it has made a run itself."""
    import torch

    from finetune import run

    torch.set_num_threads(1)
    lines, different = [], []
    generator = random.Random(7)
    for tuning in TUNINGS:
        settings = {"rows": 64, "steps": STEPS, "evaluate_every": 10, "save_every": 3, "keep": 2}
        made = recipe("classification", "bert", checkpoint_path, tuning, **settings)
        run(made.override("training.steps=1"), folder / "warm", certified=False)
        began = time.monotonic()
        whole = killed.fingerprint(killed.finish(made, killed.clean(folder / f"{tuning}-whole")))
        longest = time.monotonic() - began
        for number in range(KILLS // len(TUNINGS)):
            here = killed.clean(folder / f"{tuning}-{number}")
            instants = [generator.random() * longest * 0.3]
            if number < 3:  # while it prepares, loads the model, or makes its first steps
                due, kind = killed.after(instants[0]), f"{instants[0]:.2f} s after the start of {longest:.2f}"
            elif number < 6:
                step = (3, 12, 30)[number - 3]
                due, kind = killed.writing_a_checkpoint(here, step), f"into a checkpoint of step {step} or later"
            else:
                step, late = (9, 21, 33, STEPS)[number - 6], generator.random() * longest * 0.1
                due, kind = (
                    killed.after_checkpoint(here, step, late),
                    f"{late:.2f} s after the checkpoint of step {step}",
                )
            hit = killed.kill_when(made, here, due)
            while "into" in kind and ".partial" not in killed.where(here):  # a moment late: the write was over
                hit = killed.kill_when(made, killed.clean(here), due)
            lines.append(f"{tuning} kill {number + 1}, {kind}: {killed.where(here) if hit else 'the run had ended'}")
            found = killed.fingerprint(killed.finish(made, here))
            different += [f"{lines[-1]}: {name} differs" for name in whole if found[name] != whole[name]]
    results.put((lines, different))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, tiny_bert):
    return killed.in_a_process(_work, tmp_path_factory.mktemp("killed"), tiny_bert)


def test_resuming_is_exact(outcome, capsys):
    lines, different = outcome
    killed.show(lines, capsys)
    assert len(lines) == KILLS
    assert different == []


def test_kills_fell_everywhere(outcome):
    lines, _ = outcome
    assert sum("into a checkpoint" in line and ".partial" in line for line in lines) >= 5
    assert sum("after the start" in line and "ended" not in line for line in lines) >= 4
    assert sum("after the checkpoint" in line and "ended" not in line for line in lines) >= 6
