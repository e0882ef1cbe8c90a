"""Texts of a whole batch, where a row that has ended costs nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict

from finetune.generation import beams
from finetune.generation.continuation import Continuation
from finetune.generation.restrictions import restrict
from finetune.generation.sampling import Sampler
from finetune.generation.settings import Generation

if TYPE_CHECKING:
    from torch import Tensor

LEAST_LEAVING = 1 / 8
"""Share of a batch's rows that must have ended before they are taken out: copying the others costs, too."""


@dataclass(frozen=True)
class Special:
    """Token ids that a model's texts are made with."""

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True)  # a recipe keeps it, and its schema says what it is

    pad: int
    """Fills up short prompts."""
    ends: tuple[int, ...]
    """Any of them ends a text."""
    start: int | None = None
    """What an encoder-decoder's decoder begins with; None for a decoder-only model."""
    forced: int | None = None
    """The first token of every text, as mBART's language or BART's `<s>`; None: the model chooses. As in the library it
    counts as written: in `max_new_tokens`, `min_new_tokens`, and a text's length and n-grams."""


@dataclass(frozen=True)
class Written:
    """What a model wrote for a row.

    Attributes:
        tokens: Without the decoder's start, the forced first, the end and padding tokens.
        ended: Whether the model ended the text itself; False: it was stopped at `max_new_tokens`.
    """

    tokens: list[int]
    ended: bool


def write(
    model: Any, inputs: dict[str, Tensor], settings: Generation, special: Special, seeds: Sequence[int] = ()
) -> list[Written]:
    """The text that a model writes for each row.

    The library prepares (the encoder, the cache, PEFT's prefixes); the loops are our own, so that rows that have ended
    leave the batch, and so that nothing of the model's own generation settings counts.

    Args:
        model: A transformers model that generates, or PEFT's around one, in evaluation mode.
        inputs: `input_ids` and `attention_mask`, `(rows, length)`, and what else the model takes; padded on the left
            for a decoder-only model, on the right for an encoder-decoder.
        settings: How; `max_new_tokens` is filled in.
        special: Token ids.
        seeds: One for each row, where tokens are drawn: a row's text does not depend on the rows beside it.

    Returns:
        In the order of the rows.
    """
    from transformers import GenerationConfig

    assert settings.max_new_tokens is not None, "the task fills it in"
    assert not settings.do_sample or len(seeds) == len(inputs["input_ids"]), "a seed for each row"
    asked = GenerationConfig(
        max_new_tokens=settings.max_new_tokens,
        pad_token_id=special.pad,
        eos_token_id=list(special.ends) or None,
        decoder_start_token_id=special.start,
        use_cache=True,
    )

    def decode(
        model: Any,
        input_ids: Tensor,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        **arguments: Any,
    ) -> list[list[int]]:
        texts = Continuation(model, input_ids, arguments)
        allowed = partial(restrict, settings=settings, special=special)
        if settings.num_beams > 1:
            return beams.search(texts, allowed, settings, special.ends, _pays)
        return _one_by_one(texts, allowed, settings, special.ends, seeds)

    owner = model.get_base_model() if hasattr(model, "get_base_model") else model
    of_the_checkpoint = owner.generation_config
    owner.generation_config = GenerationConfig()  # the library takes from it whatever is None in what is asked
    try:
        found: list[list[int]] = model.generate(**inputs, generation_config=asked, custom_generate=decode)
    finally:
        owner.generation_config = of_the_checkpoint
    return [_written(tokens, special) for tokens in found]


def _one_by_one(
    texts: Continuation,
    allowed: Callable[[Tensor, Tensor], Tensor],
    settings: Generation,
    ends: tuple[int, ...],
    seeds: Sequence[int],
) -> list[list[int]]:
    """One text a row, each token the likeliest or drawn; with the end token where a text has one."""
    import torch

    assert settings.max_new_tokens is not None
    sampler = Sampler(settings, seeds) if settings.do_sample else None
    rows = list(range(len(texts.tokens)))  # the row in each place
    done: dict[int, list[int]] = {}
    for length in range(1, settings.max_new_tokens + 1):
        scores = allowed(texts.scores(), texts.written)
        tokens = sampler.draw(scores, rows) if sampler else scores.argmax(-1)
        texts.append(tokens)
        for place, (row, token) in enumerate(zip(rows, tokens.tolist(), strict=True)):
            if row not in done and (token in ends or length == settings.max_new_tokens):
                done[row] = texts.written[place].tolist()
        if all(row in done for row in rows):
            break
        if _pays(sum(row in done for row in rows), len(rows)):
            places = [place for place, row in enumerate(rows) if row not in done]
            rows = [rows[place] for place in places]
            texts.select(torch.tensor(places, device=tokens.device))
    return [done[row] for row in range(len(done))]


def _pays(over: int, rows: int) -> bool:
    """Whether taking out the rows that are over is worth copying the others."""
    return over >= max(1, LEAST_LEAVING * rows)


def _written(tokens: list[int], special: Special) -> Written:
    ended = bool(tokens) and tokens[-1] in special.ends
    first = 0 if special.forced is None else 1
    return Written(tokens[first : len(tokens) - 1] if ended else tokens[first:], ended)
