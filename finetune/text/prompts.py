"""Prompts around a text, and texts as the targets of a writing model: token ids that keep what must be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLACE = "{source}"
"""Where the text stands in a prompt."""
CHUNK = 10_000
"""Texts whose tokens are counted at once."""


def prompts(
    sources: Sequence[str], prompt: str, tokenizer: PreTrainedTokenizerBase, limit: int, written: bool
) -> tuple[list[list[int]], list[int]]:
    """Token ids of a prompt around each source; a source that is too long loses its end, the prompt nothing.

    Args:
        sources: The texts.
        prompt: What stands around each, with `{source}` in its place.
        tokenizer: The checkpoint's.
        limit: Most tokens.
        written: Whether the model goes on writing where the prompt ends, so that no end token may stand there.

    Returns:
        Ids of each row, and how many there would be without the limit.
    """
    texts = [prompt.replace(PLACE, source) for source in sources]
    found = _wholes(texts, tokenizer, written)
    lengths = [len(ids) for ids in found]
    for row, source in enumerate(sources):
        surplus = len(found[row]) - limit
        while surplus > 0 and source:  # a cut text may have other tokens at its end, so it is counted again
            source = _without_end(source, tokenizer, surplus)
            found[row] = _whole(prompt.replace(PLACE, source), tokenizer, written)
            surplus = len(found[row]) - limit
        found[row] = found[row][:limit]  # a prompt that is too long itself
    return found, lengths


def _wholes(texts: list[str], tokenizer: PreTrainedTokenizerBase, written: bool) -> list[list[int]]:
    encoded = tokenizer(texts, add_special_tokens=True, truncation=False, padding=False, verbose=False)["input_ids"]
    return [_open(list(ids), tokenizer, written) for ids in encoded]


def _whole(text: str, tokenizer: PreTrainedTokenizerBase, written: bool) -> list[int]:
    return _wholes([text], tokenizer, written)[0]


def _open(ids: list[int], tokenizer: PreTrainedTokenizerBase, written: bool) -> list[int]:
    """Ids as a model needs them: never none, and without an end token where it is to go on."""
    if written and ids and ids[-1] == tokenizer.eos_token_id:
        ids = ids[:-1]
    return ids or [tokenizer.eos_token_id if written else tokenizer.pad_token_id]


def _without_end(text: str, tokenizer: PreTrainedTokenizerBase, surplus: int) -> str:
    """A text without its last `surplus` tokens."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=tokenizer.is_fast, verbose=False)
    keep = max(0, len(encoded["input_ids"]) - surplus)
    if not tokenizer.is_fast:  # no offsets: by the share of characters
        return text[: min(len(text) - 1, len(text) * keep // max(1, keep + surplus))]
    return text[: encoded["offset_mapping"][keep - 1][1]] if keep else ""


def targets(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, ends: tuple[int, ...], start: int | None, prompt: str
) -> list[list[int]]:
    """Token ids that a model is to write: each text as the tokenizer makes targets, one end token at its end.

    Args:
        texts: The targets.
        tokenizer: The checkpoint's.
        ends: End tokens of the model; the first is appended where the tokenizer ends a text otherwise.
        start: An encoder-decoder's start token, which the tokenizer may put first, or behind the end token (mBART);
            None for a decoder, whose targets have no special tokens but the end.
        prompt: What a decoder goes on from; a space is between, if the tokenizer puts none there itself.
    """
    if start is None:
        gap = "" if prompt[-1:].isspace() or _spaced(tokenizer) else " "
        spaced = [gap + text for text in texts]
        plain = tokenizer(spaced, add_special_tokens=False, padding=False, verbose=False)["input_ids"]
        return [[*ids, ends[0]] for ids in plain]
    found = tokenizer(text_target=list(texts), padding=False, truncation=False, verbose=False)["input_ids"]
    whole = [ids[1:] if ids and ids[0] == start else list(ids) for ids in found]
    return [ids if any(token in ends for token in ids[-2:]) else [*ids, ends[0]] for ids in whole]


def cut(ids: list[int], most: int, ends: tuple[int, ...]) -> list[int]:
    """At most so many target ids; the end token is kept, with a language behind it (mBART)."""
    kept = 1 if ids[-1] in ends else 2
    return ids if len(ids) <= most else [*ids[: max(0, most - kept)], *ids[-kept:]]


def longest(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens of the longest target, whatever kind of model it is for: with a space before it, and an end."""
    most = 0
    for start in range(0, len(texts), CHUNK):
        some = [f" {text}" for text in texts[start : start + CHUNK]]
        found = tokenizer(text_target=some, padding=False, truncation=False, verbose=False)["input_ids"]
        most = max(most, *map(len, found))
    return most + 1


def _spaced(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer takes a text's first word as if a space were before it (SentencePiece)."""
    with_space, without = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (" a", "a"))
    return with_space == without or len(with_space) > len(without)
