"""What two runs differ in, from their directories alone."""

import json
import shutil

import pytest

from finetune import Classification, Data, Full, Recipe, Regression, Training, run
from finetune.differences import describe, differences_between
from finetune.differences.matching import matched, row
from finetune.errors import RunError
from finetune.run_directory import read_json, write_json
from finetune.statistics import paired, resampling
from tests.support.rows import ratings, reviews

ROWS, VALIDATION = 24, 40


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        for function in (resampling.bootstrap, paired.bootstrap_p_values):
            patch.setattr(function, "__defaults__", (20, *function.__defaults__[1:]))
        yield


def made(path: str, rows: Data, task=None, rate: float = 1e-2, **training) -> Recipe:
    settings = {"steps": 6, "batch_size": 8, "precision": "fp32", "evaluate_every": 6, **training}
    task = task or Classification(score=("accuracy", "f1_macro"))
    return Recipe(
        name="reviews", task=task, data=rows, model=path, tuning=Full(learning_rate=rate), training=Training(**settings)
    )


def changed_rows() -> Data:
    """Of the training rows, two less, one relabelled and one new; of the validation rows, one relabelled."""
    train, validation = reviews(ROWS), reviews(VALIDATION, seed=1)
    for rows in (train, validation):
        rows[3] = {**rows[3], "label": {"good": "bad", "bad": "good"}[rows[3]["label"]]}
    return Data.rows([*train[2:], {"text": "a good film", "label": "good"}], validation=validation)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_bert):
    folder = tmp_path_factory.mktemp("runs")
    rows = Data.rows(reviews(ROWS), validation=reviews(VALIDATION, seed=1))
    rated = Data.rows(ratings(ROWS), validation=ratings(VALIDATION, seed=1))
    recipes = {
        "first": made(tiny_bert, rows),
        "seed": made(tiny_bert, rows, rate=2e-2, seed=1, steps=40, evaluate_every=40),
        "rows": made(tiny_bert, changed_rows()),
        "rated": made(tiny_bert, rated, Regression(score=("mse",))),
        "rated too": made(tiny_bert, rated, Regression(score=("mse",)), seed=1),
    }
    return {name: run(recipe, folder, certified=False).directory for name, recipe in recipes.items()}


@pytest.fixture
def copied(runs, tmp_path):
    """The run of another seed, where its data is gone."""
    shutil.copytree(runs["seed"], tmp_path / "moved", ignore=shutil.ignore_patterns("data", "checkpoints"))
    recipe = read_json(tmp_path / "moved" / "recipe.json")
    recipe["data"] |= {"train": "/gone/train.parquet", "validation": "/gone/validation.parquet"}
    write_json(tmp_path / "moved" / "recipe.json", recipe)
    return tmp_path / "moved"


def lines(directory) -> list[dict]:
    return [json.loads(line) for line in (directory / "predictions.jsonl").read_text("utf-8").splitlines()]


def test_a_run_does_not_differ_from_itself(runs):
    found = differences_between(runs["first"], runs["first"])
    assert found["recipe"] == found["made_of"] == found["machine"] == found["problems"] == []
    assert found["train"] == {"same": True}
    flips = found["splits"]["validation"]
    assert flips["rows"] == {"same": VALIDATION, "relabelled": 0, "removed": 0, "added": 0}
    assert (flips["changed"], flips["right_to_wrong"], flips["wrong_to_right"], flips["examples"]) == (0, 0, 0, [])
    assert flips["scores"]["accuracy"]["p"] == 1


def test_changed_fields_of_the_recipe_are_said(runs):
    found = differences_between(runs["first"], runs["seed"])["recipe"]
    assert "training.seed was 0 and is 1" in found
    assert "tuning.learning_rate was 0.01 and is 0.02" in found


def test_predictions_that_flipped_are_counted_and_shown(runs):
    before, after = lines(runs["first"]), lines(runs["seed"])
    right = [
        (one["predicted"] == one["gold"], two["predicted"] == two["gold"])
        for one, two in zip(before, after, strict=True)
    ]
    flips = differences_between(runs["first"], runs["seed"])["splits"]["validation"]
    assert flips["right_by"] == "accuracy"
    assert flips["right_to_wrong"] == right.count((True, False))
    assert flips["wrong_to_right"] == right.count((False, True))
    assert flips["changed"] == flips["right_to_wrong"] + flips["wrong_to_right"] > 0
    shown = flips["examples"][0]
    assert shown["inputs"] == next(line["inputs"] for line in before if line["id"] == shown["id"])
    assert shown["before"] != shown["after"]


def test_scores_stand_beside_each_other_with_interval_and_test(runs):
    reports = [read_json(runs[name] / "report.json")["scores"]["validation"] for name in ("first", "seed")]
    scores = differences_between(runs["first"], runs["seed"])["splits"]["validation"]["scores"]
    for name in ("accuracy", "f1_macro"):
        before, after = (report[name]["value"] for report in reports)
        assert (scores[name]["before"], scores[name]["after"]) == pytest.approx((before, after))
        assert scores[name]["difference"] == pytest.approx(after - before)
        assert scores[name]["low"] < after - before < scores[name]["high"]
    assert [scores[name]["test"] for name in scores] == ["McNemar", "paired bootstrap"]


def test_changed_rows_are_counted_by_their_content(runs):
    found = differences_between(runs["first"], runs["rows"])
    parts = {"same": False, "before": ROWS, "after": ROWS - 1, "relabelled": 1, "removed": 2, "added": 1}
    assert found["train"] == parts
    flips = found["splits"]["validation"]
    assert flips["rows"] == {"same": VALIDATION - 1, "relabelled": 1, "removed": 0, "added": 0}


def test_scores_are_of_the_rows_that_both_have_with_the_same_target(runs):
    flips = differences_between(runs["first"], runs["rows"])["splits"]["validation"]
    alike = [line for position, line in enumerate(lines(runs["first"])) if position != 3]
    expected = sum(line["predicted"] == line["gold"] for line in alike) / len(alike)
    assert flips["scores"]["accuracy"]["before"] == pytest.approx(expected)


def test_a_moved_run_without_its_data_is_compared_by_its_predictions(runs, copied):
    found = differences_between(runs["first"], copied)["splits"]["validation"]
    assert found == differences_between(runs["first"], runs["seed"])["splits"]["validation"]


def test_training_rows_that_are_gone_are_said(runs, copied):
    identity = read_json(copied / "identity.json")
    identity["data"]["train"] = "0" * 64
    write_json(copied / "identity.json", identity)
    found = differences_between(runs["first"], copied)
    assert "/gone/train.parquet" in found["train"]["problem"]
    assert any(line.startswith("Training rows: they differ; how cannot be said: ") for line in describe(found))


def test_training_rows_that_changed_since_are_not_taken_for_those_of_the_run(runs, tmp_path):
    shutil.copytree(runs["seed"], tmp_path / "copy")
    identity = read_json(tmp_path / "copy" / "identity.json")
    identity["data"]["train"] = "0" * 64
    write_json(tmp_path / "copy" / "identity.json", identity)
    found = differences_between(runs["first"], tmp_path / "copy")
    assert found["train"]["problem"] == f"the training rows of {tmp_path / 'copy'} are not at their source any more"


def test_predictions_that_do_not_give_the_reports_score_are_not_scored(runs, copied):
    """Whatever the reason: a score that cannot be found again is none to compare."""
    report = read_json(copied / "report.json")
    report["scores"]["validation"]["accuracy"]["value"] = 0.123
    write_json(copied / "report.json", report)
    flips = differences_between(runs["first"], copied)["splits"]["validation"]
    assert flips["scores"] == {}
    assert flips["problems"] == [
        f"the scores of {copied} cannot be found again: its validation rows are gone, or scored in another way"
    ]
    assert flips["examples"]


def test_a_score_that_one_run_lacks_is_said(runs, copied):
    report = read_json(copied / "report.json")
    del report["scores"]["validation"]["f1_macro"]
    write_json(copied / "report.json", report)
    flips = differences_between(runs["first"], copied)["splits"]["validation"]
    assert list(flips["scores"]) == ["accuracy"]
    assert flips["problems"] == ["not compared, for they cannot be found again from the predictions: f1_macro"]


def test_where_rows_are_not_right_or_wrong_the_most_changed_are_shown(runs):
    flips = differences_between(runs["rated"], runs["rated too"])["splits"]["validation"]
    assert (flips["right_by"], flips["right_to_wrong"]) == (None, None)
    assert flips["scores"]["mse"]["test"] == "paired bootstrap"
    moved = [
        abs((shown["before"] - shown["gold"]) ** 2 - (shown["after"] - shown["gold"]) ** 2)
        for shown in flips["examples"]
    ]
    assert len(moved) == 10
    assert moved == sorted(moved, reverse=True)


def test_other_tasks_are_not_compared(runs):
    found = differences_between(runs["first"], runs["rated"])
    assert found["splits"] == {}
    assert found["problems"] == ["their tasks differ, classification and regression: predictions cannot be compared"]


def test_other_rows_are_not_compared(runs, copied):
    changed = [{**line, "inputs": {"text": f"{line['inputs']['text']} so"}} for line in lines(copied)]
    (copied / "predictions.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in changed), "utf-8")
    flips = differences_between(runs["first"], copied)["splits"]["validation"]
    assert flips["problems"] == ["no row of the validation split is in both, so nothing can be compared"]


def test_a_run_that_is_not_finished_is_said(runs, copied):
    write_json(copied / "report.json", {"format": 1, "status": "stopped"})
    assert differences_between(runs["first"], copied)["problems"] == [f"{copied} has no predictions: it is stopped"]


def test_what_is_no_run_directory_is_refused(runs, tmp_path):
    with pytest.raises(RunError, match=r"is no run directory: it has no recipe\.json"):
        differences_between(runs["first"], tmp_path)


def test_all_of_it_is_said_in_lines(runs):
    found = differences_between(runs["first"], runs["seed"])
    told = describe(found)
    flips = found["splits"]["validation"]
    assert "  training.seed was 0 and is 1" in told
    assert "Training rows: the same" in told
    assert f"Rows of validation: {VALIDATION} in both, no others" in told
    assert any(line.startswith("  accuracy: 0.") and "(McNemar)" in line for line in told)
    assert any(f"{flips['wrong_to_right']} from wrong to right" in line for line in told)


def test_changed_rows_are_said_in_lines(runs):
    told = describe(differences_between(runs["first"], runs["rows"]))
    counts = "1 with another target, 2 removed, 1 added"
    assert f"Training rows: {ROWS} before, {ROWS - 1} after; {counts}" in told
    assert f"Rows of validation: {VALIDATION - 1} in both, 1 with another target" in told


# Matching


def test_rows_are_paired_as_often_as_both_have_them():
    twice, once = [row(["a"], 1), row(["a"], 1), row(["b"], 2)], [row(["a"], 1), row(["c"], 2)]
    found = matched(twice, once)
    assert (found.same, found.relabelled, found.removed, found.added) == ([(0, 0)], [], [1, 2], [1])


def test_a_row_with_another_target_is_relabelled_unless_an_equal_one_is_there():
    found = matched([row(["a"], 1), row(["a"], 2)], [row(["a"], 2), row(["a"], 3)])
    assert (found.same, found.relabelled) == ([(1, 0)], [(0, 1)])


def test_what_columns_are_called_does_not_matter_and_their_order_does():
    assert row({"text": "a"}.values(), 1) == row({"sentence": "a"}.values(), 1)
    assert row(["a", "b"], 1) != row(["b", "a"], 1)
