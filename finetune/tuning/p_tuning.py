"""P-tuning (Liu et al. 2021), through PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveFloat, PositiveInt

from finetune.tuning.prompt_learning import EmbeddedPrompt, task_type

if TYPE_CHECKING:
    from peft import PeftConfig


LOOKED_FOR_EVERYWHERE = ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS")
"""PEFT's tasks whose heads it looks for by the ends of names, in the network too, which has an `mlp_head`."""


class PTuning(EmbeddedPrompt):
    """Train a small network that writes the embeddings of virtual tokens before the text, and the head.

    What is saved are the embeddings that it writes, so that the network costs nothing later.
    """

    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate; 1e-3 is that of PEFT's example with RoBERTa-large on MRPC (huggingface/peft,
    examples/sequence_classification), which also has the defaults of the other fields."""
    encoder: Literal["mlp", "lstm"] = "mlp"
    """The network: three layers for each token alone, or the paper's LSTM over all of them, in both directions."""
    hidden_size: PositiveInt = 128
    """Its width."""

    def adapter(self, model: Any, peft_task: str | None, heads: list[str], steps: int) -> PeftConfig:
        """The network and as many tokens."""
        from peft import PromptEncoderConfig

        if peft_task in LOOKED_FOR_EVERYWHERE:
            heads = [f"base_model.{head}" for head in heads]
        return PromptEncoderConfig(
            task_type=task_type(peft_task),
            num_virtual_tokens=self.tokens,
            encoder_reparameterization_type=self.encoder.upper(),
            encoder_hidden_size=self.hidden_size,
            modules_to_save=heads or None,
            **self.embedded(model),
        )
