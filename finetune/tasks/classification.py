"""Classification: one or two texts, one of several classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PositiveFloat, field_validator, model_validator

from finetune.config import build
from finetune.data.base import Column
from finetune.data.table import Rows
from finetune.errors import DataError, RecipeError, listing, nearest
from finetune.metrics import classification as metrics
from finetune.tasks.base import Batch, Head, Metric, Mode, Task
from finetune.tokens import padded, tokens

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase


class Classification(Task):
    """One class for each row, from one text or a pair of texts."""

    baseline_name: ClassVar[str] = "majority class"

    text: str | Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = "text"
    """Column of the text, or two columns of a pair."""
    label: str = "label"
    """Column of the class: a name or a number."""
    labels: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """Names of the classes in the order of their ids. None: as the source declares them, else the values of the
    training rows, numbers in numeric order, others in alphabetical order."""
    written: Literal["names", "ids"] | None = None
    """What the column holds; None: names where all training rows hold one of `labels`, else ids."""
    score: Annotated[tuple[str, ...], Field(min_length=1)] = ("accuracy", "f1_macro")
    """Scores to report; the first chooses the best checkpoint. `f1`, `precision`, `recall` are those of `positive`."""
    positive: str | None = None
    """Class that `f1`, `precision` and `recall` look for; None: the last of two classes."""
    class_weights: Literal["balanced"] | dict[str, PositiveFloat] | None = None
    """How much a row of each class counts in the loss: `balanced`, rows / (classes * rows of the class); or by name."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target that is spread evenly over all classes."""

    @field_validator("score")
    @classmethod
    def _known_scores(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in metrics.SCORES:
                raise ValueError(f"{name!r} is no score. {nearest(name, metrics.SCORES)}")
        return names

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for name in [self.positive] if self.positive else []:
            if self.labels is not None and name not in self.labels:
                raise ValueError(f"positive: {name!r} is no class. {nearest(name, self.labels)}")
        if isinstance(self.class_weights, dict) and self.labels is not None:
            for name in self.class_weights:
                if name not in self.labels:
                    raise ValueError(f"class_weights: {name!r} is no class. {nearest(name, self.labels)}")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The text columns."""
        return (self.text,) if isinstance(self.text, str) else self.text

    def metrics(self) -> tuple[Metric, ...]:
        """The scores of the recipe; all are better when higher."""
        return tuple(Metric(name) for name in self.score)

    def inputs(self) -> tuple[Column, ...]:
        """The text columns."""
        return tuple(Column(name, "task.text") for name in self.columns)

    def targets(self) -> tuple[Column, ...]:
        """The label column."""
        return (Column(self.label, "task.label"),)

    def resolve(self, train: Rows, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Fill in the class names, the positive class and the weights."""
        values = [_text(value) for value in train.column(self.label)]
        empty = [row for row, value in enumerate(values) if value == ""]
        if empty:
            where = listing(train.where(row) for row in empty)
            raise DataError(f"{len(empty)} training rows have no {self.label!r}: {where}.")
        names = self.labels or train.names.get(self.label) or tuple(sorted(set(values), key=_numbers_first))
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
        written = self.written or (
            "names" if self.labels is None or set(values) <= set(names) else _as_written(values, names)
        )
        filled = {"labels": names, "positive": positive, "written": written}
        named: Self = build(type(self), {**dict(self), **filled}, "task.")
        if self.class_weights != "balanced":
            return named
        named.check(train)
        counts = Counter(named.ids(values).tolist())
        balanced = {name: len(values) / (len(names) * counts[i]) for i, name in enumerate(names) if counts[i]}
        return named.model_copy(update={"class_weights": balanced})

    @property
    def names(self) -> tuple[str, ...]:
        """The class names of a resolved task."""
        assert self.labels is not None, "resolve() comes first"
        return self.labels

    def ids(self, values: Sequence[Any]) -> np.ndarray:
        """Class ids, `(rows,)`, of what the column holds; -1 for what is no class."""
        known = _numbers(self.names, self.written)
        return np.array([known.get(_text(value), -1) for value in values], dtype=np.int64)

    def check(self, rows: Rows) -> None:
        """Refuse labels that are no class."""
        values = rows.column(self.label)
        bad = np.flatnonzero(self.ids(values) < 0)
        if len(bad):
            unseen = sorted({repr(_text(values[row])) for row in bad})
            where = listing((rows.where(int(row)) for row in bad), 3)
            hint = "" if len(unseen) > 1 else f" {nearest(_text(values[bad[0]]), self.names)}"
            raise DataError(
                f"{rows.origin}: {listing(unseen)} in column {self.label!r} is no class of the training rows "
                f"({len(bad)} rows: {where}).{hint}"
            )

    def head(self, config: PretrainedConfig) -> Head:
        """A sequence classifier with the class names in its configuration."""
        return Head(
            auto="AutoModelForSequenceClassification",
            peft_task="SEQ_CLS",
            changes={
                "num_labels": len(self.names),
                "id2label": dict(enumerate(self.names)),
                "label2id": {name: i for i, name in enumerate(self.names)},
                "problem_type": "single_label_classification",
            },
        )

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, limit: int, mode: Mode
    ) -> dict[str, list[Any]]:
        """One feature a row: token ids and, but for `predict`, `target`; `whole` is the length without the limit."""
        encoded, whole = tokens([rows[name] for name in self.columns], tokenizer, limit)
        size = len(whole)
        features: dict[str, list[Any]] = {
            **encoded,
            "row": list(range(size)),
            "window": [0] * size,
            "length": [len(ids) for ids in encoded["input_ids"]],
            "whole": whole,
            "weight": [1.0] * size,
        }
        if mode != "predict":
            features["target"] = self.ids(rows[self.label]).tolist()
            if isinstance(self.class_weights, dict):
                weights = [self.class_weights.get(name, 1.0) for name in self.names]
                features["weight"] = [weights[target] for target in features["target"]]
        return features

    def collate(
        self, features: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, mode: Mode, seeds: Sequence[int]
    ) -> Batch:
        """Token ids `(features, length)`, padded on the right; target class ids `(features,)`."""
        import torch

        targets = {} if mode == "predict" else {"labels": torch.tensor([f["target"] for f in features])}
        weight = torch.tensor([f["weight"] for f in features], dtype=torch.float64)
        return Batch(padded(features, tokenizer), targets, weight)

    def loss(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross entropy of `(features, classes)` logits, summed with the weights of the rows."""
        from torch.nn.functional import cross_entropy

        logits = output.logits if output.logits.element_size() > 4 else output.logits.float()
        losses = cross_entropy(logits, batch.targets["labels"], reduction="none", label_smoothing=self.label_smoothing)
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

    def agree(self, first: dict[str, Any], second: dict[str, Any], tolerance: float) -> bool:
        """The same probabilities, and the same class unless both classes are as probable."""
        one, other = first["probabilities"], second["probabilities"]
        close = all(abs(one[name] - other[name]) <= tolerance for name in one)
        tied = abs(one[first["predicted"]] - one[second["predicted"]]) <= 2 * tolerance
        return close and (first["predicted"] == second["predicted"] or tied)


def _text(value: Any) -> str:
    """A label as text: 1.0 and 1 are the same class, None is empty."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _as_written(values: Sequence[str], names: Sequence[str]) -> Literal["names", "ids"]:
    """Whether values that are not all names are ids; a mixture is taken for names, which `check` then complains of."""
    return "ids" if set(values) <= {str(i) for i in range(len(names))} else "names"


@cache
def _numbers(names: tuple[str, ...], written: str | None) -> dict[str, int]:
    """What a column may hold -> class id."""
    return {str(i) if written == "ids" else name: i for i, name in enumerate(names)}


def _numbers_first(text: str) -> tuple[bool, float, str]:
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text
