"""Every head with every method, every task on every architecture it fits: saved, reloaded, certified, used.

A sample: `make matrix` tries all methods with all heads and architectures, but in one process and without `run`.
"""

import json
from functools import cache

import numpy as np
import pytest

from finetune import catalog, run
from finetune.errors import RecipeError
from finetune.finishing import confirm
from finetune.predict import load
from finetune.recipe import load_recipe
from finetune.run_directory import RunDirectory
from finetune.tasks.base import Task
from finetune.training import checkpoint as checkpoints
from tests.matrix.answers import differing
from tests.matrix.layout import Cell
from tests.matrix.page import refusals
from tests.support import toy_tasks
from tests.support.cases import CASES, SETTINGS, TUNINGS, recipe

HEADS = {
    "sequence classification": ("classification", "multi_label", "regression", "toy: windows"),
    "multiple choice": ("multiple_choice",),
    "token classification": ("extractive_summarization", "token_classification"),
    "question answering": ("question_answering",),
    "masked language model": ("language_modeling: masked",),
    "causal language model": ("language_modeling", "toy: writing"),
    "text to text": ("summarization", "summarization: beams", "translation"),
}
"""Head -> the cases that have it."""
GROUPS = {case: number % 2 for number, cases in enumerate(HEADS.values()) for case in cases}
"""Cases whose runs one worker makes and one fresh process examines: its start takes longer than its work."""
FIT_EVERYWHERE = "full", "lora"
"""With them run the pairs of case and architecture that no other method has taken."""
ON_PAGE = {name: f"{name}: {SETTINGS[name]['method']}" if name == "peft" else name for name in TUNINGS}
"""Method -> its name in docs/support.md."""


def places(head):
    """The pairs of case and architecture that have a head."""
    return [(case, architecture) for case in HEADS[head] for architecture in CASES[case].architectures]


def sample(refused):
    """Case, architecture and method to run: every method of a head in turn on another of its places that fits."""
    chosen = []
    for head in HEADS:
        there = places(head)
        for number, method in enumerate(TUNINGS):
            turn = [*there[number % len(there) :], *there[: number % len(there)]]
            fitting = [place for place in turn if Cell(head, place[1], ON_PAGE[method]) not in refused]
            chosen += [(*place, method) for place in fitting[:1]]
        left = [place for place in there if place not in {combination[:2] for combination in chosen}]
        chosen += [(*place, FIT_EVERYWHERE[number % 2]) for number, place in enumerate(left)]
    return chosen


def refused_sample(refused):
    """Reason -> the first case, architecture and method that docs/support.md says are refused for it."""
    found = {}
    for head in HEADS:
        for case, architecture in places(head):
            for method in TUNINGS:
                reason = refused.get(Cell(head, architecture, ON_PAGE[method]))
                found.setdefault(reason, (case, architecture, method))
    return {reason: combination for reason, combination in found.items() if reason}


SAMPLE, REFUSED = sample(refusals()), refused_sample(refusals())


def test_every_task_head_method_and_architecture_is_there():
    names = catalog.names(Task.package)
    assert set(names) <= set(CASES)
    assert sorted(GROUPS) == sorted(CASES)
    assert len(names) == 10 and len(CASES) == 14 and len(TUNINGS) == 13
    assert {combination[:2] for combination in SAMPLE} == {place for head in HEADS for place in places(head)}
    head_of = {case: head for head, cases in HEADS.items() for case in cases}
    assert len({(head_of[case], method) for case, _, method in SAMPLE}) == len(HEADS) * len(TUNINGS) == 91
    assert len(REFUSED) == 5


@pytest.fixture(scope="module")
def runs(tmp_path_factory, checkpoint):
    """The runs of a case's group, examined by one fresh process; made when first asked for."""
    folder = tmp_path_factory.mktemp("runs")

    @cache
    def of(group: int):
        done, failed = {}, {}
        for case, architecture, method in (c for c in SAMPLE if GROUPS[c[0]] == group):
            made = recipe(case, architecture, checkpoint(architecture), method)
            try:
                done[case, architecture, method] = run(made, folder, certified=False)
            except Exception as error:  # its own tests fail, not those of the whole group
                failed[case, architecture, method] = error
        confirm([RunDirectory(result.directory) for result in done.values()], [toy_tasks.__file__])
        return done, failed

    def of_combination(combination):
        done, failed = of(GROUPS[combination[0]])
        if combination in failed:
            raise failed[combination]
        return done[combination]

    return of_combination


@pytest.fixture(scope="module")
def predictor_of(runs):
    """The saved model of a combination, loaded once."""
    return cache(lambda combination: load(runs(combination).directory))


def grouped(combinations):
    """Those of a group are tested in one process, which makes their runs once."""
    return [
        pytest.param(c, id="-".join(c), marks=pytest.mark.xdist_group(f"tasks {GROUPS[c[0]]}")) for c in combinations
    ]


@pytest.mark.parametrize("reason", REFUSED)
def test_what_the_page_calls_refused_is_refused_in_its_words(reason, checkpoint, tmp_path):
    case, architecture, method = REFUSED[reason]
    with pytest.raises(RecipeError) as refusal:
        run(recipe(case, architecture, checkpoint(architecture), method), tmp_path, certified=False)
    assert reason in str(refusal.value)


@pytest.mark.parametrize("combination", grouped(SAMPLE))
def test_certificate_holds(runs, combination):
    report = RunDirectory(runs(combination).directory).read_report()
    assert report["certificate"]["reasons"] == []
    assert report["status"] == "complete"
    assert report["certificate"]["loader"] == TUNINGS[combination[2]].loader


@pytest.mark.parametrize("combination", grouped(SAMPLE))
def test_trained_parameters_are_reloaded_bit_equal(runs, predictor_of, combination):
    directory = RunDirectory(runs(combination).directory)
    report = directory.read_report()
    path = checkpoints.at(directory.checkpoints, report["best_step"] or report["steps"])
    stored = checkpoints.load_file(path / checkpoints.PARAMETERS)
    assert stored
    assert differing(stored, predictor_of(combination).module) is None


@pytest.mark.parametrize("combination", grouped(SAMPLE))
def test_predicts_the_inputs_alone(predictor_of, combination):
    predictor, row = predictor_of(combination), CASES[combination[0]].sample
    one, two = predictor([row]), predictor([row, row])
    assert predictor.recipe.task.agree(one[0], two[1], 1e-5)


@pytest.mark.parametrize("combination", grouped(SAMPLE))
def test_scores_follow_from_the_written_predictions(runs, combination):
    result = runs(combination)
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
