"""Where a parameter stands in a model: in which layer of its stack, below the stacks or above them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from finetune.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

SHARED = "all its layers are one and the same, with the same weights"
"""Why a method that tells layers apart does not fit ALBERT."""
EMBEDDING = re.compile(r"(^|[._])emb")
"""Begins a part of the name of what stands below the layers, as `embeddings`, `mask_emb` or `layernorm_embedding`."""


def share_weights(config: PretrainedConfig) -> bool:
    """Whether one layer is computed again and again, as ALBERT's (Lan et al. 2020)."""
    return getattr(config, "num_hidden_groups", None) == 1


def stacks(model: nn.Module) -> dict[str, int]:
    """Name -> number of layers of each stack: one of an encoder or decoder, two of a model with both.

    A stack is an outermost list of modules in the base model, so ALBERT's has one layer.

    Raises:
        RecipeError: The model has none.
    """
    from torch import nn

    inside = {id(module) for module in _base(model).modules()}
    found: dict[str, int] = {}
    for name, module in model.named_modules():  # parents first
        nested = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, nn.ModuleList) and len(module) and id(module) in inside and not nested:
            found[name] = len(module)
    if not found:
        raise RecipeError(f"{type(model).__name__} has no list of layers, so none can be told from another.")
    return found


def distances(model: nn.Module) -> dict[str, int]:
    """How far each parameter is from the top of its own stack, by name.

    0 is above the stacks: the head, a pooler, the norm after the last layer. 1 is the last layer, 2 the one before it;
    embeddings are one further than the first layer of the longest stack. A matrix that the head shares with the
    embeddings is an embedding.

    Raises:
        RecipeError: The model has no layers.
    """
    found = stacks(model)
    base = {id(parameter) for parameter in _base(model).parameters()}
    places = {}
    for name, parameter in model.named_parameters():
        stack = next((stack for stack in found if name.startswith(f"{stack}.")), None)
        if stack is not None:
            places[name] = found[stack] - int(name.removeprefix(f"{stack}.").partition(".")[0])
        else:
            below = id(parameter) in base and _is_embedding(model, name)
            places[name] = 1 + max(found.values()) if below else 0
    return places


def decayed_groups(
    model: nn.Module, learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Parameter groups whose rate shrinks by `layer_decay` from each layer to the one below it.

    Args:
        model: With the trained parameters trainable.
        learning_rate: Of what stands above the layers.
        weight_decay: Of matrices; vectors and scalars are not decayed.
        layer_decay: Rate of a layer over that of the layer above it.

    Raises:
        RecipeError: The model has no layers.
    """
    places = distances(model)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    groups = []
    for place in sorted({places[name] for name in trained}):
        here = [parameter for name, parameter in trained.items() if places[name] == place]
        rate = learning_rate * layer_decay**place
        groups += [
            {"params": [p for p in here if p.dim() >= 2], "weight_decay": weight_decay, "lr": rate},
            {"params": [p for p in here if p.dim() < 2], "weight_decay": 0.0, "lr": rate},
        ]
    return groups


def _base(model: Any) -> nn.Module:
    """The checkpoint's model without the head; the whole where the library keeps them together."""
    base: nn.Module = getattr(model, "base_model", model)
    return base


def _is_embedding(model: nn.Module, name: str) -> bool:
    from torch import nn

    owner = name.rpartition(".")[0]
    beside = model.get_submodule(owner.rpartition(".")[0])
    return (
        isinstance(model.get_submodule(owner), nn.Embedding)
        or EMBEDDING.search(name) is not None
        or hasattr(beside, "rel_embeddings")  # the norm beside them is theirs: DeBERTa's
    )
