"""The training loop: a generator of optimizer steps. Whoever drives it logs, scores, saves and stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from finetune import batching
from finetune.compute import Compute
from finetune.data.features import Features
from finetune.errors import RunError
from finetune.evaluation import Encoder
from finetune.randomness import derive
from finetune.recipe import Training
from finetune.tasks.base import Batch
from finetune.training import optim
from finetune.tuning.base import Tuning

Counted = tuple[Batch, bool]
"""A micro-batch, and whether it counts: a process without features left computes one that does not."""


@dataclass(frozen=True)
class Step:
    """One optimizer step, after it was made.

    Attributes:
        number: From 1.
        epoch: Passes done, as a fraction.
        loss: Mean over the weight of the step's features, all processes together.
        learning_rate: Of this step, the highest of all groups.
        gradient_norm: Before clipping.
        features, tokens: In this step, over all processes, without padding.
        ends_epoch: Whether it is the last of its pass.
        stop: Whether any process was asked to stop.
    """

    number: int
    epoch: float
    loss: float
    learning_rate: float
    gradient_norm: float
    features: int
    tokens: int
    ends_epoch: bool
    stop: bool


@dataclass
class Trainee:
    """What the loop trains.

    Attributes:
        module: The plain model.
        wrapped: The same as Accelerate prepared it: with gradients averaged over processes where there are several.
        optimizer: Over its trained parameters.
        tuning: The method.
    """

    module: nn.Module
    wrapped: nn.Module
    optimizer: torch.optim.Optimizer
    tuning: Tuning


def total_steps(training: Training, features: int) -> int:
    """Optimizer steps of a whole run."""
    per_epoch = batching.steps_per_epoch(features, training.batch_size)
    return training.steps or max(1, int(np.ceil(training.epochs * per_epoch - 1e-9)))


def steps(
    trainee: Trainee,
    encoder: Encoder,
    features: Features,
    training: Training,
    compute: Compute,
    done: int = 0,
    interrupted: Callable[[], bool] = lambda: False,
) -> Iterator[Step]:
    """Make the optimizer steps of a run after the first `done`.

    Everything a step depends on is computed from its number: its features, its learning rate and its dropout. So a run
    that goes on from a checkpoint makes the same steps as one that was never interrupted.

    Raises:
        RunError: The loss is no longer a number.
    """
    total = total_steps(training, len(features))
    per_epoch = batching.steps_per_epoch(len(features), training.batch_size)
    planned, planned_epoch = [], -1
    for number in range(done, total):
        epoch, position = divmod(number, per_epoch)
        if epoch != planned_epoch:
            planned = batching.plan(
                features.lengths, training.seed, epoch, training.batch_size, training.batch_tokens, compute.processes
            )
            planned_epoch = epoch
        step = planned[position]
        rate = optim.set_rate(trainee.optimizer, optim.factor(number, total, training.warmup, training.schedule))
        batches = [
            (
                encoder.batch(features, piece if len(piece) else _any(step), "train", epoch).to(compute.device),
                len(piece) > 0,
            )
            for piece in step[compute.process]
        ]
        trainee.wrapped.train()
        weight, stop = weigh(batches, compute, interrupted())
        loss = gradients(trainee, encoder, batches, weight, compute, (training.seed, number))
        norm = _norm(trainee.module, training.clip)
        if not np.isfinite(loss) or not np.isfinite(norm):
            raise RunError(
                f"at step {number + 1} the loss is {loss} and the gradient's norm {norm}: training has diverged. "
                "Lower tuning.learning_rate, or set training.precision=fp32."
            )
        if weight > 0:
            trainee.optimizer.step()
            trainee.tuning.after_step(trainee.module, number + 1)
        trainee.optimizer.zero_grad(set_to_none=True)
        yield Step(
            number=number + 1,
            epoch=(number + 1) / per_epoch,
            loss=loss,
            learning_rate=rate,
            gradient_norm=norm,
            features=sum(len(piece) for share in step for piece in share),
            tokens=batching.tokens_of(step, features.lengths),
            ends_epoch=position + 1 == per_epoch,
            stop=stop,
        )


def _any(step: batching.PlannedStep) -> np.ndarray:
    """A feature for a process that has none left; it counts nothing, but takes part in the collective work."""
    return next(piece[:1] for share in step for piece in share if len(piece))


def check_finite(module: nn.Module) -> None:
    """Look that every trained parameter is a number.

    Raises:
        RunError: One is not.
    """
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and not bool(torch.isfinite(parameter).all()):
            raise RunError(
                f"{name} is no number any more: training has diverged. "
                "Lower tuning.learning_rate, or set training.precision=fp32."
            )


def weigh(batches: list[Counted], compute: Compute, stop: bool) -> tuple[float, bool]:
    """The weight of a step, over all its micro-batches and processes, and whether any process wants to stop."""
    weight = sum(float(batch.weight.double().sum()) for batch, counts in batches if counts)
    both = compute.total(torch.tensor([weight, float(stop)], dtype=torch.float64, device=compute.device))
    return float(both[0]), bool(both[1] > 0)


def gradients(
    trainee: Trainee, encoder: Encoder, batches: list[Counted], weight: float, compute: Compute, seeds: tuple[int, int]
) -> float:
    """Add up the gradients of one step: of the sum of all losses over all weights, however the step is cut.

    Args:
        trainee: The model.
        encoder: Knows the task.
        batches: This process's micro-batches.
        weight: Of the whole step; with 0 nothing is learned from it.
        compute: This process.
        seeds: Seed of the run and number of the step; dropout is drawn from them, the micro-batch and the process.

    Returns:
        The step's loss, over all processes.
    """
    scale = compute.processes / weight if weight > 0 else 0.0  # the gradients are averaged over the processes
    sums = torch.zeros(2, dtype=torch.float64, device=compute.device)  # of the losses, and of their weights
    for position, (batch, counts) in enumerate(batches):
        last = position + 1 == len(batches)
        torch.manual_seed(derive("dropout", *seeds, position, compute.process))
        with nullcontext() if last else compute.accelerator.no_sync(trainee.wrapped):
            with compute.autocast():
                loss, counted = encoder.task.loss(trainee.wrapped(**batch.inputs), batch)
                objective = loss * (scale if counts else 0.0)
                penalty = trainee.tuning.penalty(trainee.module) if last else None
                if penalty is not None:
                    objective = objective + penalty
            objective.backward()
        if counts:
            sums += torch.stack([loss.detach().double(), counted.detach().double()])
    lost, counted_weight = compute.total(sums).tolist()
    assert abs(counted_weight - weight) <= 1e-3 * weight, "the task's loss and its features disagree about the weight"
    return lost / weight if weight > 0 else 0.0


def _norm(module: nn.Module, clip: float | None) -> float:
    """The norm of all gradients, which are cut to `clip`."""
    parameters = [parameter for parameter in module.parameters() if parameter.grad is not None]
    return float(nn.utils.clip_grad_norm_(parameters, float("inf") if clip is None else clip))
