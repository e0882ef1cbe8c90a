"""Extractive question answering: the span of a text that answers a question, or that nothing there does."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from finetune.data.base import Column
from finetune.data.table import HASH, Rows
from finetune.errors import DataError, listing
from finetune.metrics import squad
from finetune.tasks.base import Batch, Head, Metric, Mode, Task, Window
from finetune.text import answer_tokens
from finetune.text.answers import Answer, answers, best_spans, decision, located, nearest_sentence, surface
from finetune.text.tokens import pad, padded, precise
from finetune.text.windows import capacity, shortened, tally, token_counts, windows

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

RARE = 0.05
"""Share of training questions without an answer below which they look like mistakes."""
SHOWN = 5
"""Answers of the n-best list that a prediction shows."""


class QuestionAnswering(Task):
    """Find the answer to a question in a text (SQuAD), or say that it is not there (SQuAD v2.0)."""

    target_name: ClassVar[str] = "answers"

    question: str = "question"
    """Column of the question."""
    context: str = "context"
    """Column of the text."""
    answers: str = "answers"
    """Column of the accepted answers, as SQuAD has them (`{text: [...], answer_start: [...]}`, starts in characters),
    a list of texts, or one text; none: the question has no answer in the text."""
    stride: NonNegativeInt | None = None
    """Tokens that two windows of a long text share; None: a third of `max_length`, at most 128."""
    max_question_length: PositiveInt = 64
    """Most tokens of the question, which stands before every window; at most half of `max_length`."""
    max_answer_length: PositiveInt = 30
    """Most tokens of an answer."""
    n_best: PositiveInt = 20
    """Candidates kept of each window."""
    unanswerable: bool | None = None
    """Whether "no answer" may be predicted; None: where training rows have none."""

    @property
    def baseline_name(self) -> str:  # type: ignore[override]
        """What the baseline does."""
        return "no answer" if self.unanswerable else "nearest sentence"

    def metrics(self) -> tuple[Metric, ...]:
        """F1 and exact match."""
        return (Metric("f1"), Metric("exact"))

    def inputs(self) -> tuple[Column, ...]:
        """Question and text."""
        return (Column(self.question, "task.question"), Column(self.context, "task.context"))

    def targets(self) -> tuple[Column, ...]:
        """The answers."""
        return (Column(self.answers, "task.answers"),)

    def resolve(self, train: Rows, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Find out whether some questions have no answer."""
        empty = sum(not given for given in self._given(train))
        if empty == len(train):
            raise DataError(f"{train.origin}: no row has anything in {self.answers!r}; answers are needed to learn.")
        return self.model_copy(update={"unanswerable": empty > 0 if self.unanswerable is None else self.unanswerable})

    def check(self, rows: Rows) -> None:
        """Refuse training answers that do not stand in their text; say how many were found elsewhere than stated."""
        lost, moved, empty = [], [], []
        contexts, golds = rows.column(self.context), self._given(rows)
        for row, (context, given) in enumerate(zip(contexts, golds, strict=True)):
            if not given:
                empty.append(row)
            elif not (found := located(given, str(context))):
                lost.append(row)
            elif all(answer.start is not None and found[0][0] != answer.start for answer in given):
                moved.append(row)
        if empty and not self.unanswerable:
            where = listing((rows.where(row) for row in empty), 3)
            raise DataError(
                f"{rows.origin}: {len(empty)} questions have no answer ({where}), but task.unanswerable is false."
                if rows.split == "train"
                else f"{rows.origin}: {len(empty)} questions have no answer ({where}), but every training row has one. "
                "Set task.unanswerable=true to allow for them."
            )
        if lost and rows.split == "train":
            text = golds[lost[0]][0].text
            where = listing((rows.where(row) for row in lost), 3)
            raise DataError(
                f"{rows.origin}: {len(lost)} answers do not stand in their {self.context!r} ({where}; the first is "
                f"{text[:60]!r}). Copy them letter by letter from the text, or delete these rows."
            )
        if rows.split == "train" and empty and len(empty) < RARE * len(rows):
            where = listing((rows.where(row) for row in empty), 3)
            log.warning(
                '%s: %d of %d questions have no answer (%s), so "no answer" may be predicted. Fill them in if they are '
                "mistakes, or set task.unanswerable=false to have them refused",
                rows.origin,
                len(empty),
                len(rows),
                where,
            )
        if moved:
            where = listing((rows.where(row) for row in moved), 3)
            log.warning(
                "%s: %d answers do not begin at their answer_start; the nearest place where they stand was taken (%s)",
                rows.origin,
                len(moved),
                where,
            )

    def _given(self, rows: Rows) -> list[list[Answer]]:
        """The accepted answers of every row; a row where they are written otherwise is named."""
        found = []
        for row, value in enumerate(rows.column(self.answers)):
            try:
                found.append(answers(value))
            except DataError as error:
                raise DataError(f"{rows.where(row)}: {error.problems[0]}") from None
        return found

    def head(self, config: PretrainedConfig) -> Head:
        """Two scores a token: the answer begins there, the answer ends there."""
        return Head("AutoModelForQuestionAnswering", "QUESTION_ANS", {"num_labels": 2})

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, limit: int, mode: Mode
    ) -> dict[str, list[Any]]:
        """Windows of the text, the question before each; `begin` and `stop` are the answer's first and last token.

        A window that does not hold the whole answer has the null token for both. `starts` and `ends` are the
        characters of the text that its tokens stand for, from token `first` on.
        """
        stride = min(128, limit // 3) if self.stride is None else self.stride
        most = min(self.max_question_length, limit // 2)
        if mode != "train":  # a stride is refused before training; later a question gives way to it
            most = max(1, min(most, capacity(tokenizer, limit, pair=True, null=True) - stride - 1))
        questions = shortened([str(question).strip() for question in rows[self.question]], tokenizer, most)
        texts = [str(context) for context in rows[self.context]]
        golds: list[tuple[int, int] | None] = [None] * len(texts)
        if mode != "predict":
            pairs = zip(rows[self.answers], texts, strict=True)
            golds = [next(iter(located(answers(value), text)), None) for value, text in pairs]
        features: dict[str, list[Any]] = {}
        longest: dict[int, int] = {}
        cuts = windows(texts, tokenizer, limit, stride, questions, null=True)
        seen = answer_tokens.seen(cuts, golds)
        for cut in cuts:
            target = answer_tokens.target(cut, seen.get(cut.row))
            if target is not None:
                longest[cut.row] = target[1] - target[0] + 1
            feature = {
                **cut.inputs,
                "row": cut.row,
                "window": cut.number,
                "length": len(cut.inputs["input_ids"]),
                "whole": cut.whole,
                "weight": 1.0,
                "first": cut.first,
                "null": cut.null,
                "tokens": len(cut.starts),
            }
            if mode == "train":
                feature["begin"], feature["stop"] = target or (cut.null, cut.null)
            else:
                feature["starts"], feature["ends"] = cut.starts, cut.ends
            for name, value in feature.items():
                features.setdefault(name, []).append(value)
        if mode != "predict":
            held = {row: int(row in longest) for row, gold in enumerate(golds) if gold}
            lost = {row: 1 for row, holds in held.items() if not holds}
            spans = {row: gold for row, gold in enumerate(golds) if gold and row in lost}
            tally(features, held, lost, longest | token_counts(texts, spans, tokenizer))
        return features

    def collate(
        self, features: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, mode: Mode, seeds: Sequence[int]
    ) -> Batch:
        """Token ids `(features, length)`; which tokens are of the text; the null token; the answer's ends."""
        import torch

        names = ("null", *(("begin", "stop") if mode == "train" else ()))
        targets = {name: torch.tensor([f[name] for f in features]) for name in names}
        before = [[0] * f["first"] for f in features]
        after = [[0] * (f["length"] - f["first"] - f["tokens"]) for f in features]
        text = [b + [1] * f["tokens"] + a for b, f, a in zip(before, features, after, strict=True)]
        targets["text"] = pad(text, 0)
        return Batch(
            padded(features, tokenizer), targets, torch.tensor([f["weight"] for f in features], dtype=torch.float64)
        )

    def loss(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """The mean of the cross entropies of the answer's first and last token, over the text and the null token."""
        from torch.nn.functional import cross_entropy

        begin, stop = _scores(output, batch)
        weight = batch.weight.to(begin.dtype)
        losses = cross_entropy(begin, batch.targets["begin"], reduction="none")
        losses = (losses + cross_entropy(stop, batch.targets["stop"], reduction="none")) / 2
        return (losses * weight).sum(), weight.sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[Any]:
        """For each feature `(candidates + 1, 3)`: the null score, then first token, last token and score of spans."""
        begin, stop = _scores(model(**batch.inputs), batch)
        null = batch.targets["null"][:, None]
        nothing = (begin.gather(1, null) + stop.gather(1, null))[:, 0]
        text = batch.targets["text"].bool()
        begin, stop = (scores.masked_fill(~text, float("-inf")) for scores in (begin, stop))
        spans = best_spans(begin, stop, self.n_best, self.max_answer_length)
        return [
            np.concatenate([[[-1, -1, float(score)]], found])
            for score, found in zip(nothing.double().cpu(), spans, strict=True)
        ]

    def merge(self, windows: Sequence[Window], row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> Any:
        """The null score, the lowest of all windows, and the best spans of all, cut from the text by their offsets."""
        context = str(row[self.context])
        found: dict[tuple[int, int], float] = {}
        for window in windows:
            feature = window.feature
            for begin, stop, score in window.output[1:]:
                start = feature["starts"][int(begin) - feature["first"]]
                end = feature["ends"][int(stop) - feature["first"]]
                start, end = surface(context, start, end)
                if start < end:
                    found[start, end] = max(float(score), found.get((start, end), -np.inf))
        best = sorted(found.items(), key=lambda item: (-item[1], item[0]))[: self.n_best]
        return {
            "null": min(float(window.output[0, 2]) for window in windows),
            "spans": [(start, end, score, context[start:end]) for (start, end), score in best],
        }

    def calibrate(self, raw: Sequence[Any], rows: Rows) -> dict[str, Any]:
        """The threshold of "no answer" with the best F1 on one half of the rows, chosen by their content."""
        if not self.unanswerable:
            return {}
        predictions = self.decide(raw, {})
        half = ~_reported(rows)
        measured = self.measure(predictions, rows)[half]
        answerable, margin, answered = measured[:, 0], measured[:, 1], measured[:, 3]
        if len(np.unique(answerable)) < 2:  # rows of one kind alone would fit to answer always, or never
            return {}
        _, threshold = squad.best_threshold(margin, answered, 1 - answerable, np.ones(len(measured)))
        return {"null_threshold": threshold, "fitted_on": int(half.sum())}

    def decide(self, raw: Sequence[Any], decisions: dict[str, Any]) -> list[dict[str, Any]]:
        """The best answer, its place and probability; none where the null score beats it by more than the threshold.

        `answer` is the best one in any case, `no_answer` by how much the null score beats it, in logits.
        """
        threshold = decisions.get("null_threshold", 0.0)
        fitted = {"null_threshold": threshold} if decisions else {}
        nulls = [row["null"] if self.unanswerable else None for row in raw]
        pairs = zip(raw, nulls, strict=True)
        return [{**decision(null, row["spans"], threshold, SHOWN), **fitted} for row, null in pairs]

    def gold(self, row: dict[str, Any]) -> Any:
        """All accepted answers."""
        return [answer.text for answer in answers(row[self.answers])]

    def baseline(self, train: Rows, rows: Rows) -> list[dict[str, Any]]:
        """No answer where questions may have none, else the sentence that shares most words with the question."""
        if self.unanswerable:
            return [{"predicted": "", "answer": "", "no_answer": 0.0, "null_threshold": 0.0}] * len(rows)
        pairs = zip(rows.column(self.question), rows.column(self.context), strict=True)
        return [{"predicted": nearest_sentence(str(question), str(context))} for question, context in pairs]

    def measure(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> np.ndarray:
        """What the scores need, `(rows, 7)`.

        Whether the row has an answer, the margin of "no answer", exact and F1 of the best answer, exact and F1 of the
        prediction, and whether a threshold fitted on other rows is reported on this one.
        """
        found = []
        for prediction, value, reported in zip(predictions, rows.column(self.answers), _reported(rows), strict=True):
            golds = [answer.text for answer in answers(value)]
            best, given = prediction.get("answer", prediction["predicted"]), prediction["predicted"]
            pair = [squad.exact(best, golds), squad.f1(best, golds)]
            said = pair if best == given else [squad.exact(given, golds), squad.f1(given, golds)]
            held_out = reported and "null_threshold" in prediction
            found.append([bool(golds), prediction.get("no_answer", 0.0), *pair, *said, held_out])
        return np.array(found, dtype=float)

    def aggregate(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """The official scores as shares of 1; with unanswerable questions also by kind and over thresholds.

        `f1` and `exact` fit nothing: "no answer" is given where its score is the highest. What is predicted uses the
        threshold that one half of the validation rows fitted, and `heldout_*` are its scores on the other.
        """
        return squad.scores(statistics, weights, thresholds=bool(self.unanswerable))

    def exchanged(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> tuple[list[Any], list[Any]]:
        """As the `squad` and `squad_v2` modules take them."""
        given = [{"id": i, "prediction_text": p["predicted"]} for i, p in zip(rows.ids, predictions, strict=True)]
        for line, prediction in zip(given, predictions, strict=True) if self.unanswerable else ():
            line["no_answer_probability"] = 1 / (1 + math.exp(-prediction["no_answer"]))
        golds = [answers(value) for value in rows.column(self.answers)]
        texts = [{"text": [a.text for a in g], "answer_start": [a.start or 0 for a in g]} for g in golds]
        return given, [{"id": i, "answers": text} for i, text in zip(rows.ids, texts, strict=True)]

    def agree(self, first: dict[str, Any], second: dict[str, Any], tolerance: float) -> bool:
        """The same probability and answer, unless two answers are as probable or the margin is at its threshold."""
        beyond = first.get("no_answer", np.inf) - first.get("null_threshold", 0.0)
        if (first["predicted"] == "") != (second["predicted"] == ""):  # then another answer's probability is given
            return bool(abs(beyond) <= 4 * tolerance)
        close = abs(first["probability"] - second["probability"]) <= 2 * tolerance
        return close and (
            first["predicted"] == second["predicted"]
            or any(
                other["text"] == second["predicted"]
                and abs(other["probability"] - first["probability"]) <= 4 * tolerance
                for other in first["n_best"]
            )
        )


def _scores(output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits `(features, length)` of the answer's first and last token; minus infinity but for text and null token."""
    allowed = batch.targets["text"].bool().scatter(1, batch.targets["null"][:, None], True)
    begin, stop = precise(output.start_logits), precise(output.end_logits)
    return begin.masked_fill(~allowed, float("-inf")), stop.masked_fill(~allowed, float("-inf"))


def _reported(rows: Rows) -> np.ndarray:
    """`(rows,)`: whether a fitted threshold is reported on a row; the other half of the validation rows fits it."""
    if rows.split != "validation":
        return np.ones(len(rows), dtype=bool)
    return np.array([int(value, 16) % 2 == 1 for value in rows.column(HASH)], dtype=bool)
