"""Masks: which tokens of a window are hidden, by what, and what a person sees in the place of one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Target of a token that nothing is asked of."""
MASKED, RANDOM = 0.8, 0.1
"""Of the chosen tokens so many become the mask token, and so many a random one; the rest stay (Devlin et al. 2019)."""


def count(tokens: int, probability: float) -> int:
    """How many of some tokens are chosen: the same number in every epoch, at least one."""
    return max(1, round(probability * tokens))


def ordinary(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """The ids of all tokens that are not special, `(tokens,)`.

    A random pad token would move the positions of all that follow it in RoBERTa.
    """
    return np.delete(np.arange(len(tokenizer)), tokenizer.all_special_ids)


def draw(
    ids: Sequence[int],
    places: Sequence[int],
    words: Sequence[int] | None,
    wanted: int,
    mask: int,
    others: np.ndarray,
    seed: int,
) -> tuple[list[int], list[int]]:
    """Hide some tokens of a window.

    Args:
        ids: The window's tokens.
        places: Those that may be chosen.
        words: The word of each place, where words are chosen as a whole; None: tokens are.
        wanted: How many tokens to choose. Whole words may miss it by less than a word, as in BERT's own whole-word
            masking: one that would go beyond is passed over, but for the first.
        mask: The mask token.
        others: Tokens to draw random ones from.
        seed: Of every choice.

    Returns:
        The tokens as the model sees them, and the targets: the token at chosen places, elsewhere `IGNORED`.
    """
    generator = np.random.default_rng(seed)
    if words is None:
        chosen = generator.permutation(np.asarray(places, dtype=np.int64))[:wanted]
    else:
        chosen = np.array(_whole_words(places, words, wanted, generator), dtype=np.int64)
    seen, targets = np.array(ids, dtype=np.int64), np.full(len(ids), IGNORED, dtype=np.int64)
    targets[chosen] = seen[chosen]
    kind = generator.random(len(chosen))
    random = generator.choice(others, len(chosen))
    seen[chosen] = np.where(kind < MASKED, mask, np.where(kind < MASKED + RANDOM, random, seen[chosen]))
    return seen.tolist(), targets.tolist()


def _whole_words(places: Sequence[int], words: Sequence[int], wanted: int, generator: np.random.Generator) -> list[int]:
    members: dict[int, list[int]] = {}
    for place, word in zip(places, words, strict=True):
        members.setdefault(word, []).append(place)
    groups = list(members.values())
    chosen: list[int] = []
    for number in generator.permutation(len(groups)):
        if not chosen or len(chosen) + len(groups[number]) <= wanted:
            chosen += groups[number]
    return chosen


def word_numbers(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """For each token of a text, which of its words it belongs to.

    Raises:
        ModelError: The tokenizer does not say.
    """
    if not tokenizer.is_fast:
        raise ModelError("task.whole_words: this checkpoint's tokenizer does not say which tokens make a word.")
    encoded = tokenizer(list(texts), add_special_tokens=False, padding=False, verbose=False)
    numbers = [encoded.word_ids(row) for row in range(len(texts))]
    return [[-1 - place if word is None else word for place, word in enumerate(row)] for row in numbers]


def filled(
    text: str, windows: Sequence[tuple[Sequence[int], Sequence[int], np.ndarray]], tokenizer: PreTrainedTokenizerBase
) -> tuple[str, list[list[dict[str, Any]]]]:
    """A text with its masks filled in, and the candidates for each.

    Args:
        text: As it was given.
        windows: Of each, its tokens, the places of its masks, and `(masks, candidates, 2)`: ids and probabilities, the
            likeliest first.
        tokenizer: The checkpoint's.
    """
    candidates: list[list[dict[str, Any]]] = []
    mask = str(tokenizer.mask_token)
    done, left = "", text
    for ids, places, options in windows:
        for place, option in zip(places, options, strict=True):
            shown = [_piece(ids[place - 1 : place], int(token), tokenizer) for token, _ in option]
            candidates.append(
                [
                    {"token": piece.strip(), "probability": float(probability)}
                    for piece, (_, probability) in zip(shown, option, strict=True)
                ]
            )
            before, _, left = left.partition(mask)
            done += before
            if not shown[0][:1].isspace():  # the rest of a word, or a comma: it stands where the word ends
                done = done.rstrip()
            done += shown[0].strip()
    return done + left, candidates


def _piece(before: Sequence[int], token: int, tokenizer: PreTrainedTokenizerBase) -> str:
    """What a token adds to the one before it: a word comes with the space that separates it."""
    options = {"clean_up_tokenization_spaces": False}
    start, whole = tokenizer.decode(before, **options), tokenizer.decode([*before, token], **options)
    return whole[len(start) :] if before and whole.startswith(start) else f" {tokenizer.decode([token], **options)}"


def alike(first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]], tolerance: float) -> bool:
    """Whether two lists of candidates are the same but for rounding, which may swap two that are as probable."""
    if len(first) != len(second):
        return False
    values = [one["probability"] for one in first]
    ties = [False] * len(values)
    for place, (higher, lower) in enumerate(pairwise(values)):
        if higher - lower <= 2 * tolerance:
            ties[place] = ties[place + 1] = True
    return all(
        abs(one["probability"] - other["probability"]) <= tolerance
        and (one["token"] == other["token"] or tie or place == len(ties) - 1)  # behind the last stands an unknown one
        for place, (one, other, tie) in enumerate(zip(first, second, ties, strict=True))
    )
