"""Every task with every tuning method on every architecture it fits: two steps, saved, reloaded, certified, used."""

import json

import numpy as np
import pytest
import torch

from finetune import catalog, run
from finetune.errors import RecipeError
from finetune.finishing import confirm
from finetune.predict import load
from finetune.recipe import load_recipe
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
REFUSED = {
    (case, architecture, "frozen")
    for case in ("language_modeling", "summarization", "summarization: beams", "toy: writing", "translation")
    for architecture in ("gpt2", "t5", "bart")
    if architecture in CASES[case].architectures
}
"""A checkpoint that has every weight of its task has no head that could be trained alone."""


def test_every_task_of_the_catalog_has_a_case():
    names = catalog.names(Task.package)
    assert set(names) <= set(CASES)
    assert len(names) == 10 and len(CASES) == 14
    assert len(TUNINGS) == 3
    assert len(COMBINATIONS) == 99


@pytest.fixture(scope="module")
def runs(tmp_path_factory, checkpoint):
    """The runs of a case, examined by one fresh process, and what was refused; made when first asked for."""
    folder, made = tmp_path_factory.mktemp("runs"), {}

    def of(case: str):
        if case not in made:
            done, refusals = {}, {}
            for combination in COMBINATIONS:
                name, architecture, tuning = combination
                if name != case:
                    continue
                try:
                    chosen = recipe(case, architecture, checkpoint(architecture), tuning)
                    done[combination] = run(chosen, folder, certified=False)
                except RecipeError as error:
                    refusals[combination] = str(error)
            confirm([RunDirectory(result.directory) for result in done.values()], [toy_tasks.__file__])
            made[case] = done, refusals
        return made[case]

    return of


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.xdist_group(case)) for case in CASES])
def test_all_combinations_run_or_are_refused_in_words(runs, case):
    done, refusals = runs(case)
    assert set(refusals) == {refused for refused in REFUSED if refused[0] == case}
    assert set(done) | set(refusals) == {combination for combination in COMBINATIONS if combination[0] == case}
    assert all("no head of its own" in message for message in refusals.values())


def runnable():
    """Every combination that runs; those of a case are tested in one process, which makes its runs once."""
    return [
        pytest.param(c, id="-".join(c), marks=pytest.mark.xdist_group(c[0])) for c in COMBINATIONS if c not in REFUSED
    ]


@pytest.mark.parametrize("combination", runnable())
def test_certificate_holds(runs, combination):
    report = RunDirectory(runs(combination[0])[0][combination].directory).read_report()
    assert report["certificate"]["reasons"] == []
    assert report["status"] == "complete"
    assert report["certificate"]["loader"] == TUNINGS[combination[2]].loader


@pytest.mark.parametrize("combination", runnable())
def test_trained_parameters_are_reloaded_bit_equal(runs, combination):
    directory = RunDirectory(runs(combination[0])[0][combination].directory)
    report = directory.read_report()
    path = checkpoints.at(directory.checkpoints, report["best_step"] or report["steps"])
    stored = checkpoints.load_file(path / checkpoints.PARAMETERS)
    module = load(directory.path).module
    loaded = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    assert stored
    for name, value in stored.items():
        assert torch.equal(loaded[name], value), name


@pytest.mark.parametrize("combination", runnable())
def test_predicts_the_inputs_alone(runs, combination):
    predictor = load(runs(combination[0])[0][combination].directory)
    sample = CASES[combination[0]].sample
    one, two = predictor([sample]), predictor([sample, sample])
    assert predictor.recipe.task.agree(one[0], two[1], 1e-5)


@pytest.mark.parametrize("combination", runnable())
def test_scores_follow_from_the_written_predictions(runs, combination):
    result = runs(combination[0])[0][combination]
    lines = [json.loads(line) for line in (result.directory / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 12
    made = load_recipe(str(result.directory))
    rows = made.data.load(made.task.inputs(), made.task.targets())["validation"]
    found = made.task.aggregate(made.task.measure(lines, rows), np.ones(len(rows)))
    assert set(found) == set(result.scores["validation"])
    for name, score in result.scores["validation"].items():
        assert score["value"] == pytest.approx(found[name])
        # what is best on a resample is better than what is best on the rows themselves
        assert name.startswith("best_") or score["low"] <= score["value"] <= score["high"]
