"""Beam search: the likeliest of several texts kept beside each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finetune.generation.settings import Generation

if TYPE_CHECKING:
    from torch import Tensor

    from finetune.generation.continuation import Continuation


@dataclass(frozen=True)
class Candidate:
    """A text with one more token.

    Attributes:
        total: Its log-probability, with the restrictions.
        place: Where the text without that token is in the batch.
        token: The token.
    """

    total: float
    place: int
    token: int


@dataclass(frozen=True)
class Finished:
    """A text that has ended, or was stopped.

    Attributes:
        score: Its log-probability over its length in tokens to the power of the length penalty.
        tokens: With the end token, where it has one.
    """

    score: float
    tokens: list[int]


def search(
    texts: Continuation,
    restrict: Callable[[Tensor, Tensor], Tensor],
    settings: Generation,
    ends: tuple[int, ...],
    pays: Callable[[int, int], bool],
) -> list[list[int]]:
    """The best text of each row, by the rules of transformers with `early_stopping=False`.

    The candidates of a step are a row's best texts with one more token. Those among the `num_beams` best that end are
    finished; the best that do not end go on. A row is over once it has `num_beams` finished texts and the best that
    goes on would score no better than the worst of them if it ended now. A row that is over leaves.

    Args:
        texts: The prompts, one place a row.
        restrict: Makes log-probabilities of the next tokens, `(places, vocabulary)`, and written tokens,
            `(places, tokens)`, into restricted log-probabilities.
        settings: `num_beams`, `max_new_tokens` and `length_penalty`.
        ends: Tokens that end a text.
        pays: Whether taking rows out is worth it, by how many are over and how many there are.

    Returns:
        Token ids in the order of the rows, with the end token where a text has one.
    """
    import torch

    beams, most = settings.num_beams, settings.max_new_tokens
    assert most is not None
    device = texts.tokens.device
    scores = texts.scores()
    rows = list(range(len(scores)))  # the row of each `beams` places
    spread = torch.arange(len(rows), device=device).repeat_interleave(beams)
    texts.select(spread)
    scores = scores[spread]
    totals = torch.full((len(rows), beams), float("-inf"), device=device)
    totals[:, 0] = 0.0  # all beams of a row begin alike: only one of them counts
    finished: list[list[Finished]] = [[] for _ in rows]
    over = [False] * len(rows)
    for length in range(1, most + 1):
        steps = restrict(scores.log_softmax(-1), texts.written).view(len(rows), beams, -1)
        found = _candidates(totals, steps, max(2, 1 + len(ends)) * beams)
        going_on = []
        for row, candidates in zip(rows, found, strict=True):
            following = [c for c in candidates if c.token not in ends][:beams] if length < most else []
            going_on.append(following)
            if over[row]:
                continue
            for candidate in candidates[:beams]:
                if candidate.total > float("-inf") and (candidate.token in ends or length == most):
                    tokens = [*texts.written[candidate.place].tolist(), candidate.token]
                    finished[row].append(Finished(candidate.total / length**settings.length_penalty, tokens))
            finished[row] = sorted(finished[row], key=lambda text: text.score, reverse=True)[:beams]
            hope = max((c.total for c in following), default=float("-inf")) / length**settings.length_penalty
            full = len(finished[row]) == beams
            over[row] = hope == float("-inf") or (full and hope <= finished[row][-1].score)
        if all(over):
            break
        leave = pays(sum(over[row] for row in rows), len(rows))
        kept = [number for number, row in enumerate(rows) if not (leave and over[row])]
        rows = [rows[number] for number in kept]
        chosen = [candidate for number in kept for candidate in going_on[number]]
        places = torch.tensor([candidate.place for candidate in chosen], device=device)
        if leave:
            texts.select(places)
        else:
            texts.reorder(places)
        texts.append(torch.tensor([candidate.token for candidate in chosen], device=device))
        totals = torch.tensor([candidate.total for candidate in chosen], device=device).view(-1, beams)
        scores = texts.scores()
    return [texts_of_row[0].tokens if texts_of_row else [] for texts_of_row in finished]


def _candidates(totals: Tensor, steps: Tensor, count: int) -> list[list[Candidate]]:
    """The best texts of each row with one more token, best first.

    Args:
        totals: Log-probabilities of the texts, `(rows, beams)`.
        steps: Log-probabilities of the next tokens, `(rows, beams, vocabulary)`.
        count: How many; enough that, whatever ends, `beams` of them go on.
    """
    beams, vocabulary = steps.shape[1:]
    sums = (totals[..., None] + steps).flatten(1)
    best, where = sums.topk(min(count, sums.shape[1]))
    return [
        [
            Candidate(total, number * beams + position // vocabulary, position % vocabulary)
            for total, position in zip(row_totals, positions, strict=True)
        ]
        for number, (row_totals, positions) in enumerate(zip(best.tolist(), where.tolist(), strict=True))
    ]
