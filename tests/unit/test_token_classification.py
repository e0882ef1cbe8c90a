"""Token classification: how rows say tags and entities, what is learned of long rows, what is predicted and scored."""

import json
import logging
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import seqeval.metrics
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.scheme import IOB2

from finetune import Data, DataError, Recipe, RecipeError, Training, run
from finetune.data.sources.rows import as_rows
from finetune.evaluation import Encoder
from finetune.ledger import ledger, sentence
from finetune.metrics.entities import Entity
from finetune.predict import load
from finetune.tasks.base import Window
from finetune.tasks.token_classification import TokenClassification
from finetune.text.words import marked
from finetune.tuning.full import Full
from tests.support import tiny
from tests.support.rows import GOOD, tagged
from tests.support.tiny import WORDS
from tests.unit.test_units import SIGNS, TOKENIZERS, every_tokenizer, first_token, whole

BERT = TOKENIZERS["word pieces"]
SENTENCE = ["Mary", "Ann", "saw", "Bob", "Lee", "Kim", "there"]
WRITTEN = {
    "iob1": "I-PER I-PER O I-PER I-PER B-PER O",
    "iob2": "B-PER I-PER O B-PER I-PER B-PER O",
    "bioes": "B-PER E-PER O B-PER E-PER S-PER O",
    "bilou": "B-PER L-PER O B-PER L-PER U-PER O",
}
"""Three persons, of which the last two are neighbours."""


def rows(*pairs, split="train", columns=("words", "tags")):
    return as_rows([dict(zip(columns, pair, strict=True)) for pair in pairs], split)


def texts(*pairs, split="train"):
    return rows(*pairs, split=split, columns=("text", "spans"))


def span(start, end, kind="PER"):
    return {"start": start, "end": end, "type": kind}


def resolved(train, **fields) -> TokenClassification:
    task = TokenClassification(**fields).resolve(train, None)
    task.check(train)
    return task


def encoded(task, given_rows, tokenizer, limit=512, mode="train"):
    """The features of rows, as dictionaries."""
    columns = task.encode(given_rows.batch(0, len(given_rows)), tokenizer, limit, mode)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def learned(task, given_rows, tokenizer=BERT, limit=512) -> list[list[str | None]]:
    """For each row the tag that each of its words is taught, None where none is."""
    found = [[None] * len(tags) for tags in given_rows.column(task.target)]
    for feature in encoded(task, given_rows, tokenizer, limit):
        for word, target in zip(feature["word"], feature["target"], strict=True):
            found[feature["row"]][word] = task.names[target]
    return found


def perfect(task, given_rows, tokenizer, limit, mode="score"):
    """Predictions of a model that answers at every token what it was taught there."""
    features = encoded(task, given_rows, tokenizer, limit, mode)
    raw = []
    for number, row in enumerate(given_rows.records()):
        windows = []
        for feature in features:
            if feature["row"] == number:
                first = dict(reversed(list(zip(feature["token"], feature["target"], strict=True))))
                answer = np.array([[first[token], 0.9] for token in feature["token"]]).reshape(-1, 2)
                windows.append(Window(feature, answer))
        raw.append(task.merge(windows, row, tokenizer))
    return task.decide(raw, {}), features


# how tags are written


@pytest.mark.parametrize("scheme", WRITTEN)
def test_the_scheme_is_found_and_iob2_is_learned(scheme):
    train = rows((SENTENCE, WRITTEN[scheme].split()))
    task = resolved(train)
    assert task.scheme == ("bioes" if scheme == "bilou" else scheme)
    assert task.names == ("O", "B-PER", "I-PER")
    assert learned(task, train)[0] == WRITTEN["iob2"].split()


def test_a_scheme_that_is_given_is_kept(caplog):
    task = resolved(rows((SENTENCE, WRITTEN["iob2"].split())), scheme="bioes")
    assert task.scheme == "bioes"
    assert "tags break the rules of bioes" in caplog.text


def test_plain_tags_are_learned_as_they_are():
    train = rows((["the", "film", "is"], ["DT", "NN", "VB"]), (["film"], ["NN"]))
    task = resolved(train)
    assert task.scheme == "plain" and task.names == ("DT", "NN", "VB") == task.types
    assert learned(task, train) == [["DT", "NN", "VB"], ["NN"]]
    assert [metric.name for metric in task.metrics()] == ["accuracy"]


def test_plain_tags_are_scored_by_the_share_of_right_words_and_by_tag():
    train = rows((["the", "film", "is"], ["DT", "NN", "VB"]), (["film", "is"], ["NN", "VB"]))
    task = resolved(train)
    statistics = task.measure([{"predicted": ["DT", "DT", "VB"]}, {"predicted": ["NN", "NN"]}], train)
    assert task.aggregate(statistics, np.ones(2)) == {"accuracy": pytest.approx(3 / 5)}
    table = task.per_class(statistics)
    assert table["DT"] == pytest.approx({"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1})
    assert table["NN"] == pytest.approx({"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2})
    assert table["VB"]["support"] == 2


def test_numbers_are_tags_by_their_names():
    train = rows((SENTENCE[:3], [1, 2, 0]))
    task = resolved(train, tag_names=("O", "B-PER", "I-PER"))
    assert learned(task, train) == [["B-PER", "I-PER", "O"]]


def test_a_dataset_with_declared_classes_needs_no_names():
    features = Features({"tokens": List(Value("string")), "ner": List(ClassLabel(names=["O", "B-PER", "I-PER"]))})
    dataset = Dataset.from_dict({"tokens": [["Mary", "Ann", "saw"], ["Bob"]], "ner": [[1, 2, 0], [1]]}, features)
    task = TokenClassification(words="tokens", tags="ner")
    splits = Data.rows(dataset, validation=dataset).load(task.inputs(), task.targets())
    task = task.resolve(splits["train"], None)
    task.check(splits["validation"])
    assert (task.scheme, task.names) == ("iob2", ("O", "B-PER", "I-PER"))
    assert learned(task, splits["train"]) == [["B-PER", "I-PER", "O"], ["B-PER"]]


COLUMNS = "Mary B-PER\nAnn I-PER\nsaw O\n\nBob B-PER\nsaw O\n"
LINES = """{"words": ["Mary", "Ann", "saw"], "tags": ["B-PER", "I-PER", "O"]}
{"words": ["Bob", "saw"], "tags": ["B-PER", "O"]}
"""


@pytest.mark.parametrize(("name", "content"), [("a.conll", COLUMNS), ("a.jsonl", LINES)])
def test_files_of_columns_and_of_json_lines_are_the_same_rows(tmp_path, name, content):
    (tmp_path / name).write_text(content, "utf-8")
    task = TokenClassification()
    data = Data.files(train=str(tmp_path / name), validation=str(tmp_path / name))
    train = data.load(task.inputs(), task.targets())["train"]
    assert learned(resolved(train), train) == [["B-PER", "I-PER", "O"], ["B-PER", "O"]]


def test_tags_that_break_the_scheme_are_named_with_their_line_and_read_as_conlleval_does(tmp_path, caplog):
    (tmp_path / "a.conll").write_text(COLUMNS + "\nsaw O\nAnn I-PER\nLee I-LOC\n", "utf-8")
    data = Data.files(train=str(tmp_path / "a.conll"), validation=str(tmp_path / "a.conll"))
    task = TokenClassification()
    train = data.load(task.inputs(), task.targets())["train"]
    with caplog.at_level(logging.WARNING):
        task = resolved(train, scheme="iob2")
    assert "2 tags break the rules of iob2" in caplog.text
    assert "a.conll line 9: I-PER after O" in caplog.text
    assert "a.conll line 10: I-LOC after I-PER" in caplog.text
    assert learned(task, train)[2] == ["O", "B-PER", "B-LOC"]


def test_a_column_called_line_is_no_number_of_a_line(caplog):
    train = rows((SENTENCE[:2], ["O", "I-PER"], 7), (["Bob"], ["B-PER"], 9), columns=("words", "tags", "line"))
    resolved(train, scheme="iob2")
    assert "train line 1 word 2: I-PER after O" in caplog.text


# what is refused


@pytest.mark.parametrize(
    ("words", "tags", "message"),
    [
        (["saw"], ["O", "O"], r"train line 2 has 1 words and 2 tags; 'words' and 'tags' are lists of the same length"),
        (["saw"], None, "train line 2 has no tags"),
        (["saw", "it"], ["O", None], "train line 2: item 2 of 'tags' is missing"),
        (["saw", None], ["O", "O"], "train line 2: item 2 of 'words' is missing"),
    ],
)
def test_tags_that_do_not_fit_their_words_are_refused_with_the_row(words, tags, message):
    with pytest.raises(DataError, match=message) as raised:
        resolved(rows((SENTENCE[:2], ["B-PER", "I-PER"]), (words, tags)))
    assert len(raised.value.problems) == 1


@pytest.mark.parametrize(
    ("words", "tags"), [("Mary saw", ["B-PER", "O"]), ("Mary saw", "B-PER O"), (5, ["O"])], ids=str
)
def test_a_text_where_words_are_needed_points_to_the_field_for_texts(words, tags):
    with pytest.raises(DataError, match=r"train line 1 has a text instead of a list.*set task\.text and task\.spans"):
        resolved(rows((words, tags)))


def test_numbers_without_names_are_refused_with_the_remedy():
    with pytest.raises(DataError, match=r"train line 1: the tags are numbers; name them in task\.tag_names"):
        resolved(rows((SENTENCE[:2], [1, 0])))


@pytest.mark.parametrize("tag", [3, -1, 0.5])
def test_a_number_without_a_name_is_refused(tag):
    with pytest.raises(DataError, match=r"train line 1: a tag is not one of the numbers 0 to 2"):
        resolved(rows((SENTENCE[:2], [1.0 if tag == 0.5 else 1, tag])), tag_names=("O", "B-PER", "I-PER"))


def test_hidden_tags_of_a_dataset_are_missing_ones():
    features = Features({"words": List(Value("string")), "tags": List(ClassLabel(names=["O", "B-PER"]))})
    dataset = Dataset.from_dict({"words": [["Bob", "saw"]], "tags": [[1, -1]]}, features)
    with pytest.raises(DataError, match="train line 1: item 2 of 'tags' is missing"):
        resolved(as_rows(dataset, "train"))


@pytest.mark.parametrize(
    ("train", "validation", "known"),
    [(["B-PER", "O"], ["B-PRE"], "Did you mean 'PER'"), (["NN", "DT"], ["VB"], "Known: DT, NN")],
)
def test_a_type_that_no_training_row_has_is_refused_with_its_row(train, validation, known):
    task = resolved(rows((SENTENCE[:2], train)))
    with pytest.raises(DataError, match=rf"in column 'tags' stands in no training row \(validation line 2\)\. {known}"):
        task.check(rows((["saw"], train[1:]), (["Bob"], validation), split="validation"))


@pytest.mark.parametrize("tags", [["O", "O"], []])
def test_rows_with_one_tag_cannot_be_learned(tags):
    with pytest.raises(DataError, match="every word has the same tag in 'tags'"):
        resolved(rows((SENTENCE[: len(tags)], tags)))


@pytest.mark.parametrize(
    "labels",
    [
        ("O", "B-PER"),
        ("B-PER", "I-PER"),
        ("O", "B-PER", "I-PER", "E-PER"),
        ("O", "O", "B-PER", "I-PER"),
        ("O", "B-X", "I-X"),
    ],
)
def test_labels_that_the_model_could_not_learn_are_refused_with_those_it_can(labels):
    with pytest.raises(RecipeError, match=r"task\.labels: .* but the model learns IOB2\. Name each of B-PER, .*O once"):
        resolved(rows((["Mary", "Ann"], ["B-PER", "I-PER"])), labels=labels)


def test_labels_may_name_types_that_no_training_row_has():
    task = resolved(rows((["Mary", "saw"], ["B-PER", "O"])), labels=("B-X", "O", "I-PER", "I-X", "B-PER"))
    task.check(rows((["it"], ["B-X"]), split="validation"))
    assert task.types == ("PER", "X")


# spans of characters

PLAIN = "Mary Ann lives in New York"


@pytest.mark.parametrize(("end", "value"), [("exclusive", (0, 8)), ("inclusive", (0, 7))])
def test_spans_of_a_text_are_learned_as_iob2(end, value):
    train = texts((PLAIN, [span(*value)]))
    task = resolved(train, text="text", span_end=end)
    (feature,) = encoded(task, train, BERT)
    assert [task.names[target] for target in feature["target"]] == ["B-PER", "I-PER", *["O"] * 4]


def test_every_chinese_character_is_a_word():
    train = texts(("我在北京2008年", [span(2, 4, "LOC"), span(4, 9, "TIME")]))
    task = resolved(train, text="text")
    (feature,) = encoded(task, train, BERT)
    assert [task.names[t] for t in feature["target"]] == ["O", "O", "B-LOC", "I-LOC", "B-TIME", "I-TIME"]
    assert (feature["held"], feature["lost"]) == (2, 0)


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([span(0, 27)], "train line 2: the span 0 to 27 is not inside the text of 26 characters"),
        ([span(-1, 3)], "train line 2: the span -1 to 3 is not inside"),
        ([span(3, 3)], "train line 2: the span 3 to 3 is not inside"),
        ([{"start": 0, "end": 4, "label": "PER"}], "train line 2: the span .* has no 'type'"),
        ([[0, 4]], r"train line 2: the span \[0, 4\] has no 'start'"),
        ([span(0.5, 4.0)], "train line 2: start and end of the span .* are no whole numbers"),
        ([span("a", "b")], "train line 2: start and end of the span .* are no whole numbers"),
        ({"start": [0], "end": [4], "type": ["PER"]}, "train line 2: .* is no list of spans"),
        ("0-4", "train line 2: '0-4' is no list of spans"),
    ],
)
def test_spans_that_do_not_fit_are_refused_with_the_row(spans, message):
    wrong = texts((PLAIN, None), (PLAIN, spans))
    with pytest.raises(DataError, match=message):
        resolved(wrong, text="text")


def test_the_last_character_of_an_inclusive_span_stands_inside():
    with pytest.raises(DataError, match="the span 0 to 26 is not inside the text of 26 characters"):
        resolved(texts((PLAIN, [span(0, 26)])), text="text", span_end="inclusive")


def test_a_list_of_words_where_a_text_is_needed_points_to_the_field_for_words():
    with pytest.raises(DataError, match=r"train line 1: 'text' is a list, not a text.*set task\.words"):
        resolved(texts((["Mary"], [span(0, 4)])), text="text")


UNSAYABLE = {
    "cuts through a word": [span(0, 8), span(18, 24)],
    "overlaps": [span(0, 8), span(5, 14)],
    "stated twice": [span(0, 8), span(0, 8)],
    "holds a space too many": [span(0, 8), span(9, 15)],
}


@pytest.mark.parametrize("spans", UNSAYABLE.values(), ids=UNSAYABLE)
def test_a_span_that_words_cannot_say_is_warned_of_counted_as_lost_and_still_gold(spans, caplog):
    train = texts((PLAIN, spans), (PLAIN, []))
    task = resolved(train, text="text")
    assert "train: 1 rows have spans that overlap or cut through words" in caplog.text
    assert "train line 1" in caplog.text
    predictions, features = perfect(task, train, BERT, 32)
    assert (features[0]["held"], features[0]["lost"]) == (1, 1)
    statistics = task.measure(predictions, train)
    gold, _, correct = statistics[0, 2:5]
    assert (gold, correct) == (2, 1)


# windows

word = st.lists(st.sampled_from(SIGNS), max_size=4).map("".join)
tag = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])
sentences = st.lists(st.lists(st.tuples(word, tag), max_size=8), min_size=1, max_size=3)


def of(pairs_of_rows):
    """Rows of pairs of word and tag, and one that has every tag."""
    whole_one = [("a", "B-X"), ("a", "I-X"), ("a", "B-Y"), ("a", "I-Y"), ("a", "O")]
    return rows(*([[w for w, _ in pairs], [t for _, t in pairs]] for pairs in [*pairs_of_rows, whole_one]))


@every_tokenizer
@given(pairs=sentences, limit=st.integers(4, 14), stride=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_no_word_is_lost_and_what_is_taught_comes_back(tokenizer, pairs, limit, stride):
    train = of(pairs)
    stride = min(stride, limit - tokenizer.num_special_tokens_to_add() - 1)
    task = TokenClassification(stride=stride).resolve(train, tokenizer)
    predictions, features = perfect(task, train, tokenizer, limit)
    statistics = task.measure(predictions, train)
    for number, row in enumerate(train.records()):
        source = marked(row["words"])
        gold, _ = task.written.gold(source, row["tags"])
        tokens = whole(source.text, tokenizer)
        first = [first_token(place, tokens) for place in source.words]
        predicted = predictions[number]["predicted"]
        assert len(predicted) == len(gold)
        for position, token in enumerate(first):
            if token is None:
                assert (predicted[position], predictions[number]["probabilities"][position]) == ("O", 0.0)
            elif first.count(token) == 1:
                assert predicted[position] == gold[position]
        mine = [feature for feature in features if feature["row"] == number]
        assert sum(feature["weight"] for feature in mine) == len(set(first) - {None})
        counted = statistics[number, 2:][: 6 * len(task.types)].reshape(2, -1, 3)[0].sum(0)
        assert mine[0]["held"] == counted[2] and mine[0]["held"] + mine[0]["lost"] == counted[0]


@every_tokenizer
def test_the_loss_counts_each_word_once_whatever_the_windows(tokenizer):
    train = of([[(w, "B-X" if w in GOOD else "O") for w in WORDS[:30]], []])
    weights, gradients = [], []
    for limit, stride in [(512, 0), (9, 0), (9, 5), (6, 1)]:
        task = TokenClassification(stride=stride).resolve(train, tokenizer)
        features = encoded(task, train, tokenizer, limit)
        batch = task.collate(features, tokenizer, "train", [0] * len(features))
        table = torch.linspace(-1, 1, len(tokenizer) * len(task.names), dtype=torch.float64)
        table = table.sin().reshape(len(tokenizer), -1).requires_grad_()
        summed, weight = task.loss(SimpleNamespace(logits=table[batch.inputs["input_ids"]]), batch)
        summed.backward()
        assert float(weight) == float(batch.weight.sum())
        weights.append(float(weight))
        gradients.append(table.grad)
    assert weights == [35.0] * 4
    assert all(torch.allclose(gradient, gradients[0], rtol=1e-12, atol=1e-12) for gradient in gradients)


def test_words_that_share_a_token_make_one_entity():
    train = texts(("中国 abc12", [span(3, 8, "X")]), ("a b", []))
    tokenizer = tiny.tokenizer("bert")  # the second word is one unknown token, but letters and digits are two words
    task = resolved(train, text="text")
    predictions, features = perfect(task, train, tokenizer, 16)
    assert features[0]["token"] == [1, 2, 3, 3] and features[0]["weight"] == 3
    assert [found["text"] for found in predictions[0]["spans"]] == ["abc12"]
    assert (features[0]["held"], features[0]["lost"]) == (1, 0)


def test_a_token_that_words_share_is_taught_the_tag_of_the_first():
    train = texts(("abc12", [span(0, 5, "X")]), ("a b", []))
    tokenizer = tiny.tokenizer("bert")
    task = resolved(train, text="text")
    labels = task.collate(encoded(task, train, tokenizer), tokenizer, "train", [0, 0]).targets["labels"]
    assert labels[0].tolist() == [-100, task.names.index("B-X"), -100, -100]


def test_an_entity_that_ends_within_a_token_is_lost():
    train = texts(("abc12", [span(0, 3, "X")]), ("a b", []))
    tokenizer = tiny.tokenizer("bert")
    task = resolved(train, text="text")
    predictions, features = perfect(task, train, tokenizer, 16)
    assert [found["text"] for found in predictions[0]["spans"]] == ["abc12"]
    assert (features[0]["held"], features[0]["lost"]) == (0, 1)


def test_words_without_a_token_keep_their_place_and_are_outside():
    train = rows(
        (["Mary", "\u00ad", "\x07", "\ufe0f", "\u0301", "\u200b", "Ann", "saw"], ["B-PER", *["I-PER"] * 6, "O"])
    )
    task = resolved(train)
    predictions, features = perfect(task, train, BERT, 32)
    assert features[0]["word"] == [0, 6, 7]
    assert predictions[0]["predicted"] == ["B-PER", *["O"] * 5, "I-PER", "O"]
    assert (features[0]["held"], features[0]["lost"]) == (0, 1)


def test_a_stride_without_room_is_refused_in_one_sentence_with_one_that_works():
    train = rows((SENTENCE * 4, WRITTEN["iob2"].split() * 4))
    with pytest.raises(RecipeError, match=r"task\.stride = 8: a window of 10 tokens.*Set task\.stride=4"):
        encoded(resolved(train, stride=8), train, BERT, 10)
    assert len(encoded(resolved(train, stride=4), train, BERT, 10)) > 5


def test_the_ledger_counts_windows_and_lost_entities():
    train = rows((SENTENCE * 4, WRITTEN["iob2"].split() * 4), (["Mary", "\u200b"], ["B-PER", "I-PER"]), ([], []))
    task = resolved(train, max_length=10)
    features = Encoder(task, BERT, "", 10, 0).features(train, "score", keep=False)
    counts = ledger(task, features, 10)
    assert counts == {"features": len(features), "windowed": 1, "targets": 13, "lost": 1}
    assert "validation: 1 of 13 entities cannot be found" in sentence(task, "validation", 3, counts)


def test_the_ledger_of_rows_without_loss_says_nothing():
    train = rows((SENTENCE * 4, WRITTEN["iob2"].split() * 4))
    task = resolved(train, max_length=10)
    counts = ledger(task, Encoder(task, BERT, "", 10, 0).features(train, "score", keep=False), 10)
    assert counts["lost"] == 0 and counts["targets"] == 12
    assert sentence(task, "train", 1, counts) is None


# runs


@pytest.fixture(scope="module")
def trained(tiny_bert, tmp_path_factory):
    """A run that has learned a little, its rows longer than its windows."""
    recipe = Recipe(
        name="tags",
        task=TokenClassification(max_length=10, stride=3),
        data=Data.rows(tagged(60), validation=[*tagged(12, seed=1), {"words": [], "tags": []}]),
        model=tiny_bert,
        tuning=Full(learning_rate=3e-2),
        training=Training(steps=40, batch_size=8, precision="fp32"),
    )
    return run(recipe, tmp_path_factory.mktemp("runs"), certified=False)


@pytest.fixture(scope="module")
def predictor(trained):
    return load(trained.directory)


def lines(result):
    return [json.loads(line) for line in (result.directory / "predictions.jsonl").read_text("utf-8").splitlines()]


def in_iob2(tags: list[str]) -> list[str]:
    """Tags in IOB1 without neighbours of one type."""
    return [f"B{tag[1:]}" if tag not in ("O", before) else tag for before, tag in pairwise(["", *tags])]


def test_scores_are_those_of_seqeval_over_the_written_words(trained):
    written = lines(trained)
    gold = [in_iob2(line["gold"]) for line in written]
    predicted = [line["predicted"] for line in written]
    assert [len(tags) for tags in predicted] == [len(line["inputs"]["words"]) for line in written]
    scores = {name: score["value"] for name, score in trained.scores["validation"].items()}
    assert 0 < scores["strict_f1"] <= scores["f1"] < 1
    assert scores["f1"] == pytest.approx(seqeval.metrics.f1_score(gold, predicted))
    assert scores["precision"] == pytest.approx(seqeval.metrics.precision_score(gold, predicted))
    strict = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    assert scores["strict_f1"] == pytest.approx(seqeval.metrics.f1_score(gold, predicted, **strict))
    assert scores["strict_recall"] == pytest.approx(seqeval.metrics.recall_score(gold, predicted, **strict))
    assert scores["accuracy"] == pytest.approx(seqeval.metrics.accuracy_score(gold, predicted))


@pytest.mark.parametrize(
    "text",
    [
        "the good  film\n\tis great",
        " warm and fine ",
        "😀good❤️ film 中国good的",
        "good\u200b fine\r\n",
        "",
        " \n",
        "fine " * 30,
    ],
)
def test_entities_of_a_plain_text_are_cut_from_it(predictor, text):
    (found,) = predictor([text])
    assert len(found["words"]) == len(found["predicted"]) == len(found["probabilities"])
    assert "".join(found["words"]) == "".join(text.split())
    assert all(one["text"] == text[one["start"] : one["end"]] for one in found["spans"])
    assert all(0 <= one["score"] <= 1 and one["type"] in ("GOOD", "BAD") for one in found["spans"])
    if set(text.split()) & GOOD:
        assert {"good", "great", "warm", "fine"} & {part for one in found["spans"] for part in one["text"].split()}
    assert json.loads(json.dumps(found)) == found


def test_lists_of_words_get_a_tag_each(predictor):
    words = ["the", "good", "", "New York", "film", "\u200b", "bad"]
    found, empty = predictor([{"words": words}, {"words": []}])
    assert len(found["predicted"]) == len(words) and "words" not in found
    assert found["predicted"][2] == found["predicted"][5] == "O"
    assert empty == {"predicted": [], "spans": [], "probabilities": []}
    assert all(one["text"] == " ".join(words)[one["start"] : one["end"]] for one in found["spans"])
    assert json.loads(json.dumps(found)) == found


def test_a_prediction_does_not_depend_on_its_neighbours(predictor):
    alone = predictor(["the good film is " * 9])[0]
    beside = predictor(["bad", "the good film is " * 9, ""])[1]
    assert predictor.recipe.task.agree(alone, beside, 1e-5)


def test_a_checkpoint_with_its_own_order_of_tags_keeps_their_meaning(tiny_bert, tmp_path):
    from transformers import AutoModelForTokenClassification

    own = ["I-BAD", "O", "B-GOOD", "I-GOOD", "B-BAD"]
    model = AutoModelForTokenClassification.from_pretrained(tiny_bert, id2label=dict(enumerate(own)), num_labels=5)
    with torch.no_grad():
        model.classifier.weight.normal_(std=3, generator=torch.Generator().manual_seed(0))
    model.eval().save_pretrained(tmp_path / "own")
    tokenizer = tiny.tokenizer("bert")
    tokenizer.save_pretrained(tmp_path / "own")
    recipe = Recipe(
        name="own",
        task=TokenClassification(),
        data=Data.rows(tagged(8), validation=tagged(4, seed=1)),
        model=str(tmp_path / "own"),
        tuning=Full(learning_rate=1e-12),
        training=Training(steps=1, batch_size=4, precision="fp32"),
    )
    result = run(recipe, tmp_path, certified=False)
    expected = []
    for row in tagged(4, seed=1):
        with torch.inference_mode():
            logits = model(**tokenizer(" ".join(row["words"]), return_tensors="pt")).logits[0, 1:-1]
        expected.append([own[number] for number in logits.argmax(-1)])
    assert len({name for tags in expected for name in tags}) > 2
    assert [line["predicted"] for line in lines(result)] == expected


def test_the_baseline_is_the_most_frequent_tag_of_a_word():
    train = rows((["Bob", "saw", "Bob", "Bob"], ["B-PER", "O", "B-PER", "O"]), (["Bob"], ["B-PER"]))
    found = resolved(train).baseline(train, rows((["Bob", "saw", "Ann"], ["O"] * 3)))
    assert found == [{"predicted": ["B-PER", "O", "O"]}]


def test_predictions_agree_but_for_rounding():
    task = resolved(rows((SENTENCE[:2], ["B-PER", "O"])))
    one = {"predicted": ["B-PER", "O"], "probabilities": [0.9, 0.5]}
    assert task.agree(one, {"predicted": ["B-PER", "B-PER"], "probabilities": [0.9, 0.5]}, 1e-4)
    assert not task.agree(one, {"predicted": ["O", "O"], "probabilities": [0.9, 0.5]}, 1e-4)
    assert not task.agree(one, {"predicted": ["B-PER", "O"], "probabilities": [0.8, 0.5]}, 1e-4)


SWAP = {"B-PER": "B-LOC", "I-PER": "I-LOC", "B-LOC": "B-PER", "I-LOC": "I-PER", "B-ORG": "B-ORG", "O": "O"}
PLACES = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O", "B-ORG", "O"], ["O", "B-PER", "I-PER", "O"]] * 8


def of_tags(tags, predicted, usual, **fields):
    """What is said of predicted tags, and of those of the baseline."""
    train = rows(*([["a"] * len(each), each] for each in tags))
    task = TokenClassification(**fields).resolve(train, None)
    return task.doubts(*(task.measure([{"predicted": each} for each in own], train) for own in (predicted, usual)))


def test_swapped_types_are_named():
    (said,) = of_tags(PLACES, [[SWAP[tag] for tag in tags] for tags in PLACES], PLACES)
    assert "'LOC' looks like 'PER'" in said and "'PER' looks like 'LOC'" in said and "ORG" not in said
    assert "'tags'" in said and "tag_names" not in said


def test_types_are_not_doubted_where_the_baseline_scores_less():
    assert of_tags(PLACES, [[SWAP[tag] for tag in tags] for tags in PLACES], [["O"] * 4] * len(PLACES)) == []


@pytest.mark.parametrize("place", [0, 1], ids=["start", "end"])
def test_types_are_not_doubted_where_one_boundary_alone_is_right(place):
    tags = [["B-PER", "I-PER"], ["B-LOC", "I-LOC"]] * 12
    wrong = [["B-LOC" if n == place else "O" for n in (0, 1)], ["B-PER" if n == place else "O" for n in (0, 1)]] * 12
    assert of_tags(tags, wrong, tags) == []


def test_swapped_plain_tags_are_named():
    tags = [["DT", "NN", "VB", "NN"]] * 12
    swap = {"DT": "DT", "NN": "VB", "VB": "NN"}
    (said,) = of_tags(tags, [[swap[tag] for tag in own] for own in tags], tags)
    assert "'NN' looks like 'VB'" in said and "DT" not in said


def test_numbers_of_swapped_tags_point_at_their_names():
    names = ("O", "B-LOC", "B-PER")
    tags = [[1, 0, 2, 0]] * 12
    (said,) = of_tags(tags, [["B-PER", "O", "B-LOC", "O"]] * 12, [["B-LOC", "O", "B-PER", "O"]] * 12, tag_names=names)
    assert "task.tag_names" in said


def test_of_very_many_types_no_pairs_are_counted():
    tags = [[f"T{number:02}" for number in range(first, first + 4)] for first in range(0, 40, 4)]
    train = rows(*([["a"] * 4, each] for each in tags))
    task = TokenClassification().resolve(train, None)
    statistics = task.measure([{"predicted": each} for each in tags], train)
    assert statistics.shape == (10, 2 + 3 * 40)
    assert task.aggregate(statistics, np.ones(10)) == {"accuracy": 1.0}
    assert task.doubts(statistics, statistics) == []


def test_evaluate_modules_get_tags_in_iob2():
    train = rows((SENTENCE, WRITTEN["bioes"].split()))
    predicted, gold = resolved(train).exchanged([{"predicted": ["O"] * 7}], train)
    assert (predicted, gold) == ([["O"] * 7], [WRITTEN["iob2"].split()])


def test_gold_entities_stand_in_characters():
    tags = WRITTEN["iob1"].split()
    written = resolved(rows((SENTENCE, tags), (["Bob"], ["I-PER"]))).written
    _, wanted = written.gold(marked(SENTENCE), tags)
    assert wanted == [Entity("PER", 0, 8), Entity("PER", 13, 20), Entity("PER", 21, 24)]
