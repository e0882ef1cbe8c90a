"""Class names: whose order the outputs have, what ids mean, and how labels that look swapped are found."""

import json
import logging

import numpy as np
import pytest
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, BertConfig

from finetune import Classification, Data, Full, Recipe, RecipeError, Training, run
from finetune.data.sources.rows import as_rows
from finetune.tasks.texts import log as texts_log
from tests.support import tiny
from tests.support.rows import reviews

NAMES = ("entailment", "neutral", "contradiction")
OWN = ("CONTRADICTION", "Neutral", "ENTAILMENT")
"""The same in the order and spelling of a checkpoint."""
IDS = [2, 0, 1, 1, 0, 2]


def config(*names: str, architecture: str = "BertForSequenceClassification") -> BertConfig:
    return BertConfig(id2label=dict(enumerate(names)), architectures=[architecture])


def resolved(values, **fields) -> Classification:
    rows = as_rows([{"text": "a", "label": value} for value in values], "train")
    return Classification(**fields).resolve(rows, None)


def aligned(*names: str, values=IDS, labels=NAMES, **fields) -> Classification:
    return resolved(values, labels=labels, **fields).aligned(config(*names))


def test_outputs_take_the_order_of_the_checkpoint():
    task = aligned(*OWN)
    assert task.names == ("contradiction", "neutral", "entailment")
    assert task.labels == NAMES


def test_ids_of_the_data_still_mean_the_names_of_the_recipe():
    task = aligned(*OWN)
    assert [task.names[i] for i in task.ids(IDS)] == [NAMES[i] for i in IDS]


def test_names_of_the_data_are_found_in_the_order_of_the_checkpoint():
    task = aligned(*OWN, values=NAMES)
    assert task.ids(["contradiction", "entailment", "?"]).tolist() == [0, 2, -1]


@pytest.mark.parametrize("own", [("not entailment", "entailment"), ("NOT-Entailment", "Entailment")])
def test_spaces_dashes_underscores_and_case_are_no_difference(own):
    task = aligned(*own, values=[0, 1], labels=("entailment", "not_entailment"))
    assert task.names == ("not_entailment", "entailment")


def test_labels_that_differ_in_spelling_only_are_not_mixed_up():
    task = aligned("a-b", "a_b", values=[0, 1], labels=("a_b", "a-b"))
    assert task.names == ("a-b", "a_b")


def test_the_same_order_is_no_order_of_its_own():
    assert aligned(*NAMES) == resolved(IDS, labels=NAMES)


def test_outputs_without_names_keep_the_order_of_the_recipe():
    assert aligned("LABEL_0", "LABEL_1", "LABEL_2").names == NAMES


def test_a_checkpoint_with_names_overrides_the_order_found_for_another():
    task = aligned(*OWN).aligned(config("neutral", "entailment", "contradiction"))
    assert task.names == ("neutral", "entailment", "contradiction")
    assert task.aligned(config(*NAMES)).order is None


def test_an_order_of_the_recipe_serves_where_the_checkpoint_has_no_names():
    order = ("neutral", "contradiction", "entailment")
    assert aligned("LABEL_0", "LABEL_1", "LABEL_2", order=order).names == order


@pytest.mark.parametrize("order", [("entailment", "neutral"), ("entailment", "neutral", "neutral")])
def test_an_order_needs_every_class_once(order):
    with pytest.raises(RecipeError, match="order: every class is needed there once"):
        Classification(labels=NAMES, order=order)


def test_an_order_of_other_classes_names_the_nearest():
    with pytest.raises(RecipeError, match=r"order: 'netural' is no class\. Did you mean 'neutral'\?"):
        Classification(labels=NAMES, order=("entailment", "netural", "contradiction"))


def test_an_order_is_held_against_labels_found_in_the_rows():
    with pytest.raises(RecipeError, match=r"task.*order: 'good' is no class\. Known: a, b"):
        resolved(["a", "b"], order=("good", "bad"))


def warnings(caplog, *names, **fields) -> list[str]:
    with caplog.at_level(logging.WARNING, texts_log.name):
        task = resolved(IDS, labels=NAMES).aligned(config(*names, **fields))
    assert task.names == NAMES
    return [record.getMessage() for record in caplog.records]


def test_a_head_of_other_labels_is_said_once(caplog):
    (said,) = warnings(caplog, "joy", "anger", "fear")
    assert "knows other labels (joy, anger, fear) than these rows (entailment, neutral, contradiction)" in said


@pytest.mark.parametrize(
    ("names", "architecture"),
    [
        (("joy", "anger"), "BertForSequenceClassification"),
        (("LABEL_0", "LABEL_1", "LABEL_2"), "BertForSequenceClassification"),
        (("joy", "anger", "fear"), "BertForMaskedLM"),
    ],
    ids=["another number", "no names", "no classifier"],
)
def test_a_head_that_is_not_used_is_not_spoken_of(caplog, names, architecture):
    assert warnings(caplog, *names, architecture=architecture) == []


def test_weights_and_the_positive_class_follow_their_names():
    task = aligned("bad", "good", values=[0, 1], labels=("good", "bad"), class_weights={"bad": 3.0}, score=("f1",))
    assert task.learned({"label": [0, 1]}) == ([1, 0], [1.0, 3.0])
    assert task.positive == "bad"
    gold_bad_found = np.array([[0, 0], [1, 1], [1, 0]])  # of the one "bad" (output 0) and one more said to be
    assert task.aggregate(gold_bad_found, np.ones(3)) == {"f1": pytest.approx(2 / 3)}


@pytest.fixture(scope="module")
def named_checkpoint(tmp_path_factory):
    """A tiny classifier whose head decides, with names in its own order."""
    import torch

    folder = tmp_path_factory.mktemp("named")
    torch.manual_seed(1)
    settings = tiny.config("bert")
    settings.id2label, settings.label2id = dict(enumerate(OWN)), {name: i for i, name in enumerate(OWN)}
    model = AutoModelForSequenceClassification.from_config(settings)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    tiny.tokenizer("bert").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def untrained(named_checkpoint, tmp_path_factory):
    """A run that leaves the checkpoint as it was."""
    rows = [{"text": row["text"], "label": number % 3} for number, row in enumerate(reviews(60))]
    recipe = Recipe(
        name="aligned",
        task=Classification(labels=NAMES, score=("accuracy",)),
        data=Data.rows(rows[:30], validation=rows[30:]),
        model=str(named_checkpoint),
        tuning=Full(learning_rate=1e-12),
        training=Training(steps=1, batch_size=8, precision="fp32"),
    )
    return run(recipe, tmp_path_factory.mktemp("runs"), certified=False)


def lines(result) -> list[dict]:
    return [json.loads(line) for line in (result.directory / "predictions.jsonl").read_text("utf-8").splitlines()]


def test_a_checkpoint_predicts_what_it_knows_by_name(named_checkpoint, untrained):
    tokenizer = AutoTokenizer.from_pretrained(named_checkpoint)
    model = AutoModelForSequenceClassification.from_pretrained(named_checkpoint).eval()
    known = []
    for line in lines(untrained):
        position = int(model(**tokenizer(line["inputs"]["text"], return_tensors="pt")).logits.argmax())
        known.append(OWN[position].lower())
    assert [line["predicted"] for line in lines(untrained)] == known
    assert len(set(known)) == 3


def test_ids_are_read_by_the_order_of_the_recipe(untrained):
    assert [line["gold"] for line in lines(untrained)] == [NAMES[number % 3] for number in range(30)]


def test_the_saved_model_names_its_outputs_in_the_order_of_the_checkpoint(untrained):
    saved = AutoConfig.from_pretrained(untrained.directory / "model")
    assert saved.id2label == {0: "contradiction", 1: "neutral", 2: "entailment"}


def test_the_recipe_of_the_run_keeps_the_meaning_of_ids(untrained):
    task = untrained.report["recipe"]["task"]
    assert task["labels"] == list(NAMES)
    assert task["order"] == ["contradiction", "neutral", "entailment"]


def test_classes_called_nan_or_inf_stand_among_the_words():
    values = ["nan", "b", "10", "inf", "2", "-inf", "a"]
    assert resolved(values).labels == ("2", "10", "-inf", "a", "b", "inf", "nan")


def pairs(*cells: tuple[int, int, int]) -> np.ndarray:
    """Rows of gold and predicted id, from (gold, predicted, how often)."""
    return np.concatenate([np.tile([gold, predicted], (often, 1)) for gold, predicted, often in cells])


MAJORITY = pairs((0, 0, 40), (1, 0, 40), (2, 0, 40))


def test_swapped_labels_are_named():
    found = pairs((0, 2, 35), (0, 0, 5), (1, 1, 38), (1, 0, 2), (2, 0, 39), (2, 2, 1))
    task = resolved(IDS, labels=NAMES)
    wrong = pairs((0, 2, 35), (0, 0, 5), (1, 0, 40), (2, 1, 39), (2, 2, 1))
    (said,) = task.doubts(wrong, MAJORITY)
    assert "'contradiction' looks like 'entailment'" in said and "task.labels" in said and "'label'" in said
    assert task.doubts(found, MAJORITY) == []  # better than the majority class


def test_a_model_that_is_only_bad_is_not_doubted():
    generator = np.random.default_rng(1)
    wrong = np.stack([np.repeat([0, 1, 2], 40), generator.permutation(np.repeat([0, 1, 2], 40))], axis=1)
    assert (wrong[:, 0] == wrong[:, 1]).sum() < 40  # below the majority class
    assert resolved(IDS, labels=NAMES).doubts(wrong, MAJORITY) == []


def test_each_class_has_its_scores_by_name():
    found = aligned(*OWN).per_class(pairs((0, 0, 3), (0, 2, 1), (2, 2, 4)))
    assert list(found) == ["contradiction", "neutral", "entailment"]
    assert found["contradiction"] == {"precision": 1.0, "recall": 0.75, "f1": pytest.approx(6 / 7), "support": 4.0}
    assert found["neutral"]["support"] == 0


def test_evaluate_modules_get_ids_in_the_order_of_the_labels():
    rows = as_rows([{"text": "a", "label": value} for value in IDS], "validation")
    predictions = [{"predicted": name} for name in ("entailment", "entailment", *["contradiction"] * 4)]
    assert aligned(*OWN).exchanged(predictions, rows) == ([0, 0, 2, 2, 2, 2], IDS)
