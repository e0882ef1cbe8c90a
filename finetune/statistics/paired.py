"""Tests of two given models on the same rows: pure functions.

They say whether these two models differ by more than the choice of rows explains. They say nothing of the methods that
made them: another seed gives another model. `finetune.statistics.verdicts` speaks of methods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finetune.statistics.resampling import Scores

ROUNDING = 1e-12
"""By which two computations of a difference may differ."""


@dataclass(frozen=True)
class Paired:
    """A test of two models.

    Attributes:
        test: `McNemar` for a share of right rows, `paired bootstrap` for other scores.
        difference: Score of the first less that of the second.
        p: How often models that are as good differ as much, two-sided; None where a score is no number.
        gained: Rows that only the first has right; None where a row is not simply right or wrong.
        lost: Rows that only the second has right.
    """

    test: str
    difference: float
    p: float | None
    gained: int | None
    lost: int | None


def compared(first: np.ndarray, second: np.ndarray, aggregate: Scores, name: str) -> Paired:
    """One score by the test that fits it: see `all_compared`."""
    return all_compared(first, second, _only(name, aggregate))[name]


def all_compared(first: np.ndarray, second: np.ndarray, aggregate: Scores) -> dict[str, Paired]:
    """Every score by the test that fits it.

    Args:
        first: `(rows, k)` statistics of a model.
        second: Of the other, the same rows.
        aggregate: Computes the scores.
    """
    rows = len(first)
    rights = right_rows(np.vstack([first, second]), aggregate)
    one, other = aggregate(first, np.ones(rows)), aggregate(second, np.ones(rows))
    drawn = bootstrap_p_values(
        first, second, lambda found, weights: {n: v for n, v in aggregate(found, weights).items() if n not in rights}
    )
    found = {}
    for name in one.keys() & other.keys():
        if name in rights:
            found[name] = Paired("McNemar", one[name] - other[name], *mcnemar(*np.split(rights[name], 2)))
        else:
            found[name] = Paired("paired bootstrap", one[name] - other[name], drawn[name], None, None)
    return {name: found[name] for name in one if name in found}


def right_rows(statistics: np.ndarray, aggregate: Scores) -> dict[str, np.ndarray]:
    """Score -> which rows are right, `(rows,)`, for each score that is the share of right rows, and not 0.

    Args:
        statistics: `(rows, k)`.
        aggregate: Computes the scores.
    """
    distinct, kind, frequency = np.unique(statistics, axis=0, return_inverse=True, return_counts=True)
    shares = {name: value for name, value in aggregate(distinct, frequency.astype(float)).items() if value != 0}
    alone: dict[str, list[float]] = {name: [] for name in shares}
    for position in range(len(distinct)):
        found = aggregate(distinct[position : position + 1], np.ones(1))
        alone = {name: [*each, found[name]] for name, each in alone.items() if found.get(name) in (0, 1)}
        if not alone:
            break
    means = {name: np.array(each) for name, each in alone.items()}
    return {
        name: each[kind.reshape(-1)] == 1
        for name, each in means.items()
        if np.isclose(frequency @ each / frequency.sum(), shares[name])
    }


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> tuple[float, int, int]:
    """McNemar's exact test (1947; exact by the binomial distribution), two-sided.

    Args:
        first_right: `(rows,)`, whether a model has each row right.
        second_right: The other model.

    Returns:
        The p value; how many rows only the first has right; how many only the second.
    """
    from scipy.stats import binom

    gained = int((first_right & ~second_right).sum())
    lost = int((second_right & ~first_right).sum())
    p = float(min(1.0, 2 * binom.cdf(min(gained, lost), gained + lost, 0.5)))
    return p, gained, lost


def paired_bootstrap(
    first_statistics: np.ndarray, second_statistics: np.ndarray, aggregate: Scores, name: str
) -> float | None:
    """The p value of one score: see `bootstrap_p_values`."""
    return bootstrap_p_values(first_statistics, second_statistics, _only(name, aggregate))[name]


def bootstrap_p_values(
    first: np.ndarray, second: np.ndarray, aggregate: Scores, resamples: int = 1000, seed: int = 0
) -> dict[str, float | None]:
    """The paired bootstrap test (Riezler & Maxwell 2005): rows are drawn with replacement, the same for both models.

    The differences drawn lie around the one that was found; how often they stray from it by as much as it lies from 0
    is the two-sided p value. One is added to both counts, so that it is never 0 (Davison & Hinkley 1997).

    Args:
        first: `(rows, k)` statistics of a model.
        second: Of the other, the same rows.
        aggregate: Computes the scores.
        resamples: How many are drawn.
        seed: Same seed, same p.

    Returns:
        Score -> p value; None where a score is no number.
    """
    width = first.shape[1]
    distinct, frequency = np.unique(np.hstack([first, second]), axis=0, return_counts=True)
    generator = np.random.default_rng(seed)

    def differences(counts: np.ndarray) -> dict[str, float]:
        weights = counts.astype(float)
        one, other = aggregate(distinct[:, :width], weights), aggregate(distinct[:, width:], weights)
        return {name: value - other.get(name, np.nan) for name, value in one.items()}

    found = differences(frequency)
    strays = dict.fromkeys(found, 0)
    for _ in range(resamples if any(found.values()) else 0):  # equal scores need no draw
        drawn = differences(generator.multinomial(len(first), frequency / len(first)))
        for name, value in found.items():
            strays[name] += not abs(drawn.get(name, np.nan) - value) < abs(value) - ROUNDING  # no number strays too
    return {
        name: (1.0 if value == 0 else (1 + strays[name]) / (1 + resamples)) if np.isfinite(value) else None
        for name, value in found.items()
    }


def _only(name: str, aggregate: Scores) -> Scores:
    return lambda statistics, weights: {
        key: value for key, value in aggregate(statistics, weights).items() if key == name
    }
