"""What tasks over one or two texts share: the text columns, one feature a row, and classes that have names."""

from __future__ import annotations

import logging
import math
import re
from abc import abstractmethod
from collections.abc import Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from finetune.data.base import Column
from finetune.data.table import Rows
from finetune.errors import DataError, listing, nearest
from finetune.tasks.base import Batch, Head, Mode, Task
from finetune.text.labels import label_text
from finetune.text.tokens import padded, tokens

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

UNNAMED = re.compile(r"LABEL_\d+")
"""What a configuration calls the outputs of a head that nobody named."""


class Texts(Task):
    """A task over one text or a pair of texts, whose rows give one feature each."""

    text: str | Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = "text"
    """Column of the text, or two columns of a pair."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The text columns."""
        return (self.text,) if isinstance(self.text, str) else self.text

    def inputs(self) -> tuple[Column, ...]:
        """The text columns."""
        return tuple(Column(name, "task.text") for name in self.columns)

    @abstractmethod
    def learned(self, rows: dict[str, list[Any]]) -> tuple[list[Any], list[float]]:
        """The target of each labelled row, a number or a list of numbers, and how much it counts in the loss."""

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
            features["target"], features["weight"] = self.learned(rows)
        return features

    def collate(
        self, features: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, mode: Mode, seeds: Sequence[int]
    ) -> Batch:
        """Token ids `(features, length)`; targets `(features,)` or `(features, classes)`."""
        import torch

        targets = {} if mode == "predict" else {"labels": torch.from_numpy(np.array([f["target"] for f in features]))}
        weight = torch.tensor([f["weight"] for f in features], dtype=torch.float64)
        return Batch(padded(features, tokenizer, left=tokenizer.padding_side == "left"), targets, weight)


class Classes(Texts):
    """A task over texts whose outputs are classes that have names."""

    problem_type: ClassVar[str]
    """What transformers calls it."""

    labels: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """Names of the classes in the order of their ids. None: as the source declares them, else the values of the
    training rows, numbers in numeric order, others in alphabetical order."""
    written: Literal["names", "ids"] | None = None
    """What the column holds; None: names where all training rows hold one of `labels`, else ids."""
    order: tuple[str, ...] | None = None
    """The names in the order of the model's outputs; None: as `labels`. A checkpoint whose head has outputs of these
    names gives its own order, however it spells case, spaces, dashes and underscores."""
    class_weights: Literal["balanced"] | dict[str, PositiveFloat] | None = None
    """How much each class counts in the loss, by name; or `balanced`, the more the fewer rows have it.

    With one class a row it is the weight of the class's rows, balanced rows / (classes * rows of the class). With
    several a row it is how much more it counts that a row has the class than that it has not, balanced rows without
    the class / rows with it. None, and for a class that is not named: 1."""

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        if self.labels is not None:
            for field in ("order", "class_weights"):
                value = getattr(self, field)
                for name in value if value is not None and value != "balanced" else ():
                    if name not in self.labels:
                        raise ValueError(f"{field}: {name!r} is no class. {nearest(name, self.labels)}")
            if self.order is not None and sorted(self.order) != sorted(self.labels):
                raise ValueError("order: every class is needed there once.")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The class names of a resolved task, in the order of the model's outputs."""
        assert self.labels is not None, "resolve() comes first"
        return self.order or self.labels

    def found_names(self, train: Rows, column: str, values: Sequence[str]) -> dict[str, Any]:
        """`labels` and `written` as the training rows decide them, from all that a column holds."""
        names = self.labels or train.names.get(column) or tuple(sorted(set(values), key=_numbers_first))
        if self.labels is None or set(values) <= set(names):
            written = "names"
        else:  # a mixture is taken for names, which `check` then complains of
            written = "ids" if set(values) <= {str(i) for i in range(len(names))} else "names"
        return {"labels": names, "written": self.written or written}

    def ids(self, values: Sequence[Any]) -> np.ndarray:
        """Positions among the model's outputs, `(values,)`, of what the column holds; -1 for what is no class."""
        assert self.labels is not None, "resolve() comes first"
        known = _positions(self.labels, self.names, self.written)
        return np.array([known.get(label_text(value), -1) for value in values], dtype=np.int64)

    def refuse(self, rows: Rows, column: str, unseen: Sequence[tuple[int, str]]) -> None:
        """Complain of (row, value) pairs that are no class, if there are any.

        Raises:
            DataError: There are.
        """
        if not unseen:
            return
        values = sorted({repr(value) for _, value in unseen})
        bad = sorted({row for row, _ in unseen})
        where = listing((rows.where(row) for row in bad), 3)
        hint = "" if len(values) > 1 else f" {nearest(unseen[0][1], self.names)}"
        raise DataError(
            f"{rows.origin}: {listing(values)} in column {column!r} is no class of the training rows "
            f"({len(bad)} rows: {where}).{hint}"
        )

    def aligned(self, config: PretrainedConfig, virtual_tokens: int = 0) -> Self:
        """The task with its outputs in the order of the checkpoint's own, where these are the same classes by name."""
        own = [str(name) for _, name in sorted((config.id2label or {}).items())]
        if len(own) != len(self.names) or any(UNNAMED.fullmatch(name) for name in own):
            return self
        assert self.labels is not None, "resolve() comes first"
        spelling = _plain if len({_plain(name) for name in self.labels}) == len(self.labels) else str
        spelled = {spelling(name): name for name in self.labels}
        order = tuple(spelled.get(spelling(name), "") for name in own)
        if sorted(order) == sorted(self.labels):
            return self.model_copy(update={"order": None if order == self.labels else order})
        if config.architectures is None or any("Classification" in name for name in config.architectures):
            log.warning(
                "The checkpoint's head knows other labels (%s) than these rows (%s), and only starts from them. "
                "If they mean the same, name them in task.labels, in the order of the ids",
                listing(own, 10),
                listing(self.labels, 10),
            )
        return self

    def head(self, config: PretrainedConfig) -> Head:
        """A sequence classifier with the class names in its configuration."""
        return Head(
            auto="AutoModelForSequenceClassification",
            peft_task="SEQ_CLS",
            changes={
                "num_labels": len(self.names),
                "id2label": dict(enumerate(self.names)),
                "label2id": {name: i for i, name in enumerate(self.names)},
                "problem_type": self.problem_type,
            },
        )


def known_scores(names: tuple[str, ...], known: Collection[str]) -> tuple[str, ...]:
    """The names of scores, if all are known.

    Raises:
        ValueError: One is not; the message names the nearest.
    """
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r} is no score. {nearest(name, known)}")
    return names


def shortened_around(before: str, after: str, tokenizer: PreTrainedTokenizerBase, surplus: int) -> tuple[str, str]:
    """What stands before and after a place in a text, `surplus` tokens shorter in all, cut where it is farthest."""
    encoded = tokenizer([before, after], add_special_tokens=False, return_offsets_mapping=True, padding=False)
    left, right = encoded["offset_mapping"]
    keep = max(0, len(left) + len(right) - surplus)
    kept_right = min(len(right), max(keep // 2, keep - len(left)))
    dropped = len(left) - (keep - kept_right)
    if dropped:
        before = before[left[dropped][0] :] if dropped < len(left) else ""
    if kept_right < len(right):
        after = after[: right[kept_right - 1][1]] if kept_right else ""
    return before, after


@cache
def _positions(labels: tuple[str, ...], names: tuple[str, ...], written: str | None) -> dict[str, int]:
    """What a column may hold, an id or a name of `labels` -> position among the outputs."""
    return {str(i) if written == "ids" else name: names.index(name) for i, name in enumerate(labels)}


def _plain(name: str) -> str:
    """A class name without what spellings of it differ in."""
    return re.sub(r"[\s_-]+", " ", name.casefold()).strip()


def _numbers_first(text: str) -> tuple[bool, float, str]:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    # nan has no place among numbers: the order would be that of a set, which differs from process to process
    return (False, number, text) if math.isfinite(number) else (True, 0.0, text)
