"""Scores of one predicted class per row, computed by scikit-learn.

Each function takes the gold and predicted class ids, `(rows,)` integers, how often each row counts, `(rows,)`, and the
class ids in use. A class that occurs but is never predicted scores 0; one that neither occurs nor is predicted does not
count.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Decided:
    """Gold and predicted classes, `(rows,)` or `(rows, classes)` each; how often a row counts, `(rows,)`."""

    gold: np.ndarray
    predicted: np.ndarray
    weights: np.ndarray

    @property
    def common(self) -> dict[str, Any]:
        """Arguments that every scikit-learn score takes."""
        return {"y_true": self.gold, "y_pred": self.predicted, "sample_weight": self.weights}


@dataclass(frozen=True)
class Ids(Decided):
    """One class for each row, and the class that `f1` and its like seek."""

    positive: int


def accuracy(decided: Decided) -> float:
    """Share of rows whose class is right, or whose classes all are."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(**decided.common))


def matthews(ids: Ids) -> float:
    """Matthews correlation, -1 to 1 (CoLA's score); for several classes Gorodkin's R_K."""
    from sklearn.metrics import matthews_corrcoef

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a resample may hold a single class; its correlation is 0
        return float(matthews_corrcoef(**ids.common))


def _averaged(function: str, average: str) -> Callable[[Ids], float]:
    def score(ids: Ids) -> float:
        import sklearn.metrics

        # the positive class against all the rest: also where there are more than two classes
        labels = [ids.positive] if average == "binary" else None  # None: the classes that occur or are predicted
        kind = "macro" if average == "binary" else average
        return float(getattr(sklearn.metrics, function)(**ids.common, labels=labels, average=kind, zero_division=0))

    score.__doc__ = f"{function} of scikit-learn, average={average!r}."
    return score


SCORES: dict[str, Callable[[Ids], float]] = {
    "accuracy": accuracy,
    "matthews": matthews,
    **{
        (short if average == "binary" else f"{short}_{average}"): _averaged(function, average)
        for short, function in (("f1", "f1_score"), ("precision", "precision_score"), ("recall", "recall_score"))
        for average in ("binary", "macro", "micro", "weighted")
    },
}
"""Name -> score; `f1`, `precision` and `recall` without a suffix are those of the positive class. Higher is better."""


def scores(
    names: Sequence[str], gold: np.ndarray, predicted: np.ndarray, weights: np.ndarray, positive: int
) -> dict[str, float]:
    """The named scores of `(rows,)` gold and predicted class ids, each row counted `weights` times."""
    from sklearn import config_context

    counted = weights > 0  # else a class that only uncounted rows have would still be averaged over
    ids = Ids(gold[counted].astype(int), predicted[counted].astype(int), weights[counted], positive)
    with config_context(skip_parameter_validation=True):  # a bootstrap calls this a thousand times
        return {name: SCORES[name](ids) for name in names}


def confusion(gold: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each gold class (first axis) was predicted as each class, `(classes, classes)`, of `(rows,)` ids."""
    table = np.zeros((classes, classes), dtype=int)
    np.add.at(table, (gold, predicted), 1)
    return table


def per_class(
    gold: np.ndarray, predicted: np.ndarray, weights: np.ndarray, names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Class name -> precision, recall, F1 and support (gold rows); 0/0 is 0.

    Args:
        gold: Class ids, `(rows,)`.
        predicted: Class ids, `(rows,)`.
        weights: How often each row counts, `(rows,)`.
        names: The classes in the order of their ids.
    """
    from sklearn.metrics import precision_recall_fscore_support

    table = precision_recall_fscore_support(
        gold.astype(int), predicted.astype(int), labels=range(len(names)), sample_weight=weights, zero_division=0
    )
    columns = ("precision", "recall", "f1", "support")
    values = np.stack(table, axis=1).tolist()
    return {name: dict(zip(columns, row, strict=True)) for name, row in zip(names, values, strict=True)}
