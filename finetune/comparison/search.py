"""Which learning rates a method is tried with: a grid, and rounds beyond or within it, of equal number for all."""

from __future__ import annotations

import math
from collections.abc import Mapping

FACTOR = math.sqrt(10)
"""Between two neighbours of a grid."""


def grid(middle: float, count: int) -> tuple[float, ...]:
    """Rates around a method's own, each a factor of the square root of 10 apart; of an even number, one more above.

    Args:
        middle: Stays as it is; the others are rounded to two digits.
        count: How many.
    """
    below = (count - 1) // 2
    steps = range(-below, count - below)
    return tuple(middle if step == 0 else rounded(middle * FACTOR**step) for step in steps)


def chosen(scores: Mapping[float, float | None]) -> float | None:
    """The rate of the best score; of equal ones that nearest to the middle of those tried, and none where all diverged.

    Args:
        scores: Rate -> score, more is better; None where the training diverged.
    """
    found = {rate: score for rate, score in scores.items() if score is not None and not math.isnan(score)}
    middle = sum(map(math.log, scores)) / max(1, len(scores))  # where nothing is learned, no edge should look best
    return min(found, key=lambda rate: (-found[rate], abs(math.log(rate) - middle), rate)) if found else None


def at_edge(scores: Mapping[float, float | None]) -> bool:
    """Whether a better rate may lie beyond those tried."""
    best = chosen(scores)
    return best is None or (len(scores) > 1 and best in (min(scores), max(scores)))


def another(scores: Mapping[float, float | None]) -> float:
    """The rate to try next: one step beyond the edge if the best lies there, else between it and its better neighbour.

    Args:
        scores: As of `chosen`.
    """
    rates, best = sorted(scores), chosen(scores)
    if best is None or best == rates[0]:
        return rounded(rates[0] / FACTOR)
    if best == rates[-1]:
        return rounded(rates[-1] * FACTOR)
    place = rates.index(best)
    beside = (rates[place - 1], rates[place + 1])
    values = [scores[rate] for rate in beside]
    ranked = [-math.inf if value is None or math.isnan(value) else value for value in values]
    return _between(best, beside[0] if ranked[0] >= ranked[1] else beside[1])


def rounded(rate: float, digits: int = 2) -> float:
    """To so many digits that count."""
    return float(f"{rate:.{digits - 1}e}")


def _between(one: float, other: float) -> float:
    """Their geometric mean, with as many digits as tell it from both."""
    mean = math.sqrt(one * other)
    return next(rate for digits in range(2, 18) if (rate := rounded(mean, digits)) not in (one, other))
