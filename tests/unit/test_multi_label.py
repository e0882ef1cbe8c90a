"""Multi-label classification: how rows say their classes, what is learned and what is predicted."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from finetune import Data, DataError, Recipe, RecipeError, Training, run
from finetune.data.sources.rows import as_rows
from finetune.predict import load
from finetune.tasks.base import Batch
from finetune.tasks.multi_label import MultiLabel
from tests.support.rows import topics

SETS = [["sport", "travel"], [], ["travel"], ["food", "sport", "travel"]]
TABLE = [[0, 1, 1], [0, 0, 0], [0, 0, 1], [1, 1, 1]]
"""The same by class: food, sport, travel."""
NAMES = ("food", "sport", "travel")


def rows(values, split="train", column="label"):
    return as_rows([{"text": "a", column: value} for value in values], split)


def resolved(values=SETS, **fields) -> MultiLabel:
    return MultiLabel(**fields).resolve(rows(values), None)


def table(task: MultiLabel, values) -> list[list[int]]:
    return task.learned({"label": list(values)})[0]


def test_a_list_of_names_is_read():
    task = resolved()
    assert task.names == NAMES
    assert table(task, SETS) == TABLE


@pytest.mark.parametrize("values", [[[1, 2], [], [2], [0, 1, 2]], [["1", "2"], [], ["2"], ["0", "1", "2"]]])
def test_ids_are_read_by_the_labels(values):
    task = resolved(values, labels=NAMES)
    assert task.written == "ids"
    assert table(task, values) == TABLE


def test_ids_of_another_order_of_outputs_keep_their_meaning():
    task = resolved([[1, 2], [0]], labels=NAMES).aligned(
        SimpleNamespace(id2label={0: "Travel", 1: "Food", 2: "Sport"}, architectures=None)
    )
    assert task.names == ("travel", "food", "sport")
    assert table(task, [[1, 2], [0]]) == [[1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize(("separator", "space"), [(";", ""), (";", " "), (", ", ""), ("|", " ")])
def test_a_text_is_cut_at_the_separator(separator, space):
    values = [f"{separator}{space}".join(names) for names in SETS]
    task = resolved(values, separator=separator)
    assert task.names == NAMES
    assert table(task, values) == TABLE


def test_nothing_between_two_separators_is_no_class():
    assert table(resolved(separator=";"), ["sport; ;travel;", " "]) == [[0, 1, 1], [0, 0, 0]]


def test_a_class_named_twice_counts_once():
    assert table(resolved(), [["sport", "sport"]]) == [[0, 1, 0]]


ANSWERS = [(1, 0), (True, False), ("1", "0"), ("True", "FALSE"), (1.0, 0.0)]


def of_columns(yes, no, split="train"):
    records = [{"text": "a", **{n: yes if v else no for n, v in zip(NAMES, row, strict=True)}} for row in TABLE]
    return as_rows(records, split)


@pytest.mark.parametrize(("yes", "no"), ANSWERS)
def test_several_columns_are_the_labels(yes, no):
    task = MultiLabel(label=NAMES).resolve(of_columns(yes, no), None)
    assert task.names == NAMES
    assert [column.name for column in task.targets()] == list(NAMES)
    read = task.learned({name: of_columns(yes, no).column(name) for name in NAMES})[0]
    assert read == TABLE


@pytest.mark.parametrize("bad", [2, 0.5, -1])
def test_a_number_that_is_no_answer_is_named_with_its_row(bad):
    records = [{"text": "a", "food": 1, "sport": 0}, {"text": "a", "food": bad, "sport": 0}]
    with pytest.raises(DataError, match=rf"column 'food' holds {bad} .*train line 2.*1, 0, true or false is needed"):
        MultiLabel(label=("food", "sport")).resolve(as_rows(records, "train"), None)


@pytest.mark.parametrize("bad", ["yes", ""])
def test_a_text_that_is_no_answer_is_named_with_its_row(bad):
    good = MultiLabel(label=("food", "sport")).resolve(
        as_rows([{"text": "a", "food": "1", "sport": "0"}], "train"), None
    )
    records = [{"text": "a", "food": "1", "sport": "0"}, {"text": "a", "food": "0", "sport": bad}]
    with pytest.raises(DataError, match=rf"column 'sport' holds '{bad}' .*validation line 2"):
        good.check(as_rows(records, "validation"))


def test_other_labels_than_the_columns_are_refused():
    with pytest.raises(RecipeError, match="labels: the names of the columns are the labels"):
        MultiLabel(label=("food", "sport"), labels=("sport", "food"))


def test_an_unknown_class_is_named_with_its_row_and_the_nearest():
    with pytest.raises(DataError, match=r"'sprot' in column 'label' is no class.*validation line 2.*mean 'sport'"):
        resolved().check(rows([["sport"], ["travel", "sprot"]], "validation"))


def test_rows_of_known_classes_or_none_pass():
    resolved().check(rows([["sport"], []], "validation"))


def test_a_text_without_a_separator_is_refused_with_the_remedy():
    with pytest.raises(DataError, match=r"holds 'sport;food' \(1 such rows: train line 1\).*set task\.separator"):
        resolved(["sport;food"])


def test_a_row_that_says_nothing_is_not_a_row_without_classes():
    with pytest.raises(DataError, match=r"column 'label' holds nothing \(1 such rows: train line 2\)"):
        resolved([["sport", "food"], None])


@pytest.mark.parametrize(("values", "held"), [([["sport"], []], "'sport'"), ([[], []], "no class")])
def test_a_single_class_is_refused(values, held):
    with pytest.raises(DataError, match=f"column 'label' holds {held}; two classes are needed"):
        resolved(values)


def test_an_unknown_score_is_named():
    with pytest.raises(RecipeError, match=r"'f1_micor' is no score\. Did you mean 'f1_micro'"):
        MultiLabel(score=("f1_micor",))


def test_the_share_of_wrong_decisions_is_better_when_lower():
    higher = {metric.name: metric.higher_is_better for metric in MultiLabel(score=("f1_micro", "hamming")).metrics()}
    assert higher == {"f1_micro": True, "hamming": False}


def loss(task: MultiLabel, logits: list[list[float]], targets: list[list[int]], weights: list[float]):
    batch = Batch({}, {"labels": torch.tensor(targets)}, torch.tensor(weights, dtype=torch.float64))
    return [float(value) for value in task.loss(SimpleNamespace(logits=torch.tensor(logits).double()), batch)]


def test_the_loss_is_the_mean_over_the_classes_summed_over_the_rows():
    logits, targets, weights = [[0.5, -1.0, 2.0], [0.0, 3.0, -2.0]], [[1, 0, 0], [0, 1, 1]], [1.0, 3.0]
    x = torch.tensor(logits).double()
    each = -torch.where(torch.tensor(targets).bool(), logsigmoid(x), logsigmoid(-x))
    expected = float((each.mean(1) * torch.tensor(weights)).sum())
    assert loss(resolved(), logits, targets, weights) == pytest.approx([expected, 4.0])


def test_class_weights_count_where_a_row_has_the_class():
    task = resolved(class_weights={"sport": 5.0})
    zero = np.log(2) / 3  # of one class of three at a logit of 0
    assert loss(task, [[0.0] * 3], [[0, 1, 0]], [1.0])[0] == pytest.approx((1 + 5 + 1) * zero)
    assert loss(task, [[0.0] * 3], [[1, 0, 1]], [1.0])[0] == pytest.approx(3 * zero)


def test_balanced_weights_are_rows_without_the_class_by_rows_with_it():
    assert resolved(class_weights="balanced").class_weights == {"food": 3.0, "sport": 1.0, "travel": 1 / 3}


def test_classes_from_the_threshold_on_are_predicted():
    raw = [np.array([0.3, 0.7, 0.2999]), np.array([0.1, 0.0, 0.2])]
    found = resolved(threshold=0.3).decide(raw, {})
    assert [prediction["predicted"] for prediction in found] == [["food", "sport"], []]
    assert found[0]["probabilities"] == {"food": 0.3, "sport": 0.7, "travel": 0.2999}
    assert json.loads(json.dumps(found)) == found


def test_the_baseline_is_the_most_frequent_set():
    train = [["sport"], ["food", "travel"], ["travel", "food"], []]
    task = resolved(train)
    assert task.baseline(rows(train), rows(SETS)) == [{"predicted": ["food", "travel"]}] * 4


def test_scores_are_those_of_the_predicted_sets():
    task = resolved()
    predicted = [{"predicted": names} for names in (["sport"], [], ["travel"], ["food"])]
    statistics = task.measure(predicted, rows(SETS))
    assert statistics.tolist() == [
        g + p for g, p in zip(TABLE, [[0, 1, 0], [0] * 3, [0, 0, 1], [1, 0, 0]], strict=True)
    ]
    found = task.aggregate(statistics, np.ones(4))
    assert found["f1_micro"] == pytest.approx(2 * 3 / (3 + 6))  # 3 right, 3 predicted, 6 there
    assert found["exact_match"] == 0.5
    assert task.per_class(statistics)["travel"] == pytest.approx(
        {"precision": 1.0, "recall": 1 / 3, "f1": 0.5, "support": 3.0}
    )


def of_sets(*cells: tuple[list[int], list[int], int]) -> np.ndarray:
    """Rows of gold and then predicted classes, from these and how often."""
    return np.concatenate([np.tile([*gold, *predicted], (often, 1)) for gold, predicted, often in cells])


FOOD, SPORT, TRAVEL, BOTH = [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]


def test_swapped_classes_are_named():
    statistics = of_sets((FOOD, SPORT, 20), (SPORT, FOOD, 18), (SPORT, SPORT, 2), (TRAVEL, TRAVEL, 9), (BOTH, BOTH, 5))
    (said,) = resolved().doubts(statistics, statistics)
    assert "'food' looks like 'sport'" in said and "'sport' looks like 'food'" in said and "travel" not in said
    assert "task.labels" in said and "'label'" in said


def test_swapped_columns_are_named_without_the_order_of_labels():
    split = as_rows([{"text": "a", "food": 1, "sport": 0}, {"text": "a", "food": 0, "sport": 1}], "train")
    task = MultiLabel(label=("food", "sport")).resolve(split, None)
    swap = of_sets(([1, 0], [0, 1], 20), ([0, 1], [1, 0], 20))
    (said,) = task.doubts(swap, swap)
    assert "task.labels" not in said and "values of 'food', 'sport' mean" in said


def test_classes_are_not_doubted_where_most_are_right():
    statistics = of_sets((FOOD, SPORT, 20), (SPORT, FOOD, 18), (TRAVEL, TRAVEL, 90))
    assert resolved().doubts(statistics, statistics) == []


def test_rows_of_several_classes_or_none_say_nothing_of_swapped_ones():
    statistics = of_sets((BOTH, FOOD, 40), (FOOD, BOTH, 40), ([0, 0, 0], FOOD, 40), (SPORT, [0, 0, 0], 40))
    assert resolved().doubts(statistics, statistics) == []


def test_evaluate_modules_get_zeros_and_ones():
    predictions = [{"predicted": ["food", "travel"]}, {"predicted": []}]
    assert resolved().exchanged(predictions, rows(SETS[:2])) == ([[1, 0, 1], [0, 0, 0]], TABLE[:2])


def test_predictions_agree_but_for_rounding():
    task = resolved()
    one, other = (task.decide([np.array([p, 0.9, 0.1])], {})[0] for p in (0.49999, 0.50001))
    assert one["predicted"] != other["predicted"]
    assert task.agree(one, other, 1e-4)
    assert not task.agree(one, other, 1e-5)
    assert not task.agree(one, {**one, "predicted": []}, 1e-4)


def test_rows_of_lists_train_and_predict(tiny_bert, tmp_path):
    recipe = Recipe(
        name="topics",
        task=MultiLabel(),
        data=Data.rows(topics(40), validation=topics(12, seed=1)),
        model=tiny_bert,
        training=Training(steps=2, batch_size=8, precision="fp32"),
    )
    result = run(recipe, tmp_path, certified=False)
    lines = [json.loads(line) for line in (result.directory / "predictions.jsonl").read_text("utf-8").splitlines()]
    assert [line["gold"] for line in lines] == [row["label"] for row in topics(12, seed=1)]
    assert any(line["gold"] == [] for line in lines)
    predictor = load(result.directory)
    assert predictor.module.config.problem_type == "multi_label_classification"
    assert predictor.module.config.id2label == {0: "bad", 1: "good", 2: "numbers"}
    assert list(predictor(["a good film"])[0]["probabilities"]) == ["bad", "good", "numbers"]
