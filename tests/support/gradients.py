"""Gradients of one optimizer step in float64 with dropout off, however the step is cut."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from finetune import batching
from finetune.compute import Compute
from finetune.data.features import Features
from finetune.evaluation import Encoder
from finetune.model import build
from finetune.pretrained import open_checkpoint, token_limit
from finetune.recipe import Recipe
from finetune.tasks.base import Batch
from finetune.training import loop, optim
from finetune.training.loop import Trainee
from tests.support.cases import CASES, recipe


@dataclass(frozen=True)
class Setting:
    """A model in float64 with features of its task; rows count unequally."""

    recipe: Recipe
    trainee: Trainee
    encoder: Encoder
    features: Features


def setting(case: str, architecture: str, path: str, tuning: str = "full") -> Setting:
    made = recipe(case, architecture, path, tuning)
    if hasattr(made.task, "class_weights"):
        made = made.model_copy(
            update={"task": made.task.model_copy(update={"class_weights": {"good": 3.0, "bad": 0.5}})}
        )
    rows = made.data.load(made.task.inputs(), made.task.targets())["train"]
    found = open_checkpoint(made.model)
    task = made.task.resolve(rows, found.tokenizer).aligned(found.config)
    head = task.head(found.config)
    built = build(made.model, found, head, made.tuning, 0, 10, False)
    module = built.module.double().eval()
    encoder = Encoder(task, found.tokenizer, found.tokenizer_digest, token_limit(task, made.tuning, found.config), 0)
    trainee = Trainee(module, module, optim.optimizer(module, made.tuning, made.training), made.tuning)
    return Setting(made, trainee, encoder, encoder.features(rows, "train"))


def of_step(
    made: Setting, here: Compute, members: np.ndarray, batch_tokens: int, widen: int = 0
) -> dict[str, torch.Tensor]:
    """Name -> gradient, after the share of this process was computed as the loop does it."""
    step = batching.cut(members, made.features.lengths, batch_tokens, here.processes)
    batches = []
    for piece in step[here.process]:
        batch = made.encoder.batch(made.features, piece if len(piece) else members[:1], "train")
        batches.append((widened(batch, widen, made.encoder.tokenizer.pad_token_id), len(piece) > 0))
    made.trainee.module.zero_grad(set_to_none=True)
    weight, _ = loop.weigh(batches, here, stop=False)
    loss = loop.gradients(made.trainee, made.encoder, batches, weight, here, (0, 0))
    found = {n: p.grad.clone() for n, p in made.trainee.module.named_parameters() if p.grad is not None}
    return {**found, "the loss": torch.tensor([loss], dtype=torch.float64)}


def widened(batch: Batch, columns: int, pad_token: int) -> Batch:
    """The same batch with more padding on the right."""
    fill = {"input_ids": pad_token, "labels": -100, "token": -1}

    size = batch.inputs["input_ids"].shape

    def more(name: str, tensor: torch.Tensor) -> torch.Tensor:
        wide = tensor.dim() == 2 and tensor.shape[1] == size[1]
        return torch.nn.functional.pad(tensor, (0, columns), value=fill.get(name, 0)) if wide else tensor

    inputs = {name: more(name, tensor) for name, tensor in batch.inputs.items()}
    targets = {name: more(name, tensor) for name, tensor in batch.targets.items()}
    return replace(batch, inputs=inputs, targets=targets)


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Largest relative difference over all parameters, by norm; the tiniest gradients are held against the largest."""
    assert one.keys() == other.keys() and len(one) > 1
    largest = max(float(value.norm()) for name, value in one.items() if name != "the loss")
    assert largest > 0
    return max(float((one[n] - other[n]).norm()) / max(float(one[n].norm()), 1e-6 * largest) for n in one)


SITUATIONS = [
    (case, members.architectures[0], tuning) for case, members in CASES.items() for tuning in ("full", "lora")
] + [
    ("classification", "gpt2", "full"),
    ("toy: writing", "llama", "full"),
]
MEMBERS = {"eight": np.arange(8), "one": np.array([3])}
"""Features of a step: a usual one, and a last one smaller than the number of processes."""
EVERYTHING = 10**6
