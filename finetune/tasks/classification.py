"""Classification: one or two texts, one of several classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from finetune.config import build
from finetune.data.base import Column
from finetune.data.table import Rows
from finetune.errors import DataError, RecipeError, listing, nearest
from finetune.metrics import classification as metrics
from finetune.tasks.base import Batch, Metric
from finetune.tasks.texts import Classes, known_scores
from finetune.text.labels import label_text, looks_swapped
from finetune.text.tokens import precise

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase


class Classification(Classes):
    """One class for each row, from one text or a pair of texts."""

    baseline_name: ClassVar[str] = "majority class"
    problem_type: ClassVar[str] = "single_label_classification"

    label: str = "label"
    """Column of the class: a name or a number."""
    score: Annotated[tuple[str, ...], Field(min_length=1)] = ("accuracy", "f1_macro")
    """Scores to report; the first chooses the best checkpoint. `f1`, `precision`, `recall` are those of `positive`."""
    positive: str | None = None
    """Class that `f1`, `precision` and `recall` look for; None: the last of two classes."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target that is spread evenly over all classes."""

    @field_validator("score")
    @classmethod
    def _known_scores(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_scores(names, metrics.SCORES)

    @model_validator(mode="after")
    def _known_positive(self) -> Self:
        if self.positive is not None and self.labels is not None and self.positive not in self.labels:
            raise ValueError(f"positive: {self.positive!r} is no class. {nearest(self.positive, self.labels)}")
        return self

    def metrics(self) -> tuple[Metric, ...]:
        """The scores of the recipe; all are better when higher."""
        return tuple(Metric(name) for name in self.score)

    def targets(self) -> tuple[Column, ...]:
        """The label column."""
        return (Column(self.label, "task.label"),)

    def resolve(self, train: Rows, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Fill in the class names, the positive class and the weights."""
        values = [label_text(value) for value in train.column(self.label)]
        empty = [row for row, value in enumerate(values) if value == ""]
        if empty:
            where = listing(train.where(row) for row in empty)
            raise DataError(f"{len(empty)} training rows have no {self.label!r}: {where}.")
        filled = self.found_names(train, self.label, values)
        names = filled["labels"]
        if len(names) < 2:
            raise DataError(
                f"{train.origin}: every row has the same {self.label!r}, {names[0]!r}; two classes are needed to learn."
            )
        positive = self.positive or (names[-1] if len(names) == 2 else None)
        binary = [name for name in self.score if name in ("f1", "precision", "recall")]
        if positive is None and binary:
            raise RecipeError(
                f"task.score: {listing(binary)} of which of the {len(names)} classes? "
                "Set task.positive, or use f1_macro and the like."
            )
        named: Self = build(type(self), {**dict(self), **filled, "positive": positive}, "task.")
        if self.class_weights != "balanced":
            return named
        named.check(train)
        counts = Counter(named.ids(values).tolist())
        each = enumerate(named.names)
        balanced = {name: len(values) / (len(names) * counts[i]) for i, name in each if counts[i]}
        return named.model_copy(update={"class_weights": balanced})

    def check(self, rows: Rows) -> None:
        """Refuse labels that are no class."""
        values = rows.column(self.label)
        bad = np.flatnonzero(self.ids(values) < 0).tolist()
        self.refuse(rows, self.label, [(row, label_text(values[row])) for row in bad])

    def learned(self, rows: dict[str, list[Any]]) -> tuple[list[Any], list[float]]:
        """Class ids, and the weights of the classes."""
        targets = self.ids(rows[self.label]).tolist()
        by_name = self.class_weights if isinstance(self.class_weights, dict) else {}
        weights = [by_name.get(name, 1.0) for name in self.names]
        return targets, [weights[target] for target in targets]

    def loss(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross entropy of `(features, classes)` logits, summed with the weights of the rows."""
        from torch.nn.functional import cross_entropy

        logits, targets = precise(output.logits), batch.targets["labels"]
        losses = cross_entropy(logits, targets, reduction="none", label_smoothing=self.label_smoothing)
        weight = batch.weight.to(losses.dtype)
        return (losses * weight).sum(), weight.sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[Any]:
        """The probability of each class, `(classes,)` for each feature."""
        return list(model(**batch.inputs).logits.double().softmax(-1).cpu().numpy())

    def decide(self, raw: Sequence[Any], decisions: dict[str, Any]) -> list[dict[str, Any]]:
        """The most probable class, its probability, and those of all."""
        return [
            {
                "predicted": self.names[int(np.argmax(row))],
                "probability": float(np.max(row)),
                "probabilities": dict(zip(self.names, map(float, row), strict=True)),
            }
            for row in raw
        ]

    def gold(self, row: dict[str, Any]) -> Any:
        """The class name."""
        position = int(self.ids([row[self.label]])[0])
        return self.names[position] if position >= 0 else None

    def baseline(self, train: Rows, rows: Rows) -> list[dict[str, Any]]:
        """The most frequent class of the training rows, for every row."""
        most = int(np.bincount(self.ids(train.column(self.label))).argmax())
        return [{"predicted": self.names[most]}] * len(rows)

    def measure(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> np.ndarray:
        """Gold and predicted class id, `(rows, 2)`."""
        ids = {name: i for i, name in enumerate(self.names)}
        predicted = np.array([ids[prediction["predicted"]] for prediction in predictions], dtype=np.int64)
        return np.stack([self.ids(rows.column(self.label)), predicted], axis=1)

    def aggregate(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """The scores of the recipe, by scikit-learn."""
        positive = self.names.index(self.positive) if self.positive else 0
        gold, predicted = statistics.T
        return metrics.scores(self.score, gold, predicted, weights, positive)

    def per_class(self, statistics: np.ndarray) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and support of every class."""
        gold, predicted = statistics.T
        return metrics.per_class(gold, predicted, np.ones(len(statistics)), self.names)

    def doubts(self, statistics: np.ndarray, baseline: np.ndarray) -> list[str]:
        """Labels that look swapped, where fewer rows are right than with the majority class."""
        gold, predicted = statistics.T.astype(int)
        if (gold == predicted).mean() >= (baseline[:, 0] == baseline[:, 1]).mean():
            return []
        pairs = looks_swapped(metrics.confusion(gold, predicted, len(self.names)), self.names)
        if not pairs:
            return []
        return [
            f"fewer rows are right than with the majority class, and the labels look swapped: predicted {pairs}. "
            f"Look whether task.labels has the names in the order of the ids, and whether the values of {self.label!r} "
            "mean the same in every split."
        ]

    def exchanged(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> tuple[list[Any], list[Any]]:
        """Ids, in the order of `labels`, as the module accuracy takes them, and f1 where there are two classes."""
        assert self.labels is not None, "resolve() comes first"
        predicted = [self.labels.index(prediction["predicted"]) for prediction in predictions]
        return predicted, [self.labels.index(self.names[i]) for i in self.ids(rows.column(self.label))]

    def agree(self, first: dict[str, Any], second: dict[str, Any], tolerance: float) -> bool:
        """The same probabilities, and the same class unless both classes are as probable."""
        one, other = first["probabilities"], second["probabilities"]
        close = all(abs(one[name] - other[name]) <= tolerance for name in one)
        tied = abs(one[first["predicted"]] - one[second["predicted"]]) <= 2 * tolerance
        return close and (first["predicted"] == second["predicted"] or tied)
