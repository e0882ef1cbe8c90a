"""Checks on the questions about an invented town, the embedded data for question answering."""

import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

DATA_FOLDER = Path(__file__).parents[2] / "recipes" / "data"
PARAGRAPHS = {"train": 28, "validation": 12}
QUESTIONS = {"train": 84, "validation": 36}
LARGEST_ANSWER_COUNT = {"train": 1, "validation": 3}
SHORTEST_PARAGRAPH = 60
LONGEST_PARAGRAPH = 130
LONGEST_ANSWER = 8
LONGEST_ALTERNATIVE = 10
LARGEST_SIMILARITY = 0.5
LARGEST_PHRASE_COUNT = 3
PHRASE_LENGTH = 6
SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s+[A-Z])|$)")


class Answer(NamedTuple):
    """A span of a paragraph; `start` counts Unicode characters."""

    text: str
    start: int


class Question(NamedTuple):
    """A question with its paragraph and the answers that count as right, the preferred one first."""

    split: str
    identifier: str
    context: str
    text: str
    answers: list[Answer]


def read(split: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DATA_FOLDER / f"town_questions_{split}.json").read_text(encoding="utf-8"))
    return document


def titles(split: str) -> list[str]:
    return [article["title"] for article in read(split)["data"]]


def paragraphs(split: str) -> list[str]:
    return [paragraph["context"] for article in read(split)["data"] for paragraph in article["paragraphs"]]


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    """Read both files.

    Returns:
        Every question, the training ones first.
    """
    return [
        Question(
            split,
            question["id"],
            paragraph["context"],
            question["question"],
            [Answer(answer["text"], answer["answer_start"]) for answer in question["answers"]],
        )
        for split in PARAGRAPHS
        for article in read(split)["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def too_similar(texts: list[str], size: int = 5) -> list[tuple[str, str]]:
    """Find near-duplicates.

    Args:
        texts: What to compare, each with every other.
        size: The number of characters in each of the overlapping sequences that two texts are compared by.

    Returns:
        The pairs whose sets of sequences have a Jaccard similarity above `LARGEST_SIMILARITY`.
    """
    cleaned = [" ".join(text.lower().split()) for text in texts]
    grams = [{text[start : start + size] for start in range(len(text) - size + 1)} for text in cleaned]
    return [
        (texts[first], texts[second])
        for first, second in itertools.combinations(range(len(texts)), 2)
        if len(grams[first] & grams[second]) > LARGEST_SIMILARITY * len(grams[first] | grams[second])
    ]


@pytest.mark.parametrize("split", PARAGRAPHS)
def test_file_has_the_keys_of_squad_throughout(split: str) -> None:
    document = read(split)
    assert (list(document), document["version"]) == (["version", "data"], "1.1")
    for article in document["data"]:
        assert list(article) == ["title", "paragraphs"]
        for paragraph in article["paragraphs"]:
            assert list(paragraph) == ["context", "qas"]
            for question in paragraph["qas"]:
                assert list(question) == ["id", "question", "answers"]
                assert all(list(answer) == ["text", "answer_start"] for answer in question["answers"])


@pytest.mark.parametrize("split", PARAGRAPHS)
def test_file_has_the_stated_number_of_paragraphs(split: str) -> None:
    assert len(paragraphs(split)) == PARAGRAPHS[split]


def test_every_paragraph_has_three_questions(questions: list[Question]) -> None:
    assert Counter(question.split for question in questions) == QUESTIONS
    assert set(Counter(question.context for question in questions).values()) == {3}


def test_identifiers_are_unique(questions: list[Question]) -> None:
    assert len({question.identifier for question in questions}) == len(questions)


def test_no_title_and_no_paragraph_comes_twice() -> None:
    every_title = titles("train") + titles("validation")
    every_paragraph = paragraphs("train") + paragraphs("validation")
    assert len(set(every_title)) == len(every_title)
    assert len(set(every_paragraph)) == len(every_paragraph)


def test_paragraphs_are_of_moderate_length() -> None:
    lengths = [len(paragraph.split()) for split in PARAGRAPHS for paragraph in paragraphs(split)]
    assert min(lengths) >= SHORTEST_PARAGRAPH
    assert max(lengths) <= LONGEST_PARAGRAPH


def test_texts_have_no_stray_whitespace(questions: list[Question]) -> None:
    texts = [text for question in questions for text in (question.context, question.text, question.answers[0].text)]
    assert [text for text in texts if text != " ".join(text.split())] == []


def test_every_answer_stands_at_its_offset(questions: list[Question]) -> None:
    misplaced = [
        (question.identifier, answer.text)
        for question in questions
        for answer in question.answers
        if question.context[answer.start : answer.start + len(answer.text)] != answer.text
    ]
    assert misplaced == []


def test_every_answer_is_made_of_whole_words_that_occur_once(questions: list[Question]) -> None:
    unclear = [
        (question.identifier, answer.text)
        for question in questions
        for answer in question.answers
        if [match.start() for match in re.finditer(rf"(?<!\w){re.escape(answer.text)}(?!\w)", question.context)]
        != [answer.start]
    ]
    assert unclear == []


def test_every_question_has_as_many_answers_as_its_split_allows(questions: list[Question]) -> None:
    for question in questions:
        assert 1 <= len(question.answers) <= LARGEST_ANSWER_COUNT[question.split], question.identifier
        assert len(set(question.answers)) == len(question.answers), question.identifier
    assert any(len(question.answers) == LARGEST_ANSWER_COUNT["validation"] for question in questions)


def test_answers_are_short(questions: list[Question]) -> None:
    preferred = [len(question.answers[0].text.split()) for question in questions]
    alternatives = [len(answer.text.split()) for question in questions for answer in question.answers[1:]]
    assert max(preferred) <= LONGEST_ANSWER
    assert max(alternatives) <= LONGEST_ALTERNATIVE


def test_no_two_paragraphs_are_near_duplicates() -> None:
    assert too_similar(paragraphs("train") + paragraphs("validation")) == []


def test_no_two_questions_are_near_duplicates(questions: list[Question]) -> None:
    assert too_similar([question.text for question in questions]) == []


def test_no_phrase_is_repeated_across_many_paragraphs() -> None:
    counts: Counter[tuple[str, ...]] = Counter()
    for paragraph in paragraphs("train") + paragraphs("validation"):
        listed = words(paragraph)
        counts.update({tuple(listed[at : at + PHRASE_LENGTH]) for at in range(len(listed) - PHRASE_LENGTH + 1)})
    assert {" ".join(phrase): count for phrase, count in counts.items() if count > LARGEST_PHRASE_COUNT} == {}


def test_questions_are_of_many_kinds(questions: list[Question]) -> None:
    assert [question.text for question in questions if not question.text.endswith("?")] == []
    first_words = Counter(words(question.text)[0] for question in questions)
    assert len(first_words) >= 8
    assert max(first_words.values()) <= 0.35 * len(questions)


def test_answers_are_spread_over_the_paragraph(questions: list[Question]) -> None:
    thirds = Counter(3 * question.answers[0].start // len(question.context) for question in questions)
    assert set(thirds) == {0, 1, 2}
    assert all(0.2 <= count / len(questions) <= 0.6 for count in thirds.values())


@pytest.mark.parametrize("split", PARAGRAPHS)
def test_word_overlap_baseline_finds_the_sentence_of_some_answers_only(questions: list[Question], split: str) -> None:
    chosen = [question for question in questions if question.split == split]
    found = 0
    for question in chosen:
        asked = set(words(question.text))
        sentences = list(SENTENCE.finditer(question.context))
        best = max(sentences, key=lambda sentence: len(asked & set(words(sentence.group()))))
        found += best.start() <= question.answers[0].start < best.end()
    assert 0.25 <= found / len(chosen) <= 0.5
