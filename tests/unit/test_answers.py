"""Answers that are spans of a text: how data states them, where they stand, which a model's scores name."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.errors import DataError
from finetune.text.answers import Answer, answers, best_spans, decision, nearest_sentence, surface

TEXT = "The old music is good. The old film is Good\u00a0and warm."


@pytest.mark.parametrize(
    "value",
    [
        {"text": ["music", "the film"], "answer_start": [8, 23]},
        [{"text": "music", "answer_start": 8}, {"text": "the film", "answer_start": 23}],
        {"text": (" music ", "", "the film"), "answer_start": (7, 0, 23)},
    ],
)
def test_texts_with_their_starts_are_read(value):
    assert answers(value) == [Answer("music", 8), Answer("the film", 23)]


@pytest.mark.parametrize(
    "value",
    [
        ["music", "the film"],
        ("music", None, " the film\n"),
        {"text": ["music", "the film"], "answer_start": []},
        {"text": ["music", "the film"]},
        [{"text": "music"}, {"text": "the film", "answer_start": None}],
    ],
)
def test_texts_without_starts_are_read(value):
    assert answers(value) == [Answer("music", None), Answer("the film", None)]


@pytest.mark.parametrize(
    ("value", "read"),
    [("music", Answer("music", None)), (1999, Answer("1999", None)), ({"text": "a"}, Answer("a", None))],
)
def test_one_answer_alone_is_read(value, read):
    assert answers(value) == [read]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " \u00a0\n",
        [],
        [""],
        [None],
        {"text": [], "answer_start": []},
        {"text": None, "answer_start": None},
        {"text": [None], "answer_start": [None]},
        [{"text": "", "answer_start": -1}],
    ],
)
def test_no_text_is_no_answer(value):
    assert answers(value) == []


@pytest.mark.parametrize(
    "value",
    [
        {"answer": "music"},
        {"text": ["music", "film"], "answer_start": [8]},
        {"text": ["music"], "answer_start": ["8"]},
        {"text": ["music"], "answer_start": [8.5]},
    ],
)
def test_what_is_no_answer_is_refused_in_words(value):
    with pytest.raises(DataError, match=r"is no answer; needed is \{text: \[\.\.\.\], answer_start"):
        answers(value)


@pytest.mark.parametrize(
    ("text", "start", "place"),
    [
        ("old", 27, (27, 30)),
        ("old", 4, (4, 7)),
        ("old", None, (4, 7)),
        ("old", 26, (27, 30)),
        ("old", 15, (4, 7)),
        ("old", 16, (27, 30)),
        ("old", 1000, (27, 30)),
        ("old", -50, (4, 7)),
        ("warm", -5, (48, 52)),
        ("GOOD", 30, (39, 43)),
        ("good", 39, (17, 21)),  # letter by letter elsewhere, before other case here
        ("good and  WARM", None, (39, 52)),
        ("film  is", 31, (31, 38)),
        ("[music]", 8, None),
        ("mus.c", 8, None),
        ("cold", 3, None),
    ],
)
def test_an_answer_is_found_where_it_stands(text, start, place):
    assert Answer(text, start).located(TEXT) == place


@given(
    context=st.text("ab ", max_size=12),
    text=st.text("ab ", min_size=1, max_size=3).filter(str.strip),
    start=st.integers(-3, 15),
)
@settings(deadline=None, max_examples=300)
def test_of_all_places_the_nearest_is_taken(context, text, start):
    (answer,) = answers({"text": text, "answer_start": start})
    places = [place for place in range(len(context)) if context.startswith(answer.text, place)]
    found = answer.located(context)
    if places:
        assert context[slice(*found)] == answer.text
        assert abs(found[0] - answer.start) == min(abs(place - answer.start) for place in places)
    elif found:
        assert context[slice(*found)].split() == answer.text.split()


@pytest.mark.parametrize(
    ("text", "span", "cut"),
    [
        ("so good ", (2, 7), "good"),
        ("so good ", (2, 8), "good"),
        ("a\u00a0good\u3000b", (1, 7), "good"),
        ("cafe\u0301 noir", (0, 4), "cafe\u0301"),
        ("हिन्दी है", (0, 1), "हि"),
        ("a \u2764\ufe0f b", (2, 3), "\u2764\ufe0f"),
        ("no \u00e9t\u00e9", (3, 6), "\u00e9t\u00e9"),
        ("a   b", (1, 4), ""),
    ],
)
def test_a_span_is_cut_without_white_space_and_with_its_accents(text, span, cut):
    start, end = surface(text, *span)
    assert text[start:end] == cut or start >= end


def spans(begin, stop, count, longest):
    (found,) = best_spans(torch.tensor([begin]), torch.tensor([stop]), count, longest)
    return [(int(first), int(last), score) for first, last, score in found]


def test_the_best_spans_come_first():
    assert spans([1.0, 5.0, 0.0], [0.0, 2.0, 4.0], 3, 3) == [(1, 2, 9.0), (1, 1, 7.0), (0, 2, 5.0)]


NOT = -math.inf


@given(
    scores=st.lists(
        st.tuples(*[st.one_of(st.just(NOT), st.floats(-9, 9, width=32))] * 2), min_size=1, max_size=9, unique=True
    ),
    longest=st.integers(1, 5),
)
@settings(deadline=None, max_examples=200)
def test_with_enough_candidates_every_possible_span_is_found_once(scores, longest):
    begin, stop = (list(values) for values in zip(*scores, strict=True))
    size = len(begin)
    allowed = [(i, j) for i in range(size) for j in range(i, min(size, i + longest)) if begin[i] > NOT < stop[j]]
    found = spans(begin, stop, size * size, longest)
    assert sorted((i, j) for i, j, _ in found) == allowed
    assert all(score == pytest.approx(begin[i] + stop[j], abs=1e-5) for i, j, score in found)
    assert [score for *_, score in found] == sorted((score for *_, score in found), reverse=True)


def test_no_more_candidates_than_wanted():
    assert len(spans([1.0] * 9, [1.0] * 9, 4, 9)) == 4


def test_a_window_without_text_has_no_candidates():
    assert spans([NOT, NOT], [NOT, NOT], 3, 3) == []


def test_windows_do_not_share_candidates():
    begin = torch.tensor([[3.0, 0.0], [0.0, 7.0]])
    first, second = best_spans(begin, begin.clone(), 1, 2)
    assert first.tolist() == [[0.0, 0.0, 6.0]]
    assert second.tolist() == [[1.0, 1.0, 14.0]]


SPANS = [(0, 3, 2.0, "The"), (4, 7, 1.0, "old")]


@pytest.mark.parametrize(
    ("null", "threshold", "predicted"),
    [
        (2.5, 0.0, ""),
        (2.0, 0.0, "The"),  # only more than the threshold is no answer
        (1.5, 0.0, "The"),
        (2.5, 0.5, "The"),
        (1.5, -0.5, "The"),
        (1.5, -0.75, ""),
    ],
)
def test_no_answer_is_given_where_it_beats_the_best_by_more_than_the_threshold(null, threshold, predicted):
    found = decision(null, SPANS, threshold, 5)
    assert found["predicted"] == predicted
    assert (found["answer"], found["no_answer"]) == ("The", null - 2.0)
    assert (found["start"], found["end"]) == ((0, 3) if predicted else (0, 0))


def test_without_a_null_score_there_is_always_an_answer():
    found = decision(None, SPANS, -1e9, 5)
    assert found["predicted"] == "The"
    assert "no_answer" not in found


def test_probabilities_are_a_softmax_over_spans_and_no_answer():
    found = decision(0.0, SPANS, 0.0, 5)
    total = 1 + math.e + math.e**2
    assert [entry["probability"] for entry in found["n_best"]] == pytest.approx([math.e**2 / total, math.e / total])
    assert found["probability"] == found["n_best"][0]["probability"]
    assert decision(3.0, SPANS, 0.0, 5)["probability"] == pytest.approx(math.e**3 / (total - 1 + math.e**3))


@pytest.mark.parametrize("null", [None, 0.5])
@pytest.mark.parametrize("found", [[], SPANS, [(0, 3, 800.0, "The"), (4, 7, -800.0, "old")]])
def test_a_decision_is_plain_json_with_probabilities(null, found):
    prediction = json.loads(json.dumps(decision(null, found, 0.0, 1), allow_nan=False))
    assert 0 <= prediction["probability"] <= 1
    assert sum(entry["probability"] for entry in prediction["n_best"]) <= 1 + 1e-12
    assert len(prediction["n_best"]) <= 1


@pytest.mark.parametrize("threshold", [-5.0, 0.0, 1e4, np.inf])
def test_where_no_span_is_possible_nothing_is_predicted(threshold):
    assert decision(0.0, [], threshold, 5)["predicted"] == ""
    assert decision(None, [], threshold, 5)["predicted"] == ""


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("Which film is warm?", "The old film is Good\u00a0and warm."),
        ("What music is it?", "The old music is good."),
        ("?", "The old music is good."),
    ],
)
def test_the_nearest_sentence_shares_most_words(question, sentence):
    assert nearest_sentence(question, TEXT) == sentence


def test_chinese_sentences_end_without_a_space():
    assert nearest_sentence("b", "a\u3002b\uff01c") == "b\uff01"


def test_a_text_without_sentences_has_none_near():
    assert nearest_sentence("what", " \n") == ""
