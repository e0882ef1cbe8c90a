"""Every task with every tuning method on every architecture it fits: two steps, saved, reloaded, certified, used."""

import json

import numpy as np
import pytest
import torch

from finetune import catalog, run
from finetune.errors import RecipeError
from finetune.finishing import confirm
from finetune.predict import load
from finetune.run_directory import RunDirectory
from finetune.tasks.base import Task
from finetune.training import checkpoint as checkpoints
from tests.support import toy_tasks
from tests.support.cases import CASES, TUNINGS, recipe

COMBINATIONS = [
    (case, architecture, tuning)
    for case, members in CASES.items()
    for architecture in members.architectures
    for tuning in TUNINGS
]
REFUSED = {("toy: writing", "gpt2", "frozen")}
"""A checkpoint that has every weight of its task has no head that could be trained alone."""


def test_every_task_of_the_catalog_has_a_case():
    names = catalog.names(Task.package)
    assert set(names) <= set(CASES)
    assert len(names) == 1 and len(CASES) == 3
    assert len(TUNINGS) == 3
    assert len(COMBINATIONS) == 15


@pytest.fixture(scope="module")
def runs(tmp_path_factory, checkpoint):
    """All runs, examined by one fresh process."""
    folder = tmp_path_factory.mktemp("runs")
    done, refusals = {}, {}
    for combination in COMBINATIONS:
        case, architecture, tuning = combination
        try:
            made = recipe(case, architecture, checkpoint(architecture), tuning)
            done[combination] = run(made, folder, certified=False)
        except RecipeError as error:
            refusals[combination] = str(error)
    confirm([RunDirectory(result.directory) for result in done.values()], [toy_tasks.__file__])
    return done, refusals


def test_all_combinations_run_or_are_refused_in_words(runs):
    done, refusals = runs
    assert set(refusals) == REFUSED
    assert len(done) == len(COMBINATIONS) - len(REFUSED)
    assert all("no head of its own" in message for message in refusals.values())


def runnable():
    return [pytest.param(*c, id="-".join(c)) for c in COMBINATIONS if c not in REFUSED]


@pytest.mark.parametrize("combination", [pytest.param(p.values, id=p.id) for p in runnable()])
def test_certificate_holds(runs, combination):
    report = RunDirectory(runs[0][combination].directory).read_report()
    assert report["certificate"]["reasons"] == []
    assert report["status"] == "complete"
    assert report["certificate"]["loader"] == TUNINGS[combination[2]].loader


@pytest.mark.parametrize("combination", [pytest.param(p.values, id=p.id) for p in runnable()])
def test_trained_parameters_are_reloaded_bit_equal(runs, combination):
    directory = RunDirectory(runs[0][combination].directory)
    report = directory.read_report()
    path = checkpoints.at(directory.checkpoints, report["best_step"] or report["steps"])
    stored = checkpoints.load_file(path / checkpoints.PARAMETERS)
    loaded = dict(load(directory.path).module.named_parameters())
    assert stored
    for name, value in stored.items():
        assert torch.equal(loaded[name], value), name


@pytest.mark.parametrize("combination", [pytest.param(p.values, id=p.id) for p in runnable()])
def test_predicts_the_inputs_alone(runs, combination):
    predictor = load(runs[0][combination].directory)
    sample = CASES[combination[0]].sample
    one, two = predictor([sample]), predictor([sample, sample])
    assert one[0]["predicted"] == two[1]["predicted"]


@pytest.mark.parametrize("combination", [pytest.param(p.values, id=p.id) for p in runnable()])
def test_scores_follow_from_the_written_predictions(runs, combination):
    result = runs[0][combination]
    lines = [json.loads(line) for line in (result.directory / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 12
    metric = {"classification": "accuracy", "toy: windows": "accuracy", "toy: writing": "exact"}[combination[0]]
    share = np.mean([line["gold"] == line["predicted"] for line in lines])
    score = result.scores["validation"][metric]
    assert score["value"] == pytest.approx(share)
    assert score["low"] <= score["value"] <= score["high"]
