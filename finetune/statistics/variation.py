"""How a table of values by seed and row varies, and how well its mean is known: pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

USUAL = 0.05
"""Error of the intervals for which the degrees of freedom need no caution beyond that for few seeds."""
ACCURACY = 1e-6
"""Of a p value, as a share of it."""
LEAST = 1 / 8
"""Share of `USUAL` below which caution grows no more: that of the first test of eight."""


@dataclass(frozen=True)
class Variation:
    """Variances of a table of values, `(seeds, rows)`, both drawn at random: two-way random effects.

    A value is the mean, plus what its seed brings to all rows, plus what its row brings to all seeds, plus the rest.
    The variance of the mean is `between / seeds + shared / rows`: the first part already holds the rest's share.

    Attributes:
        seeds: How many there are.
        rows: How many there are.
        between: Variance of the seeds' means, each over all rows; 0 of one seed, where nothing is known of it.
        shared: Mean covariance of two seeds' values over rows, which more seeds do not diminish; negative ones count
            as 0. Of one seed: the variance of its values.
        residual: Variance of what neither seed nor row explains; 0 of one seed.
    """

    seeds: int
    rows: int
    between: float
    shared: float
    residual: float

    @staticmethod
    def of(values: np.ndarray) -> Variation:
        """The variation of `(seeds, rows)` values, two rows or more, by mean squares (Searle et al. 1992)."""
        seeds, rows = values.shape
        if seeds == 1:
            return Variation(1, rows, 0.0, float(values.var(ddof=1)), 0.0)
        by_seed, by_row, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
        rest = values - by_seed[:, None] - by_row[None, :] + mean
        residual = float((rest**2).sum() / ((seeds - 1) * (rows - 1)))
        shared = float(by_row.var(ddof=1)) - residual / seeds
        return Variation(seeds, rows, float(by_seed.var(ddof=1)), max(shared, 0.0), residual)

    @property
    def seed_part(self) -> float:
        """What of the mean's variance more seeds diminish."""
        return self.between / self.seeds

    @property
    def row_part(self) -> float:
        """What of the mean's variance only more rows diminish."""
        return self.shared / self.rows

    @property
    def variance(self) -> float:
        """Of the mean of all values."""
        return self.seed_part + self.row_part

    def degrees(self, level: float) -> float | None:
        """Degrees of freedom of `variance`; None where that is 0.

        The inverse is the mean of the parts' inverses, each counting by its share in the variance. Satterthwaite (1946)
        squares the shares, which is right for many degrees: with the two that three seeds have, his intervals of 95 %
        cover down to 92 %, for variance and degrees err together; seeds - 1 for all covers up to 100 %. Fewer degrees
        and higher levels, as tests of several methods need, take the seeds' share to a lower power. Computed over all
        shares, a test at 5, 2.5, 1.25 or .5 % errs in at most 1.2 times as many cases with three seeds or more, 1.3
        with two, and in half as many at least where 5 % are asked and there are three.
        """
        if self.variance == 0:
            return None
        share, own = self.seed_part / self.variance, max(self.seeds - 1, 1)
        power = min(1.0, own / 2) * min(1.0, max((1 - level) / USUAL, LEAST)) ** (1 / own)
        return float(1 / (share**power / own + (1 - share) / max(self._row_degrees, own)))

    @property
    def _row_degrees(self) -> float:
        """Of `shared`, by Satterthwaite: it is a difference of mean squares, and hardly known where they are alike."""
        if self.shared == 0:
            return 0.0
        rest = self.residual / self.seeds
        known_to = (self.shared + rest) ** 2 + rest**2 / max(self.seeds - 1, 1)
        return self.shared**2 / known_to * (self.rows - 1)

    def half_width(self, level: float) -> float:
        """Half the width of the interval of the mean, by Student's t."""
        from scipy.special import stdtrit

        degrees = self.degrees(level)
        return float(stdtrit(degrees, (1 + level) / 2) * np.sqrt(self.variance)) if degrees is not None else 0.0

    def p_value(self, mean: float) -> float:
        """How often a mean at least as far from 0 is found where the expected one is 0, two-sided.

        The interval of level 1 - p ends at 0. Never below what so few rows can show: all signs of n rows are the same
        in 2 of 2^n cases by chance.
        """
        least = 2.0 ** (1 - self.rows)
        if self.variance == 0:
            return 1.0 if mean == 0 else least
        low, high = 0.0, 1.0
        while high - low > ACCURACY * high:
            middle = (low + high) / 2
            low, high = (low, middle) if self.half_width(1 - middle) < abs(mean) else (middle, high)
        return max(high, least)

    def scaled(self, seeds: int, rows: int) -> Variation:
        """What to expect of another number of seeds and rows, from the same sources."""
        own = max(self.between - self.residual / self.rows, 0.0)
        return Variation(seeds, rows, own + self.residual / rows, self.shared, self.residual)
