"""What may not be written next, by what has been written so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from finetune.generation.decoding import Special
    from finetune.generation.settings import Generation


def restrict(scores: Tensor, written: Tensor, settings: Generation, special: Special) -> Tensor:
    """Scores of the next token under the restrictions of the settings.

    The library counts a decoder-only model's prompt as written: a summary could not repeat a phrase of its document.
    Here its processors see what has been written alone, whatever the architecture.

    Args:
        scores: Logits or log-probabilities, `(places, vocabulary)`.
        written: Token ids, `(places, tokens)`, without prompt and decoder start token.
        settings: The restrictions.
        special: Token ids.

    Returns:
        `(places, vocabulary)`; minus infinity where a token may not follow.
    """
    import torch
    from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

    length = written.shape[1]
    if length == 0 and special.forced is not None:
        only = torch.full_like(scores, float("-inf"))
        only[:, special.forced] = 0.0
        return only
    if special.pad not in special.ends:  # Marian would write it: the logit of its pad token is 0, whatever was read
        scores = scores.index_fill(1, torch.tensor([special.pad], device=scores.device), float("-inf"))
    if settings.repetition_penalty != 1:
        scores = RepetitionPenaltyLogitsProcessor(settings.repetition_penalty)(written, scores)
    if settings.no_repeat_ngram_size:
        scores = NoRepeatNGramLogitsProcessor(settings.no_repeat_ngram_size)(written, scores)
    if length < settings.min_new_tokens:
        ends = torch.tensor(special.ends, dtype=torch.long, device=scores.device)
        scores = scores.index_fill(1, ends, float("-inf"))
    return scores
