"""Scores of answers as modules of `evaluate`, with the inputs of the Hub's `squad` and `squad_v2`."""

from __future__ import annotations

from typing import Any

import numpy as np

from finetune.errors import DataError
from finetune.metrics import squad
from finetune.modules.own_base import Module, array, number, once


class Squad(Module):
    """Exact match and F1 of answers, as shares of 1; every question has one.

    Predictions are `{"id", "prediction_text"}`, references `{"id", "answers": {"text": [...], "answer_start": [...]}}`,
    in any order: questions and answers meet by their ids. The starts are not looked at. Where nothing is left of an
    answer once it is normalised, the rules are those of v2.0.

    Raises:
        DataError: When computed, ids that do not meet, a question without an answer, or no rows.
    """

    def _prediction(self) -> Any:
        from datasets import Value

        return {"id": Value("string"), "prediction_text": Value("string")}

    def _reference(self) -> Any:
        from datasets import Value

        return {
            "id": Value("string"),
            "answers": {"text": array(Value("string")), "answer_start": array(Value("int32"))},
        }

    def _compute(self, predictions: list[dict[str, Any]], references: list[dict[str, Any]]) -> dict[str, float]:
        pairs = _met(predictions, references)
        for _, reference in pairs:
            if not reference["answers"]["text"]:
                raise DataError(f"question {reference['id']!r} has no answer; squad_v2 is for such questions.")
        said = [(given["prediction_text"], reference["answers"]["text"]) for given, reference in pairs]
        return {
            "exact": float(np.mean([squad.exact(text, golds) for text, golds in said])),
            "f1": float(np.mean([squad.f1(text, golds) for text, golds in said])),
        }


class SquadV2(Squad):
    """Exact match and F1 of answers, as shares of 1; a question may have none, and an empty prediction says so.

    Predictions and references are those of `squad`; a question without an answer has empty lists. Predictions may hold
    `no_answer_probability`, all or none. Then an answer counts as none where that is above the argument
    `no_answer_threshold` of `compute`, 1 unless given, and `best_exact` and `best_f1` are the scores at the thresholds
    that are best on these very rows, `best_exact_threshold` and `best_f1_threshold`. `HasAns_*` and `NoAns_*` are the
    scores of the questions that have an answer or none.

    Raises:
        DataError: When computed, ids that do not meet, probabilities of some rows only, or no rows.
    """

    def _prediction(self) -> Any:
        return {**super()._prediction(), "no_answer_probability": number()}

    def add(self, *, prediction: Any = None, reference: Any = None, **others: Any) -> None:
        """Add a row."""
        super().add(prediction=_filled(prediction), reference=reference, **others)

    def add_batch(self, *, predictions: Any = None, references: Any = None, **others: Any) -> None:
        """Add rows."""
        super().add_batch(predictions=list(map(_filled, predictions)), references=references, **others)

    def _compute(
        self, predictions: list[dict[str, Any]], references: list[dict[str, Any]], no_answer_threshold: float = 1.0
    ) -> dict[str, float]:
        pairs = _met(predictions, references)
        margin = np.array([given["no_answer_probability"] for given, _ in pairs])
        if len(set(np.isnan(margin))) > 1:
            raise DataError("some predictions have a no_answer_probability, others none; give it to all or to none.")
        golds = [reference["answers"]["text"] for _, reference in pairs]
        empty = np.array([not texts for texts in golds], dtype=float)
        found: dict[str, float] = {}
        best: dict[str, float] = {}
        for name, function in (("exact", squad.exact), ("f1", squad.f1)):
            answered = np.array(
                [function(given["prediction_text"], texts) for (given, _), texts in zip(pairs, golds, strict=True)]
            )
            reported = np.where(margin > no_answer_threshold, empty, answered)
            found[name] = float(reported.mean())
            for kind, members in (("HasAns", empty == 0), ("NoAns", empty == 1)):
                found |= {f"{kind}_{name}": float(reported[members].mean())} if members.any() else {}
            if not np.isnan(margin).any():
                best[f"best_{name}"], threshold = squad.best_threshold(margin, answered, empty, np.ones(len(pairs)))
                best[f"best_{name}_threshold"] = threshold
        return found | best


def _filled(prediction: dict[str, Any]) -> dict[str, Any]:
    return {"no_answer_probability": np.nan, **prediction}


def _met(
    predictions: list[dict[str, Any]], references: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each reference with its prediction, first; rows that already stand beside each other may share an id."""
    once(references)
    if [given["id"] for given in predictions] == [reference["id"] for reference in references]:
        return list(zip(predictions, references, strict=True))
    by_id = {given["id"]: given for given in predictions}
    ids = {reference["id"] for reference in references}
    for missing in (reference["id"] for reference in references if reference["id"] not in by_id):
        raise DataError(f"question {missing!r} has no prediction.")
    if len(ids) < len(references) or len(by_id) < len(predictions):
        raise DataError("an id comes twice, and predictions and references stand in different orders.")
    return [(by_id[reference["id"]], reference) for reference in references]
