"""What `finetune check` shows before a run: the data as the model will see it, and one step of the real work."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from finetune import batching
from finetune.compute import compute
from finetune.ledger import losses
from finetune.preparation import Prepared, prepare
from finetune.quiet import quiet_libraries
from finetune.recipe import Recipe
from finetune.training import optim
from finetune.training.loop import Trainee, gradients, weigh

EXAMPLES = 3
BINS = 8


@dataclass(frozen=True)
class Example:
    """One training row: its id, its tokens decoded back as the model sees them, and its target."""

    row: str
    text: str
    tokens: int
    gold: str


@dataclass(frozen=True)
class Checked:
    """What a run will do.

    Attributes:
        directory: Where it will lie, below the folder of all runs.
        rows: Rows of each split.
        examples: A few training rows.
        targets: Target -> training rows, the most frequent first; empty where nearly every row has its own.
        lengths: (shortest, longest, features) of each bin of token counts of the training split.
        limit: Most tokens of a feature.
        losses: What the limit costs, in sentences; empty: nothing.
        empty: Training rows without any text.
        trainable, total: Numbers of parameters.
        steps: Optimizer steps.
        loss: Of the first step.
        precision, device: Where and how it computes.
        seconds: Estimated, training with its scorings.
        memory: Estimated peak, bytes.
    """

    directory: str
    rows: dict[str, int]
    examples: list[Example]
    targets: dict[str, int]
    lengths: list[tuple[int, int, int]]
    limit: int
    losses: list[str]
    empty: int
    trainable: int
    total: int
    steps: int
    loss: float
    precision: str
    device: str
    seconds: float
    memory: int


def check(recipe: Recipe) -> Checked:
    """Prepare a run, make one real step of it, and throw that away; nothing is written but caches.

    Raises:
        FinetuneError: Whatever would stop the run.
    """
    with quiet_libraries():
        return _check(recipe)


def _check(recipe: Recipe) -> Checked:
    here = compute(recipe.training.precision)
    prepared = prepare(recipe, here.device.type)
    training, features = prepared.recipe.training, prepared.features
    built = prepared.build()
    module = built.module.to(here.device)
    trainee = Trainee(module, module, optim.optimizer(module, recipe.tuning, training), recipe.tuning)
    plan = batching.plan(features.lengths, training.seed, 0, training.batch_size, training.batch_tokens, 1)
    heaviest = max(plan, key=lambda step: max(len(p) * int(features.lengths[p].max()) for p in step[0]))
    usual = sorted(plan, key=lambda step: batching.tokens_of(step, features.lengths))[len(plan) // 2]
    loss, seconds = 0.0, 0.0
    for step in (plan[0], heaviest, usual):  # the first shows the loss, the second the memory, the third the time
        began = time.perf_counter()
        batches = [(prepared.encoder.batch(features, piece, "train").to(here.device), True) for piece in step[0]]
        module.train()
        weight, _ = weigh(batches, here, stop=False)
        found = gradients(trainee, prepared.encoder, batches, weight, here, (training.seed, 0))
        if step is plan[0]:
            loss = found
            optim.set_rate(trainee.optimizer, 0.0)
            trainee.optimizer.step()  # only so that its memory is there
        trainee.optimizer.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - began
    tokens = batching.tokens_of(usual, features.lengths)
    return Checked(
        directory=prepared.directory_name,
        rows={name: len(rows) for name, rows in prepared.splits.items()},
        examples=_examples(prepared),
        targets=_targets(prepared),
        lengths=_histogram(features.lengths),
        limit=prepared.encoder.limit,
        losses=losses(prepared),
        empty=_empty(prepared),
        trainable=built.trainable,
        total=built.total,
        steps=prepared.steps,
        loss=loss,
        precision=here.precision,
        device=here.device.type,
        seconds=_estimate(prepared, seconds / max(1, tokens)),
        memory=here.peak_memory(),
    )


def _estimate(prepared: Prepared, seconds_per_token: float) -> float:
    """Seconds of all steps, and of all scorings at a third of a step's price: a forward pass without a backward one."""
    training, lengths = prepared.recipe.training, prepared.features.lengths
    per_epoch = batching.steps_per_epoch(len(lengths), training.batch_size)
    trained = int(lengths.sum()) * prepared.steps / per_epoch
    every = per_epoch if training.evaluate_every == "epoch" else int(training.evaluate_every)
    scorings = math.ceil(prepared.steps / every) + 1
    lengths = prepared.encoder.features(prepared.splits["validation"], "score").lengths
    scored = int(prepared.recipe.task.cost(lengths).sum()) * scorings
    return seconds_per_token * (trained + scored / 3)


def _examples(prepared: Prepared) -> list[Example]:
    rows, features = prepared.splits["train"], prepared.features
    chosen = np.unique(np.linspace(0, len(features) - 1, EXAMPLES).astype(int))
    found = []
    for feature in features.take(chosen):
        record = next(rows.select([feature["row"]]).records())
        ids = feature.get("input_ids", [])
        parts = ids if ids and isinstance(ids[0], list) else [ids]  # several sequences, as a row with choices
        text = " | ".join(prepared.encoder.tokenizer.decode(part) for part in parts)
        gold = str(prepared.recipe.task.gold(record))
        found.append(Example(rows.ids[feature["row"]], text, feature.get("whole") or feature["length"], gold))
    return found


def _empty(prepared: Prepared) -> int:
    """Rows whose input columns hold nothing but space."""
    columns = [prepared.splits["train"].column(column.name) for column in prepared.recipe.task.inputs()]
    return sum(not any(str(value).strip() for value in row) for row in zip(*columns, strict=True))


def _targets(prepared: Prepared) -> dict[str, int]:
    rows = prepared.splits["train"]
    if not prepared.recipe.task.targets():  # a text is its own target
        return {}
    counts = Counter(str(prepared.recipe.task.gold(record)) for record in rows.records())
    return dict(counts.most_common()) if len(counts) <= max(2, len(rows) / 2) else {}


def _histogram(lengths: np.ndarray) -> list[tuple[int, int, int]]:
    edges = np.unique(np.linspace(lengths.min(), lengths.max() + 1, BINS + 1).astype(int))
    counts, _ = np.histogram(lengths, edges)
    return [(int(low), int(high) - 1, int(n)) for low, high, n in zip(edges, edges[1:], counts, strict=False)]
