"""What a comparison settles before anything runs: methods, grids, one limit, rows that choose, cells."""

import math
from pathlib import Path

import pytest

from finetune import Classification, Data, Full, LoRA, Prefix, Recipe, Training
from finetune.comparison.cells import final_cell, search_cell
from finetune.comparison.methods import read_methods
from finetune.comparison.plan import Plan
from finetune.comparison.record import Record
from finetune.comparison.search import another, at_edge, chosen, grid
from finetune.comparison.terms import settle
from finetune.errors import RecipeError
from finetune.preparation import differences, prepare
from finetune.recipe import load_recipe
from finetune.run_directory import write_json
from tests.support.rows import reviews
from tests.support.tiny import POSITIONS


def recipe(model: str, **fields) -> Recipe:
    usual = {
        "name": "reviews",
        "task": Classification(score=("accuracy",)),
        "data": Data.rows(reviews(40), validation=reviews(12, seed=1)),
        "model": model,
        "tuning": Full(learning_rate=5e-5),
        "training": Training(steps=2, batch_size=8, precision="fp32"),
    }
    return Recipe(**{**usual, **fields})


def terms(model: str, out: Path, methods=("full", "lora"), fields=None, **changes):
    return settle(recipe(model, **(fields or {})), methods, **{"seeds": 2, "learning_rates": 3, "out": out, **changes})


# Learning rates


@pytest.mark.parametrize(
    ("middle", "count", "rates"),
    [
        (4e-4, 3, (1.3e-4, 4e-4, 1.3e-3)),
        (1e-3, 1, (1e-3,)),
        (1e-3, 2, (1e-3, 3.2e-3)),
        (1e-3, 4, (3.2e-4, 1e-3, 3.2e-3, 1e-2)),
        (1.234e-4, 3, (3.9e-5, 1.234e-4, 3.9e-4)),
    ],
)
def test_a_grid_lies_around_a_methods_own_rate_and_of_an_even_number_one_more_above(middle, count, rates):
    assert grid(middle, count) == rates


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({1e-4: 0.7, 1e-3: 0.8, 1e-2: 0.6}, 1e-3),
        ({1e-2: 0.8, 1e-3: 0.8, 1e-4: 0.7}, 1e-3),
        ({1e-4: -2.0, 1e-3: None, 1e-2: math.nan}, 1e-4),
        ({1e-4: None, 1e-3: None}, None),
    ],
    ids=["the best", "of equal ones the smallest", "diverged or no number is the worst", "none"],
)
def test_the_rate_that_is_chosen(scores, best):
    assert chosen(scores) == best


@pytest.mark.parametrize(
    ("values", "is_there"),
    [((0.1, 0.2, 0.3), True), ((0.3, 0.2, 0.1), True), ((0.1, 0.3, 0.2), False), ((None, None, None), True)],
)
def test_the_edge_is_where_a_better_rate_may_lie_beyond(values, is_there):
    assert at_edge(dict(zip((1e-4, 1e-3, 1e-2), values, strict=True))) == is_there


@pytest.mark.parametrize(
    ("values", "next_rate"),
    [
        ((0.1, 0.2, 0.3), 3.2e-2),
        ((0.3, 0.2, 0.1), 3.2e-5),
        ((0.1, 0.3, 0.2), 3.2e-3),
        ((0.2, 0.3, 0.1), 3.2e-4),
        ((0.2, 0.3, 0.2), 3.2e-4),
        ((None, 0.3, -5), 3.2e-3),
        ((None, None, None), 3.2e-5),
    ],
    ids=["above", "below", "to the right", "to the left", "of equal ones the smaller", "away from divergence", "lower"],
)
def test_the_next_rate_lies_beyond_the_edge_or_towards_the_better_neighbour(values, next_rate):
    assert another(dict(zip((1e-4, 1e-3, 1e-2), values, strict=True))) == next_rate


def test_a_rate_between_two_that_are_close_gets_the_digits_it_needs():
    assert another({1e-3: 0.1, 1.1e-3: 0.3, 1.2e-3: 0.2}) == 1.15e-3


# Methods


def test_fields_stand_behind_a_colon_and_commas_in_brackets_part_nothing(tiny_bert):
    (method,) = read_methods(recipe(tiny_bert), ["lora:r=16,targets=[query,value],dropout=0.1"])
    assert method.name == "lora:r=16,targets=[query,value],dropout=0.1"
    assert method.tuning == LoRA(r=16, targets=("query", "value"), dropout=0.1)


def test_a_recipes_own_settings_hold_for_its_own_method_alone(tiny_bert):
    own = recipe(tiny_bert, tuning=LoRA(learning_rate=1e-2, r=3))
    methods = read_methods(own, ["lora", "lora:r=16", "full"])
    assert [method.tuning for method in methods] == [
        LoRA(learning_rate=1e-2, r=3),
        LoRA(learning_rate=1e-2, r=16),
        Full(),
    ]


@pytest.mark.parametrize(
    ("tuning", "name"), [(LoRA(), "lora"), (LoRA(r=4, targets=("query", "value")), "lora:r=4,targets=[query,value]")]
)
def test_a_declaration_is_named_as_one_would_write_it(tiny_bert, tuning, name):
    (method,) = read_methods(recipe(tiny_bert), [tuning])
    (again,) = read_methods(recipe(tiny_bert), [name])
    assert (method.name, method.tuning) == (name, again.tuning)


@pytest.mark.parametrize(
    ("specs", "problem"),
    [
        (["lorra"], "--tuning lorra: unknown tuning 'lorra'. Did you mean 'lora'?"),
        (["lora:rank=3"], "--tuning lora:rank=3: unknown field 'rank'."),
        (["lora:16"], "--tuning lora:16: '16' is no assignment"),
        (["lora:"], "--tuning lora:: a method, or a method with fields, is needed"),
        (["full", "full"], "--tuning full is the same as full"),
        (["lora", "lora:r=8"], "--tuning lora:r=8 is the same as lora"),
        ([], "no tuning method is named"),
    ],
)
def test_what_is_wrong_with_a_method_is_said(tiny_bert, specs, problem):
    with pytest.raises(RecipeError) as raised:
        read_methods(recipe(tiny_bert), specs)
    (said,) = raised.value.problems
    assert said.startswith(problem)


def test_all_that_is_wrong_is_said_at_once(tiny_bert, tmp_path):
    with pytest.raises(RecipeError) as raised:
        terms(tiny_bert, tmp_path, ["full", "lorra"], seeds=0, learning_rates=0, development=1, margin=-1)
    assert len(raised.value.problems) == 5


def test_a_reference_must_be_one_of_the_methods(tiny_bert, tmp_path):
    with pytest.raises(RecipeError, match=r"--reference: unknown method 'lore'\. Did you mean 'lora'"):
        terms(tiny_bert, tmp_path, reference="lore")


# Equal terms


@pytest.mark.parametrize(("methods", "reference"), [(("lora", "full"), "full"), (("lora", "frozen"), "lora")])
def test_the_reference_is_full_where_that_is_compared_and_else_the_first(tiny_bert, tmp_path, methods, reference):
    assert terms(tiny_bert, tmp_path, methods).reference == reference


@pytest.mark.parametrize(("own", "limit"), [(None, POSITIONS - 5), (POSITIONS, POSITIONS - 5), (9, 9)])
def test_every_method_reads_as_many_tokens_as_the_hungriest_leaves(tiny_bert, tmp_path, own, limit):
    task = Classification(score=("accuracy",), max_length=own)
    methods = ("full", Prefix(tokens=5))
    assert terms(tiny_bert, tmp_path, methods, {"task": task}).recipe.task.max_length == limit


def test_a_method_that_leaves_no_tokens_is_refused(tiny_bert, tmp_path):
    with pytest.raises(RecipeError, match=f"--tuning prefix:tokens={POSITIONS}: this model takes {POSITIONS} tokens"):
        terms(tiny_bert, tmp_path, ("full", f"prefix:tokens={POSITIONS}"))


def test_no_checkpoint_is_chosen_on_the_rows_that_are_reported(tiny_bert, tmp_path):
    training = Training(steps=2, batch_size=8, patience=3, seed=7, precision="fp32")
    settled = terms(tiny_bert, tmp_path, fields={"training": training})
    assert (settled.recipe.training.select, settled.recipe.training.patience) == ("last", None)
    assert settled.seeds == (7, 8)


def sources() -> dict[str, Data]:
    train, validation = reviews(40), reviews(12, seed=1)
    return {
        "a validation split": Data.rows(train, validation=validation),
        "no validation split": Data.rows(train),
        "a holdout of its own": Data.rows(train, validation=validation, holdout=0.25),
        "some of the training rows": Data.rows(train, validation=validation, limit=20),
    }


@pytest.mark.parametrize("kind", sources())
def test_rates_are_chosen_on_training_rows_alone(tiny_bert, tmp_path, kind):
    settled = terms(tiny_bert, tmp_path, fields={"data": sources()[kind]}, development=0.2)
    task, method = settled.recipe.task, settled.methods[0]
    cells = [search_cell(settled, method, 1e-3, "cpu"), final_cell(settled, method, 1e-3, 0, "cpu")]
    searched, reported = ({k: v.ids for k, v in prepare(cell.recipe, "cpu").splits.items()} for cell in cells)
    assert sorted(searched["train"] + searched["validation"]) == sorted(reported["train"])
    assert len(searched["validation"]) == round(0.2 * len(reported["train"]))
    assert not set(reported["validation"]) & {*searched["train"], *searched["validation"]}
    assert settled.recipe.data.load(task.inputs(), task.targets())["train"].ids == reported["train"]


def test_too_few_training_rows_to_keep_some_aside_are_refused(tiny_bert, tmp_path):
    with pytest.raises(RecipeError, match="3 training rows are too few"):
        terms(tiny_bert, tmp_path, fields={"data": Data.rows(reviews(40), limit=3)}, development=0.01)


# Cells


def test_final_cells_differ_in_tuning_and_seed_alone(tiny_bert, tmp_path):
    settled = terms(tiny_bert, tmp_path, ("full", "lora", "frozen"))
    cells = [final_cell(settled, method, 1e-3, seed, "cpu") for method in settled.methods for seed in settled.seeds]
    first, *others = (prepare(cell.recipe, "cpu").identity for cell in cells)
    assert len({cell.digest for cell in cells}) == 6
    for other in others:
        found = {text.split(" was ")[0] for text in differences(first, other)}
        assert {name for name in found if not name.startswith("tuning.")} <= {"training.seed"}


def test_a_printed_cell_is_the_run_that_the_comparison_looks_for(tiny_bert, tmp_path):
    settled = terms(tiny_bert, tmp_path)
    for make in (
        lambda *words: search_cell(settled, *words, "cpu"),
        lambda *words: final_cell(settled, *words, 1, "cpu"),
    ):
        cell = make(settled.methods[1], 1e-3)
        path = cell.write(tmp_path / "cells", tmp_path / "data")
        assert prepare(load_recipe(str(path)), "cpu").directory_name == f"reviews/{cell.digest}"


def test_two_methods_of_one_kind_get_files_of_their_own(tiny_bert, tmp_path):
    settled = terms(tiny_bert, tmp_path, ("lora:r=2", "lora:r=4"))
    paths = {final_cell(settled, method, 1e-3, 0, "cpu").write(tmp_path, tmp_path) for method in settled.methods}
    assert len(paths) == 2


# Rounds of the search


def planned(model: str, out: Path, score, methods=("full", "lora"), **changes) -> tuple[Plan, list[list]]:
    """A plan whose runs score what `score` says of (method, rate) and diverge where it says None; its stages."""
    plan = Plan(terms(model, out, methods, **changes), Record.of(out, "reviews", []), "cpu")
    plan.score = lambda cell: score(cell.method, cell.learning_rate)
    return plan, [cells for _, cells in plan.stages()]


def peak(best: float):
    return lambda method, rate: -abs(math.log(rate / best))


def test_one_method_at_an_edge_gives_every_method_one_run_more(tiny_bert, tmp_path):
    best = {"full": 1e-2, "lora": 4e-4}
    plan, (first, second, third, finals) = planned(tiny_bert, tmp_path, lambda m, rate: peak(best[m])(m, rate))
    assert [len(first), len(second), len(third), len(finals)] == [6, 2, 2, 4]
    assert {cell.method: cell.learning_rate for cell in second} == {"full": 5.1e-4, "lora": 2.3e-4}
    assert {cell.method: cell.learning_rate for cell in finals} == {"full": 1.6e-3, "lora": 4e-4}
    assert (plan.at_edge("full"), plan.at_edge("lora")) == (True, False)


def test_rounds_end_once_no_method_is_at_an_edge(tiny_bert, tmp_path):
    plan, (first, finals) = planned(
        tiny_bert, tmp_path, lambda method, rate: peak({"full": 5e-5, "lora": 4e-4}[method])(method, rate)
    )
    assert (len(first), len(finals)) == (6, 4)
    assert not plan.at_edge("full")


def test_without_extensions_a_best_rate_at_the_edge_is_taken(tiny_bert, tmp_path):
    plan, (_, finals) = planned(tiny_bert, tmp_path, peak(1.0), extensions=0)
    assert {cell.learning_rate for cell in finals} == {1.6e-4, 1.3e-3}
    assert plan.at_edge("full")


def test_one_rate_is_each_methods_own_without_a_search(tiny_bert, tmp_path):
    plan, (finals,) = planned(tiny_bert, tmp_path, peak(1.0), learning_rates=1)
    assert {cell.learning_rate for cell in finals} == {5e-5, LoRA().learning_rate}
    assert not plan.at_edge("full")


def test_a_score_where_less_is_better_is_chosen_by_that(tiny_bert, tmp_path, monkeypatch):
    from finetune.tasks.base import Metric

    monkeypatch.setattr(Classification, "metrics", lambda _: (Metric("accuracy", higher_is_better=False),))
    plan, _ = planned(tiny_bert, tmp_path, lambda method, rate: -peak(LoRA().learning_rate)(method, rate), ("lora",))
    assert plan.rate(plan.terms.methods[0]) == LoRA().learning_rate


def test_a_method_that_always_diverges_is_tried_lower_and_then_left_out(tiny_bert, tmp_path):
    plan, (_, second, third, finals) = planned(
        tiny_bert, tmp_path, lambda method, rate: None if method == "full" else peak(4e-4)(method, rate)
    )
    assert [cell.learning_rate for cell in (*second, *third) if cell.method == "full"] == [5.1e-6, 1.6e-6]
    assert {cell.method for cell in finals} == {"lora"}
    assert plan.rate(plan.terms.methods[0]) is None


def test_a_method_whose_search_could_not_be_made_is_left_out(tiny_bert, tmp_path):
    plan = Plan(terms(tiny_bert, tmp_path), Record.of(tmp_path, "reviews", []), "cpu")
    plan.score = lambda cell: peak({"full": 5e-5, "lora": 4e-4}[cell.method])(cell.method, cell.learning_rate)
    stages = plan.stages()
    _, first = next(stages)
    plan.problems[first[0].digest] = "Out of memory"
    _, finals = next(stages)
    assert {cell.method for cell in finals} == {"lora"}
    assert plan.failed("full") == "Out of memory"


# The folder


def test_a_folder_of_another_comparison_is_refused(tmp_path):
    Record.of(tmp_path, "glue.py:mrpc", ["data.limit=5"]).save()
    with pytest.raises(
        RecipeError, match=r"has the comparison of glue.py:mrpc data.limit=5, which is not glue.py:mrpc;"
    ):
        Record.of(tmp_path, "glue.py:mrpc", [])


def test_the_order_of_changes_makes_no_other_comparison(tmp_path):
    Record.of(tmp_path, "glue.py:mrpc", ["a=1", "b=2"]).save()
    assert Record.of(tmp_path, "glue.py:mrpc", ["b=2", "a=1"]).content["changes"] == ["a=1", "b=2"]


def test_a_run_that_diverged_is_remembered(tiny_bert, tmp_path):
    settled = terms(tiny_bert, tmp_path)
    cell = final_cell(settled, settled.methods[0], 1e-3, 0, "cpu")
    Record.of(tmp_path, "reviews", []).note(cell, "training has diverged")
    assert Record.of(tmp_path, "reviews", []).diverged(cell) == "training has diverged"


def test_a_run_killed_between_its_report_and_what_is_examined_is_not_over(tiny_bert, tmp_path):
    settled = terms(tiny_bert, tmp_path)
    cell = final_cell(settled, settled.methods[0], 1e-3, 0, "cpu")
    cell.directory.path.mkdir(parents=True)
    write_json(cell.directory.report, {"format": 1, "status": "uncertified", "scores": {}, "certificate": None})
    assert not cell.finished
    cell.directory.certificate.mkdir()
    write_json(cell.directory.certificate / "predictions.json", {"format": 1})
    assert cell.finished


def test_of_equal_rates_the_one_in_the_middle_is_chosen():
    """Where nothing was learned every rate scores alike; the search must not run off to an edge."""
    assert chosen({1e-4: 0.5, 1e-3: 0.5, 1e-2: 0.5}) == 1e-3
    assert not at_edge({1e-4: 0.5, 1e-3: 0.5, 1e-2: 0.5})


def test_a_method_is_called_without_the_rate_that_is_searched():
    (method,) = read_methods(load_recipe("quickstart"), ["lora:learning_rate=2e-3,r=16"])
    assert method.name == "lora:r=16"
    assert method.spec == "lora:learning_rate=2e-3,r=16"
    assert method.tuning.learning_rate == 2e-3


def test_methods_that_differ_in_their_rate_alone_are_the_same():
    with pytest.raises(RecipeError, match="name each method once"):
        read_methods(load_recipe("quickstart"), ["lora", "lora:learning_rate=2e-3"])
