"""Packing: several short sequences beside each other in one row of a batch, none of which sees another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from finetune.text.masking import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

FORBIDDEN = -1e9
"""Added to the score of a place that must not be looked at. Every attention takes a number; a truth value would be
added as 1 by one and be obeyed by another. Its exponential is 0 in every format."""


def rows(lengths: Sequence[int]) -> list[list[int]]:
    """Sequences laid into as few rows as the first fit finds, the longest first; no row is longer than the longest.

    Returns:
        For each row, the numbers of its sequences.
    """
    room = max(lengths, default=0)
    found: list[list[int]] = []
    left: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        row = next((row for row, free in enumerate(left) if free >= lengths[number]), len(left))
        if row == len(left):
            found.append([])
            left.append(room)
        found[row].append(number)
        left[row] -= lengths[number]
    return found


def packed(
    sequences: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], pad_token: int, causal: bool, first: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Sequences and their targets, packed.

    Positions start anew in each sequence. That alone lets it see its neighbours in every architecture, so the mask
    `(rows, 1, length, length)` says who looks at whom; padding looks at itself: a softmax over nothing is no number.

    Args:
        sequences: Token ids.
        labels: Targets of the same lengths.
        pad_token: Fills up rows.
        causal: Whether a token sees only itself and what stands before it.
        first: Position of a sequence's first token.

    Returns:
        `input_ids`, `position_ids` `(rows, length)` and `attention_mask`; `labels` and `owner` `(rows, length)`, the
        number of the sequence that stands there, or -1.
    """
    import torch

    layout = rows([len(sequence) for sequence in sequences])
    length = max(map(len, sequences), default=0)
    fill = {"input_ids": pad_token, "position_ids": first, "labels": IGNORED, "owner": -1}
    made = {name: np.full((len(layout), length), value, dtype=np.int64) for name, value in fill.items()}
    for row, members in enumerate(layout):
        place = 0
        for number in members:
            here = (row, slice(place, place + len(sequences[number])))
            made["input_ids"][here] = sequences[number]
            made["position_ids"][here] = np.arange(first, first + len(sequences[number]))
            made["labels"][here] = labels[number]
            made["owner"][here] = number
            place += len(sequences[number])
    tensors = {name: torch.from_numpy(values) for name, values in made.items()}
    owner = tensors["owner"]
    seen = owner[:, :, None] == owner[:, None, :]
    if causal:
        seen &= torch.ones(length, length, dtype=torch.bool).tril()
    seen = seen & (owner >= 0)[:, :, None] | torch.eye(length, dtype=torch.bool)
    mask = torch.zeros(seen.shape).masked_fill(~seen, FORBIDDEN)[:, None]
    inputs = {"input_ids": tensors["input_ids"], "position_ids": tensors["position_ids"], "attention_mask": mask}
    return inputs, {"labels": tensors["labels"], "owner": owner}


def check(mask: Tensor, logits: Tensor) -> None:
    """Look that a packed batch was understood: torch 2.13 misreads a mask in fp32 beside scores in double precision."""
    assert mask.dim() == 2 or logits.element_size() <= 4 or mask.dtype == logits.dtype, (
        "the mask must be in double, too"
    )
