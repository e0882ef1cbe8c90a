"""Checks on the support ticket data set which the quickstart recipe trains on."""

import csv
import itertools
import re
from collections import Counter
from pathlib import Path

import numpy
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline

DATA_FILE = Path(__file__).parents[2] / "recipes" / "data" / "support_tickets.csv"
QUEUES = {"billing", "delivery", "returns", "account", "technical", "sales"}
SMALLEST_ROW_COUNT = 300
SMALLEST_QUEUE = 40
LARGEST_QUEUE = 70
LARGEST_SIMILARITY = 0.5
LARGEST_PHRASE_COUNT = 3
PHRASE_LENGTH = 6


@pytest.fixture(scope="module")
def tickets() -> list[dict[str, str]]:
    """Read the data set.

    Returns:
        One dictionary for each row, keyed by column name.
    """
    with DATA_FILE.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))


def character_grams(message: str, size: int = 5) -> set[str]:
    """Cut a message into overlapping character sequences.

    Args:
        message: The text to cut up. It is lower-cased and its whitespace is collapsed first.
        size: The number of characters in each sequence.

    Returns:
        The distinct sequences, or the whole text where it is shorter than one sequence.
    """
    text = " ".join(message.lower().split())
    return {text[start : start + size] for start in range(len(text) - size + 1)} or {text}


def word_phrases(message: str, length: int = PHRASE_LENGTH) -> set[tuple[str, ...]]:
    """Collect the distinct runs of consecutive words in a message.

    Args:
        message: The text to read.
        length: The number of words in each run.

    Returns:
        The distinct runs, lower-cased.
    """
    words = re.findall(r"[\w']+", message.lower())
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


def test_file_has_a_header_and_two_columns_throughout() -> None:
    with DATA_FILE.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream, strict=True)
    assert header == ["message", "queue"]
    assert {len(row) for row in rows} == {2}


def test_there_are_enough_rows_and_none_is_empty(tickets: list[dict[str, str]]) -> None:
    assert len(tickets) >= SMALLEST_ROW_COUNT
    assert all(ticket["message"].strip() for ticket in tickets)


def test_the_six_queues_are_present_and_of_similar_size(tickets: list[dict[str, str]]) -> None:
    counts = Counter(ticket["queue"] for ticket in tickets)
    assert set(counts) == QUEUES
    assert min(counts.values()) >= SMALLEST_QUEUE
    assert max(counts.values()) <= LARGEST_QUEUE


def test_no_two_messages_are_near_duplicates(tickets: list[dict[str, str]]) -> None:
    messages = [ticket["message"] for ticket in tickets]
    grams = [character_grams(message) for message in messages]
    too_similar = [
        (messages[first], messages[second])
        for first, second in itertools.combinations(range(len(messages)), 2)
        if len(grams[first] & grams[second]) > LARGEST_SIMILARITY * len(grams[first] | grams[second])
    ]
    assert too_similar == []


def test_no_phrase_is_repeated_across_many_messages(tickets: list[dict[str, str]]) -> None:
    counts = Counter(phrase for ticket in tickets for phrase in word_phrases(ticket["message"]))
    repeated = {" ".join(phrase): count for phrase, count in counts.items() if count > LARGEST_PHRASE_COUNT}
    assert repeated == {}


def test_bag_of_words_baseline_learns_something_but_not_everything(tickets: list[dict[str, str]]) -> None:
    messages = numpy.array([ticket["message"] for ticket in tickets], dtype=object)
    queues = numpy.array([ticket["queue"] for ticket in tickets])
    splitter = StratifiedShuffleSplit(n_splits=5, test_size=0.3, random_state=0)
    scores = []
    for train, held_out in splitter.split(messages, queues):
        baseline = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
        baseline.fit(messages[train], queues[train])
        scores.append(baseline.score(messages[held_out], queues[held_out]))
    assert 0.55 <= numpy.mean(scores) <= 0.9
