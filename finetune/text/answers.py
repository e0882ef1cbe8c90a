"""Answers that are spans of a text: as data states them, as a model scores them, as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any
from unicodedata import category

import numpy as np

from finetune.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

NO_ANSWER = {"text": "", "start": 0, "end": 0}


@dataclass(frozen=True)
class Answer:
    """An accepted answer, without white space around it, and where the data says that it begins.

    Attributes:
        text: Not empty.
        start: In characters; None: the data does not say.
    """

    text: str
    start: int | None

    def located(self, context: str) -> tuple[int, int] | None:
        """The characters of the text that are the answer, end exclusive.

        Where it does not stand at its start, the nearest place where it does; in the last resort with other case and
        white space. None: nowhere.
        """
        if self.start is not None and self.start >= 0 and context.startswith(self.text, self.start):
            return self.start, self.start + len(self.text)
        for pattern, flags in (
            (re.escape(self.text), 0),
            (r"\s+".join(map(re.escape, self.text.split())), re.IGNORECASE),
        ):
            places = [match.span(1) for match in re.finditer(f"(?=({pattern}))", context, flags)]
            if places:
                return min(places, key=lambda place: abs(place[0] - (self.start or 0)))
        return None


def answers(value: Any) -> list[Answer]:
    """The accepted answers of a row, however they are written; those without any text do not count.

    Args:
        value: `{text: [...], answer_start: [...]}` (SQuAD on the Hub), a list of `{text, answer_start}` (SQuAD's
            files), a list of texts, a text, or None.

    Raises:
        DataError: It is written in none of these ways.
    """
    if isinstance(value, (list, tuple)):
        return [answer for item in value for answer in answers(item)]
    given = value if isinstance(value, dict) else {"text": value}
    texts, starts = (_listed(given.get(name)) for name in ("text", "answer_start"))
    starts = starts or [None] * len(texts)
    if "text" not in given or len(starts) != len(texts) or not all(type(start) in (int, NoneType) for start in starts):
        wanted = "{text: [...], answer_start: [...]}, a list of texts, or a text"
        raise DataError(f"{value!r:.80} is no answer; needed is {wanted}.")
    pairs = [(str(text), start) for text, start in zip(texts, starts, strict=True) if text is not None]
    return [
        Answer(text.strip(), None if start is None else start + len(text) - len(text.lstrip()))
        for text, start in pairs
        if text.strip()
    ]


def located(given: Sequence[Answer], context: str) -> list[tuple[int, int]]:
    """The characters of a text that are accepted answers, of those that stand in it."""
    places = (answer.located(context) for answer in given)
    return [place for place in places if place is not None]


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def surface(context: str, start: int, end: int) -> tuple[int, int]:
    """A span without white space around it, and with the accents of its last letter, which some tokenizers drop."""
    while end < len(context) and category(context[end]).startswith("M"):
        end += 1
    text = context[start:end]
    return end - len(text.lstrip()), start + len(text.rstrip())


def best_spans(begin: Tensor, stop: Tensor, count: int, longest: int) -> list[np.ndarray]:
    """The best spans of each window, from the `count` best first and last tokens, as the BERT baseline of SQuAD.

    Args:
        begin: `(windows, length)` scores of the first token; minus infinity where none may be.
        stop: The same of the last token.
        count: Candidates wanted.
        longest: Most tokens of a span.

    Returns:
        For each window `(candidates, 3)`: first token, last token, score; the best first.
    """
    few = min(count, begin.shape[1])
    begins, first = begin.topk(few, dim=1)
    stops, last = stop.topk(few, dim=1)
    tokens = last[:, None, :] - first[:, :, None] + 1
    scores = begins[:, :, None] + stops[:, None, :]
    scores = scores.masked_fill((tokens < 1) | (tokens > longest), float("-inf")).flatten(1)
    best, place = scores.topk(min(count, scores.shape[1]), dim=1)
    first, last = first.gather(1, place // few), last.gather(1, place % few)
    found = np.stack([part.double().cpu().numpy() for part in (first, last, best)], axis=2)
    return [window[np.isfinite(window[:, 2]) | np.isnan(window[:, 2])] for window in found]


def decision(
    null: float | None, spans: Sequence[tuple[int, int, float, str]], threshold: float, shown: int
) -> dict[str, Any]:
    """What is predicted for a row, in JSON values.

    Args:
        null: Score of "no answer"; None: there must be one.
        spans: Start, end, score and text, the best first.
        threshold: By how much the null score may exceed the best answer's before that is not given.
        shown: Length of the n-best list.
    """
    scores = np.array([*([] if null is None else [null]), *(score for _, _, score, _ in spans)])
    shares = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum() if len(scores) else scores
    nothing, probabilities = (0.0, shares) if null is None else (float(shares[0]), shares[1:])
    listed = [
        {"text": text, "start": start, "end": end, "probability": float(share)}
        for (start, end, _, text), share in zip(spans, probabilities, strict=True)
    ]
    best = listed[0] if listed else {**NO_ANSWER, "probability": 1.0 - nothing}
    margin = None if null is None else null - spans[0][2] if spans else 1e4
    chosen = best if margin is None or margin <= threshold else {**NO_ANSWER, "probability": nothing}
    extra = {} if margin is None else {"answer": best["text"], "no_answer": float(margin)}
    return {
        "predicted": chosen["text"],
        **{name: chosen[name] for name in ("start", "end", "probability")},
        **extra,
        "n_best": listed[:shown],
    }


def nearest_sentence(question: str, context: str) -> str:
    """The sentence of a text that shares most words with a question, the first of equals."""
    wanted = set(re.findall(r"\w+", question.lower()))
    parts = re.split(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])", context)
    sentences = [part.strip() for part in parts if part.strip()] or [""]
    return max(sentences, key=lambda sentence: len(wanted & set(re.findall(r"\w+", sentence.lower()))))
