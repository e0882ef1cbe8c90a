"""Every parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, PositiveFloat

from finetune.tuning import layers
from finetune.tuning.base import Tuning

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


class Full(Tuning):
    """Train every parameter."""

    trains_everything: ClassVar[bool] = True

    learning_rate: PositiveFloat = 2e-5
    """Peak learning rate; 2e-5 is the lowest of the three that BERT's authors recommend (Devlin et al. 2019, A.3).
    Small encoders such as MiniLM-L6 want about 1e-4."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    """Learning rate of a layer over that of the layer above it, down to the embeddings; the head has `learning_rate`,
    encoder and decoder count from their own tops. 0.8 for ELECTRA-base and 0.9 for the large one (Clark et al. 2020),
    1/2.6 for ULMFiT (Howard and Ruder 2018). None: one rate for all."""

    def refuse(
        self, auto: str, peft_task: str | None, config: PretrainedConfig, gradient_checkpointing: bool
    ) -> str | None:
        """Rates by layer need layers of their own."""
        shared = self.layer_decay is not None and layers.share_weights(config)
        return f"{layers.SHARED}, so layer_decay has nothing to tell apart" if shared else None

    def apply(self, model: nn.Module, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """The model as it is."""
        return model

    def groups(self, model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
        """Two groups, or two for each layer."""
        if self.layer_decay is None:
            return super().groups(model, weight_decay)
        return layers.decayed_groups(model, self.learning_rate, weight_decay, self.layer_decay)
