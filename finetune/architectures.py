"""What a model type reads and writes, as its configuration tells before any weight is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Kind = Literal["encoder", "decoder", "encoder-decoder"]

SEES_AHEAD = ("bert-generation", "xlnet", "xlm", "reformer")
"""Model types with a class that writes, whose tokens may yet see those that follow: as encoders they are told apart by
`is_decoder` or learn in another way, so that a loss over next tokens would be told its own answers."""


def kind_of(config: PretrainedConfig) -> Kind:
    """What a checkpoint reads and writes: one that can fill in masked tokens is an encoder, if it is not told to write.

    A decoder's tokens see those before them alone.
    """
    from transformers.models.auto import modeling_auto as known

    if config.is_encoder_decoder:
        return "encoder-decoder"
    kind, told = config.model_type, bool(getattr(config, "is_decoder", False))
    if kind not in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "encoder"
    if kind in SEES_AHEAD or kind in known.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "decoder" if told and kind != "xlnet" else "encoder"
    return "decoder"
