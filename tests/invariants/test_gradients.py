"""With dropout off, a step's gradients are the same for every cut into micro-batches, padding and processes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from finetune.compute import compute
from finetune.data.features import Features
from finetune.evaluation import evaluate
from finetune.tasks.base import Batch
from finetune.training import loop
from tests.support import gradients, tiny
from tests.support.cases import CASES
from tests.support.launch import two_processes

LIMIT = 1e-6
"""Largest relative difference; float64 leaves about 1e-15 of rounding in each operation."""
IDS = ["-".join(situation) for situation in gradients.SITUATIONS]


@pytest.fixture(scope="module")
def alone():
    return compute("fp32")


@pytest.fixture(scope="module")
def settings(checkpoint):
    made = {}

    def make(situation):
        if situation not in made:
            case, architecture, tuning = situation
            made[situation] = gradients.setting(case, architecture, checkpoint(architecture), tuning)
        return made[situation]

    return make


def cuts(made) -> dict[str, int]:
    """Most tokens of a micro-batch, for cuts into one, about two, and eight of them."""
    lengths = made.features.lengths[gradients.MEMBERS["eight"]]
    return {"one batch": gradients.EVERYTHING, "two of four": int(lengths.max()) * 4, "eight of one": 1, "bucketed": 24}


@pytest.mark.parametrize("situation", gradients.SITUATIONS, ids=IDS)
@pytest.mark.parametrize("cut", ["two of four", "eight of one", "bucketed"])
def test_cut_into_micro_batches_does_not_matter(settings, alone, situation, cut):
    made, members = settings(situation), gradients.MEMBERS["eight"]
    whole = gradients.of_step(made, alone, members, gradients.EVERYTHING)
    assert gradients.difference(whole, gradients.of_step(made, alone, members, cuts(made)[cut])) < LIMIT


@pytest.mark.parametrize("situation", gradients.SITUATIONS, ids=IDS)
def test_more_padding_does_not_matter(settings, alone, situation):
    made, members = settings(situation), gradients.MEMBERS["eight"]
    whole = gradients.of_step(made, alone, members, gradients.EVERYTHING)
    assert gradients.difference(whole, gradients.of_step(made, alone, members, gradients.EVERYTHING, widen=5)) < LIMIT


def test_order_within_a_step_does_not_matter(settings, alone):
    made, members = settings(gradients.SITUATIONS[0]), gradients.MEMBERS["eight"]
    whole = gradients.of_step(made, alone, members, gradients.EVERYTHING)
    assert gradients.difference(whole, gradients.of_step(made, alone, members[::-1].copy(), 24)) < LIMIT


def test_weights_matter(settings, alone):
    """The weights of the rows are felt: else the tests above would not see them mistaken."""
    made, members = settings(gradients.SITUATIONS[0]), gradients.MEMBERS["eight"]
    whole = gradients.of_step(made, alone, members, gradients.EVERYTHING)
    equal = made.trainee, made.encoder.task.model_copy(update={"class_weights": None})
    plain = replace(made, encoder=replace(made.encoder, task=equal[1]))
    plain = replace(plain, features=plain.encoder.features(_train(made), "train"))
    assert gradients.difference(whole, gradients.of_step(plain, alone, members, gradients.EVERYTHING)) > 1e-2


def _train(made):
    return made.recipe.data.load(made.recipe.task.inputs(), made.recipe.task.targets())["train"]


@pytest.mark.parametrize("situation", gradients.SITUATIONS, ids=IDS)
def test_a_mean_of_micro_batch_means_is_caught(settings, alone, situation, monkeypatch):
    """The mistake that most trainers made: each micro-batch divided by its own weight."""
    made, members = settings(situation), gradients.MEMBERS["eight"]
    whole = gradients.of_step(made, alone, members, gradients.EVERYTHING)
    right = type(made.encoder.task).loss
    micro_batches = []

    def mean(self, output, batch: Batch):
        loss, weight = right(self, output, batch)
        micro_batches.append(batch)
        return loss / weight, torch.ones(())

    monkeypatch.setattr(type(made.encoder.task), "loss", mean)
    monkeypatch.setattr(loop, "weigh", lambda batches, here, stop: (float(len(batches)), False))
    tokens = max(24, 3 * int(made.features.lengths[members].max()))  # cut unequally: equal weights have a right mean
    assert gradients.difference(whole, gradients.of_step(made, alone, members, tokens)) > 1e-3
    assert len(micro_batches) > 1


@pytest.fixture(scope="module")
def of_two(tmp_path_factory, checkpoint):
    """What two processes found."""
    folder = tmp_path_factory.mktemp("two")
    paths = {
        name: checkpoint(name) for name in tiny.ARCHITECTURES if any(name in c.architectures for c in CASES.values())
    }
    done = two_processes("tests.support.two_processes", str(folder), json.dumps(paths))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("situation", gradients.SITUATIONS, ids=IDS)
@pytest.mark.parametrize("size", gradients.MEMBERS)
def test_number_of_processes_does_not_matter(settings, alone, of_two, situation, size):
    made = settings(situation)
    whole = gradients.of_step(made, alone, gradients.MEMBERS[size], gradients.EVERYTHING)
    found = load_file(of_two / f"{gradients.SITUATIONS.index(situation)}-{size}.safetensors")
    assert gradients.difference(whole, {name.removeprefix("module."): value for name, value in found.items()}) < LIMIT


@pytest.mark.parametrize("case", CASES)
def test_evaluation_is_the_same_on_every_process_and_on_one(checkpoint, alone, of_two, case):
    made, rows = _for_evaluation(case, checkpoint)
    done = evaluate(made.trainee.module, made.encoder, rows, alone, gradients.EVERYTHING)
    for process in (0, 1):
        path = of_two / f"evaluation-{list(CASES).index(case)}-{process}.json"
        predictions, statistics = json.loads(path.read_text())
        assert [p["predicted"] for p in predictions] == [p["predicted"] for p in done.predictions]
        assert np.allclose(statistics, done.statistics, atol=1e-9)


def _for_evaluation(case, checkpoint):
    architecture = CASES[case].architectures[0]
    made = gradients.setting(case, architecture, checkpoint(architecture))
    return made, made.recipe.data.load(made.recipe.task.inputs(), made.recipe.task.targets())["validation"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batch_tokens", [1, 24])
def test_evaluation_does_not_depend_on_batches(checkpoint, alone, case, batch_tokens):
    made, rows = _for_evaluation(case, checkpoint)
    whole = evaluate(made.trainee.module, made.encoder, rows, alone, gradients.EVERYTHING)
    cut = evaluate(made.trainee.module, made.encoder, rows, alone, batch_tokens)
    assert [p["predicted"] for p in whole.predictions] == [p["predicted"] for p in cut.predictions]
    assert np.allclose(whole.statistics, cut.statistics, atol=1e-9)
    task = made.encoder.task
    assert all(task.agree(*pair, 1e-9) for pair in zip(whole.predictions, cut.predictions, strict=True))


def test_windows_deduplicated_by_row_are_caught(checkpoint, alone, monkeypatch):
    """A key without the window loses all but one window of a row, and the merge sees it."""
    made, rows = _for_evaluation("toy: windows", checkpoint)
    whole = evaluate(made.trainee.module, made.encoder, rows, alone, 24)
    assert any(len(row["text"].split()) > made.encoder.task.window for row in rows.records())
    monkeypatch.setattr(Features, "key", lambda self, index: (int(self.rows[index]), 0))
    lost = evaluate(made.trainee.module, made.encoder, rows, alone, 24)
    assert not all(np.allclose(one, other, atol=1e-12) for one, other in zip(whole.raw, lost.raw, strict=True))


def test_a_step_without_weight_changes_nothing(settings, alone):
    made = settings(gradients.SITUATIONS[0])
    batch = made.encoder.batch(made.features, [0, 1], "train")
    nothing = replace(batch, weight=torch.zeros_like(batch.weight))
    made.trainee.module.zero_grad(set_to_none=True)
    weight, _ = loop.weigh([(nothing, True)], alone, stop=False)
    assert weight == 0
    assert loop.gradients(made.trainee, made.encoder, [(nothing, True)], weight, alone, (0, 0)) == 0
    assert all(p.grad is None or not p.grad.any() for p in made.trainee.module.parameters())
