"""Which rows two splits share, by their content: pure functions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Row = tuple[str, str]
"""Content of the inputs, and of the target, of a row."""


@dataclass(frozen=True)
class Matched:
    """Two splits beside each other, by positions.

    Attributes:
        same: Pairs of rows with equal inputs and equal targets.
        relabelled: Pairs of rows with equal inputs and other targets.
        removed: Rows of the first alone.
        added: Rows of the second alone.
    """

    same: list[tuple[int, int]]
    relabelled: list[tuple[int, int]]
    removed: list[int]
    added: list[int]


def row(inputs: Iterable[Any], target: Any) -> Row:
    """What a row is known by, whatever its columns are called.

    Args:
        inputs: Values of its input columns.
        target: As a person reads it.
    """
    return _content(list(inputs)), _content(target)


def matched(before: Sequence[Row], after: Sequence[Row]) -> Matched:
    """Pair the rows of two splits; a row that occurs several times is paired as often as both have it."""
    same = _pairs(dict(enumerate(before)), dict(enumerate(after)))
    old, new = ({pair[side] for pair in same} for side in (0, 1))
    inputs_before = {place: content for place, (content, _) in enumerate(before) if place not in old}
    inputs_after = {place: content for place, (content, _) in enumerate(after) if place not in new}
    relabelled = _pairs(inputs_before, inputs_after)
    gone, come = ({pair[side] for pair in relabelled} for side in (0, 1))
    return Matched(
        same,
        relabelled,
        [place for place in inputs_before if place not in gone],
        [place for place in inputs_after if place not in come],
    )


def _pairs(before: dict[int, Any], after: dict[int, Any]) -> list[tuple[int, int]]:
    """Positions of equal values, each used once, in the order of the first."""
    places: dict[Any, list[int]] = defaultdict(list)
    for place, value in reversed(after.items()):
        places[value].append(place)
    return [(place, places[value].pop()) for place, value in before.items() if places.get(value)]


def _content(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
