"""Checks on the papers of an invented island with their summaries, the embedded data for summarization."""

import itertools
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from statistics import mean, quantiles

import pytest
from rouge_score.rouge_scorer import RougeScorer

from finetune.text.sentences import sentences

DATA_FOLDER = Path(__file__).parents[2] / "recipes" / "data"
PAIRS = {"train": 72, "validation": 28}
SHORTEST_DOCUMENT, LONGEST_DOCUMENT = 60, 160
FEWEST_SENTENCES, MOST_SENTENCES = 4, 10
SHORTEST_SUMMARY, LONGEST_SUMMARY = 8, 22
SHORT_QUARTER_OF_DOCUMENTS, LONG_QUARTER_OF_DOCUMENTS = 75, 120
LARGEST_SHARE_OF_A_THIRD = 0.45
SMALLEST_SHARE_OF_A_THIRD = 0.25
COPIED_PHRASE_LENGTH, LARGEST_SHARE_OF_COPIES = 6, 0.25
SMALLEST_SHARE_OF_WORDS_FROM_DOCUMENT = 0.5
LARGEST_SIMILARITY = {"document": 0.05, "summary": 0.1}
PHRASE_LENGTH, LARGEST_PHRASE_COUNT = 6, 2
LARGEST_SHARE_OF_AN_OPENING = {"document": 0.2, "summary": 0.25}
SMALLEST_SHARE_OF_NAMES_SEEN_ONCE = 0.75
LEAST_GAIN_OVER_FIRST_SENTENCE = 0.2
NUMBERS = set(
    re.findall(
        r"\w+",
        """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
        eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million
        dozen half twice""",
    )
)
FUNCTION_WORDS = set(
    re.findall(
        r"\w+",
        """a after again all an and as at be because been before but by can for from had has have her his if in into is
        it its may more must no nobody not of off on only or out over she since so than that the their them then there
        they this to until up was were what when where which who whoever whose will with would""",
    )
)

Pair = dict[str, str]


@cache
def read(split: str) -> list[Pair]:
    lines = (DATA_FOLDER / f"island_papers_{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def column(name: str) -> list[str]:
    """Every document or every summary, those of the training pairs first."""
    return [pair[name] for split in PAIRS for pair in read(split)]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def phrases(text: str, length: int) -> set[tuple[str, ...]]:
    """The distinct runs of so many words."""
    listed = words(text)
    return {tuple(listed[start : start + length]) for start in range(len(listed) - length + 1)}


@cache
def ordinary_words() -> frozenset[str]:
    """The words that stand somewhere without a capital."""
    texts = column("document") + column("summary")
    return frozenset(word for text in texts for word in re.findall(r"\w+", text) if word.islower())


def openings(text: str) -> set[str]:
    """The first words of the sentences, capitalised as they stand."""
    return {re.findall(r"\w+", sentence)[0] for sentence in sentences(text)}


def capitalised(text: str) -> list[str]:
    return [word for word in re.findall(r"\b[^\W\d_]\w*", text) if word[0].isupper()]


@cache
def best_and_first(split: str) -> list[tuple[float, float, float]]:
    """Find the sentence of each document that is nearest to the summary.

    Returns:
        For each pair the middle of that sentence in the document, from 0 to 1 and counted in sentences, its ROUGE-1 F
        against the summary, and that of the first sentence.
    """
    scorer = RougeScorer(["rouge1"], use_stemmer=True)
    found = []
    for pair in read(split):
        listed = sentences(pair["document"])
        scores = [scorer.score(pair["summary"], sentence)["rouge1"].fmeasure for sentence in listed]
        found.append(((scores.index(max(scores)) + 0.5) / len(scores), max(scores), scores[0]))
    return found


@pytest.mark.parametrize("split", PAIRS)
def test_every_line_has_a_document_and_a_summary_and_nothing_else(split: str) -> None:
    assert {tuple(pair) for pair in read(split)} == {("document", "summary")}


@pytest.mark.parametrize("split", PAIRS)
def test_file_has_the_stated_number_of_pairs(split: str) -> None:
    assert len(read(split)) == PAIRS[split]


@pytest.mark.parametrize("name", ["document", "summary"])
def test_texts_have_no_stray_whitespace_and_end_with_a_full_stop(name: str) -> None:
    assert [text for text in column(name) if text != " ".join(text.split()) or not text.endswith(".")] == []


def test_documents_are_of_moderate_length() -> None:
    counts = [(len(document.split()), len(sentences(document))) for document in column("document")]
    assert all(SHORTEST_DOCUMENT <= length <= LONGEST_DOCUMENT for length, _ in counts)
    assert {sentence_count for _, sentence_count in counts} == set(range(FEWEST_SENTENCES, MOST_SENTENCES + 1))


def test_a_quarter_of_the_documents_is_short_and_a_quarter_long() -> None:
    short, _, long = quantiles(len(document.split()) for document in column("document"))
    assert short <= SHORT_QUARTER_OF_DOCUMENTS
    assert long >= LONG_QUARTER_OF_DOCUMENTS


def test_every_summary_is_one_short_sentence() -> None:
    assert [summary for summary in column("summary") if len(sentences(summary)) != 1] == []
    lengths = [len(summary.split()) for summary in column("summary")]
    assert (min(lengths), max(lengths)) == (SHORTEST_SUMMARY, LONGEST_SUMMARY)


@pytest.mark.parametrize("split", PAIRS)
def test_numbers_of_a_summary_stand_in_its_document(split: str) -> None:
    invented = []
    for pair in read(split):
        given = set(words(pair["document"]))
        numbers = [word for word in words(pair["summary"]) if word in NUMBERS or any(map(str.isdigit, word))]
        invented += [(number, pair["summary"]) for number in numbers if number not in given]
    assert invented == []


@pytest.mark.parametrize("split", PAIRS)
def test_names_of_a_summary_stand_in_its_document(split: str) -> None:
    invented = []
    for pair in read(split):
        known = set(re.findall(r"\w+", pair["document"]))
        known |= {word for word in openings(pair["summary"]) if word.lower() in ordinary_words()}
        invented += [(word, pair["summary"]) for word in capitalised(pair["summary"]) if word not in known]
    assert invented == []


@pytest.mark.parametrize("split", PAIRS)
def test_what_is_summarized_stands_at_the_start_in_the_middle_or_at_the_end(split: str) -> None:
    thirds = Counter(int(3 * middle) for middle, _, _ in best_and_first(split))
    shares = [thirds[third] / PAIRS[split] for third in range(3)]
    assert min(shares) >= SMALLEST_SHARE_OF_A_THIRD
    assert max(shares) <= LARGEST_SHARE_OF_A_THIRD


@pytest.mark.parametrize("split", PAIRS)
def test_the_best_sentence_is_much_nearer_to_the_summary_than_the_first(split: str) -> None:
    assert mean(best - first for _, best, first in best_and_first(split)) >= LEAST_GAIN_OVER_FIRST_SENTENCE


def test_few_summaries_copy_a_phrase_of_their_document() -> None:
    copied = [
        bool(phrases(summary, COPIED_PHRASE_LENGTH) & phrases(document, COPIED_PHRASE_LENGTH))
        for document, summary in zip(column("document"), column("summary"), strict=True)
    ]
    assert mean(copied) <= LARGEST_SHARE_OF_COPIES


def test_most_words_of_a_summary_stand_in_its_document() -> None:
    shares = []
    for document, summary in zip(column("document"), column("summary"), strict=True):
        given = set(words(document))
        shares.append(mean(word in given for word in words(summary) if word not in FUNCTION_WORDS))
    assert mean(shares) >= SMALLEST_SHARE_OF_WORDS_FROM_DOCUMENT


@pytest.mark.parametrize("name", ["document", "summary"])
def test_no_two_texts_are_near_duplicates(name: str) -> None:
    texts = [(text, phrases(text, 3)) for text in column(name)]
    too_similar = [
        (first, second)
        for (first, ours), (second, theirs) in itertools.combinations(texts, 2)
        if len(ours & theirs) > LARGEST_SIMILARITY[name] * len(ours | theirs)
    ]
    assert too_similar == []


def test_no_phrase_is_repeated_across_many_documents() -> None:
    counts = Counter(phrase for document in column("document") for phrase in phrases(document, PHRASE_LENGTH))
    assert {" ".join(phrase): count for phrase, count in counts.items() if count > LARGEST_PHRASE_COUNT} == {}


@pytest.mark.parametrize("name", ["document", "summary"])
def test_texts_open_in_many_ways(name: str) -> None:
    opening = Counter(words(text)[0] for text in column(name))
    assert max(opening.values()) <= LARGEST_SHARE_OF_AN_OPENING[name] * sum(opening.values())


def test_no_two_documents_begin_with_the_same_two_words() -> None:
    counts = Counter(tuple(words(document)[:2]) for document in column("document"))
    assert [opening for opening, count in counts.items() if count > 1] == []


def test_most_names_occur_in_one_document_only() -> None:
    counts: Counter[str] = Counter()
    for document in column("document"):
        counts.update(set(capitalised(document)) - openings(document) - {"I"})
    assert sum(count == 1 for count in counts.values()) >= SMALLEST_SHARE_OF_NAMES_SEEN_ONCE * len(counts)
