"""The head only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveFloat

from finetune.errors import RecipeError
from finetune.tuning.base import Tuning, freeze_all_but

if TYPE_CHECKING:
    from torch import nn


class Frozen(Tuning):
    """Train the head, and whatever the checkpoint did not have, on the checkpoint as it is."""

    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate; 1e-3 is Adam's own default (Kingma and Ba 2015), which linear probes commonly use."""

    def apply(self, model: nn.Module, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Freeze all but the fresh parameters."""
        if not fresh:
            raise RecipeError(
                "tuning=frozen: this checkpoint has all the weights of the task and no head of its own, "
                "so nothing would be trained. Use tuning=full or tuning=lora."
            )
        freeze_all_but(model, fresh)
        return model
