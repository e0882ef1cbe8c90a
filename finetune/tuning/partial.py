"""The last layers (Lee et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveFloat, PositiveInt

from finetune.errors import RecipeError
from finetune.tuning import layers
from finetune.tuning.base import Tuning, freeze_all_but

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


class Partial(Tuning):
    """Train the last layers of encoder and decoder and all that stands above them; the layers below stay."""

    learning_rate: PositiveFloat = 5e-5
    """Peak learning rate; 5e-5 is the highest of the three that BERT's authors recommend for all layers (Devlin et al.
    2019, A.3): where fewer are trained, each has further to go."""
    layers: PositiveInt = 2
    """Layers trained of each stack, counted from its top. A fourth of them keeps most of the quality (Lee et al.
    2019)."""
    embeddings: bool = False
    """Train the embeddings as well."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    """Learning rate of a layer over that of the layer above it, as in `full`; None: one rate for all."""

    def refuse(
        self, auto: str, peft_task: str | None, config: PretrainedConfig, gradient_checkpointing: bool
    ) -> str | None:
        """The last layers need weights of their own."""
        return f"{layers.SHARED}, so there are no last ones" if layers.share_weights(config) else None

    def apply(self, model: nn.Module, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Freeze the layers below, and the embeddings.

        Raises:
            RecipeError: A stack has fewer layers.
        """
        found = layers.stacks(model)
        shortest = min(found, key=lambda name: found[name])
        if self.layers > found[shortest]:
            raise RecipeError(
                f"tuning.layers = {self.layers}: {shortest} has {found[shortest]} layers; at most {found[shortest]}."
            )
        lowest = 1 + max(found.values())
        places = layers.distances(model)
        chosen = {n for n, place in places.items() if place <= self.layers or (self.embeddings and place == lowest)}
        freeze_all_but(model, chosen | fresh)
        return model

    def groups(self, model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
        """Two groups, or two for each layer."""
        if self.layer_decay is None:
            return super().groups(model, weight_decay)
        return layers.decayed_groups(model, self.learning_rate, weight_decay, self.layer_decay)
