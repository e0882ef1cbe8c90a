"""Texts that are longer than a model as overlapping windows, every token with the characters it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from finetune.errors import RecipeError
from finetune.text.tokens import PADDING, separates

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Cut:
    """One window of a row.

    Attributes:
        row: Position of its row.
        number: Among the windows of the row, from 0.
        inputs: Model input -> `(length,)` integers.
        first: Position of the first token of the cut text.
        starts, ends: `(tokens of the cut text,)` each: the characters of that text a token stands for, end exclusive.
        null: Position of a token that stands for no word and has seen the whole window; None if none was asked for.
        whole: Tokens the row would have in one piece; said at its first window, else 0.
    """

    row: int
    number: int
    inputs: dict[str, list[int]]
    first: int
    starts: list[int]
    ends: list[int]
    null: int | None
    whole: int


def windows(
    text: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    limit: int,
    stride: int,
    before: Sequence[str] | None = None,
    null: bool = False,
) -> list[Cut]:
    """Cut texts into windows of at most `limit` tokens, of which consecutive ones share `stride`.

    Args:
        text: The texts that are cut, `(rows,)`.
        tokenizer: The checkpoint's.
        limit: Most tokens of a window, special ones and `before` included.
        stride: Tokens of the text that two consecutive windows share.
        before: Stands whole before every window of the row, `(rows,)`.
        null: Whether each window gets a token for "nothing": its class token, which the tokenizer puts there; where it
            has none, its end token, which is added, for a decoder sees at a position only what stands before.

    Raises:
        RecipeError: The windows would not move on, because the stride leaves no room.
    """
    pair = before is not None
    class_token = _class_token(tokenizer)
    added = null and class_token is None
    shift = int(pair and not separates(tokenizer))  # then a new line tells where the text begins
    arguments = [[f"\n{part}" for part in text]] if shift else [list(text)]
    longest = max(map(len, token_ids(before or [], tokenizer)), default=0)
    check_stride(stride, capacity(tokenizer, limit, pair, null) - longest, limit)
    encoded = tokenizer(
        *([list(before)] if before is not None else []),
        *arguments,
        truncation="only_second" if pair else "only_first",
        max_length=limit - added,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding=False,
    )
    names = [name for name in ("input_ids", *PADDING) if name in encoded]
    found: list[Cut] = []
    for position, row in enumerate(encoded["overflow_to_sample_mapping"]):
        number = found[-1].number + 1 if found and found[-1].row == row else 0
        inputs = {name: list(encoded[name][position]) for name in names}
        owners = encoded.sequence_ids(position)
        tokens = owners.count(int(pair))
        first = owners.index(int(pair)) if tokens else len(owners)
        offsets = encoded["offset_mapping"][position][first : first + tokens]
        if number:
            opening = found[-number]
            found[-number] = replace(opening, whole=opening.whole + tokens - stride)
        if added:
            end = tokenizer.pad_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
            for name, value in (("input_ids", end), ("attention_mask", 1), ("token_type_ids", 0)):
                if name in inputs:
                    inputs[name].append(value)
        if not inputs["input_ids"]:  # an empty text of a tokenizer that adds no special tokens
            inputs = {"input_ids": [tokenizer.pad_token_id], "attention_mask": [1]}
        cut = Cut(
            row=row,
            number=number,
            inputs=inputs,
            first=first,
            starts=[max(0, start - shift) for start, _ in offsets],
            ends=[max(0, end - shift) for _, end in offsets],
            null=_null(inputs["input_ids"], class_token) if null else None,
            whole=0 if number else len(inputs["input_ids"]),
        )
        found.append(cut)
    return found


def capacity(tokenizer: PreTrainedTokenizerBase, limit: int, pair: bool, null: bool) -> int:
    """Most tokens of the texts themselves in a window of `limit` tokens; the arguments are those of `windows`."""
    added = (null and _class_token(tokenizer) is None) + (pair and not separates(tokenizer))
    return limit - added - int(tokenizer.num_special_tokens_to_add(pair=pair))


def check_stride(stride: int, room: int, limit: int) -> None:
    """Look that windows move on.

    Raises:
        RecipeError: They would not.
    """
    if stride >= room:
        remedy = f"task.stride={max(0, room // 2)}, or a larger task.max_length" if room > 0 else "a larger max_length"
        raise RecipeError(
            f"task.stride = {stride}: a window of {limit} tokens (task.max_length) has room for {max(0, room)} of the "
            f"text, and consecutive windows cannot share that many. Set {remedy}."
        )


def shortened(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, most: int) -> list[str]:
    """Texts without what follows their first `most` tokens."""
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, padding=False)
    return [
        text if len(offsets) <= most else text[: offsets[most][0]].rstrip()
        for text, offsets in zip(texts, encoded["offset_mapping"], strict=True)
    ]


def token_ids(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """The token ids of texts, without special tokens."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, padding=False, verbose=False)["input_ids"]
    return ids


def token_counts(
    texts: Sequence[str], spans: dict[int, tuple[int, int]], tokenizer: PreTrainedTokenizerBase
) -> dict[int, int]:
    """Row -> how many tokens of its text stand for the characters of a span, start and exclusive end."""
    if not spans:
        return {}
    chosen = [texts[row] for row in spans]
    encoded = tokenizer(chosen, add_special_tokens=False, return_offsets_mapping=True, padding=False, verbose=False)
    return {
        row: sum(start < span[1] and end > span[0] for start, end in offsets)
        for (row, span), offsets in zip(spans.items(), encoded["offset_mapping"], strict=True)
    }


def tally(features: dict[str, list[Any]], held: dict[int, int], lost: dict[int, int], longest: dict[int, int]) -> None:
    """Add the columns by which losses are counted: for each row at its first window, 0 at the others.

    Args:
        features: Columns of the windows, `row` and `window` among them.
        held: Row -> targets that a window holds.
        lost: Row -> targets that none does.
        longest: Row -> tokens of its longest target.
    """
    places = list(zip(features["row"], features["window"], strict=True))
    for name, counts in (("held", held), ("lost", lost), ("longest", longest)):
        features[name] = [0 if window else counts.get(row, 0) for row, window in places]


def _class_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The class token, where the tokenizer not only has one but also puts it there."""
    return tokenizer.cls_token_id if tokenizer.cls_token_id in tokenizer("")["input_ids"] else None


def _null(ids: list[int], class_token: int | None) -> int:
    return len(ids) - 1 if class_token is None else ids.index(class_token)
