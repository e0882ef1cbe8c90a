"""A row's tokens as one stream, cut into windows: every token is new in one of them, and may be context in others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Piece:
    """A window.

    Attributes:
        tokens: What the model sees.
        first: The first place at which something is asked of it.
        targets: What is to be found there, and at the places after it.
    """

    tokens: list[int]
    first: int
    targets: list[int]


def spans(length: int, context: int, room: int, stride: int) -> list[tuple[int, int, int]]:
    """Windows over a stream, each of which goes on where the one before ends.

    Args:
        length: Places of the stream.
        context: Places at its beginning that are context only, at most `stride`.
        room: Most places of a window, more than `stride`.
        stride: Places that a window shares with the one before.

    Returns:
        Of each its first place, the first that no window before holds, and the one after its last.
    """
    found: list[tuple[int, int, int]] = []
    start, new = 0, context
    while new < length:
        stop = min(length, start + room)
        found.append((start, new, stop))
        start, new = stop - stride, stop
    return found


def next_tokens(ids: Sequence[int], context: Sequence[int], room: int, stride: int) -> list[Piece]:
    """Windows that ask at each new place for the token after it.

    Args:
        ids: The tokens that are asked for, each once.
        context: What stands before them, at least one token and at most `stride` + 1.
        room: Most tokens of a window.
        stride: Tokens that a window shares with the one before.
    """
    stream, shift = [*context, *ids[:-1]], len(context) - 1
    cuts = spans(shift + len(ids), shift, room, stride)
    return [Piece(stream[a:b], new - a, list(ids[new - shift : b - shift])) for a, new, b in cuts]


def own_tokens(
    ids: Sequence[int], context: Sequence[int], around: tuple[list[int], list[int]], room: int, stride: int
) -> list[Piece]:
    """Windows that may ask at each new place for the token there.

    Args:
        ids: The tokens, each new once.
        context: What stands before them, at most `stride` tokens.
        around: Special tokens before and after every window.
        room: Most tokens of a window without these.
        stride: Tokens that a window shares with the one before.
    """
    stream, (head, tail) = [*context, *ids], around
    cuts = spans(len(stream), len(context), room, stride)
    return [Piece([*head, *stream[a:b], *tail], len(head) + new - a, stream[new:b]) for a, new, b in cuts]


def last(ids: Sequence[int], most: int) -> list[int]:
    """The last tokens, at most so many."""
    return list(ids[max(0, len(ids) - most) :])


def frame(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and after a text."""
    plain: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole: list[int] = tokenizer("a")["input_ids"]
    first = next(place for place in range(len(whole)) if whole[place : place + len(plain)] == plain)
    return whole[:first], whole[first + len(plain) :]


def continuation(prompt: list[int], written: list[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """What a text's continuation reads like, with the space before its first word, if there is one."""
    options: dict[str, Any] = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    before, whole = tokenizer.decode(prompt, **options), tokenizer.decode([*prompt, *written], **options)
    return whole[len(before) :] if whole.startswith(before) else str(tokenizer.decode(written, **options))
