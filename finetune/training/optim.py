"""The optimizer, and the learning rate as a closed form of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from finetune.recipe import Training
from finetune.tuning.base import Tuning


def optimizer(module: nn.Module, tuning: Tuning, training: Training) -> torch.optim.Optimizer:
    """AdamW over the trained parameters (Loshchilov and Hutter 2019), fused."""
    groups = [group for group in tuning.groups(module, training.weight_decay) if group["params"]]
    for group in groups:
        group["peak"] = group["lr"]
    return torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8, fused=True)


def factor(step: int, total: int, warmup: float, schedule: str) -> float:
    """The share of the peak learning rate at a step, both counted from 0.

    Args:
        step: The optimizer step about to be made.
        total: Steps of the run.
        warmup: A share of all steps below 1, else a number of steps.
        schedule: `linear`, `cosine` or `constant` after the warm-up.
    """
    rising = math.ceil(warmup * total - 1e-9) if warmup < 1 else int(warmup)
    if step < rising:
        return (step + 1) / (rising + 1)
    progress = (step - rising) / max(1, total - rising)
    if schedule == "linear":
        return max(0.0, 1 - progress)
    return 0.5 * (1 + math.cos(math.pi * progress)) if schedule == "cosine" else 1.0


def set_rate(optimizer: torch.optim.Optimizer, share: float) -> float:
    """Set every group to its share of its peak; returns the highest rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    return max(float(group["lr"]) for group in optimizer.param_groups)
