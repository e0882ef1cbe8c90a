"""Multiple choice: where choices come from, what the label means, how they stand with the text, what is cut."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from finetune import Data, DataError, Full, Recipe, RecipeError, Training, run
from finetune.data.sources.rows import as_rows
from finetune.predict import load
from finetune.tasks.base import Batch
from finetune.tasks.multiple_choice import MultipleChoice
from tests.support import tiny
from tests.support.rows import quizzes

CHOICES = ["red", "blue", "green"]


def rows(*labels, split="train", **columns):
    return as_rows([{"text": "the film", "choices": CHOICES, **columns, "label": label} for label in labels], split)


def resolved(*labels, **fields) -> MultipleChoice:
    return MultipleChoice(**fields).resolve(rows(*labels), None)


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        ((0, 1, 2), "position"),
        (("0", "1", "1"), "position"),
        ((0.0, 1.0), "position"),
        ((1, 2, 3), "position_from_1"),
        (("2", "3"), "position_from_1"),
        (("red", "green"), "choice"),
        (("red", " green "), "choice"),
    ],
)
def test_what_the_labels_are_is_seen(labels, written):
    task = resolved(*labels)
    assert task.written == written
    task.check(rows(*labels))


@pytest.mark.parametrize(
    ("label", "written", "position"),
    [(2, "position", 2), (3, "position_from_1", 2), ("green", "choice", 2), ("1", "position", 1), (1, "position", 1)],
)
def test_a_label_names_a_choice(label, written, position):
    task = MultipleChoice(written=written)
    assert task.gold({"text": "the film", "choices": CHOICES, "label": label}) == CHOICES[position]


def test_choices_that_are_numbers_are_choices_where_all_labels_are_among_them():
    options = {"choices": ["1", "2", "7"]}
    assert MultipleChoice().resolve(rows(1, 7, **options), None).written == "choice"
    assert MultipleChoice().resolve(rows(0, 1, **options), None).written == "position"
    assert MultipleChoice().resolve(rows("1", "red", choices=["1", "red"]), None).written == "choice"


@pytest.mark.parametrize(
    ("choices", "labels"),
    [(["3", "1", "0", "2"], (0, 1, 2, 3)), (["3", "1", "2"], (1, 2, 3)), (["1", "2", "7"], (1, 2))],
)
def test_labels_that_may_be_choices_or_positions_are_asked_for(choices, labels):
    with pytest.raises(RecipeError, match=r"choices and also a position .* set it to choice, position or position_fro"):
        MultipleChoice().resolve(rows(*labels, choices=choices), None)
    assert MultipleChoice(written="choice").resolve(rows(*labels, choices=choices), None).written == "choice"


def test_positions_that_may_count_from_0_or_1_are_asked_for():
    with pytest.raises(RecipeError, match=r"cannot be told whether positions count from 0 or from 1; set it to posit"):
        resolved(1, 2)
    assert resolved(1, 2, written="position_from_1").written == "position_from_1"


@pytest.mark.parametrize(
    ("written", "label", "said"),
    [
        ("position", 3, r"Known: 0 to 2\."),
        ("position", -1, r"Known: 0 to 2\."),
        ("position_from_1", 0, r"Known: 1 to 3\."),
        ("choice", "gren", r"Did you mean 'green'\?"),
    ],
)
def test_a_label_that_is_no_choice_is_named_with_its_row(written, label, said):
    right = {"position": 0, "position_from_1": 1, "choice": "red"}[written]
    expected = rf"'{label}' in column 'label' is none of the row's 3 choices .*validation line 2.*{said}"
    with pytest.raises(DataError, match=expected):
        MultipleChoice(written=written).check(
            as_rows([{"text": "a", "choices": CHOICES, "label": str(value)} for value in (right, label)], "validation")
        )


@pytest.mark.parametrize("label", ["gren", "-1", None])
def test_a_first_label_that_is_no_number_is_taken_for_a_choice(label):
    assert MultipleChoice().resolve(rows(label, "red"), None).written == "choice"


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (["red"], "1 choices, at least 2 are needed"),
        ([], "0 choices, at least 2 are needed"),
        (["red", None], "a list of choices is needed"),
        ("red, blue", "holds 'red, blue'; a list of choices is needed"),
    ],
)
def test_a_row_without_proper_choices_is_named(choices, said):
    records = [{"text": "a", "choices": choices, "label": 0}]
    with pytest.raises(DataError, match=rf"train line 1: .*{said}"):
        MultipleChoice().resolve(as_rows(records, "train"), None)


ENDINGS = ("a", "b", "c", "d")


def of_columns(*rows_of_choices, label=0):
    records = [{"text": "the film", **dict(zip(ENDINGS, own, strict=True)), "label": label} for own in rows_of_choices]
    return as_rows(records, "train")


def test_several_columns_are_the_choices():
    task = MultipleChoice(choices=ENDINGS).resolve(of_columns(("red", "blue", "green", "old"), label=0), None)
    assert [column.name for column in task.inputs()] == ["text", *ENDINGS]
    assert task.baseline(of_columns(("red", "blue", "", "")), of_columns(("one", "two", "", ""))) == [
        {"predicted": "one", "position": 0}
    ]


def test_the_last_columns_of_a_row_may_be_empty_but_none_before():
    task = MultipleChoice(choices=ENDINGS)
    assert encoded(task, of_columns(("red", "blue", "", "")))["length"] == [2 * 6]
    with pytest.raises(DataError, match="train line 1: a choice is empty, but a later one is not"):
        task.resolve(of_columns(("red", "", "blue", "")), None)


def encoded(task, split, limit=32, mode="predict", architecture="bert"):
    return task.encode(split.batch(0, len(split)), tiny.tokenizer(architecture), limit, mode)


def read(task, split, limit=32, architecture="bert") -> list[list[str]]:
    """What the model sees of each choice of each row."""
    tokenizer = tiny.tokenizer(architecture)
    features = encoded(task, split, limit, architecture=architecture)
    return [[tokenizer.decode(ids) for ids in own] for own in features["input_ids"]]


def test_each_choice_follows_the_text():
    (found,) = read(MultipleChoice(), rows(0))
    assert found == [f"[CLS] the film [SEP] {choice} [SEP]" for choice in CHOICES]


def test_two_text_columns_are_joined_and_every_choice_gets_its_beginning():
    task = MultipleChoice(text=("text", "more"), begin="begun")
    (found,) = read(task, rows(0, more="is not", begun="so it was"))
    assert found[1] == "[CLS] the film is not [SEP] so it was blue [SEP]"
    assert [column.name for column in task.inputs()] == ["text", "more", "begun", "choices"]


def test_a_choice_is_put_into_its_place_and_other_marks_stay():
    records = [{"text": "the [MASK] film [MASK] old", "choices": CHOICES, "label": 0}]
    (found,) = read(MultipleChoice(placeholder="[MASK]"), as_rows(records, "train"))
    assert found == [f"[CLS] the {choice} film [MASK] old [SEP]" for choice in CHOICES]


def test_a_text_without_the_mark_is_named():
    with pytest.raises(DataError, match=r"train line 1: the text does not hold '#mark#'"):
        resolved(0, placeholder="#mark#")


def test_a_beginning_and_a_mark_exclude_each_other():
    with pytest.raises(RecipeError, match="begin: a choice that is put into the text"):
        MultipleChoice(begin="a", placeholder="#")


def test_a_long_text_is_cut_and_the_choices_are_not():
    text = " ".join(["film", *["slow"] * 12])
    records = [{"text": text, "choices": ["one two three four five six seven", "red"], "label": 0}]
    (found,) = read(MultipleChoice(), as_rows(records, "train"), limit=14)
    assert found[0] == "[CLS] film slow slow slow [SEP] one two three four five six seven [SEP]"
    assert found[1] == "[CLS] film slow slow slow [SEP] red [SEP]"  # the same part of the text


def test_a_choice_that_is_too_long_by_itself_leaves_the_text_its_share():
    records = [{"text": "film film film film", "choices": [" ".join(["one"] * 20), "red"], "label": 0}]
    (found,) = read(MultipleChoice(), as_rows(records, "train"), limit=12)
    assert found[0].count("film") == 4 and found[0].count("one") == 5


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [(20, 20, (4, 4)), (20, 2, (6, 2)), (2, 20, (2, 6)), (20, 0, (8, 0)), (0, 20, (0, 8))],
)
def test_the_part_around_the_mark_is_kept(before, after, kept):
    text = f"{'slow ' * before}old # new{' fast' * after}"
    records = [{"text": text, "choices": ["red", "blue green"], "label": 0}]
    (found,) = read(MultipleChoice(placeholder="#"), as_rows(records, "train"), limit=14)
    assert found[0] == f"[CLS] {'slow ' * kept[0]}old red new{' fast' * kept[1]} [SEP]"


def test_a_mark_is_never_cut_away():
    records = [{"text": f"{'slow ' * 20}#", "choices": ["one two three four five", "six two three"], "label": 0}]
    (found,) = read(MultipleChoice(placeholder="#"), as_rows(records, "train"), limit=6)
    assert found == ["[CLS] one two three four [SEP]", "[CLS] six two three [SEP]"]


def test_lengths_are_those_of_all_choices_and_of_the_longest_without_the_limit():
    records = [{"text": "film " * 20, "choices": ["red", "red red"], "label": 0}]
    features = encoded(MultipleChoice(), as_rows(records, "train"), limit=10)
    assert (features["length"], features["whole"]) == ([2 * 10], [20 + 2 + 3])


def test_a_row_that_cannot_be_predicted_is_named():
    with pytest.raises(DataError, match=r"predict:1: 1 choices, at least 2 are needed"):
        encoded(MultipleChoice(), as_rows([{"text": "a", "choices": ["red"]}], "predict"))


def of_logits(counts, logits, labels, weights):
    targets = {"counts": torch.tensor(counts), "labels": torch.tensor(labels)}
    output = SimpleNamespace(logits=torch.tensor(logits, dtype=torch.float64)[:, None])
    return output, Batch({}, targets, torch.tensor(weights, dtype=torch.float64))


def test_the_loss_is_cross_entropy_over_the_choices_a_row_has():
    output, batch = of_logits([2, 3], [1.0, 2.0, 0.5, 0.5, -1.0], [1, 0], [1.0, 2.0])
    loss, weight = MultipleChoice().loss(output, batch)
    first = -np.log(np.exp(2) / (np.e + np.exp(2)))
    second = -np.log(np.exp(0.5) / (2 * np.exp(0.5) + np.exp(-1)))
    assert (float(loss), float(weight)) == (pytest.approx(first + 2 * second), 3.0)


def test_a_batch_holds_the_choices_of_its_rows_and_no_others():
    task, tokenizer = MultipleChoice(written="position"), tiny.tokenizer("bert")
    split = as_rows(quizzes(6), "train")
    columns = encoded(task, split, mode="train")
    features = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    batch = task.collate(features, tokenizer, "train", range(6))
    counts = [len(row["choices"]) for row in quizzes(6)]
    assert len(set(counts)) > 1
    assert batch.targets["counts"].tolist() == counts
    assert len(batch.inputs["input_ids"]) == sum(counts)
    assert batch.targets["labels"].tolist() == [row["label"] for row in quizzes(6)]
    assert "labels" not in task.collate(features, tokenizer, "predict", range(6)).targets


def test_the_prediction_is_the_most_probable_choice():
    found = MultipleChoice().decide([(CHOICES, np.array([0.2, 0.7, 0.1]))], {})
    assert found == [{"predicted": "blue", "position": 1, "probabilities": [0.2, 0.7, 0.1]}]
    assert json.loads(json.dumps(found)) == found


def test_the_baseline_is_the_most_frequent_position_a_row_has():
    train = as_rows([{"text": "a", "choices": CHOICES, "label": label} for label in (2, 2, 2, 1, 1, 0)], "train")
    other = as_rows([{"text": "a", "choices": choices} for choices in (CHOICES, ["old", "new"])], "validation")
    found = MultipleChoice(written="position").baseline(train, other)
    assert found == [{"predicted": "green", "position": 2}, {"predicted": "new", "position": 1}]


def test_a_row_is_right_or_wrong():
    task = MultipleChoice(written="position_from_1")
    statistics = task.measure([{"position": 0}, {"position": 0}], rows(1, 2))
    assert statistics.tolist() == [[0, 0, 3], [1, 0, 3]]
    assert task.aggregate(statistics, np.array([3.0, 1.0])) == {"accuracy": 0.75}


def of_positions(*cells: tuple[int, int, int, int]) -> np.ndarray:
    """Rows of gold position, predicted one and choices, from these and how often."""
    return np.concatenate([np.tile(cell[:3], (cell[3], 1)) for cell in cells])


FIRST = of_positions((0, 0, 3, 30), (1, 0, 3, 30), (2, 0, 3, 30))
"""The most frequent position for every row."""


def test_positions_that_are_off_by_one_are_said():
    (said,) = MultipleChoice(written="position").doubts(
        of_positions((0, 1, 3, 28), (0, 0, 3, 2), (1, 2, 3, 30), (2, 2, 3, 2), (2, 0, 3, 28)), FIRST
    )
    assert "'position 1' looks like 'position 0'" in said and "task.written" in said and "'label'" in said


def test_positions_are_not_doubted_where_more_rows_are_right_than_in_the_baseline():
    statistics = of_positions((0, 1, 3, 30), (1, 0, 3, 30), (2, 2, 3, 31))
    assert MultipleChoice(written="position").doubts(statistics, FIRST) == []


def test_rows_with_another_number_of_choices_are_no_sign_of_swapped_positions():
    guesses = [(gold, said, 4, 6) for gold in range(4) for said in range(4)]  # as luck has it
    fewer = of_positions(*guesses, (0, 1, 2, 60), (1, 0, 2, 60))
    assert MultipleChoice(written="position").doubts(fewer, of_positions((0, 0, 2, 248))) != []
    more = of_positions(*[(*cell[:3], 12) for cell in guesses], (0, 1, 2, 60), (1, 0, 2, 60))
    assert MultipleChoice(written="position").doubts(more, of_positions((0, 0, 2, 312))) == []


def test_evaluate_modules_get_positions_from_0():
    assert MultipleChoice(written="position_from_1").exchanged([{"position": 2}], rows(1)) == ([2], [0])


def test_predictions_agree_but_for_rounding():
    task = MultipleChoice()
    one, other = task.decide([(CHOICES, np.array(p)) for p in ([0.45001, 0.44999, 0.1], [0.44999, 0.45001, 0.1])], {})
    assert one["position"] != other["position"]
    assert task.agree(one, other, 1e-4)
    assert not task.agree(one, other, 1e-6)
    assert not task.agree(one, {**one, "position": 2}, 1e-4)


@pytest.fixture(scope="module")
def trained(tiny_bert, tmp_path_factory):
    recipe = Recipe(
        name="quizzes",
        task=MultipleChoice(),
        data=Data.rows(quizzes(40), validation=quizzes(12, seed=1)),
        model=tiny_bert,
        tuning=Full(learning_rate=1e-3),
        training=Training(steps=3, batch_size=8, precision="fp32"),
    )
    return run(recipe, tmp_path_factory.mktemp("runs"), certified=False)


def test_predictions_of_a_run_name_choices(trained):
    lines = [json.loads(line) for line in (trained.directory / "predictions.jsonl").read_text("utf-8").splitlines()]
    for line, row in zip(lines, quizzes(12, seed=1), strict=True):
        assert line["gold"] == row["choices"][row["label"]]
        assert line["predicted"] == row["choices"][line["position"]]
        assert len(line["probabilities"]) == len(row["choices"])


def test_plain_rows_are_predicted(trained):
    predictor = load(trained.directory)
    row = {"text": "the film", "choices": CHOICES}
    alone, beside, _ = predictor([row, row, {"text": "one two three four five", "choices": ["six", "ten"]}])
    assert alone["probabilities"] == pytest.approx(beside["probabilities"], abs=1e-6)
    assert alone["predicted"] in CHOICES
    with pytest.raises(DataError, match=r"row 1 has no 'choices'"):
        predictor([{"text": "the film"}])
