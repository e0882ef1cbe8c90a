"""Prefix tuning (Li and Liang 2021), which P-tuning v2 (Liu et al. 2022) brought to encoders, through PEFT."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pydantic import PositiveFloat, PositiveInt

from finetune.tuning.prompt_learning import PromptLearning, shape, task_type

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PretrainedConfig


class Prefix(PromptLearning):
    """Train keys and values of virtual tokens in every layer, and the head."""

    learning_rate: PositiveFloat = 5e-3
    """Peak learning rate; 5e-3 is what P-tuning v2's authors use for BoolQ with BERT-large and for SQuAD with
    RoBERTa-large (THUDM/P-tuning-v2, run_script)."""
    reparametrize: bool = False
    """Learn the prefix through a network of two layers, which is left out of what is saved (Li and Liang 2021, 4.3)."""
    hidden_size: PositiveInt = 512
    """Width of that network; 512 is its authors' and P-tuning v2's."""

    def refuse(
        self, auto: str, peft_task: str | None, config: PretrainedConfig, gradient_checkpointing: bool
    ) -> str | None:
        """Architectures that take no keys and values from outside; gradient checkpointing, which drops them."""
        refusal = super().refuse(auto, peft_task, config, gradient_checkpointing)
        if refusal:
            return refusal
        if not takes_keys_and_values(config):
            return f"{config.model_type} takes no keys and values from outside, so there is no place for a prefix"
        if gradient_checkpointing:
            return "gradient checkpointing drops the prefix; leave training.gradient_checkpointing out"
        return None

    def adapter(self, model: nn.Module, peft_task: str | None, heads: list[str], steps: int) -> PeftConfig:
        """A prefix for every layer that writes, or that reads where none writes."""
        from peft import PrefixTuningConfig

        return PrefixTuningConfig(
            task_type=task_type(peft_task),
            num_virtual_tokens=self.tokens,
            prefix_projection=self.reparametrize,
            encoder_hidden_size=self.hidden_size,
            modules_to_save=heads or None,
            **shape(model.config),
        )


def takes_keys_and_values(config: PretrainedConfig) -> bool:
    """Whether the model without its head takes keys and values that it did not compute itself."""
    from transformers import MODEL_MAPPING

    found: Any = MODEL_MAPPING.get(type(config), None)
    forward = getattr(found, "forward", None)  # of Funnel there are two models
    return forward is not None and "past_key_values" in inspect.signature(forward).parameters
