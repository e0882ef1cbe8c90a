"""From a checkpoint to a model with a head, of which a tuning method trains a part."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from finetune import warm_start
from finetune.errors import ModelError
from finetune.pretrained import POSITIONS_AFTER_PADDING, Checkpoint, first_sentence
from finetune.randomness import derive
from finetune.recipe import Model
from finetune.tasks.base import Head
from finetune.tuning.base import Tuning

if TYPE_CHECKING:
    from transformers import PretrainedConfig


PEFT_COPY = ".modules_to_save.default"
"""What PEFT puts into the name of a module that it trains whole."""


@dataclass(frozen=True)
class Built:
    """A model ready to train.

    Attributes:
        module: The model, its parameters trainable or not as the tuning method left them.
        fresh: Names of the parameters that the checkpoint did not have, and of the head's, before tuning was applied.
        trainable, total: Numbers of parameters; the total is that of the model without what the method added.
    """

    module: nn.Module
    fresh: set[str]
    trainable: int
    total: int


def head_config(checkpoint: Checkpoint, head: Head, dropout: float | None = None) -> PretrainedConfig:
    """The checkpoint's configuration with the head's changes, and another dropout everywhere if one is given."""
    config = copy.deepcopy(checkpoint.config)
    if head.doubled:
        config = warm_start.doubled_config(config)
    for name, value in head.changes.items():
        setattr(config, name, value)
    for part in (config, config.encoder, config.decoder) if config.model_type == warm_start.COMPOSITE else (config,):
        for name, value in vars(part).items() if dropout is not None else ():
            if re.search("dropout|pdrop", name) and not isinstance(value, (bool, str)):
                setattr(part, name, dropout)
    if config.model_type not in POSITIONS_AFTER_PADDING:  # there it counts positions and cannot be changed
        config.pad_token_id = checkpoint.tokenizer.pad_token_id  # a classifier of a decoder looks for it in the batch
    return config


def auto_class(head: Head) -> Any:
    """The auto class of transformers that a head names."""
    import transformers

    return getattr(transformers, head.auto)


def load_weights(
    model: Model, checkpoint: Checkpoint, head: Head, tuning: Tuning, seed: int
) -> tuple[nn.Module, set[str]]:
    """The model with its head, in eval mode, and the names of its fresh parameters.

    The head has a seed of its own, and is made before any tuning method is applied: compared methods start equal.

    Raises:
        ModelError: The weights are missing, damaged, or belong to another architecture.
    """
    config = head_config(checkpoint, head, model.dropout)
    dtype = getattr(torch, model.dtype)
    attention = {} if model.attention == "auto" else {"attn_implementation": model.attention}
    torch.manual_seed(derive(seed, "head"))
    module: Any
    try:
        if model.initialize == "random":
            module = auto_class(head).from_config(config, dtype=dtype, **attention)
            _set_generation(module, head)
            # Marian's and Pegasus's positions are computed once and never learned
            return module, {name for name, parameter in module.named_parameters() if parameter.requires_grad}
        load = warm_start.doubled if head.doubled else auto_class(head).from_pretrained
        module, info = load(
            checkpoint.path,
            config=config,
            revision=checkpoint.revision,
            dtype=dtype,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            local_files_only=checkpoint.found is None,
            trust_remote_code=False,
            **attention,
            **tuning.loading(),
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError) as error:
        offline = checkpoint.found.offline if checkpoint.found else None
        reason = offline or f"model: {checkpoint.path} cannot be loaded: {first_sentence(error)}"
        raise ModelError(reason) from error
    except Exception as error:
        if type(error).__module__.startswith("safetensors"):
            raise ModelError(f"model: the weights of {checkpoint.path} are damaged: {error}.") from error
        raise
    _set_generation(module, head)
    module.config._commit_hash = checkpoint.revision  # the library no longer says it; what saves adapters asks for it
    own = head_parameters(module)
    names = {name for name, _ in module.named_parameters()}
    mismatched = {item if isinstance(item, str) else item[0] for item in info["mismatched_keys"]}
    if mismatched - own:
        raise ModelError(
            f"model: {sorted(mismatched - own)[0]} of {checkpoint.path} does not have the shape its config.json says."
        )
    missing = (set(info["missing_keys"]) | mismatched) & names
    if len(missing - own) > len(names - own) / 2:
        raise ModelError(
            f"model: {checkpoint.path} lacks most weights of {type(module).__name__} "
            f"({len(missing - own)} of {len(names - own)}): it was saved from another architecture."
        )
    return module, own | missing


def _set_generation(module: Any, head: Head) -> None:
    """Have the saved model write as the recipe says, whoever loads it."""
    if head.generation:
        from transformers import GenerationConfig

        module.generation_config = GenerationConfig(**head.generation)


def head_parameters(module: nn.Module) -> set[str]:
    """Names of the parameters outside the checkpoint's base model; a matrix shared with it is not among them."""
    base = getattr(module, "base_model", module)
    if base is module:
        return set()
    inner = {id(parameter) for parameter in base.parameters()}
    return {name for name, parameter in module.named_parameters() if id(parameter) not in inner}


def build(
    model: Model,
    checkpoint: Checkpoint,
    head: Head,
    tuning: Tuning,
    seed: int,
    steps: int,
    gradient_checkpointing: bool,
) -> Built:
    """Load the weights and apply the tuning method.

    Args:
        model: What the recipe says.
        checkpoint: What it was found to be.
        head: The task's.
        tuning: The method.
        seed: Of the run.
        steps: Optimizer steps of the run.
        gradient_checkpointing: Whether activations are computed again in the backward pass.

    Raises:
        ModelError: The checkpoint does not fit.
        RecipeError: The tuning method finds nothing to train.
    """
    module, fresh = load_weights(model, checkpoint, head, tuning, seed)
    total = sum(parameter.numel() for parameter in module.parameters())
    if gradient_checkpointing:
        checkpointing: Any = module.gradient_checkpointing_enable
        checkpointing()
    torch.manual_seed(derive(seed, "tuning"))
    module = tuning.apply(module, head.peft_task, fresh, steps)
    names = [name.replace(PEFT_COPY, "") for name, parameter in module.named_parameters() if parameter.requires_grad]
    left = sorted(name for name in fresh if not any(trained.endswith(name) for trained in names))
    if left:
        raise ModelError(f"tuning={tuning.kind()} would leave {left[0]} at its random start; use tuning=full.")
    trainable = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    return Built(module, fresh, trainable, total)
