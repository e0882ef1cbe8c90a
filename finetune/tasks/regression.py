"""Regression: one or two texts, one number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, PositiveFloat, field_validator

from finetune.data.base import Column
from finetune.data.table import Rows
from finetune.errors import DataError, listing
from finetune.metrics import regression as metrics
from finetune.tasks.base import Batch, Head, Metric
from finetune.tasks.texts import Texts, known_scores
from finetune.text.tokens import precise

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

REVERSED = -0.2
"""Pearson correlation below which a scale looks reversed."""
LUCK = 0.01
"""How probable such a correlation may be by chance, at most."""


class Regression(Texts):
    """One number for each row, from one text or a pair of texts."""

    baseline_name: ClassVar[str] = "mean of the training rows"

    label: str = "label"
    """Column of the number."""
    center: float | None = None
    """What is taken off the numbers before they are learned; None: the mean of the training rows."""
    scale: PositiveFloat | None = None
    """What they are then divided by; None: the standard deviation of the training rows."""
    clip: tuple[float, float] | None = None
    """Least and greatest number there is; predictions are moved to them. None: any number."""
    score: Annotated[tuple[str, ...], Field(min_length=1)] = ("pearson", "spearman", "mse")
    """Scores to report; the first chooses the best checkpoint. Those of errors are in the unit of the numbers."""

    @field_validator("score")
    @classmethod
    def _known_scores(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_scores(names, metrics.SCORES)

    @field_validator("clip")
    @classmethod
    def _in_order(cls, clip: tuple[float, float] | None) -> tuple[float, float] | None:
        if clip is not None and clip[0] >= clip[1]:
            raise ValueError("the least number comes first, then the greatest.")
        return clip

    def metrics(self) -> tuple[Metric, ...]:
        """The scores of the recipe."""
        return tuple(Metric(name, name not in metrics.LOWER) for name in self.score)

    def targets(self) -> tuple[Column, ...]:
        """The column of the number."""
        return (Column(self.label, "task.label"),)

    def resolve(self, train: Rows, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Fill in the mean and the standard deviation of the training rows."""
        self.check(train)
        values = self._numbers(train)
        if values.min() == values.max():
            raise DataError(
                f"{train.origin}: every row has the same {self.label!r}, {values[0]:g}; different numbers are needed "
                "to learn."
            )
        center = float(values.mean()) if self.center is None else self.center
        scale = float(values.std()) if self.scale is None else self.scale
        return self.model_copy(update={"center": center, "scale": scale})

    def _numbers(self, rows: Rows) -> np.ndarray:
        """The numbers of a split, `(rows,)`; nan for what is none."""
        return np.array([_number(value) for value in rows.column(self.label)], dtype=np.float64)

    def check(self, rows: Rows) -> None:
        """Refuse what is no number, and numbers outside `clip`."""
        values = self._numbers(rows)
        absent = np.flatnonzero(np.isnan(values)).tolist()
        problems = [self._complaint(rows, absent, "; a finite number is needed, as 3.5")] if absent else []
        if self.clip is not None:
            outside = np.flatnonzero((values < self.clip[0]) | (values > self.clip[1])).tolist()
            limits = f", outside task.clip, {self.clip[0]:g} to {self.clip[1]:g}"
            problems += [self._complaint(rows, outside, limits)] if outside else []
        if problems:
            raise DataError(*problems)

    def _complaint(self, rows: Rows, bad: Sequence[int], what: str) -> str:
        where = listing((rows.where(row) for row in bad), 3)
        value = rows.column(self.label)[bad[0]]
        held = "nothing" if value in (None, "") else f"{value!r:.60}"
        return f"{rows.origin}: column {self.label!r} holds {held} ({len(bad)} such rows: {where}){what}."

    @property
    def _line(self) -> tuple[float, float]:
        """Center and scale of a resolved task."""
        assert self.center is not None and self.scale is not None, "resolve() comes first"
        return self.center, self.scale

    def head(self, config: PretrainedConfig) -> Head:
        """One output; the configuration says what turns it back into a number: times the scale, plus the center."""
        center, scale = self._line
        return Head(
            auto="AutoModelForSequenceClassification",
            peft_task="SEQ_CLS",
            changes={
                "num_labels": 1,
                "id2label": {0: self.label},
                "label2id": {self.label: 0},
                "problem_type": "regression",
                "target_center": center,
                "target_scale": scale,
            },
        )

    def learned(self, rows: dict[str, list[Any]]) -> tuple[list[Any], list[float]]:
        """The numbers, less the center and divided by the scale; every row counts 1."""
        center, scale = self._line
        values = [(_number(value) - center) / scale for value in rows[self.label]]
        return values, [1.0] * len(values)

    def loss(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Squared error of `(features, 1)` outputs, in units of the scale, summed over the rows."""
        outputs = precise(output.logits).squeeze(-1)
        losses = (outputs - batch.targets["labels"].to(outputs.dtype)).square()
        weight = batch.weight.to(losses.dtype)
        return (losses * weight).sum(), weight.sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[Any]:
        """The output, `(1,)` for each feature, in units of the scale."""
        return list(model(**batch.inputs).logits.double().cpu().numpy())

    def decide(self, raw: Sequence[Any], decisions: dict[str, Any]) -> list[dict[str, Any]]:
        """The number, in the unit of the data."""
        center, scale = self._line
        return [{"predicted": self._clipped(float(row[0]) * scale + center)} for row in raw]

    def _clipped(self, value: float) -> float:
        return value if self.clip is None else min(max(value, self.clip[0]), self.clip[1])

    def gold(self, row: dict[str, Any]) -> Any:
        """The number."""
        value = _number(row[self.label])
        return None if math.isnan(value) else value

    def baseline(self, train: Rows, rows: Rows) -> list[dict[str, Any]]:
        """The mean of the training rows, for every row."""
        return [{"predicted": float(self._numbers(train).mean())}] * len(rows)

    def measure(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> np.ndarray:
        """Gold and predicted number, `(rows, 2)`."""
        return np.stack([self._numbers(rows), [prediction["predicted"] for prediction in predictions]], axis=1)

    def aggregate(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """The scores of the recipe, by SciPy and scikit-learn."""
        gold, predicted = statistics.T
        return metrics.scores(self.score, gold, predicted, weights)

    def doubts(self, statistics: np.ndarray, baseline: np.ndarray) -> list[str]:
        """A scale that looks reversed, by more than chance gives so few rows."""
        from scipy.stats import pearsonr

        gold, predicted = statistics.T
        pearson = metrics.scores(("pearson",), gold, predicted, np.ones(len(gold)))["pearson"]
        if pearson >= REVERSED or pearsonr(gold, predicted).pvalue >= LUCK:
            return []
        return [
            f"predictions and {self.label!r} go against each other (Pearson {pearson:.2f}), as if the scale were "
            f"reversed. Look whether a high {self.label!r} means the same in every split."
        ]

    def exchanged(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> tuple[list[Any], list[Any]]:
        """Numbers, as the modules pearsonr, spearmanr and mse take them."""
        return [prediction["predicted"] for prediction in predictions], self._numbers(rows).tolist()

    def agree(self, first: dict[str, Any], second: dict[str, Any], tolerance: float) -> bool:
        """The same number, as the outputs may differ by the tolerance, relative to their size where that is above 1."""
        center, scale = self._line
        size = max(1.0, abs(first["predicted"] - center) / scale)
        return bool(abs(first["predicted"] - second["predicted"]) <= tolerance * scale * size)


def _number(value: Any) -> float:
    """A finite number, also one written as text; nan for all else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan
