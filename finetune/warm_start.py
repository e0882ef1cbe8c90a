"""An encoder as both halves of an encoder-decoder (Rothe et al. 2020, BERT2BERT): weights of one checkpoint, twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from finetune.errors import ModelError, listing

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

DOUBLED = (
    "bert",
    "big_bird",
    "camembert",
    "data2vec-text",
    "electra",
    "ernie",
    "megatron-bert",
    "rembert",
    "roberta",
    "roberta-prelayernorm",
    "roc_bert",
    "roformer",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)
"""Model types whose library class can also be a decoder with attention to an encoder."""
COMPOSITE = "encoder-decoder"
"""What the library calls a model of two others."""


def check(config: PretrainedConfig) -> None:
    """Look that a checkpoint can be doubled.

    Raises:
        ModelError: It has no class for a decoder that attends to an encoder; the message names what fits.
    """
    if config.model_type not in DOUBLED:
        raise ModelError(
            f"model: {config.model_type} cannot write: it is no decoder, no encoder-decoder, and cannot become one. "
            f"What fits: t5, bart, mbart, marian, pegasus; gpt2, llama, qwen3; or an encoder of {listing(DOUBLED, 20)}."
        )


def doubled_config(config: PretrainedConfig) -> PretrainedConfig:
    """The configuration of two models of this one: an encoder, and a decoder that attends to it."""
    import copy

    from transformers import EncoderDecoderConfig

    encoder, decoder = copy.deepcopy(config), copy.deepcopy(config)
    made: PretrainedConfig = EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    return made


def doubled(path: str, config: PretrainedConfig, **arguments: Any) -> tuple[nn.Module, dict[str, Any]]:
    """The model of `doubled_config`, both halves with the weights of one encoder.

    The attention from decoder to encoder is drawn at random, as is what else the checkpoint lacks.

    Args:
        path: The encoder's checkpoint.
        config: What `doubled_config` made of its configuration.
        arguments: As `from_pretrained` takes them.

    Returns:
        The model, and `missing_keys`, `mismatched_keys` and `unexpected_keys` by the names they have in it.
    """
    from transformers import AutoModel, AutoModelForCausalLM, EncoderDecoderModel

    arguments = {**arguments, "output_loading_info": True}
    parts: dict[str, Any] = {}
    info: dict[str, Any] = {"missing_keys": set(), "mismatched_keys": set(), "unexpected_keys": set()}
    for part, auto in (("encoder", AutoModel), ("decoder", AutoModelForCausalLM)):
        parts[part], found = auto.from_pretrained(path, config=getattr(config, part), **arguments)
        for name, keys in info.items():
            keys |= {f"{part}.{key if isinstance(key, str) else key[0]}" for key in found[name]}
    model: Any = EncoderDecoderModel(config=config, **parts)
    model.name_or_path = path  # where an adapter finds it again
    return model, info


def base_of(auto: Any, path: str, config: PretrainedConfig, **arguments: Any) -> nn.Module:
    """The model that an adapter belongs to: doubled if its configuration is of two models and its checkpoint of one."""
    from transformers import AutoConfig

    model: nn.Module
    if config.model_type == COMPOSITE:
        own = AutoConfig.from_pretrained(path, revision=arguments.get("revision"))
        if own.model_type != COMPOSITE:
            model, _ = doubled(path, config, **arguments)
            return model
    model = auto.from_pretrained(path, config=config, **arguments)
    return model
