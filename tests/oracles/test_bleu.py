"""BLEU and chrF against sacreBLEU's own scores of a corpus, and by hand."""

import logging
from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from finetune.metrics.bleu import bleu, bleu_statistics, chrf, chrf_statistics, signatures

CLOSE = 1e-9
TOKENIZE = ("13a", "zh", "intl", "char", "none")

PARTS = (
    *(
        "the",
        "The",
        "cat",
        "cats",
        "sat",
        "on",
        "a",
        "mat",
        "(mat)",
        "mat.",
        ".",
        ",",
        "don't",
        "3.5",
        "U.S.",
        "&quot;",
    ),
    *("Größe", "ß", "кот", "猫坐在", "垫子上。", "한국어", "", "-\n", "<skipped>", "€5"),
)
TEXT = st.lists(st.sampled_from(PARTS), max_size=14).map(" ".join) | st.text(max_size=20)
ROWS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=1, max_size=6)

CORPORA = {
    "empty texts": [("", ["a cat"]), ("a cat", [""]), ("", [""])],
    "only empty texts": [("", [""])],
    "one word": [("cat", ["cat"])],
    "three words, fewer than the longest n-gram": [("the cat sat", ["the cat sat"])],
    "nothing in common": [("dogs ran far away", ["the cat sat here"])],
    "one long match": [("the cat sat on the mat .", ["the cat sat on a mat ."])],
    "too short": [("the cat sat on", ["the cat sat on the mat today"])],
    "no common n-gram of 4": [("the cat and the mat", ["the cat sat on the mat"])],
    "different numbers of references": [
        ("the cat sat on the mat", ["the cat sat on a mat", "a cat sat on the mat", "on the mat sat a cat"]),
        ("it rains", ["it is raining"]),
        ("Good morning, Ms. Adler!", ["Good morning, Ms. Adler!", ""]),
    ],
    "lengths as near to the shorter as to the longer": [("a b c d", ["a b c", "a b c d e"])],
    "other scripts": [("猫坐在垫子上。", ["猫坐在一块垫子上。"]), ("кот сидит", ["кот сидел", "кот сидит тут"])],
    "words repeated": [("the the the the the the the", ["the cat is on the mat", "there is a cat on the mat"])],
}


def streams(rows: list[tuple[str, list[str]]]) -> tuple[list[str], list[list[str | None]]]:
    """A corpus as sacreBLEU takes it: the first references of all rows, the second ones, with None where one lacks."""
    most = max(len(accepted) for _, accepted in rows)
    texts = [[accepted[n] if n < len(accepted) else None for _, accepted in rows] for n in range(most)]
    return [prediction for prediction, _ in rows], texts


def split(rows: list[tuple[str, list[str]]]) -> tuple[list[str], list[list[str]]]:
    return [prediction for prediction, _ in rows], [accepted for _, accepted in rows]


def official_bleu(rows: list[tuple[str, list[str]]], tokenize: str, lowercase: bool) -> float:
    return BLEU(tokenize=tokenize, lowercase=lowercase).corpus_score(*streams(rows)).score


@settings(max_examples=300, deadline=None)
@given(ROWS, st.sampled_from(TOKENIZE), st.booleans())
def test_bleu_of_a_corpus_is_sacrebleus(rows, tokenize, lowercase: bool) -> None:
    statistics = bleu_statistics(*split(rows), tokenize, lowercase)
    assert bleu(statistics.sum(axis=0)) == pytest.approx(official_bleu(rows, tokenize, lowercase), abs=CLOSE)


@settings(max_examples=300, deadline=None)
@given(ROWS, st.sampled_from([0, 2]))
def test_chrf_of_a_corpus_is_sacrebleus(rows, word_order: int) -> None:
    statistics = chrf_statistics(*split(rows), word_order)
    official = CHRF(word_order=word_order).corpus_score(*streams(rows)).score
    assert chrf(statistics.sum(axis=0)) == pytest.approx(official, abs=CLOSE)


@pytest.mark.parametrize("name", CORPORA)
@pytest.mark.parametrize("tokenize", TOKENIZE)
def test_bleu_of_a_corpus_written_by_hand_is_sacrebleus(name: str, tokenize) -> None:
    statistics = bleu_statistics(*split(CORPORA[name]), tokenize)
    assert bleu(statistics.sum(axis=0)) == pytest.approx(official_bleu(CORPORA[name], tokenize, False), abs=CLOSE)


@pytest.mark.parametrize("name", CORPORA)
def test_chrf_of_a_corpus_written_by_hand_is_sacrebleus(name: str) -> None:
    statistics = chrf_statistics(*split(CORPORA[name]))
    assert chrf(statistics.sum(axis=0)) == pytest.approx(CHRF().corpus_score(*streams(CORPORA[name])).score, abs=CLOSE)


def test_real_sentences_score_as_by_sacrebleu(real_data) -> None:
    english = (real_data / "multi30k/val.en").read_text("utf-8").splitlines()[:300]
    rows = [(one, [other]) for one, other in zip(english[1:], english, strict=False)]
    sums = [count(*split(rows)).sum(axis=0) for count in (bleu_statistics, chrf_statistics)]
    assert bleu(sums[0]) == pytest.approx(BLEU().corpus_score(*streams(rows)).score, abs=CLOSE)
    assert chrf(sums[1]) == pytest.approx(CHRF().corpus_score(*streams(rows)).score, abs=CLOSE)


@settings(max_examples=100, deadline=None)
@given(ROWS, st.data())
def test_a_row_that_weighs_twice_is_a_row_that_is_there_twice(rows, data) -> None:
    weights = np.array([data.draw(st.integers(0, 3)) for _ in rows])
    repeated = [row for row, weight in zip(rows, weights, strict=True) for _ in range(weight)]
    if repeated:
        assert bleu(weights @ bleu_statistics(*split(rows))) == pytest.approx(
            official_bleu(repeated, "13a", False), abs=CLOSE
        )
        assert chrf(weights @ chrf_statistics(*split(rows))) == pytest.approx(
            CHRF().corpus_score(*streams(repeated)).score, abs=CLOSE
        )


def test_counts_of_a_row_by_hand() -> None:
    (counts,) = bleu_statistics(["the cat sat on the mat"], [["the cat sat on a mat today", "a mat"]])
    assert counts.tolist() == [5, 3, 2, 1, 6, 5, 4, 3, 6, 7]


def test_bleu_by_hand() -> None:
    sums = np.array([8, 6, 4, 2, 8, 7, 6, 5, 8, 10])
    assert bleu(sums) == pytest.approx(100 * exp(1 - 10 / 8) * (8 / 8 * 6 / 7 * 4 / 6 * 2 / 5) ** 0.25)


def test_chrf_counts_by_hand() -> None:
    (counts,) = chrf_statistics(["a cat"], [["cat", "dog"]])
    assert counts.tolist() == [4, 3, 3, 3, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]


def test_chrf_by_hand() -> None:
    (counts,) = chrf_statistics(["a cat"], [["cat"]])
    precision, recall = (3 / 4 + 2 / 3 + 1 / 2) / 3, 1  # n-grams of 4 characters and more are not in both texts
    assert chrf(counts) == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))


@pytest.mark.parametrize("count", [bleu_statistics, chrf_statistics])
def test_a_row_without_references_counts_as_one_with_an_empty_reference(count) -> None:
    assert count(["a cat", "a dog"], [[], ["a dog"]]).tolist() == count(["a cat", "a dog"], [[""], ["a dog"]]).tolist()


@pytest.mark.parametrize(
    ("count", "score", "columns"),
    [(bleu_statistics, bleu, 10), (chrf_statistics, chrf, 18), (lambda *texts: chrf_statistics(*texts, 2), chrf, 24)],
)
def test_no_rows_score_nothing(count, score, columns: int) -> None:
    counts = count([], [])
    assert counts.shape == (0, columns)
    assert score(counts.sum(axis=0)) == 0


@pytest.mark.parametrize("count", [bleu_statistics, chrf_statistics])
def test_rows_and_references_must_be_equal_in_number(count) -> None:
    with pytest.raises(ValueError, match="shorter"):
        count(["one", "two"], [["one"]])


def test_rows_are_counted_without_a_warning_for_each(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        bleu_statistics(["the cat sat ."] * 120, [["the cat sat ."]] * 120)
    assert caplog.records == []


@pytest.mark.parametrize("references", [[["a"], ["b"]], [["a", "b"], ["c", "d"]], [["a", "b"], ["c"]], [[], ["c"]]])
@pytest.mark.parametrize(("tokenize", "lowercase"), [("13a", False), ("zh", True)])
def test_signatures_are_those_of_sacrebleu_after_scoring(references, tokenize, lowercase: bool) -> None:
    rows = [("a", accepted or [""]) for accepted in references]
    words, characters = BLEU(tokenize=tokenize, lowercase=lowercase), CHRF(word_order=2)
    for metric in (words, characters):
        metric.corpus_score(*streams(rows))
    assert signatures(references, tokenize, lowercase, word_order=2) == {
        "bleu": str(words.get_signature()),
        "chrf": str(characters.get_signature()),
    }


def test_signatures_of_the_usual_case() -> None:
    found = signatures([["a"], ["b"]])
    assert found["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert found["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
