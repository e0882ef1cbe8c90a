"""Intervals by resampling rows: pure functions."""

from collections.abc import Callable

import numpy as np

Scores = Callable[[np.ndarray, np.ndarray], dict[str, float]]
"""From per-row statistics `(rows, k)` and how often each row counts `(rows,)` to named scores."""


def bootstrap(
    statistics: np.ndarray, aggregate: Scores, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals of every score (Efron 1979), rows drawn with replacement.

    Rows with equal statistics are interchangeable, so the number of times each distinct one is drawn follows a
    multinomial distribution: exactly the bootstrap, at the cost of the distinct rows only.

    Args:
        statistics: `(rows, k)`, what the scores need to know of each row.
        aggregate: Computes the scores.
        resamples: How many resamples are drawn.
        level: Coverage of the interval.
        seed: Same seed, same interval.

    Returns:
        Score name -> (low, high).
    """
    rows = len(statistics)
    distinct, frequency = np.unique(statistics, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {}
    for _ in range(resamples):
        counts = generator.multinomial(rows, frequency / rows)
        for name, value in aggregate(distinct, counts.astype(float)).items():
            draws.setdefault(name, []).append(value)
    tails = [50 * (1 - level), 50 * (1 + level)]
    bounds = {name: np.percentile(values, tails) for name, values in draws.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}
