"""Every parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveFloat

from finetune.tuning.base import Tuning

if TYPE_CHECKING:
    from torch import nn


class Full(Tuning):
    """Train every parameter."""

    trains_everything: ClassVar[bool] = True

    learning_rate: PositiveFloat = 2e-5
    """Peak learning rate; 2e-5 is the lowest of the three that BERT's authors recommend (Devlin et al. 2019, A.3).
    Small encoders such as MiniLM-L6 want about 1e-4."""

    def apply(self, model: nn.Module, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """The model as it is."""
        return model
