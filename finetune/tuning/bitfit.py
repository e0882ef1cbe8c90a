"""The biases only (Ben Zaken et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import PositiveFloat

from finetune.tuning.base import Tuning, freeze_all_but
from finetune.warm_start import COMPOSITE

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


class BitFit(Tuning):
    """Train every bias, those of norms among them, and the head."""

    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate; 1e-3 is the default and the example of the authors' script (benzakenelad/BitFit)."""

    def refuse(
        self, auto: str, peft_task: str | None, config: PretrainedConfig, gradient_checkpointing: bool
    ) -> str | None:
        """An architecture without biases, as Llama, T5 and ModernBERT."""
        if any(map(_is_bias, (name for name, _ in _outline(config).named_parameters()))):
            return None
        return f"{config.model_type} has no biases to train"

    def apply(self, model: nn.Module, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Freeze all but biases and fresh parameters."""
        freeze_all_but(model, {name for name, _ in model.named_parameters() if _is_bias(name)} | fresh)
        return model


def _is_bias(name: str) -> bool:
    """Whether a parameter is one: `bias`, or XLNet's `r_w_bias`; not T5's matrix of biases by distance."""
    return name.endswith("bias")


def _outline(config: PretrainedConfig) -> nn.Module:
    """The base model of a configuration, without any number in it."""
    import torch
    from transformers import AutoModel, AutoModelForSeq2SeqLM

    auto: Any = AutoModelForSeq2SeqLM if config.model_type == COMPOSITE else AutoModel
    with torch.device("meta"):
        model: nn.Module = auto.from_config(config)
    return model
