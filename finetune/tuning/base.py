"""Tuning: what every tuning method answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PositiveFloat

from finetune.config import Choice
from finetune.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig


class Tuning(Choice, ABC):
    """Which parameters a run trains, and how fast.

    A method is one file in this folder; `apply` is all that most need. In every method the *fresh* parameters are
    trained and saved: the task's head and whatever the checkpoint did not have.
    """

    package: ClassVar[str] = "finetune.tuning"
    trains_everything: ClassVar[bool] = False
    """Whether no parameter stays as it was loaded."""
    loader: ClassVar[str] = "transformers"
    """The most public library that loads what `save` writes: transformers, peft, or finetune."""
    note: ClassVar[str] = ""
    """What someone who loads the saved model without this package must know besides."""
    unmergeable: ClassVar[str] = ""
    """Why what was learned cannot become part of a plain model's weights; empty where it can."""

    learning_rate: PositiveFloat
    """Peak learning rate of AdamW; each method has its own default."""

    def refuse(
        self, auto: str, peft_task: str | None, config: PretrainedConfig, gradient_checkpointing: bool
    ) -> str | None:
        """Why this method does not fit, in a sentence without full stop; None: it fits.

        Args:
            auto: Auto class of the head, as `AutoModelForTokenClassification`.
            peft_task: PEFT's name of the head's task, where it has one.
            config: The checkpoint's.
            gradient_checkpointing: Whether activations are computed again in the backward pass.
        """
        return None

    def digests(self) -> dict[str, str]:
        """Field -> hash, of the fields that name a file or folder: its content names the run, not its place."""
        return {}

    def virtual_tokens(self) -> int:
        """Positions of the model that the method takes away."""
        return 0

    def loading(self) -> dict[str, Any]:
        """Arguments that `from_pretrained` must know."""
        return {}

    @abstractmethod
    def apply(self, model: nn.Module, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Leave exactly the trained parameters trainable.

        Args:
            model: The loaded model with its head, every parameter trainable.
            peft_task: PEFT's name of the task, where it has one.
            fresh: Names of the fresh parameters.
            steps: Optimizer steps of the run.

        Returns:
            The model to train; its logits keep the length of the input.

        Raises:
            RecipeError: The method finds nothing to train here.
        """

    def groups(self, model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
        """Parameter groups of the optimizer; vectors and scalars (biases, norms) are not decayed."""
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return [
            {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay, "lr": self.learning_rate},
            {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0, "lr": self.learning_rate},
        ]

    def penalty(self, model: nn.Module) -> Tensor | None:
        """A term added to the loss once per step; None: none."""
        return None

    def after_step(self, model: nn.Module, step: int) -> None:  # most methods have nothing to do
        """Called after each optimizer step, before the gradients are cleared."""

    def state(self, model: nn.Module) -> dict[str, Tensor]:
        """What the method itself must remember in a checkpoint besides the trained parameters."""
        return {}

    def restore(self, model: nn.Module, state: dict[str, Tensor]) -> None:
        """Undo `state`."""

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write what a public library needs to load the model, the fresh parameters included."""
        whole: Any = model
        whole.save_pretrained(folder)

    def merge(self, model: nn.Module) -> nn.Module:
        """A plain model of the checkpoint's own class that answers as the loaded one, which is used up; in fp32.

        Raises:
            RecipeError: There is none; `unmergeable` says why.
        """
        if self.unmergeable:
            raise RecipeError(f"tuning={self.kind()} cannot be merged: {self.unmergeable}.")
        return model

    def load(self, folder: Path, auto: Any) -> nn.Module:
        """Load what `save` wrote, weights in fp32.

        Args:
            folder: The saved model.
            auto: The auto class of the head.
        """
        import torch

        model: nn.Module = auto.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        return model


def freeze_all_but(model: nn.Module, trained: set[str]) -> None:
    """Leave only the parameters of these names trainable."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
