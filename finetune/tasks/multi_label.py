"""Multi-label classification: one or two texts, any number of several classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from finetune.config import build
from finetune.data.base import Column
from finetune.data.table import Rows
from finetune.errors import DataError, listing
from finetune.metrics import multilabel as metrics
from finetune.tasks.base import Batch, Metric
from finetune.tasks.texts import Classes, known_scores
from finetune.text.labels import label_text, looks_swapped
from finetune.text.tokens import precise

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

ANSWERS = {"1": 1, "true": 1, "0": 0, "false": 0}
"""What a column of one label may hold, in any case -> whether a row has the label."""


class MultiLabel(Classes):
    """Any number of classes for each row, or none, from one text or a pair of texts."""

    baseline_name: ClassVar[str] = "most frequent label set"
    problem_type: ClassVar[str] = "multi_label_classification"

    label: str | Annotated[tuple[str, ...], Field(min_length=2)] = "label"
    """Column with a list of classes, names or ids; or with a text of them (`separator`); or a column for each class,
    which holds 1 or true, 0 or false and is called like the class."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    """What stands between the classes where the column holds a text, as ; in `sport;travel`. An empty text is none."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability from which a class is predicted."""
    score: Annotated[tuple[str, ...], Field(min_length=1)] = ("f1_micro", "f1_macro", "exact_match")
    """Scores to report; the first chooses the best checkpoint."""

    @field_validator("score")
    @classmethod
    def _known_scores(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_scores(names, metrics.SCORES)

    @model_validator(mode="after")
    def _columns_are_names(self) -> Self:
        if isinstance(self.label, tuple) and self.labels not in (None, self.label):
            raise ValueError("labels: the names of the columns are the labels; leave it out.")
        return self

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns that tell the classes."""
        return (self.label,) if isinstance(self.label, str) else self.label

    def metrics(self) -> tuple[Metric, ...]:
        """The scores of the recipe."""
        return tuple(Metric(name, name not in metrics.LOWER) for name in self.score)

    def targets(self) -> tuple[Column, ...]:
        """The column of the classes, or one for each."""
        return tuple(Column(name, "task.label") for name in self.label_columns)

    def resolve(self, train: Rows, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Fill in the class names and the weights."""
        self._check_form(train)
        if isinstance(self.label, tuple):
            filled: dict[str, Any] = {"labels": self.label, "written": "names"}
        else:
            held = [value for values in train.column(self.label) for value in self._split(values) or []]
            filled = self.found_names(train, self.label, held)
        if len(filled["labels"]) < 2:
            raise DataError(
                f"{train.origin}: column {self.label!r} holds {listing(map(repr, filled['labels'])) or 'no class'}; "
                "two classes are needed. For one that a row has or has not, use the task classification."
            )
        named: Self = build(type(self), {**dict(self), **filled}, "task.")
        if self.class_weights != "balanced":
            return named
        named.check(train)
        having = named._table(_columns(train, self.label_columns)).sum(axis=0)
        balanced = {
            name: float((len(train) - n) / n) for name, n in zip(named.names, having, strict=True) if 0 < n < len(train)
        }
        return named.model_copy(update={"class_weights": balanced})

    def _split(self, value: Any) -> list[str] | None:
        """The classes of a row as its one column holds them; None where it holds no list."""
        if isinstance(value, str) and self.separator is not None:
            return [part.strip() for part in value.split(self.separator) if part.strip()]
        return [label_text(part) for part in value] if isinstance(value, (list, tuple)) else None

    def _check_form(self, rows: Rows) -> None:
        """Refuse what is no list of classes, and in a column of one class what is no answer."""
        problems = []
        for name in self.label_columns:
            values = rows.column(name)
            if isinstance(self.label, str):
                bad = [row for row, value in enumerate(values) if self._split(value) is None]
                needed = "a list of classes is needed; for one text of several classes set task.separator"
            else:
                bad = [row for row, value in enumerate(values) if label_text(value).lower() not in ANSWERS]
                needed = "1, 0, true or false is needed"
            if bad:
                where = listing((rows.where(row) for row in bad), 3)
                held = "nothing" if values[bad[0]] is None else f"{values[bad[0]]!r:.60}"
                problems.append(
                    f"{rows.origin}: column {name!r} holds {held} ({len(bad)} such rows: {where}); {needed}."
                )
        if problems:
            raise DataError(*problems)

    def check(self, rows: Rows) -> None:
        """Refuse labels that are no class."""
        self._check_form(rows)
        if isinstance(self.label, str):
            split = [self._split(value) or [] for value in rows.column(self.label)]
            held = [(row, value) for row, values in enumerate(split) for value in values]
            known = self.ids([value for _, value in held]) >= 0
            self.refuse(rows, self.label, [pair for pair, good in zip(held, known, strict=True) if not good])

    def _table(self, columns: Sequence[Sequence[Any]]) -> np.ndarray:
        """Which classes rows have, `(rows, classes)` of 0 and 1, from their label columns."""
        table = np.zeros((len(columns[0]), len(self.names)), dtype=np.int64)
        if isinstance(self.label, tuple):
            for name, values in zip(self.label, columns, strict=True):
                table[:, self.names.index(name)] = [ANSWERS.get(label_text(value).lower(), 0) for value in values]
        else:
            for row, value in zip(table, columns[0], strict=True):
                ids = self.ids(self._split(value) or [])
                row[ids[ids >= 0]] = 1
        return table

    def learned(self, rows: dict[str, list[Any]]) -> tuple[list[Any], list[float]]:
        """Which classes the rows have; every row counts 1."""
        table = self._table([rows[name] for name in self.label_columns])
        return table.tolist(), [1.0] * len(table)

    def loss(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Binary cross entropy of `(features, classes)` logits, the mean over the classes, summed over the rows."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits

        logits = precise(output.logits)
        by_name = self.class_weights if isinstance(self.class_weights, dict) else {}
        having = torch.tensor([by_name.get(name, 1.0) for name in self.names]).to(logits)
        targets = batch.targets["labels"].to(logits.dtype)
        losses = binary_cross_entropy_with_logits(logits, targets, pos_weight=having, reduction="none").mean(-1)
        weight = batch.weight.to(losses.dtype)
        return (losses * weight).sum(), weight.sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[Any]:
        """The probability of each class, `(classes,)` for each feature."""
        return list(model(**batch.inputs).logits.double().sigmoid().cpu().numpy())

    def decide(self, raw: Sequence[Any], decisions: dict[str, Any]) -> list[dict[str, Any]]:
        """The classes from the threshold on, in the order of the outputs, and the probability of each."""
        return [
            {
                "predicted": [name for name, value in zip(self.names, row, strict=True) if value >= self.threshold],
                "probabilities": dict(zip(self.names, map(float, row), strict=True)),
            }
            for row in raw
        ]

    def _held(self, row: np.ndarray) -> list[str]:
        return [self.names[i] for i in np.flatnonzero(row)]

    def gold(self, row: dict[str, Any]) -> Any:
        """The names of the classes."""
        return self._held(self._table([[row[name]] for name in self.label_columns])[0])

    def baseline(self, train: Rows, rows: Rows) -> list[dict[str, Any]]:
        """The set of classes that most training rows have, for every row."""
        table = self._table(_columns(train, self.label_columns))
        (most, _), *_ = Counter(map(tuple, table.tolist())).most_common(1)
        return [{"predicted": self._held(np.array(most))}] * len(rows)

    def measure(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> np.ndarray:
        """Gold and then predicted classes, `(rows, 2 * classes)` of 0 and 1."""
        gold = self._table(_columns(rows, self.label_columns))
        predicted = [[name in prediction["predicted"] for name in self.names] for prediction in predictions]
        return np.hstack([gold, np.array(predicted, dtype=np.int64)])

    def aggregate(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """The scores of the recipe, by scikit-learn."""
        gold, predicted = np.hsplit(statistics, 2)
        return metrics.scores(self.score, gold, predicted, weights)

    def per_class(self, statistics: np.ndarray) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and support of every class."""
        gold, predicted = np.hsplit(statistics, 2)
        return metrics.per_class(gold=gold, predicted=predicted, weights=np.ones(len(gold)), names=self.names)

    def doubts(self, statistics: np.ndarray, baseline: np.ndarray) -> list[str]:
        """Classes that look swapped, by the rows that have one class each and were given one.

        Other rows do not tell which of their classes was taken for which. Of these rows fewer must be right than if
        all were given the most frequent of their classes.
        """
        gold, predicted = np.hsplit(statistics.astype(int), 2)
        single = (gold.sum(axis=1) == 1) & (predicted.sum(axis=1) == 1)
        confusion = gold[single].T @ predicted[single]
        if np.trace(confusion) >= confusion.sum(axis=1).max():
            return []
        pairs = looks_swapped(confusion, self.names)
        if not pairs:
            return []
        order = "task.labels has the names in the order of the ids, and whether " if isinstance(self.label, str) else ""
        return [
            f"few rows that have one class are right, and the classes look swapped: predicted {pairs}. Look whether "
            f"{order}the values of {listing(map(repr, self.label_columns))} mean the same in every split."
        ]

    def exchanged(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> tuple[list[Any], list[Any]]:
        """For each row a list of 0 and 1, one for each class, for modules that take such lists as they are."""
        gold, predicted = np.hsplit(self.measure(predictions, rows), 2)
        return predicted.tolist(), gold.tolist()

    def agree(self, first: dict[str, Any], second: dict[str, Any], tolerance: float) -> bool:
        """The same probabilities, and the same classes but for those whose probability is that of the threshold."""
        one, other = first["probabilities"], second["probabilities"]
        differing = set(first["predicted"]) ^ set(second["predicted"])
        return all(abs(one[name] - other[name]) <= tolerance for name in one) and all(
            abs(one[name] - self.threshold) <= tolerance for name in differing
        )


def _columns(rows: Rows, names: Sequence[str]) -> list[list[Any]]:
    return [rows.column(name) for name in names]
