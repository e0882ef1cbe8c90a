"""What a checkpoint can learn of plain text, as its configuration tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from finetune.architectures import kind_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Objective = Literal["causal", "masked"]
"""To tell the next token, or the tokens behind masks."""

IN_ANY_ORDER = ("xlnet",)
"""Model types that learn a text's tokens in any order: their head for masks is none for single ones."""
PACKED = ("bert", "camembert", "electra", "gpt2", "llama", "qwen2", "qwen3", "roberta", "xlm-roberta")
"""Model types whose attention a mask over pairs of tokens describes whole, and which take positions."""
AFTER_PADDING = ("camembert", "roberta", "xlm-roberta")
"""Those of them that count positions from the pad token's id + 1."""


def objective_of(config: PretrainedConfig) -> Objective | None:
    """What a checkpoint can learn; None: neither."""
    from transformers.models.auto import modeling_auto as known

    kind = kind_of(config)
    if kind == "decoder":
        return "causal"
    masked = kind == "encoder" and config.model_type not in IN_ANY_ORDER
    return "masked" if masked and config.model_type in known.MODEL_FOR_MASKED_LM_MAPPING_NAMES else None


def unfit(config: PretrainedConfig, wanted: Objective | None) -> str | None:
    """Why a checkpoint cannot learn what is wanted, and what can; None: it can."""
    fits, kind = objective_of(config), config.model_type
    decoders, encoders = "a decoder, as GPT-2 or Llama", "an encoder, as BERT, RoBERTa or DistilBERT"
    if fits is None:
        return (
            f"model: {kind} is neither a decoder, which learns next tokens, nor an encoder, which learns masked ones. "
            f"Take {decoders}, or {encoders}."
        )
    if wanted is None or wanted == fits:
        return None
    if fits == "masked":
        return f"task.objective = causal: {kind} is an encoder, it sees the next token. Take masked, or {decoders}."
    return f"task.objective = masked: {kind} is a decoder, it has no head for masks. Take causal, or {encoders}."


def packs(config: PretrainedConfig) -> bool:
    """Whether several sequences can stand in one row without seeing each other."""
    layers = set(getattr(config, "layer_types", None) or ())
    return config.model_type in PACKED and layers <= {"full_attention"}


def first_position(config: PretrainedConfig) -> int:
    """Position of a sequence's first token."""
    return (config.pad_token_id or 0) + 1 if config.model_type in AFTER_PADDING else 0
