"""Task: what every task answers, from columns to scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import PositiveInt

from finetune.config import Choice, FilePath
from finetune.data.base import Column
from finetune.data.table import Rows
from finetune.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor, device, nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

Mode = Literal["train", "score", "predict"]
"""What features are made for: `train` and `score` need the target columns, `predict` must not."""

DEFAULT_LENGTH = 512
"""Tokens that a feature may have where the recipe does not say and the model takes more."""


@dataclass(frozen=True)
class Metric:
    """A score.

    Attributes:
        name: As reports call it.
        higher_is_better: Its direction.
        point: What people call one point of it, by which differences are judged.
    """

    name: str
    higher_is_better: bool = True
    point: float = 0.01


@dataclass(frozen=True)
class Head:
    """What to put on a checkpoint.

    Attributes:
        auto: Auto class of transformers, as `AutoModelForSequenceClassification`.
        peft_task: PEFT's name of the task, as `SEQ_CLS`; None where it has none.
        changes: Fields of the checkpoint's configuration to set, as the label names.
        doubled: Whether an encoder's weights become both halves of an encoder-decoder.
        generation: What the saved model's generation configuration says; empty where it writes nothing.
    """

    auto: str
    peft_task: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    doubled: bool = False
    generation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Some features, padded to one length.

    Attributes:
        inputs: What the model gets, by argument name: `(features, length)` and the like.
        targets: What the loss needs besides the output.
        weight: `(features,)`, how much each counts in the loss; their sum is the weight that `loss` returns.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    weight: Tensor

    def to(self, device: device) -> Batch:
        """The same on a device."""
        inputs = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        targets = {name: tensor.to(device) for name, tensor in self.targets.items()}
        return replace(self, inputs=inputs, targets=targets, weight=self.weight.to(device))


@dataclass(frozen=True)
class Window:
    """One feature of a row after the model has seen it: its columns, and what `predict` made of it."""

    feature: dict[str, Any]
    output: Any


class Task(Choice, ABC):
    """What is learned and how it is scored.

    The way of a row: `encode` makes one or several features of it, `collate` pads features into a batch, `loss` or
    `predict` takes what the model answers, `merge` joins a row's windows, `decide` turns the result into a prediction
    for a person, `measure` and `aggregate` score predictions. Metrics are decided before anything is loaded.
    """

    package: ClassVar[str] = "finetune.tasks"
    baseline_name: ClassVar[str]
    """What the trivial baseline does, in a few words."""

    probed: ClassVar[Mode] = "score"
    """What features are made for whose logits a certificate compares; `train` where a model writes, for its targets."""
    target_name: ClassVar[str] = "targets"
    """What a row may lose to `max_length`, in the plural: entities, answers."""

    max_length: PositiveInt | None = None
    """Most tokens of a feature; longer ones are cut, or become several. None: what the model takes, at most 512."""
    evaluate_modules: tuple[FilePath, ...] = ()
    """Further scores, by modules of the `evaluate` library: a name on the Hub, or a local folder or file."""

    @property
    def target_limit(self) -> int | None:
        """Most tokens of a target that is written; None where none is."""
        return None

    @abstractmethod
    def metrics(self) -> tuple[Metric, ...]:
        """The scores, by name; the first chooses the best checkpoint."""

    @abstractmethod
    def inputs(self) -> tuple[Column, ...]:
        """Columns needed to predict."""

    @abstractmethod
    def targets(self) -> tuple[Column, ...]:
        """Columns needed besides to train and to score; a test split may lack them."""

    def optional(self) -> tuple[Column, ...]:
        """Columns that are read where a split has them."""
        return ()

    @abstractmethod
    def resolve(self, train: Rows, tokenizer: PreTrainedTokenizerBase) -> Self:
        """The task with everything filled in that depends on the training rows: label names, weights.

        Raises:
            DataError: The rows cannot be learned from.
        """

    def aligned(self, config: PretrainedConfig, virtual_tokens: int = 0) -> Self:
        """The resolved task as the checkpoint has it: outputs in the order of its own head, room for what is written.

        Args:
            config: Of the checkpoint.
            virtual_tokens: Positions of every row that the tuning method takes.

        Raises:
            RecipeError: A setting asks for what the model, or the method, has no room for.
        """
        return self

    @abstractmethod
    def check(self, rows: Rows) -> None:
        """Look through a labelled split, after `resolve`.

        Raises:
            DataError: A row that cannot be scored, as one with an unseen label.
        """

    @abstractmethod
    def head(self, config: PretrainedConfig) -> Head:
        """The head for a checkpoint.

        Raises:
            ModelError: The checkpoint does not fit the task.
        """

    @abstractmethod
    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, limit: int, mode: Mode
    ) -> dict[str, list[Any]]:
        """Features of some rows, as columns.

        Always there: `row` (position in `rows`), `window` (number within its row), `length` (tokens) and `weight`
        (in the loss). The rest is the task's own: token ids, targets, offsets. No feature holds parts of two rows.
        By these columns what a limit costs is counted, each said at a row's first window and 0 at the others:
        `whole`, the row's length without the limit; and for rows of several windows, `held`, `lost` and `longest`: its
        targets that a window holds, those that none does, and how many tokens the longest needs beside each other.

        Args:
            rows: Columns of the data.
            tokenizer: The checkpoint's.
            limit: Most tokens of a feature.
            mode: What for.
        """

    @abstractmethod
    def collate(
        self, features: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, mode: Mode, seeds: Sequence[int]
    ) -> Batch:
        """Pad features into a batch.

        Args:
            features: What `encode` made, one dictionary each.
            tokenizer: The checkpoint's.
            mode: What for.
            seeds: One for each feature, from (seed, epoch, row, window), for tasks that draw targets at random.
        """

    @abstractmethod
    def loss(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """The weighted sum of the features' losses, and the sum of their weights. Only the loop divides."""

    @abstractmethod
    def predict(self, model: nn.Module, batch: Batch) -> list[Any]:
        """For each feature what scoring needs of the model's answer, in compact plain or NumPy values."""

    def cost(self, lengths: np.ndarray) -> np.ndarray:
        """Tokens that features of these lengths hold while they are predicted, `(features,)`; more if one writes."""
        return lengths

    def merge(self, windows: Sequence[Window], row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> Any:
        """One raw prediction from all windows of a row, in their order; here a row has only one."""
        (window,) = windows
        return window.output

    def calibrate(self, raw: Sequence[Any], rows: Rows) -> dict[str, Any]:
        """Decisions fitted on labelled rows, as thresholds: JSON values, saved with the model."""
        return {}

    @abstractmethod
    def decide(self, raw: Sequence[Any], decisions: dict[str, Any]) -> list[dict[str, Any]]:
        """Predictions for a person, one a row: JSON values, with `predicted` and what backs it."""

    @abstractmethod
    def gold(self, row: dict[str, Any]) -> Any:
        """The target of a row as a person reads it."""

    @abstractmethod
    def baseline(self, train: Rows, rows: Rows) -> list[dict[str, Any]]:
        """Predictions that need no model, to compare with: `baseline_name`."""

    @abstractmethod
    def measure(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> np.ndarray:
        """What the scores need to know of each row: `(rows, k)` numbers."""

    @abstractmethod
    def aggregate(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """The scores of `(rows, k)` statistics, each row counted `weights` times, `(rows,)`."""

    def per_class(self, statistics: np.ndarray) -> dict[str, dict[str, float]]:
        """Class -> precision, recall, f1 and support, of `(rows, k)` statistics; empty where there are no classes."""
        return {}

    def signatures(self, rows: Rows) -> dict[str, str]:
        """How scores were computed that depend on settings and versions, as sacreBLEU's: by score."""
        return {}

    def doubts(self, statistics: np.ndarray, baseline: np.ndarray) -> list[str]:
        """What looks wrong with a model or with its labels, in sentences, from its statistics and the baseline's."""
        return []

    def exchanged(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> tuple[list[Any], list[Any]]:
        """Predictions and references as the modules of `evaluate` for this task take them.

        Raises:
            RecipeError: No module could take them.
        """
        raise RecipeError(f"task.evaluate_modules: {self.kind()} has nothing that such a module could score.")

    def agree(self, first: dict[str, Any], second: dict[str, Any], tolerance: float) -> bool:
        """Whether two predictions of a row are the same but for rounding."""
        return all(
            abs(value - second[name]) <= tolerance if isinstance(value, float) else value == second[name]
            for name, value in first.items()
            if not isinstance(value, dict)
        )
