"""Which features form which optimizer step, micro-batch and process: a pure function of lengths and seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finetune.randomness import derive

PlannedStep = list[list[np.ndarray]]
"""[process][micro-batch] -> positions of features; every process has the same number, empty ones where rows run out."""

WINDOW_STEPS = 50
"""Steps among whose features those of like length are brought together."""


def plan(
    lengths: np.ndarray, seed: int, epoch: int, batch_size: int, batch_tokens: int, processes: int
) -> list[PlannedStep]:
    """The steps of one epoch.

    Features are shuffled, those within a window of steps sorted by length and cut into steps, the steps shuffled.
    Only then is each step cut for processes and memory, so that `batch_tokens` and `processes` never change what a
    step holds.

    Args:
        lengths: `(features,)`, tokens of each.
        seed: Of the run.
        epoch: From 0.
        batch_size: Features of a step, over all processes; the last step may hold fewer.
        batch_tokens: Most tokens of a micro-batch, padding included; a longer single feature still gets its own.
        processes: How many take part.
    """
    generator = np.random.default_rng(derive(seed, "order", epoch))
    order = generator.permutation(len(lengths))
    steps = []
    for start in range(0, len(order), batch_size * WINDOW_STEPS):
        window = order[start : start + batch_size * WINDOW_STEPS]
        window = window[np.argsort(-lengths[window], kind="stable")]
        steps += [window[first : first + batch_size] for first in range(0, len(window), batch_size)]
    return [cut(steps[position], lengths, batch_tokens, processes) for position in generator.permutation(len(steps))]


def cut(members: np.ndarray, lengths: np.ndarray, batch_tokens: int, processes: int) -> PlannedStep:
    """Deal the features of a step to processes and cut each share into micro-batches of like length, longest first."""
    members = members[np.argsort(-lengths[members], kind="stable")]
    shares = [_pieces(members[process::processes], lengths, batch_tokens) for process in range(processes)]
    rounds = max(len(share) for share in shares)
    return [share + [members[:0]] * (rounds - len(share)) for share in shares]


def _pieces(members: np.ndarray, lengths: np.ndarray, batch_tokens: int) -> list[np.ndarray]:
    pieces, start = [], 0
    while start < len(members):
        size = max(1, batch_tokens // max(1, int(lengths[members[start]])))
        pieces.append(members[start : start + size])
        start += size
    return pieces


def steps_per_epoch(features: int, batch_size: int) -> int:
    """Optimizer steps of one pass over all features."""
    return -(-features // batch_size)


def tokens_of(step: PlannedStep, lengths: Sequence[int] | np.ndarray) -> int:
    """Tokens of a step without padding, over all processes."""
    return int(sum(np.asarray(lengths)[piece].sum() for share in step for piece in share))
