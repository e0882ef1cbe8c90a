"""From texts to token ids, from token ids to padded tensors, and from the logits of these to what a loss takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

PADDING = {"attention_mask": 0, "token_type_ids": 0}
"""Model input -> what it is filled up with; token ids take the tokenizer's pad token."""


def tokens(
    texts: Sequence[Sequence[Any]], tokenizer: PreTrainedTokenizerBase, limit: int
) -> tuple[dict[str, list[list[int]]], list[int]]:
    """Model inputs of one or two texts a row.

    Args:
        texts: One or two columns.
        tokenizer: The checkpoint's.
        limit: Most tokens; of two texts the longer one is cut first.

    Returns:
        Input name -> a list of integers for each row, and how many tokens each row would have without the limit.
    """
    columns = [[str(value) for value in column] for column in texts]
    if len(columns) == 2 and not separates(tokenizer):
        columns[1] = [f"\n{text}" for text in columns[1]]  # else nothing would tell where the second text begins
    whole = tokenizer(*columns, add_special_tokens=True, truncation=False, padding=False, verbose=False)
    lengths = [max(1, len(ids)) for ids in whole["input_ids"]]
    encoded = {name: list(whole[name]) for name in ("input_ids", *PADDING) if name in whole}
    long = [row for row, length in enumerate(lengths) if length > limit]
    if long:
        texts = [[column[row] for row in long] for column in columns]
        cut = tokenizer(*texts, add_special_tokens=True, truncation=True, max_length=limit, padding=False)
        for name, values in encoded.items():
            for row, short in zip(long, cut[name], strict=True):
                values[row] = short
    for row, ids in enumerate(encoded["input_ids"]):
        if not ids:  # an empty text of a tokenizer that adds no special tokens
            for name, values in encoded.items():
                values[row] = [tokenizer.pad_token_id if name == "input_ids" else int(name == "attention_mask")]
    return encoded, lengths


def separates(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer puts a special token between two texts."""
    return bool(tokenizer.num_special_tokens_to_add(pair=True) > tokenizer.num_special_tokens_to_add(pair=False))


def padded(
    features: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, left: bool = False
) -> dict[str, Tensor]:
    """The model inputs of features, `(features, longest)` each."""
    fill = {"input_ids": tokenizer.pad_token_id, **PADDING}
    return {name: pad([f[name] for f in features], value, left) for name, value in fill.items() if name in features[0]}


def pad(sequences: Sequence[Sequence[int]], value: int, left: bool = False) -> Tensor:
    """Integer sequences as one `(sequences, longest)` tensor, filled up with `value` on the right, or on the left."""
    import torch

    length = max(map(len, sequences), default=0)
    filled = np.full((len(sequences), length), value, dtype=np.int64)
    for row, sequence in zip(filled, sequences, strict=True):
        row[length - len(sequence) if left else 0 : length if left else len(sequence)] = sequence
    return torch.from_numpy(filled)


def precise(logits: Tensor) -> Tensor:
    """Logits in fp32 at least, so that a loss is never computed in half precision."""
    return logits if logits.element_size() > 4 else logits.float()
