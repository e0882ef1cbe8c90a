"""What the modules of `evaluate` over this package's scores share. Importing this file imports `evaluate`: seconds."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np

from finetune.errors import DataError


class Module(evaluate.Metric):
    """A module whose predictions and references are rows of the same length."""

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        from datasets import Features

        text = inspect.cleandoc(type(self).__doc__ or "")
        features = Features({"predictions": self._prediction(), "references": self._reference()})
        return evaluate.MetricInfo(description=text, citation="", inputs_description=text, features=features)

    def _prediction(self) -> Any:
        raise NotImplementedError

    def _reference(self) -> Any:
        return self._prediction()


def number() -> Any:
    """The feature of a number."""
    from datasets import Value

    return Value("float64")  # also for ids: as an integer, evaluate would take 0.7 for 0 without a word


def array(feature: Any) -> Any:
    """The feature of a list."""
    from datasets import List

    return List(feature)


def once(rows: Sequence[Any]) -> np.ndarray:
    """Each row counts once, `(rows,)`.

    Raises:
        DataError: There are no rows.
    """
    if not len(rows):
        raise DataError("no rows were added, so there is nothing to score.")
    return np.ones(len(rows))
