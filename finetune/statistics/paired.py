"""Tests of two given models on the same rows: pure functions.

They say whether these two models differ by more than the choice of rows explains. They say nothing of the methods that
made them: another seed gives another model. `finetune.statistics.verdicts` speaks of methods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finetune.statistics.resampling import Scores


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
    """The test that fits the score.

    Args:
        first: `(rows, k)` statistics of a model.
        second: Of the other, the same rows.
        aggregate: Computes the scores.
        name: Of the score.
    """
    one, other = (aggregate(found, np.ones(len(found)))[name] for found in (first, second))
    rights = [right_rows(found, aggregate, name) for found in (first, second)]
    if rights[0] is not None and rights[1] is not None:
        return Paired("McNemar", one - other, *mcnemar(rights[0], rights[1]))
    return Paired("paired bootstrap", one - other, paired_bootstrap(first, second, aggregate, name), None, None)


def right_rows(statistics: np.ndarray, aggregate: Scores, name: str) -> np.ndarray | None:
    """Which rows are right, `(rows,)`, where the score is the share of right rows; None where it is not.

    Args:
        statistics: `(rows, k)`.
        aggregate: Computes the scores.
        name: Of the score.
    """
    distinct, kind, frequency = np.unique(statistics, axis=0, return_inverse=True, return_counts=True)
    alone = np.zeros(len(distinct))
    for position in range(len(distinct)):
        alone[position] = aggregate(distinct[position : position + 1], np.ones(1))[name]
        if alone[position] not in (0, 1):
            return None
    score = aggregate(distinct, frequency.astype(float))[name]
    return alone[kind.reshape(-1)] == 1 if np.isclose(frequency @ alone / frequency.sum(), score) else None


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
    first_statistics: np.ndarray,
    second_statistics: np.ndarray,
    aggregate: Scores,
    name: str,
    resamples: int = 1000,
    seed: int = 0,
) -> float | None:
    """The paired bootstrap test (Riezler & Maxwell 2005): rows are drawn with replacement, the same for both models.

    The differences drawn lie around the one that was found; how often they stray from it by as much as it lies from 0
    is the two-sided p value. One is added to both counts, so that it is never 0 (Davison & Hinkley 1997).

    Args:
        first_statistics: `(rows, k)` of a model.
        second_statistics: Of the other, the same rows.
        aggregate: Computes the scores.
        name: Of the score.
        resamples: How many are drawn.
        seed: Same seed, same p.

    Returns:
        The p value; None where a score is no number.
    """
    width = first_statistics.shape[1]
    both = np.hstack([first_statistics, second_statistics])
    distinct, frequency = np.unique(both, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)

    def difference(counts: np.ndarray) -> float:
        weights = counts.astype(float)
        return aggregate(distinct[:, :width], weights)[name] - aggregate(distinct[:, width:], weights)[name]

    found = difference(frequency)
    if not np.isfinite(found):
        return None
    draws = [difference(generator.multinomial(len(both), frequency / len(both))) for _ in range(resamples)]
    strays = np.abs(np.array(draws) - found)
    return float((1 + (strays >= abs(found) - 1e-12).sum()) / (1 + resamples))
