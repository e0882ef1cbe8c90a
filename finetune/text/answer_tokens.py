"""Where an answer stands among the tokens of a window."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from finetune.text.windows import Cut

Span = tuple[int, int]


def seen(cuts: Sequence[Cut], golds: Sequence[Span | None]) -> dict[int, Span]:
    """Row -> the characters of its answer, from the first to the last that a token stands for."""
    found: dict[int, Span] = {}
    for cut in cuts:
        gold = golds[cut.row]
        inside = gold and _shared(cut, gold)
        if gold and inside:
            start, end = max(gold[0], cut.starts[inside[0]]), min(gold[1], cut.ends[inside[1]])
            before = found.get(cut.row, (start, end))
            found[cut.row] = min(start, before[0]), max(end, before[1])
    return found


def target(cut: Cut, gold: Span | None) -> Span | None:
    """First and last token of the answer, counted from the window's first, where the window holds all of it."""
    if gold is None or not cut.starts or gold[0] < cut.starts[0] or gold[1] > cut.ends[-1]:
        return None
    inside = _shared(cut, gold)
    return inside and (cut.first + inside[0], cut.first + inside[1])


def _shared(cut: Cut, gold: Span) -> Span | None:
    """The first and last token, counted from the text's first, that stand for characters of the answer."""
    begin, stop = bisect_right(cut.ends, gold[0]), bisect_left(cut.starts, gold[1]) - 1
    return (begin, stop) if begin <= stop else None
