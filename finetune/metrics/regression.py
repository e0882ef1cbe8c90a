"""Scores of one predicted number per row, computed by SciPy and scikit-learn.

Each function takes gold and predicted numbers, `(rows,)`.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np


def _correlation(function: str) -> Callable[[np.ndarray, np.ndarray], float]:
    def score(gold: np.ndarray, predicted: np.ndarray) -> float:
        import scipy.stats

        if gold.min() == gold.max() or predicted.min() == predicted.max():
            return 0.0  # undefined: what is always the same goes along with nothing
        with warnings.catch_warnings():
            # a model that has all but collapsed to one number is seen in its score; a bootstrap warns a thousand times
            warnings.simplefilter("ignore", scipy.stats.NearConstantInputWarning)
            return float(getattr(scipy.stats, function)(gold, predicted).statistic)

    score.__doc__ = f"{function} of SciPy, -1 to 1; 0 where all gold or all predicted numbers are equal."
    return score


def _error(function: str) -> Callable[[np.ndarray, np.ndarray], float]:
    def score(gold: np.ndarray, predicted: np.ndarray) -> float:
        import sklearn.metrics

        return float(getattr(sklearn.metrics, function)(gold, predicted))

    score.__doc__ = f"{function} of scikit-learn."
    return score


SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "pearson": _correlation("pearsonr"),
    "spearman": _correlation("spearmanr"),
    "mse": _error("mean_squared_error"),
    "mae": _error("mean_absolute_error"),
    "rmse": _error("root_mean_squared_error"),
}
"""Name -> score; higher is better but for those in `LOWER`."""

LOWER = frozenset({"mse", "mae", "rmse"})
"""Scores that are better when lower; `mae` and `rmse` are in the unit of the gold numbers, `mse` in its square."""


def scores(names: Sequence[str], gold: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """The named scores of `(rows,)` gold and predicted numbers, each row repeated `weights` times, a whole number."""
    # repeated, for SciPy's correlations take no weights
    rows = np.repeat(np.arange(len(gold)), weights.astype(int))
    return {name: SCORES[name](gold[rows], predicted[rows]) for name in names}
