"""Checks on the sentences with marked names which the entity quickstart trains on."""

import itertools
import json
import random
import re
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from tests.unit.test_support_tickets import character_grams, word_phrases

DATA_FILE = Path(__file__).parents[2] / "recipes" / "data" / "company_news.jsonl"
TYPES = {"PER", "ORG", "LOC", "PRODUCT"}
SMALLEST_SENTENCE_COUNT = 150
FEWEST_WORDS, MOST_WORDS = 8, 35
SMALLEST_TYPE_COUNT = 60
MOST_ENTITIES = 5
SMALLEST_SHARE_WITHOUT_ENTITIES, LARGEST_SHARE_WITHOUT_ENTITIES = 0.08, 0.2
SMALLEST_SHARE_OF_NAMES_SEEN_ONCE = 2 / 3
LARGEST_SIMILARITY = 0.5
LARGEST_PHRASE_COUNT = 3
TRAINING_SHARE = 0.7
SPLIT_SEEDS = range(5)
FEWEST_NAMES_OF_SEVERAL_TYPES = 10
TOKEN = re.compile(r"\w+|[^\w\s]")

Sentence = dict[str, Any]
Entity = tuple[str, int, int]
"""A type, and the first token and the token after the last."""


@pytest.fixture(scope="module")
def sentences() -> list[Sentence]:
    """Read the data set.

    Returns:
        One dictionary for each line, with a text and its spans.
    """
    return [json.loads(line) for line in DATA_FILE.read_text(encoding="utf-8").splitlines()]


def names(sentence: Sentence) -> list[str]:
    """The marked pieces of a sentence's text, in order."""
    return [sentence["text"][span["start"] : span["end"]] for span in sentence["spans"]]


def tokens_and_types(sentence: Sentence) -> list[tuple[str, str]]:
    """Cut a text into words and punctuation marks, each with the type of the span that covers its start, or "O"."""
    found = []
    for match in TOKEN.finditer(sentence["text"]):
        covering = [span["type"] for span in sentence["spans"] if span["start"] <= match.start() < span["end"]]
        found.append((match.group(), covering[0] if covering else "O"))
    return found


def gold_entities(sentence: Sentence) -> set[Entity]:
    """The sentence's spans, counted in tokens."""
    starts = [match.start() for match in TOKEN.finditer(sentence["text"])]
    return {
        (
            span["type"],
            sum(start < span["start"] for start in starts),
            sum(start < span["end"] for start in starts),
        )
        for span in sentence["spans"]
    }


def looked_up_entities(sentence: Sentence, dictionary: dict[str, str]) -> set[Entity]:
    """Runs of neighbouring tokens to which a dictionary gives the same type."""
    types = [dictionary.get(token, "O") for token, _ in tokens_and_types(sentence)]
    entities, start = set(), 0
    for name, run in itertools.groupby(types):
        end = start + len(list(run))
        if name != "O":
            entities.add((name, start, end))
        start = end
    return entities


def dictionary_f1(sentences: list[Sentence], seed: int) -> float:
    """Entity F1, on held-out sentences, of each word's most frequent type in the other sentences."""
    shuffled = random.Random(seed).sample(sentences, len(sentences))
    border = round(TRAINING_SHARE * len(shuffled))
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence in shuffled[:border]:
        for token, name in tokens_and_types(sentence):
            counts[token][name] += 1
    dictionary = {token: types.most_common(1)[0][0] for token, types in counts.items()}
    gold = [gold_entities(sentence) for sentence in shuffled[border:]]
    predicted = [looked_up_entities(sentence, dictionary) for sentence in shuffled[border:]]
    correct = sum(len(first & second) for first, second in zip(gold, predicted, strict=True))
    return 2 * correct / (sum(map(len, gold)) + sum(map(len, predicted)))


def test_every_line_has_a_text_and_spans_and_nothing_else(sentences: list[Sentence]) -> None:
    assert {tuple(sentence) for sentence in sentences} == {("text", "spans")}
    assert {tuple(span) for sentence in sentences for span in sentence["spans"]} == {("start", "end", "type")}


def test_there_are_enough_sentences_of_readable_length(sentences: list[Sentence]) -> None:
    lengths = [len(sentence["text"].split()) for sentence in sentences]
    assert len(sentences) >= SMALLEST_SENTENCE_COUNT
    assert min(lengths) >= FEWEST_WORDS
    assert max(lengths) <= MOST_WORDS


def test_spans_lie_inside_the_text_sorted_and_disjoint(sentences: list[Sentence]) -> None:
    for sentence in sentences:
        borders = [border for span in sentence["spans"] for border in (span["start"], span["end"])]
        assert borders == sorted(borders), sentence
        assert all(span["start"] < span["end"] for span in sentence["spans"]), sentence
        assert all(0 <= border <= len(sentence["text"]) for border in borders), sentence


def test_spans_hold_whole_words_without_outer_spaces(sentences: list[Sentence]) -> None:
    for sentence in sentences:
        for span, name in zip(sentence["spans"], names(sentence), strict=True):
            before, after = sentence["text"][: span["start"]][-1:], sentence["text"][span["end"] :][:1]
            assert name == name.strip(), sentence
            assert not before.isalnum() and not after.isalnum(), (name, sentence)


def test_no_span_begins_with_an_article_or_ends_with_a_possessive(sentences: list[Sentence]) -> None:
    marked = [name for sentence in sentences for name in names(sentence)]
    assert [name for name in marked if name.lower().startswith("the ")] == []
    assert {name for name in marked if name.endswith("'s")} == {"St Anne's"}


def test_each_type_is_known_and_frequent(sentences: list[Sentence]) -> None:
    counts = Counter(span["type"] for sentence in sentences for span in sentence["spans"])
    assert set(counts) == TYPES
    assert min(counts.values()) >= SMALLEST_TYPE_COUNT


def test_some_sentences_have_no_entities_and_none_has_many(sentences: list[Sentence]) -> None:
    sizes = [len(sentence["spans"]) for sentence in sentences]
    assert SMALLEST_SHARE_WITHOUT_ENTITIES <= sizes.count(0) / len(sizes) <= LARGEST_SHARE_WITHOUT_ENTITIES
    assert max(sizes) <= MOST_ENTITIES


def test_most_names_occur_in_one_sentence_only(sentences: list[Sentence]) -> None:
    counts = Counter(name for sentence in sentences for name in {name.lower() for name in names(sentence)})
    once = sum(count == 1 for count in counts.values())
    assert once >= SMALLEST_SHARE_OF_NAMES_SEEN_ONCE * len(counts)


def test_some_names_have_several_types(sentences: list[Sentence]) -> None:
    types = defaultdict(set)
    for sentence in sentences:
        for span, name in zip(sentence["spans"], names(sentence), strict=True):
            types[name.lower()].add(span["type"])
    assert sum(len(found) > 1 for found in types.values()) >= FEWEST_NAMES_OF_SEVERAL_TYPES


def test_no_two_sentences_are_near_duplicates(sentences: list[Sentence]) -> None:
    texts = [sentence["text"] for sentence in sentences]
    grams = [character_grams(text) for text in texts]
    too_similar = [
        (texts[first], texts[second])
        for first, second in itertools.combinations(range(len(texts)), 2)
        if len(grams[first] & grams[second]) > LARGEST_SIMILARITY * len(grams[first] | grams[second])
    ]
    assert too_similar == []


def test_no_phrase_is_repeated_across_many_sentences(sentences: list[Sentence]) -> None:
    counts = Counter(phrase for sentence in sentences for phrase in word_phrases(sentence["text"]))
    assert {" ".join(phrase): count for phrase, count in counts.items() if count > LARGEST_PHRASE_COUNT} == {}


def test_a_dictionary_of_words_finds_some_entities_but_far_from_all(sentences: list[Sentence]) -> None:
    scores = [dictionary_f1(sentences, seed) for seed in SPLIT_SEEDS]
    assert 0.1 <= mean(scores) <= 0.3
