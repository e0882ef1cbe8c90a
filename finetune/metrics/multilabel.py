"""Scores of several classes per row, computed by scikit-learn.

Gold and predicted classes are `(rows, classes)`, 1 where a row has the class, else 0. As in the scores of one class per
row, a class that occurs but is never predicted scores 0, and one that neither occurs nor is predicted does not count:
scikit-learn would count it as 0, and a bootstrap that draws no row of a rare class would score too low.
"""

from collections.abc import Callable, Sequence

import numpy as np

from finetune.metrics import classification
from finetune.metrics.classification import Decided


def hamming(sets: Decided) -> float:
    """Share of wrong decisions among all decisions, one for each row and class (Hamming loss)."""
    from sklearn.metrics import hamming_loss

    return float(hamming_loss(**sets.common))


def _averaged(function: str, average: str) -> Callable[[Decided], float]:
    def score(sets: Decided) -> float:
        import sklearn.metrics

        gold, predicted = _indicators(sets.gold), _indicators(sets.predicted)
        in_use = np.flatnonzero((gold | predicted).any(axis=0))
        if not len(in_use):
            return 0.0
        direct = getattr(sklearn.metrics, function)
        kind = {"labels": in_use, "average": average, "zero_division": 0}
        return float(direct(gold, predicted, sample_weight=sets.weights, **kind))

    score.__doc__ = f"{function} of scikit-learn, average={average!r}; 0 where no class occurs or is predicted."
    return score


SCORES: dict[str, Callable[[Decided], float]] = {
    "exact_match": classification.accuracy,
    "hamming": hamming,
    **{
        f"{short}_{average}": _averaged(function, average)
        for short, function in (("f1", "f1_score"), ("precision", "precision_score"), ("recall", "recall_score"))
        for average in ("macro", "micro", "weighted")
    },
}
"""Name -> score; higher is better but for those in `LOWER`."""

LOWER = frozenset({"hamming"})
"""Scores that are better when lower."""


def scores(names: Sequence[str], gold: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """The named scores of `(rows, classes)` gold and predicted classes, each row counted `weights` times."""
    from sklearn import config_context

    counted = weights > 0  # else a class that only uncounted rows have would still be averaged over
    # scikit-learn looks for the values in use again at every score, in small integers twice as fast
    sets = Decided(gold[counted].astype(np.int8), predicted[counted].astype(np.int8), weights[counted])
    with config_context(skip_parameter_validation=True):  # a bootstrap calls this a thousand times
        return {name: SCORES[name](sets) for name in names}


def per_class(
    gold: np.ndarray, predicted: np.ndarray, weights: np.ndarray, names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Class name -> precision, recall, F1 and support (gold rows); 0/0 is 0.

    Args:
        gold: `(rows, classes)` of 0 and 1.
        predicted: `(rows, classes)` of 0 and 1.
        weights: How often each row counts, `(rows,)`.
        names: The classes in the order of the columns.
    """
    return classification.per_class(_indicators(gold), _indicators(predicted), weights, names)


def _indicators(sets: np.ndarray) -> np.ndarray:
    """At least two columns: scikit-learn takes a single one for classes 0 and 1 of a row, and scores 0 as well."""
    return sets if sets.shape[1] > 1 else np.hstack([sets, np.zeros_like(sets)])
