"""What several seeds on the same rows say of methods beside a reference: pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from finetune.statistics.holm import holm
from finetune.statistics.seeds import Interval, interval
from finetune.statistics.variation import Variation

MOST_SEEDS = 100
"""More seeds than these are no advice."""
MOST_ROWS = 1000
"""Times the rows that there are; more are no advice."""


@dataclass(frozen=True)
class Verdict:
    """A method beside the reference. What cannot be known is None.

    Attributes:
        difference: Mean score of the method less that of the reference, whichever direction is better.
        low: Lower end of its interval.
        high: Upper end.
        df: Degrees of freedom of Student's t.
        p: How often such a difference is found between methods that are expected to score the same, two-sided.
        p_holm: The same corrected for the number of methods (Holm 1979).
        verdict: `better`, `worse`, `no worse`, `worse but within the margin` or `cannot tell`.
        words: The verdict for a person, and what would help where it is none.
        more_rows: About how many more rows of the same kind would settle it; None where no number would, or none is
            needed.
        more_seeds: The same of seeds.
    """

    difference: float | None
    low: float | None
    high: float | None
    df: float | None
    p: float | None
    p_holm: float | None
    verdict: str
    words: str
    more_rows: int | None = None
    more_seeds: int | None = None


def judge(
    methods: Mapping[str, np.ndarray],
    reference: str,
    higher_is_better: bool,
    margin: float,
    level: float = 0.95,
    point: float = 0.01,
) -> dict[str, Verdict]:
    """Each method beside the reference, paired by seed and row.

    It speaks of methods, with other seeds and rows too, not of the models at hand. `better` and `worse`: the interval
    leaves out 0, and so does the test after Holm's correction. `no worse` (non-inferiority): the method is not worse by
    more than the margin, as the interval's end on that side says; each of these errs in at most (1 - level) / 2 of
    cases by itself, without a correction for their number.

    Args:
        methods: Name -> `(seeds, rows)` pseudo-values, the same seeds and rows in all.
        reference: One of the names.
        higher_is_better: Direction of the score.
        margin: By how much worse still counts as no worse.
        level: Of the intervals; tests are made at 1 - level.
        point: What one point of the score is, for the words.

    Returns:
        Method -> verdict, without the reference.
    """
    assert len({values.shape for values in methods.values()}) == 1, "methods are compared on the same seeds and rows"
    differences = {name: values - methods[reference] for name, values in methods.items() if name != reference}
    intervals = {name: interval(values, level) for name, values in differences.items()}
    p_values = {name: _p_value(values, intervals[name]) for name, values in differences.items()}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    terms = _Terms(1 if higher_is_better else -1, margin, level, point)
    return {
        name: _verdict(values, intervals[name], p_values[name], corrected[name], terms)
        for name, values in differences.items()
    }


@dataclass(frozen=True)
class _Terms:
    sign: int
    margin: float
    level: float
    point: float

    @property
    def points(self) -> str:
        number = f"{self.margin / self.point:g}"
        return f"{number} point{'' if number == '1' else 's'}"


def _p_value(values: np.ndarray, found: Interval) -> float | None:
    if found.mean is None or found.low is None:
        return None
    return Variation.of(values).p_value(found.mean)


def _verdict(values: np.ndarray, found: Interval, p: float | None, p_holm: float | None, terms: _Terms) -> Verdict:
    known = (found.mean, found.low, found.high, found.df, p, p_holm)
    if found.mean is None:
        return Verdict(*known, "cannot tell", "cannot tell; a score is no number")
    if found.low is None or found.high is None or p_holm is None:
        return Verdict(*known, "cannot tell", "cannot tell from one row")
    if not values.any():
        return Verdict(*known, "cannot tell", "cannot tell; the same on every row and seed")
    worst, best = sorted((terms.sign * found.low, terms.sign * found.high))
    significant = p_holm < 1 - terms.level
    one_seed = " (one seed: what others would change is not known)" if len(values) == 1 else ""
    if significant and worst > 0:
        return Verdict(*known, "better", f"better{one_seed}")
    if significant and best < 0:
        if worst > -terms.margin:
            return Verdict(*known, "worse but within the margin", f"worse, but by less than {terms.points}{one_seed}")
        return Verdict(*known, "worse", f"worse{one_seed}")
    if worst > -terms.margin:
        return Verdict(*known, "no worse", f"no worse than {terms.points}{one_seed}")
    strictness = p_holm / p if p else 1.0
    rows, seeds = _needed(Variation.of(values), terms.sign * found.mean, terms, strictness)
    return Verdict(*known, "cannot tell", f"cannot tell; {_advice(rows, seeds)}{one_seed}", rows, seeds)


def _needed(found: Variation, gain: float, terms: _Terms, strictness: float) -> tuple[int | None, int | None]:
    """How many more rows, or else seeds, would bring the interval to one side of 0, or above the margin.

    Args:
        found: How much the differences vary.
        gain: Their mean, positive where the method is better.
        terms: Margin and level.
        strictness: By what Holm's correction multiplies the p-value, which decides on which side of 0 it is.
    """
    beyond = abs(gain) > terms.margin
    gap = abs(gain) if beyond else gain + terms.margin
    level = 1 - (1 - terms.level) / strictness if beyond else terms.level

    def settled(seeds: int, rows: int) -> bool:
        return found.scaled(seeds, rows).half_width(level) < gap

    rows = _least(lambda more: settled(found.seeds, found.rows + more), MOST_ROWS * found.rows)
    seeds = _least(lambda more: settled(found.seeds + more, found.rows), MOST_SEEDS) if found.seeds > 1 else None
    return rows, seeds


def _least(enough: Callable[[int], bool], most: int) -> int | None:
    """The least number that is enough, rounded up to two digits; None where `most` is not."""
    high = 1
    while not enough(high):
        if high >= most:
            return None
        high = min(2 * high, most)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    digit: int = 10 ** max(0, len(str(high)) - 2)
    return math.ceil(high / digit) * digit


def _advice(rows: int | None, seeds: int | None) -> str:
    wanted = [f"{rows:,} more row{'s' if rows > 1 else ''}"] if rows else []
    wanted += [f"{seeds} more seed{'s' if seeds > 1 else ''}"] if seeds else []
    return f"needs about {' or '.join(wanted)}" if wanted else "neither more rows nor more seeds alone would settle it"
