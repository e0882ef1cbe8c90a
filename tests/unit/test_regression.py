"""Regression: numbers are read, learned in units of their spread, and turned back."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from finetune import Data, DataError, Full, Recipe, RecipeError, Training, run
from finetune.data.sources.rows import as_rows
from finetune.predict import load
from finetune.tasks.base import Batch
from finetune.tasks.regression import Regression
from tests.support.rows import ratings

VALUES = [1.0, 2.0, 4.0, 5.0]
SPREAD = math.sqrt(2.5)


def rows(values, split="train"):
    return as_rows([{"text": "a", "label": value} for value in values], split)


def resolved(values=VALUES, **fields) -> Regression:
    return Regression(**fields).resolve(rows(values), None)


@pytest.mark.parametrize("values", [[1, 2, 4, 5], VALUES, ["1", " 2.0", "4e0", "+5"]])
def test_numbers_are_learned_in_units_of_the_spread_of_the_training_rows(values):
    task = resolved(values)
    assert (task.center, task.scale) == (3.0, pytest.approx(SPREAD))
    targets, weights = task.learned({"label": values})
    assert targets == pytest.approx([-2 / SPREAD, -1 / SPREAD, 1 / SPREAD, 2 / SPREAD])
    assert weights == [1.0] * 4


def test_center_and_scale_of_the_recipe_stay():
    task = resolved(center=0.0, scale=10.0)
    assert task.learned({"label": [5.0]})[0] == [0.5]


BAD = ["abc", "3,5", "nan", "inf", "-Infinity", "", "1e999"]


@pytest.mark.parametrize("bad", BAD)
def test_a_text_that_is_no_number_is_refused_with_its_row(bad):
    held = f"'{bad}'" if bad else "nothing"
    with pytest.raises(DataError, match=rf"column 'label' holds {held} \(1 such rows: train line 2\); a finite number"):
        resolved(["1", bad, "2"])


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
def test_what_is_not_finite_is_refused(bad):
    with pytest.raises(DataError, match=r"\(1 such rows: validation line 2\); a finite number is needed"):
        resolved().check(rows([1.0, bad], "validation"))


def test_true_and_false_are_no_numbers():
    with pytest.raises(DataError, match="column 'label' holds True"):
        resolved([True, False])


def test_equal_numbers_are_refused():
    with pytest.raises(DataError, match=r"train: every row has the same 'label', 2\.5; different numbers are needed"):
        resolved([2.5, 2.5])


def test_numbers_outside_the_bounds_are_refused():
    with pytest.raises(DataError, match=r"holds 5\.5 \(1 such rows: train line 2\), outside task\.clip, 0 to 5"):
        resolved([1.0, 5.5], clip=(0, 5))


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(RecipeError, match=r"the least number comes first"):
        Regression(clip=(5, 0))


def test_an_unknown_score_is_named():
    with pytest.raises(RecipeError, match=r"'persons' is no score\. Did you mean 'pearson'"):
        Regression(score=("persons",))


def test_errors_are_better_when_lower():
    assert [metric.higher_is_better for metric in Regression().metrics()] == [True, True, False]


def test_the_loss_is_the_squared_error_summed_over_the_rows():
    outputs, targets, weights = [[1.0], [-2.0]], [0.5, 1.0], [1.0, 2.0]
    batch = Batch({}, {"labels": torch.tensor(targets, dtype=torch.float64)}, torch.tensor(weights))
    loss, weight = resolved().loss(SimpleNamespace(logits=torch.tensor(outputs).double()), batch)
    assert (float(loss), float(weight)) == (0.25 + 2 * 9, 3.0)


def test_targets_keep_their_precision():
    features = [{"input_ids": [1], "target": 1 / 3, "weight": 1.0}]
    batch = resolved().collate(features, SimpleNamespace(pad_token_id=0, padding_side="right"), "train", [0])
    assert float(batch.targets["labels"][0]) == 1 / 3


def test_predictions_are_in_the_unit_of_the_data():
    found = resolved().decide([np.array([2 / SPREAD])], {})
    assert found == [{"predicted": pytest.approx(5.0)}]
    assert json.loads(json.dumps(found)) == found


def test_predictions_stay_within_the_bounds():
    found = resolved(clip=(0, 5)).decide([np.array([9.0]), np.array([-9.0]), np.array([0.0])], {})
    assert [prediction["predicted"] for prediction in found] == [5.0, 0.0, 3.0]


def test_the_baseline_is_the_mean_of_the_training_rows_also_with_another_center():
    task = resolved(center=100.0)
    assert task.baseline(rows(VALUES), rows([9.0], "validation")) == [{"predicted": 3.0}]


def test_scores_are_in_the_unit_of_the_data():
    task = resolved()
    statistics = task.measure([{"predicted": 2 * value} for value in VALUES], rows(VALUES))
    assert statistics.tolist() == [[value, 2 * value] for value in VALUES]
    assert task.aggregate(statistics, np.ones(4)) == pytest.approx({"pearson": 1, "spearman": 1, "mse": 46 / 4})


@pytest.mark.parametrize(("direction", "said"), [(-1, 1), (1, 0)])
def test_a_reversed_scale_is_said(direction, said):
    statistics = np.array([[value, direction * value] for value in VALUES])
    found = resolved().doubts(statistics, statistics)
    assert len(found) == said
    assert all("Pearson -1.00" in text and "'label'" in text for text in found)


def test_numbers_that_go_against_each_other_by_chance_are_not_doubted():
    statistics = np.array([[1.0, 0.0], [2.0, -1.0], [4.0, 0.0], [5.0, -0.7]])
    assert -0.2 < np.corrcoef(statistics.T)[0, 1] < 0
    assert resolved().doubts(statistics, statistics) == []


def test_few_numbers_that_go_against_each_other_are_not_doubted():
    statistics = np.array([[1.0, 5.0], [2.0, 4.0], [3.0, 2.0], [4.0, 3.0], [5.0, 1.5]])
    assert np.corrcoef(statistics.T)[0, 1] < -0.8
    assert resolved().doubts(statistics, statistics) == []
    assert resolved().doubts(np.tile(statistics, (3, 1)), statistics) != []


def test_evaluate_modules_get_numbers():
    assert resolved().exchanged([{"predicted": 1.5}], rows([2])) == ([1.5], [2.0])


@pytest.mark.parametrize(
    ("second", "same"), [(3.0 + 0.9e-4 * SPREAD, True), (3.0 - 1.1e-4 * SPREAD, False)], ids=["rounding", "more"]
)
def test_predictions_agree_in_units_of_the_scale(second, same):
    assert resolved().agree({"predicted": 3.0}, {"predicted": second}, 1e-4) is same


def test_far_from_the_center_predictions_agree_relatively():
    far = 3.0 + 50 * SPREAD
    assert resolved().agree({"predicted": far}, {"predicted": far + 40e-4 * SPREAD}, 1e-4)


def test_the_gold_number_is_a_number():
    assert resolved().gold({"label": "3.5"}) == 3.5
    assert resolved().gold({"label": None}) is None


@pytest.fixture(scope="module")
def trained(tiny_bert, tmp_path_factory):
    def shifted(count, seed=0):
        return [{**row, "label": f"{1000 + 50 * row['label']:.3f}"} for row in ratings(count, seed)]

    recipe = Recipe(
        name="ratings",
        task=Regression(score=("mse", "pearson")),
        data=Data.rows(shifted(200), validation=shifted(40, seed=1)),
        model=tiny_bert,
        tuning=Full(learning_rate=2e-3),
        training=Training(epochs=8, batch_size=8, precision="fp32"),
    )
    return run(recipe, tmp_path_factory.mktemp("runs"), certified=False)


def test_numbers_far_from_zero_are_learned(trained):
    mse = trained.scores["validation"]["mse"]
    assert mse["value"] < 0.9 * mse["baseline"]


def test_center_and_scale_stand_in_the_recipe_of_the_run(trained):
    task = trained.report["recipe"]["task"]
    assert 1100 < task["center"] < 1200 and 10 < task["scale"] < 100


def test_the_saved_model_says_how_its_output_becomes_a_number(trained):
    predictor = load(trained.directory)
    tokenized = predictor.encoder.tokenizer("a good film", return_tensors="pt")
    config = predictor.module.config
    output = predictor.module(**tokenized).logits.item()
    assert (config.num_labels, config.problem_type) == (1, "regression")
    assert predictor(["a good film"])[0]["predicted"] == pytest.approx(
        output * config.target_scale + config.target_center, abs=1e-2
    )


def test_the_best_step_is_that_of_the_least_error(trained):
    found = [json.loads(line) for line in (trained.directory / "metrics.jsonl").read_text("utf-8").splitlines()]
    errors = {line["step"]: line["validation"]["mse"] for line in found if "validation" in line}
    assert len(errors) > 1
    assert trained.report["best_step"] == min(errors, key=errors.__getitem__)
