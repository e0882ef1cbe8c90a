"""What a model answers, and whether two answers are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from finetune.evaluation import Encoder
from finetune.preparation import Prepared
from finetune.tasks.base import Batch

TOLERANCE = 1e-4
"""Largest difference of an answer between two ways to compute it, relative to its size where that is above 1."""
ROUNDING = 1e-5
"""The same where only the order of sums may differ, which follows from padding and from where in memory weights lie."""
PROMPTS = "prompt_encoder."
"""In the names of all that PEFT learns of a prompt."""


def differing(trained: dict[str, torch.Tensor], module: nn.Module) -> str | None:
    """The name of a trained tensor that a loaded model does not have as it was; None: it has all.

    Two kinds need not come back: the network that writes prompts, where only what it wrote is saved, and ranks that
    were pruned. For them speak the logits.
    """
    loaded = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}
    written = sum(PROMPTS in name for name in trained) > 1
    for name, value in trained.items():
        if written and PROMPTS in name:
            continue
        if name not in loaded or not torch.equal(loaded[name], _kept(value, loaded[name])):
            return name
    return None


def _kept(value: torch.Tensor, loaded: torch.Tensor) -> torch.Tensor:
    """Those rows or columns of a matrix that were loaded."""
    for dim in range(value.dim()):
        if value.shape[dim] > loaded.shape[dim]:
            slices = loaded.unbind(dim)
            kept = [part for part in value.unbind(dim) if any(torch.equal(part, other) for other in slices)]
            return torch.stack(kept, dim) if kept else value.narrow(dim, 0, 0)
    return value


def loss(module: nn.Module, encoder: Encoder, prepared: Prepared, members: list[int]) -> float:
    """The weighted sum of the losses of some features, in eval mode."""
    batch = encoder.batch(prepared.features, members, "train")
    with torch.inference_mode():
        summed, _ = encoder.task.loss(module(**batch.inputs), batch)
    return float(summed)


def logits(module: nn.Module, prepared: Prepared) -> list[torch.Tensor]:
    """Every output called logits for the validation rows, in one batch."""
    with torch.inference_mode():
        return _logits(module(**_validation(prepared).inputs))


def _logits(output: Any) -> list[torch.Tensor]:
    return [value for name, value in output.items() if name.endswith("logits")]


def _validation(prepared: Prepared) -> Batch:
    encoder, mode = prepared.encoder, prepared.encoder.task.probed
    features = encoder.features(prepared.splits["validation"], mode, keep=False)
    return encoder.batch(features, range(len(features)), mode)


def heeded(module: nn.Module, prepared: Prepared) -> frozenset[str]:
    """Names of the inputs that count: with those of another row the logits are others."""
    batch = _validation(prepared)
    with torch.inference_mode():
        before = _logits(module(**batch.inputs))
        others = {name: {**batch.inputs, name: value.roll(1, dims=0)} for name, value in batch.inputs.items()}
        return frozenset(
            name for name, inputs in others.items() if distance(before, _logits(module(**inputs))) > TOLERANCE
        )


def distance(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """Largest relative difference; infinite for other shapes or what is no number."""
    if [value.shape for value in one] != [value.shape for value in other]:
        return float("inf")
    largest = max(float(((a - b).abs() / a.abs().clamp(min=1)).max()) for a, b in zip(one, other, strict=True))
    return largest if np.isfinite(largest) else float("inf")


def same(one: Any, other: Any) -> bool:
    """Whether two outputs of a task are the same but for rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (float, np.ndarray, np.floating)):
        return np.shape(one) == np.shape(other) and bool(np.allclose(one, other, rtol=ROUNDING, atol=ROUNDING))
    return bool(one == other)
