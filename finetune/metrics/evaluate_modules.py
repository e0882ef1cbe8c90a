"""The scores of this package as modules of the `evaluate` library: `add`, `add_batch`, `compute`, `evaluate.combine`.

They need no network, keep their rows in memory, and give shares from 0 to 1 where the modules `squad` and `squad_v2` of
the Hub give percent. Importing this file imports `evaluate`, which takes seconds: nothing else here imports it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import evaluate
import numpy as np

from finetune.errors import DataError, RecipeError, unknown
from finetune.metrics import classification, entities, multilabel, regression, squad


class _Module(evaluate.Metric):
    """A module whose predictions and references are rows of the same length."""

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        from datasets import Features

        text = inspect.cleandoc(type(self).__doc__ or "")
        features = Features({"predictions": self._prediction(), "references": self._reference()})
        return evaluate.MetricInfo(description=text, citation="", inputs_description=text, features=features)

    def _prediction(self) -> Any:
        raise NotImplementedError

    def _reference(self) -> Any:
        return self._prediction()


class Classification(_Module):
    """Scores of one predicted class per row; predictions and references are class ids.

    Args:
        scores: Names, or one name, of `finetune.metrics.classification.SCORES`.
        positive: Id of the class that `f1`, `precision` and `recall` seek.

    Raises:
        RecipeError: An unknown score.
        DataError: When computed, an id that is no whole number, or no rows.
    """

    def __init__(self, scores: Sequence[str] | str = "accuracy", positive: int = 1) -> None:
        self.scores = _known(scores, classification.SCORES)
        self.positive = positive
        super().__init__()

    def _prediction(self) -> Any:
        return _number()

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        weights = _once(predictions)
        gold, predicted = _whole(references, "reference"), _whole(predictions, "prediction")
        return classification.scores(self.scores, gold, predicted, weights, self.positive)


class MultiLabel(_Module):
    """Scores of several classes per row; predictions and references are lists of 0 and 1, one for each class.

    Args:
        scores: Names, or one name, of `finetune.metrics.multilabel.SCORES`.

    Raises:
        RecipeError: An unknown score.
        DataError: When computed, a value that is neither 0 nor 1, lists of different lengths, or no rows.
    """

    def __init__(self, scores: Sequence[str] | str = "f1_micro") -> None:
        self.scores = _known(scores, multilabel.SCORES)
        super().__init__()

    def _prediction(self) -> Any:
        return _list(_number())

    def _compute(self, predictions: list[list[float]], references: list[list[float]]) -> dict[str, float]:
        weights = _once(predictions)
        width = len(references[0])
        for kind, rows in (("reference", references), ("prediction", predictions)):
            for row, values in enumerate(rows):
                if len(values) != width or not width or set(values) - {0.0, 1.0}:
                    raise DataError(
                        f"{kind} {row} is {values}; 0 or 1 for each class is needed, and the first row has {width}."
                    )
        return multilabel.scores(self.scores, np.array(references), np.array(predictions), weights)


class Regression(_Module):
    """Scores of one predicted number per row; predictions and references are finite numbers.

    Args:
        scores: Names, or one name, of `finetune.metrics.regression.SCORES`.

    Raises:
        RecipeError: An unknown score.
        DataError: When computed, a number that is not finite, or no rows.
    """

    def __init__(self, scores: Sequence[str] | str = "pearson") -> None:
        self.scores = _known(scores, regression.SCORES)
        super().__init__()

    def _prediction(self) -> Any:
        return _number()

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        weights = _once(predictions)
        for kind, column in (("reference", references), ("prediction", predictions)):
            for row in np.flatnonzero(~np.isfinite(column))[:1]:
                raise DataError(f"{kind} {row} is {column[row]}; a finite number is needed.")
        return regression.scores(self.scores, np.array(references), np.array(predictions), weights)


class Entities(_Module):
    """Micro F1, precision and recall of entities; predictions and references are the tags of a sentence's words.

    `f1`, `precision` and `recall` read tags of any scheme as conlleval does. `strict_f1`, `strict_precision` and
    `strict_recall` are those of seqeval's strict mode, for tags in IOB2: what does not begin with B- is no entity.

    Args:
        strict: Whether to give the strict scores too.

    Raises:
        DataError: When computed, sentences of different lengths, tags that are not IOB2 for `strict`, or no rows.
    """

    def __init__(self, strict: bool = True) -> None:
        self.strict = strict
        super().__init__()

    def _prediction(self) -> Any:
        from datasets import Value

        return _list(Value("string"))

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
        _once(predictions)
        for row, (tags, gold) in enumerate(zip(predictions, references, strict=True)):
            if len(tags) != len(gold):
                raise DataError(f"prediction {row} has {len(tags)} tags, its reference {len(gold)}.")
        found = self._scores(predictions, references, entities.read)
        if not self.strict:
            return found
        try:
            strict = self._scores(predictions, references, entities.strict)
        except DataError as error:
            raise DataError(*error.problems, "strict=False leaves the strict scores out.") from None
        return {**found, **{f"strict_{name}": value for name, value in strict.items()}}

    @staticmethod
    def _scores(predictions: list[list[str]], references: list[list[str]], read: Any) -> dict[str, float]:
        pairs = [(read(gold), read(tags)) for tags, gold in zip(predictions, references, strict=True)]
        types = sorted({entity.type for pair in pairs for found in pair for entity in found})
        counts = sum(entities.counts(gold, found, types) for gold, found in pairs)
        return entities.scores(np.asarray(counts))


class Squad(_Module):
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
            "answers": {"text": _list(Value("string")), "answer_start": _list(Value("int32"))},
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
        return {**super()._prediction(), "no_answer_probability": _number()}

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


MODULES: dict[str, type[_Module]] = {
    "classification": Classification,
    "multi_label": MultiLabel,
    "regression": Regression,
    "entities": Entities,
    "squad": Squad,
    "squad_v2": SquadV2,
}
"""Name -> class of the module."""


def module(name: str, **settings: Any) -> evaluate.Metric:
    """A module by name: `module("classification", scores=("accuracy", "f1_macro"))`.

    Args:
        name: One of `MODULES`.
        **settings: Its own arguments.

    Raises:
        RecipeError: No such module, argument or score.
    """
    if name not in MODULES:
        raise RecipeError(unknown("module", name, MODULES))
    known = inspect.signature(MODULES[name]).parameters
    wrong = [setting for setting in settings if setting not in known]
    if wrong and not known:
        raise RecipeError(f"the module {name} has no arguments, so no {wrong[0]!r}.")
    if wrong:
        raise RecipeError(*(unknown(f"argument of {name}", setting, known) for setting in wrong))
    return MODULES[name](**settings)


def _known(names: Sequence[str] | str, scores: Iterable[str]) -> tuple[str, ...]:
    given = (names,) if isinstance(names, str) else tuple(names)
    wrong = [unknown("score", name, scores) for name in given if name not in scores]
    if wrong:
        raise RecipeError(*wrong)
    return given


def _number() -> Any:
    from datasets import Value

    return Value("float64")  # also for ids: as an integer, evaluate would take 0.7 for 0 without a word


def _list(feature: Any) -> Any:
    from datasets import List

    return List(feature)


def _once(rows: Sequence[Any]) -> np.ndarray:
    """Each row counts once, `(rows,)`."""
    if not len(rows):
        raise DataError("no rows were added, so there is nothing to score.")
    return np.ones(len(rows))


def _whole(column: list[float], kind: str) -> np.ndarray:
    """Class ids, `(rows,)`."""
    values = np.array(column, dtype=float)
    for row in np.flatnonzero(values != np.floor(values))[:1]:
        raise DataError(f"{kind} {row} is {values[row]}; the id of a class, a whole number, is needed.")
    return values.astype(int)


def _filled(prediction: dict[str, Any]) -> dict[str, Any]:
    return {"no_answer_probability": np.nan, **prediction}


def _met(
    predictions: list[dict[str, Any]], references: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each reference with its prediction, first; rows that already stand beside each other may share an id."""
    _once(references)
    if [given["id"] for given in predictions] == [reference["id"] for reference in references]:
        return list(zip(predictions, references, strict=True))
    by_id = {given["id"]: given for given in predictions}
    ids = {reference["id"] for reference in references}
    for missing in (reference["id"] for reference in references if reference["id"] not in by_id):
        raise DataError(f"question {missing!r} has no prediction.")
    if len(ids) < len(references) or len(by_id) < len(predictions):
        raise DataError("an id comes twice, and predictions and references stand in different orders.")
    return [(by_id[reference["id"]], reference) for reference in references]
