"""Entities against a port of conlleval, line by line, and against seqeval; schemes and their mistakes by hand."""

import re
import warnings
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import seqeval.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2

from finetune.errors import DataError
from finetune.metrics.entities import (
    Entity,
    counts,
    from_entities,
    per_type,
    problems,
    read,
    scheme_of,
    scores,
    strict,
    to_iob2,
)

CLOSE = 1e-12
TYPES = ("PER", "LOC", "date-time")

# conlleval.pl, restated


def conlleval_parts(tag: str) -> tuple[str, str]:
    found = re.fullmatch(r"([^-]*)-(.*)", tag)
    return (found.group(1), found.group(2)) if found else (tag, "")


def conlleval_ends(before: str, tag: str, type_before: str, type_: str) -> bool:
    ends = False
    if before == "B" and tag == "B":
        ends = True
    if before == "B" and tag == "O":
        ends = True
    if before == "I" and tag == "B":
        ends = True
    if before == "I" and tag == "O":
        ends = True
    if before == "E" and tag == "E":
        ends = True
    if before == "E" and tag == "I":
        ends = True
    if before == "E" and tag == "O":
        ends = True
    if before not in ("O", ".") and type_before != type_:
        ends = True
    return ends


def conlleval_starts(before: str, tag: str, type_before: str, type_: str) -> bool:
    starts = False
    if before == "B" and tag == "B":
        starts = True
    if before == "I" and tag == "B":
        starts = True
    if before == "O" and tag == "B":
        starts = True
    if before == "O" and tag == "I":
        starts = True
    if before == "E" and tag == "E":
        starts = True
    if before == "E" and tag == "I":
        starts = True
    if before == "O" and tag == "E":
        starts = True
    if tag not in ("O", ".") and type_before != type_:
        starts = True
    return starts


def conlleval_entities(tags: list[str]) -> list[Entity]:
    found: list[Entity] = []
    before, type_before, start = "O", "", -1
    for position, (tag, type_) in enumerate([*map(conlleval_parts, tags), ("O", "")]):
        if conlleval_ends(before, tag, type_before, type_):
            found.append(Entity(type_before, start, position))
        if conlleval_starts(before, tag, type_before, type_):
            start = position
        before, type_before = tag, type_
    return found


def seqeval_entities(tags: list[str]) -> list[Entity]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [Entity(type_, start, last + 1) for type_, start, last in get_entities(tags)]


def sequences(prefixes: str, plain: tuple[str, ...] = ("O",), most: int = 12) -> st.SearchStrategy[list[str]]:
    """Any tags of these prefixes, also where no scheme allows them."""
    typed = st.tuples(st.sampled_from(prefixes), st.sampled_from(TYPES)).map("-".join)
    return st.lists(st.one_of(typed, typed, st.sampled_from(plain)), max_size=most)


def entity_lists(most: int = 12) -> st.SearchStrategy[tuple[list[Entity], int]]:
    """Entities that do not overlap, in order, and the length of their sentence."""
    steps = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from(TYPES)), max_size=most // 3)

    def placed(steps: list[tuple[int, int, str]]) -> tuple[list[Entity], int]:
        found, at = [], 0
        for gap, words, type_ in steps:
            found.append(Entity(type_, at + gap, at + gap + words))
            at += gap + words
        return found, at + 1

    return steps.map(placed)


def written(entities: list[Entity], length: int, scheme: str) -> list[str]:
    """Tags of entities in a scheme."""
    tags = ["O"] * length
    for entity in entities:
        prefixes = ["I"] * (entity.end - entity.start)
        if scheme == "iob1":
            touches = any(other.type == entity.type and other.end == entity.start for other in entities)
            prefixes[0] = "B" if touches else "I"
        if scheme in ("iob2", "bioes", "bilou"):
            prefixes[0] = "B"
        if scheme in ("bioes", "bilou"):
            prefixes[-1] = "EL"[scheme == "bilou"]
            prefixes = ["SU"[scheme == "bilou"]] if len(prefixes) == 1 else prefixes
        tags[entity.start : entity.end] = [f"{prefix}-{entity.type}" for prefix in prefixes]
    return tags


def b_follows_e(tags: list[str]) -> bool:
    """Whether an entity begins with B right after another of its type ended with E, which conlleval takes for one."""
    return any(first[0] == "E" and second == f"B{first[1:]}" for first, second in pairwise(tags))


# Reading


@given(tags=sequences("BI"))
@settings(deadline=None, max_examples=600)
def test_entities_of_b_and_i_are_read_as_by_conlleval(tags: list[str]) -> None:
    assert read(tags) == conlleval_entities(tags)


@given(tags=sequences("BIE").filter(lambda tags: not b_follows_e(tags)))
@settings(deadline=None, max_examples=600)
def test_entities_of_b_i_and_e_are_read_as_by_conlleval_but_where_b_follows_e(tags: list[str]) -> None:
    assert read(tags) == conlleval_entities(tags)


@given(tags=sequences("BIES"))
@settings(deadline=None, max_examples=600)
def test_entities_of_b_i_e_and_s_are_read_as_by_seqeval(tags: list[str]) -> None:
    assert read(tags) == seqeval_entities(tags)


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes", "bilou"])
@given(case=entity_lists())
@settings(deadline=None, max_examples=200)
def test_entities_written_in_a_scheme_are_read_back(scheme: str, case: tuple[list[Entity], int]) -> None:
    entities, length = case
    assert read(written(entities, length, scheme)) == entities


def test_conlleval_joins_what_e_separates_from_b_and_seqeval_does_not() -> None:
    tags = ["B-PER", "E-PER", "B-PER", "E-PER"]
    assert conlleval_entities(tags) == [Entity("PER", 0, 4)]
    assert read(tags) == seqeval_entities(tags) == [Entity("PER", 0, 2), Entity("PER", 2, 4)]


def test_seqeval_joins_neighbours_in_bilou_and_this_does_not() -> None:
    tags = ["U-PER", "U-PER"]
    assert seqeval_entities(tags) == [Entity("PER", 0, 2)]
    assert read(tags) == [Entity("PER", 0, 1), Entity("PER", 1, 2)]


def test_seqeval_takes_a_word_without_a_prefix_for_an_entity_and_this_does_not() -> None:
    assert seqeval_entities(["O", "PER"]) == [Entity("ER", 1, 2)]
    assert read(["O", "PER"]) == []


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("I-PER I-PER O", [("PER", 0, 2)]),
        ("I-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("B-PER I-LOC", [("PER", 0, 1), ("LOC", 1, 2)]),
        ("B-PER I-PER I-LOC I-LOC", [("PER", 0, 2), ("LOC", 2, 4)]),
        ("O B-date-time I-date-time", [("date-time", 1, 3)]),
        ("B-date-time I-date", [("date-time", 0, 1), ("date", 1, 2)]),
        ("S-PER I-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("E-PER E-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("B-PER E-LOC", [("PER", 0, 1), ("LOC", 1, 2)]),
        ("B-PER L-PER U-PER", [("PER", 0, 2), ("PER", 2, 3)]),
        ("B-PER L-PER I-PER", [("PER", 0, 2), ("PER", 2, 3)]),
        ("B-PER NN I-PER", [("PER", 0, 1), ("PER", 2, 3)]),
        ("X-PER -LRB- B", []),
        ("B-PER O-PER I-PER", [("PER", 0, 1), ("PER", 2, 3)]),
        ("B--LRB- I--LRB-", [("-LRB-", 0, 2)]),
    ],
)
def test_entities_read_by_hand(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert read(tags.split()) == expected


# Strictly


@given(tags=sequences("BI"))
@settings(deadline=None, max_examples=600)
def test_strict_entities_begin_with_b_and_keep_their_type(tags: list[str]) -> None:
    pieces = [entity for entity in read(tags) if tags[entity.start].startswith("B-")]
    assert strict(tags) == pieces


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("I-PER O", []),
        ("B-PER I-LOC I-LOC", [("PER", 0, 1)]),
        ("O I-PER B-PER I-PER", [("PER", 2, 4)]),
        ("B-x- I-x-", [("x-", 0, 2)]),
    ],
)
def test_strict_entities_by_hand(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert strict(tags.split()) == expected


@pytest.mark.parametrize("tag", ["E-PER", "PER", "X-PER", "-LRB-", "", "Other"])
def test_strict_reading_refuses_what_is_no_iob2_and_says_where(tag: str) -> None:
    with pytest.raises(DataError, match=re.escape(f"{tag!r} of word 1")):
        strict(["O", tag])


# Conversion


@given(tags=sequences("BIESLU", ("O", "NN", "X-PER")))
@settings(deadline=None, max_examples=600)
def test_conversion_keeps_the_entities_and_gives_valid_iob2(tags: list[str]) -> None:
    converted = to_iob2(tags)
    assert len(converted) == len(tags)
    assert read(converted) == strict(converted) == read(tags)
    assert problems(converted, "iob2") == []


@given(case=entity_lists())
@settings(deadline=None, max_examples=200)
def test_tags_of_entities_are_iob2(case: tuple[list[Entity], int]) -> None:
    entities, length = case
    assert from_entities(entities, length) == written(entities, length, "iob2")


# Schemes


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes", "bilou"])
@given(case=entity_lists())
@settings(deadline=None, max_examples=200)
def test_tags_written_in_a_scheme_have_no_problem_there(scheme: str, case: tuple[list[Entity], int]) -> None:
    tags = written(*case, scheme)
    assert problems(tags, {"bilou": "bioes"}.get(scheme, scheme)) == []


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes"])
@given(tags=sequences("BIES", ("O", "NN")))
@settings(deadline=None, max_examples=250)
def test_tags_without_a_problem_are_how_the_scheme_writes_their_entities(scheme: str, tags: list[str]) -> None:
    alike = tags == written(read(tags), len(tags), scheme)
    assert (problems(tags, scheme) == []) == alike


@pytest.mark.parametrize(
    ("tags", "scheme", "position", "words"),
    [
        ("O I-PER", "iob2", 1, "I-PER after O: nothing to go on with, an entity begins with B-PER"),
        ("I-PER", "iob2", 0, "I-PER at the beginning: nothing to go on with"),
        ("B-PER I-LOC", "iob2", 1, "I-LOC after B-PER: nothing to go on with"),
        ("B-PER E-PER", "iob2", 1, "unknown prefix 'E'; iob2 has B, I"),
        ("O B-PER", "iob1", 1, "begin with I-PER"),
        ("I-LOC B-PER", "iob1", 1, "B- only separates two entities of one type"),
        ("O E-PER", "bioes", 1, "nothing to go on with"),
        ("B-PER O", "bioes", 0, "not closed, an entity ends with E-PER"),
        ("B-PER I-PER S-PER", "bioes", 1, "not closed"),
        ("B-PER", "bioes", 0, "one of a single word is S-PER"),
        ("O X-PER", "iob2", 1, "unknown prefix 'X'"),
        ("O -LRB-", "iob2", 1, "unknown prefix ''"),
        ("O PER", "iob2", 1, "neither O nor a prefix (B, I), a hyphen and a type"),
        ("O B-", "iob2", 1, "no type after the hyphen"),
        ("O O-PER", "iob2", 1, "unknown prefix 'O'"),
    ],
)
def test_a_mistake_is_found_and_said_in_words(tags: str, scheme: str, position: int, words: str) -> None:
    [(found, said)] = problems(tags.split(), scheme)
    assert found == position
    assert words in said


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        (["B-PER I-PER O", "O B-LOC"], "iob2"),
        (["I-PER I-PER O", "I-LOC B-LOC"], "iob1"),
        (["I-PER O I-LOC"], "iob1"),
        (["B-PER E-PER O", "S-LOC"], "bioes"),
        (["B-PER L-PER O", "U-LOC"], "bioes"),
        (["S-PER O S-LOC"], "bioes"),
        (["O O", "O"], None),
        ([], None),
        (["DT NN VBZ", "PRP$ NN"], None),
        (["-LRB- NN -RRB-", "NN-PL VB"], None),
        (["yes no I-don't-know", "yes"], None),
        (["I-don't-know yes"], None),
        (["B I O"], None),
        (["B-date-time I-date-time O"], "iob2"),
        (["B-PER O", "O I-LOC"], "iob2"),
    ],
)
def test_the_scheme_of_a_corpus(corpus: list[str], expected: str | None) -> None:
    assert scheme_of([line.split() for line in corpus]) == expected


@pytest.mark.parametrize(
    ("mistake", "corpus", "expected"),
    [
        ("O I-PER", ["B-PER I-PER O", "B-LOC O", "O B-LOC I-LOC B-PER"], "iob2"),
        ("O B-PER", ["I-PER I-PER O", "I-LOC O", "O I-LOC I-LOC I-PER"], "iob1"),
        ("B-PER E-PER O", ["B-PER I-PER O", "B-LOC O", "O B-LOC I-LOC B-PER"], "iob2"),
        ("B-PER O", ["B-PER E-PER O", "S-LOC O", "O B-LOC E-LOC S-PER"], "bioes"),
        ("PER O", ["B-PER I-PER O", "B-LOC O", "O B-LOC I-LOC B-PER"], "iob2"),
    ],
)
def test_one_mistake_does_not_change_the_scheme_of_a_corpus(mistake: str, corpus: list[str], expected: str) -> None:
    assert scheme_of([line.split() for line in [*corpus, mistake]]) == expected


# Scores


def total(
    gold: list[list[str]], predicted: list[list[str]], reading: Callable[[list[str]], list[Entity]]
) -> np.ndarray:
    pairs = zip(gold, predicted, strict=True)
    return sum((counts(reading(one), reading(other), TYPES) for one, other in pairs), np.zeros((len(TYPES), 3), int))


def corpora(prefixes: str) -> st.SearchStrategy[tuple[list[list[str]], list[list[str]]]]:
    """Gold and predicted tags of a few sentences."""
    tag = st.one_of(st.tuples(st.sampled_from(prefixes), st.sampled_from(TYPES)).map("-".join), st.just("O"))
    pair = st.lists(st.tuples(tag, st.one_of(st.none(), tag)), min_size=1, max_size=10)
    # a predicted tag is often the gold one, else hardly an entity would be correct

    def split(sentences: list[list[tuple[str, str | None]]]) -> tuple[list[list[str]], list[list[str]]]:
        gold = [[one for one, _other in sentence] for sentence in sentences]
        return gold, [[other or one for one, other in sentence] for sentence in sentences]

    return st.lists(pair, min_size=1, max_size=4).map(split)


SEQEVAL = {
    "precision": seqeval.metrics.precision_score,
    "recall": seqeval.metrics.recall_score,
    "f1": seqeval.metrics.f1_score,
}


@pytest.mark.parametrize(
    ("reading", "arguments"), [(read, {}), (strict, {"mode": "strict", "scheme": IOB2})], ids=["lenient", "strict"]
)
@given(case=corpora("BI"))
@settings(deadline=None, max_examples=250)
def test_scores_are_those_of_seqeval(
    reading: Callable[[list[str]], list[Entity]], arguments: dict[str, object], case: tuple[list[list[str]], ...]
) -> None:
    gold, predicted = case
    expected = {name: direct(gold, predicted, zero_division=0, **arguments) for name, direct in SEQEVAL.items()}
    assert scores(total(gold, predicted, reading)) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize(
    ("reading", "arguments"), [(read, {}), (strict, {"mode": "strict", "scheme": IOB2})], ids=["lenient", "strict"]
)
@given(case=corpora("BI"))
@settings(deadline=None, max_examples=200)
def test_scores_of_a_type_are_those_of_seqeval(
    reading: Callable[[list[str]], list[Entity]], arguments: dict[str, object], case: tuple[list[list[str]], ...]
) -> None:
    gold, predicted = case
    found = per_type(total(gold, predicted, reading), TYPES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of seqeval's mean over no types
        report = seqeval.metrics.classification_report(gold, predicted, output_dict=True, zero_division=0, **arguments)
    nothing = {"precision": 0, "recall": 0, "f1-score": 0, "support": 0}
    for name in TYPES:
        expected = report.get(name, nothing)
        assert found[name]["f1"] == pytest.approx(expected["f1-score"], abs=CLOSE)
        assert [found[name][kind] for kind in ("precision", "recall", "support")] == pytest.approx(
            [expected[kind] for kind in ("precision", "recall", "support")], abs=CLOSE
        )


def test_counts_by_hand() -> None:
    gold = [Entity("PER", 0, 2), Entity("LOC", 3, 4), Entity("LOC", 5, 6)]
    predicted = [Entity("PER", 0, 1), Entity("LOC", 3, 4), Entity("PER", 5, 6), Entity("ORG", 7, 8)]
    assert counts(gold, predicted, ["LOC", "PER"]).tolist() == [[2, 1, 1], [1, 2, 0]]


def test_scores_by_hand() -> None:
    found = scores(np.array([[2, 1, 1], [1, 2, 0]]))
    assert found == pytest.approx({"precision": 1 / 3, "recall": 1 / 3, "f1": 1 / 3}, abs=CLOSE)


def test_scores_of_each_type_by_hand() -> None:
    found = per_type(np.array([[4, 2, 2], [1, 0, 0]]), ["LOC", "PER"])
    assert found["LOC"] == pytest.approx({"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 4}, abs=CLOSE)
    assert found["PER"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_without_any_entity_every_score_is_zero() -> None:
    assert scores(np.zeros((2, 3))) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
