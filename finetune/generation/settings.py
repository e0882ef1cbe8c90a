"""Generation: how texts are written, as a recipe says it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from finetune.config import Config


class Generation(Config):
    """How a model writes. All counts are of written tokens: a prompt and a decoder's start token never count."""

    max_new_tokens: PositiveInt | None = None
    """Most tokens to write, the end token included; None: the task takes it from the training rows."""
    min_new_tokens: NonNegativeInt = 0
    """Tokens to write before a text may end."""
    num_beams: PositiveInt = 1
    """Texts kept beside each other in beam search; 1: the likeliest token is taken each time (greedy)."""
    length_penalty: float = 1.0
    """In beam search a text's log-probability is divided by its length in tokens to this power; above 1 prefers long
    texts, below 0 short ones."""
    no_repeat_ngram_size: NonNegativeInt = 0
    """No sequence of so many tokens is written twice; 0: any may be."""
    repetition_penalty: PositiveFloat = 1.0
    """Logits of tokens already written are divided by it where positive, multiplied where negative (Keskar et al.
    2019); 1: none."""
    do_sample: bool = False
    """Draw each token by its probability instead of taking the likeliest."""
    temperature: PositiveFloat = 1.0
    """Logits are divided by it before drawing: below 1 the likely become likelier."""
    top_k: NonNegativeInt = 0
    """Draw from so many likeliest tokens only; 0: from all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw from the fewest likeliest tokens whose probabilities reach this sum (Holtzman et al. 2020); 1: from all."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.do_sample:
            for name in ("temperature", "top_k", "top_p"):
                value, unset = getattr(self, name), type(self).model_fields[name].default
                if value != unset:
                    raise ValueError(f"{name}={value} says how tokens are drawn, so do_sample=true must be set with it")
        if self.do_sample and self.num_beams > 1:
            raise ValueError(
                f"do_sample=true draws one text at a time and num_beams={self.num_beams} searches for the likeliest: "
                "set do_sample=false or num_beams=1"
            )
        if self.length_penalty != 1 and self.num_beams == 1:
            raise ValueError(
                f"length_penalty={self.length_penalty} chooses among beams, so it needs num_beams of 2 or more"
            )
        if self.max_new_tokens is not None and self.min_new_tokens > self.max_new_tokens:
            raise ValueError(f"min_new_tokens={self.min_new_tokens} is more than max_new_tokens={self.max_new_tokens}")
        return self
