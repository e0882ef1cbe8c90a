"""Entities in sequences of tags, and scores of entities found.

A tag is `O`, or a prefix, a hyphen and a type: `B-PER`. Three schemes are known:

- `iob1` (Ramshaw and Marcus 1995): words of an entity are `I-`; `B-` only begins an entity that directly follows
  another of its type.
- `iob2`: every entity begins with `B-` and goes on with `I-`.
- `bioes`, also called IOBES, and with `L` for `E` and `U` for `S` BILOU: an entity of several words goes from `B-` over
  `I-` to `E-`; an entity of one word is `S-`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from finetune.errors import DataError

Scheme = Literal["iob1", "iob2", "bioes"]


class Entity(NamedTuple):
    """An entity: its type, its first word, and the word after its last, counted from 0."""

    type: str
    start: int
    end: int


_KNOWN = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S"}
_USED: dict[Scheme, str] = {"iob1": "BI", "iob2": "BI", "bioes": "BIESLU"}
_OUTSIDE = ("O", "")


def read(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sequence in any scheme, in order, read as leniently as conlleval does (Tjong Kim Sang 2000).

    A word goes on with an entity where its prefix is I or E, the prefix before it B or I, and the type is the same.
    Every other word with a prefix begins an entity, whichever prefix it is. Unlike conlleval, which knows no scheme
    with S, an entity also ends at E, S, L and U whatever follows; and a tag without a hyphen or with an unknown prefix
    is O.

    Args:
        tags: One tag a word, `(words,)`.
    """
    found: list[Entity] = []
    previous = _OUTSIDE
    start = 0
    for position, current in enumerate([*map(_parts, tags), _OUTSIDE]):
        if _goes_on(previous, current):
            previous = current
            continue
        if previous[0] != "O":
            found.append(Entity(previous[1], start, position))
        previous, start = current, position
    return found


def strict(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sequence in IOB2 that begin with B and have one type: those of seqeval's strict mode.

    Args:
        tags: One tag a word, `(words,)`.

    Raises:
        DataError: A tag is neither O nor begins with `B-` or `I-`.
    """
    from seqeval.scheme import IOB2, Tokens

    for position, tag in enumerate(tags):
        if tag != "O" and not tag.startswith(("B-", "I-")):
            raise DataError(f"tag {tag!r} of word {position} is not IOB2: write O, B-TYPE or I-TYPE.")
    entities = Tokens(list(tags), IOB2).entities
    # the type is read from the tag, for seqeval strips hyphens that belong to it
    return [Entity(_parts(tags[entity.start])[1], entity.start, entity.end) for entity in entities]


def scheme_of(sequences: Sequence[Sequence[str]]) -> Scheme | None:
    """The scheme in which a corpus is written; None for plain tags, such as parts of speech.

    Of the three schemes it is the one against which the fewest words offend; iob2 where that leaves a choice. The tags
    are plain where at least as many different ones lack a known prefix as have one: "I-don't-know" among the tags of
    a dialogue makes no scheme.

    Args:
        sequences: The tags of each sentence, `(sentences, words)`.
    """
    different = {tag for tags in sequences for tag in tags} - {"O"}
    typed = sum(_parts(tag) != _OUTSIDE for tag in different)
    if typed <= len(different) - typed:
        return None
    unlike = set(map(tuple, sequences))
    schemes: tuple[Scheme, ...] = ("iob2", "iob1", "bioes")
    return min(schemes, key=lambda scheme: sum(len(problems(tags, scheme)) for tags in unlike))


def problems(tags: Sequence[str], scheme: Scheme) -> list[tuple[int, str]]:
    """Where a sequence breaks the rules of its scheme: position from 0, and what is wrong there in words.

    Args:
        tags: One tag a word, `(words,)`.
        scheme: The scheme in which they are meant.
    """
    parts = [_OUTSIDE, *map(_parts, tags), _OUTSIDE]
    found = []
    for position, tag in enumerate(tags):
        wrong = _prefix_problem(tag, scheme) or _order_problem(tag, scheme, *parts[position : position + 3])
        if wrong:
            before = f" after {tags[position - 1]}" if position else " at the beginning"
            found.append((position, f"{tag}{before}: {wrong}"))
    return found


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Tags of any scheme, `(words,)`, as IOB2."""
    return from_entities(read(tags), len(tags))


def from_entities(entities: Sequence[Entity], length: int) -> list[str]:
    """IOB2 tags, `(length,)`, of entities that do not overlap and end within `length`."""
    tags = ["O"] * length
    for entity in entities:
        words = entity.end - entity.start
        tags[entity.start : entity.end] = [f"B-{entity.type}", *[f"I-{entity.type}"] * (words - 1)]
    assert len(tags) == length, "an entity ends beyond its sentence"
    return tags


def counts(gold: Sequence[Entity], predicted: Sequence[Entity], types: Sequence[str]) -> np.ndarray:
    """Gold, predicted and correct entities of each type, `(types, 3)`; correct: the same type, start and end.

    Args:
        gold: The entities of one sentence.
        predicted: The entities found in it.
        types: The types that are counted; entities of other types are left out.
    """
    positions = {name: position for position, name in enumerate(types)}
    found = np.zeros((len(types), 3), dtype=np.int64)
    for column, entities in enumerate((gold, predicted, set(gold) & set(predicted))):
        for entity in entities:
            if entity.type in positions:
                found[positions[entity.type], column] += 1
    return found


def scores(counts: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 over the entities of all types (micro), from counts `(types, 3)`; 0/0 is 0."""
    gold, predicted, correct = counts.sum(axis=0).tolist()
    return {
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / gold if gold else 0.0,
        "f1": 2 * correct / (gold + predicted) if gold + predicted else 0.0,
    }


def per_type(counts: np.ndarray, types: Sequence[str]) -> dict[str, dict[str, float]]:
    """Type -> precision, recall, F1 and support (gold entities), from counts `(types, 3)`; 0/0 is 0."""
    return {
        name: {**scores(row[np.newaxis]), "support": row[0].item()} for name, row in zip(types, counts, strict=True)
    }


def _parts(tag: str) -> tuple[str, str]:
    """Prefix, L as E and U as S, and type; a tag without a known prefix is outside."""
    prefix, hyphen, kind = tag.partition("-")
    return (_KNOWN[prefix], kind) if hyphen and prefix in _KNOWN else _OUTSIDE


def _goes_on(previous: tuple[str, str], current: tuple[str, str]) -> bool:
    return previous[0] in "BI" and current[0] in "IE" and previous[1] == current[1]


def _prefix_problem(tag: str, scheme: Scheme) -> str:
    """What is wrong with a tag wherever it stands, in words; empty: nothing."""
    prefix, hyphen, kind = tag.partition("-")
    if tag == "O":
        return ""
    if not hyphen:
        return f"neither O nor a prefix ({', '.join(_USED[scheme])}), a hyphen and a type"
    if prefix not in _USED[scheme] or not prefix:
        return f"unknown prefix {prefix!r}; {scheme} has {', '.join(_USED[scheme])}"
    return "" if kind else "no type after the hyphen"


def _order_problem(
    tag: str, scheme: Scheme, previous: tuple[str, str], current: tuple[str, str], following: tuple[str, str]
) -> str:
    """What is wrong with a tag where it stands, in words; empty: nothing."""
    prefix, kind = current
    if scheme == "iob1":
        follows = previous[0] != "O" and previous[1] == kind
        return (
            f"B- only separates two entities of one type, begin with I-{kind}" if prefix == "B" and not follows else ""
        )
    if prefix in "IE" and not _goes_on(previous, current):
        return f"nothing to go on with, an entity begins with B-{kind}"
    if scheme == "bioes" and prefix in "BI" and not _goes_on(current, following):
        return f"not closed, an entity ends with E-{kind} (or L-{kind}), one of a single word is S-{kind} (or U-{kind})"
    return ""
