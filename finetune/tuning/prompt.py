"""Prompt tuning (Lester et al. 2021), through PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from finetune.errors import RecipeError
from finetune.tuning.prompt_learning import EmbeddedPrompt, task_type

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn


class Prompt(EmbeddedPrompt):
    """Train the embeddings of virtual tokens before the text, and the head."""

    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate; 1e-3 as for p_tuning in PEFT's example with RoBERTa-large on MRPC (huggingface/peft,
    examples/sequence_classification). The paper's 0.3 is Adafactor's, which scales its steps otherwise."""
    init: Literal["vocabulary", "random", "text"] = "vocabulary"
    """What the virtual tokens are before training: tokens drawn from the whole vocabulary; numbers of a normal
    distribution, which lie far from all tokens; or the tokens of `text`, again and again."""
    text: Annotated[str, Field(min_length=1)] | None = None
    """A text to begin with, as what a person would write before the input; with `init=text`."""

    @model_validator(mode="after")
    def _text_where_asked(self) -> Self:
        if (self.init == "text") != (self.text is not None):
            raise ValueError("init=text and text=... need each other")
        return self

    def adapter(self, model: Any, peft_task: str | None, heads: list[str], steps: int) -> PeftConfig:
        """Embeddings of as many tokens."""
        from peft import PromptTuningConfig, PromptTuningInit

        drawn = PromptTuningInit.SAMPLE_VOCAB if self.init == "vocabulary" else PromptTuningInit.RANDOM
        return PromptTuningConfig(
            task_type=task_type(peft_task),
            num_virtual_tokens=self.tokens,
            prompt_tuning_init=drawn,
            modules_to_save=heads or None,
            **self.embedded(model),
        )

    def apply(self, model: Any, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Wrap the model in PEFT's, and begin with the text, where there is one.

        Raises:
            RecipeError: The text has no tokens, or the model reads embeddings otherwise than the tokens they are of.
        """
        import torch
        from transformers import AutoTokenizer

        wrapped: Any = super().apply(model, peft_task, fresh, steps)
        if self.text is not None:  # PEFT would begin with the special tokens around it
            tokenizer = AutoTokenizer.from_pretrained(
                model.name_or_path, revision=getattr(model.config, "_commit_hash", None)
            )
            ids = tokenizer(self.text, add_special_tokens=False)["input_ids"]
            if not ids:
                raise RecipeError(f"tuning.text = {self.text!r} has no tokens to begin with.")
            chosen = torch.tensor((ids * self.tokens)[: self.tokens])
            with torch.no_grad():
                wrapped.prompt_encoder["default"].embedding.weight.copy_(wrapped.word_embeddings(chosen))
        return wrapped  # type: ignore[no-any-return]
