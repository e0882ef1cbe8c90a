"""Low-rank updates (Hu et al. 2021), through PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from finetune.errors import RecipeError, listing
from finetune.tuning.through_peft import ThroughPeft

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

ATTENTION: dict[str, tuple[str, ...]] = {
    "distilbert": ("q_lin", "v_lin"),
    "modernbert": ("Wqkv",),
    "albert": ("query", "value"),
    "xlnet": ("ff.layer_1", "ff.layer_2"),  # its attention weights are no linear layers
}
"""Model type -> layers to update, where PEFT has no default of its own."""


class LoRA(ThroughPeft):
    """Train low-rank updates of linear layers, and the head."""

    learning_rate: PositiveFloat = 4e-4
    """Peak learning rate; 4e-4 is what LoRA's authors use for most of GLUE with RoBERTa-base
    (microsoft/LoRA, examples/NLU)."""
    r: PositiveInt = 8
    """Rank of the updates."""
    alpha: PositiveFloat = 16
    """The update is scaled by alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the inputs of the updates that is dropped in training."""
    targets: Literal["attention", "all"] | tuple[str, ...] = "attention"
    """Layers to update: `attention`, the projections that the paper updates (query and value, by architecture);
    `all`, every linear layer but the head; or the ends of module names."""
    rslora: bool = False
    """Scale by alpha / sqrt(r) instead (Kalajdzievski 2023)."""
    dora: bool = False
    """Split magnitude from direction (Liu et al. 2024)."""

    def adapter(self, model: nn.Module, peft_task: str | None, heads: list[str], steps: int) -> PeftConfig:
        """Updates of the chosen layers."""
        from peft import LoraConfig

        return LoraConfig(
            task_type=peft_task,
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=self._targets(model, heads),
            modules_to_save=heads or None,
            use_rslora=self.rslora,
            use_dora=self.dora,
        )

    def _targets(self, model: nn.Module, heads: list[str]) -> list[str]:
        """Whole names of the layers to update: never the head, never a matrix tied to the embeddings."""
        linear = [name for name in linear_layers(model) if not any(f"{name}.".startswith(f"{h}.") for h in heads)]
        if self.targets == "all":
            return linear
        wanted = self.targets if isinstance(self.targets, tuple) else _attention(model)
        found = [name for name in linear if any(f".{name}".endswith(f".{end}") for end in wanted)]
        missing = [end for end in wanted if not any(f".{name}".endswith(f".{end}") for name in linear)]
        if missing or not found:
            ends = sorted({name.rpartition(".")[2] for name in linear})
            absent = listing(map(repr, missing), 10)
            raise RecipeError(f"tuning.targets: no linear layer is named {absent}. Known: {listing(ends, 20)}.")
        return found


def _attention(model: Any) -> tuple[str, ...]:
    """The attention projections of an architecture."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as DEFAULTS

    kind = getattr(model.config, "decoder", model.config).model_type
    targets = ATTENTION.get(kind) or DEFAULTS.get(kind)
    if not targets or isinstance(targets, str):
        raise RecipeError(f"tuning.targets: the attention layers of {kind!r} are not known; use all, or name them.")
    return tuple(targets)


def linear_layers(model: nn.Module) -> list[str]:
    """Names of the linear layers whose matrix belongs to them alone."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and id(module.weight) not in embeddings
    ]
