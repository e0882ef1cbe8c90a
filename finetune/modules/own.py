"""The scores of this package as modules of the `evaluate` library: `add`, `add_batch`, `compute`, `evaluate.combine`.

They need no network, keep their rows in memory, and give shares from 0 to 1 where the modules `squad` and `squad_v2` of
the Hub give percent. Importing this file imports `evaluate`, which takes seconds: nothing else here imports it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.errors import DataError, RecipeError, unknown
from finetune.metrics import classification, entities, multilabel, regression
from finetune.modules.own_answers import Squad, SquadV2
from finetune.modules.own_base import Module, array, number, once

if TYPE_CHECKING:
    import evaluate


class Classification(Module):
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
        return number()

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        weights = once(predictions)
        gold, predicted = _whole(references, "reference"), _whole(predictions, "prediction")
        return classification.scores(self.scores, gold, predicted, weights, self.positive)


class MultiLabel(Module):
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
        return array(number())

    def _compute(self, predictions: list[list[float]], references: list[list[float]]) -> dict[str, float]:
        weights = once(predictions)
        width = len(references[0])
        for kind, rows in (("reference", references), ("prediction", predictions)):
            for row, values in enumerate(rows):
                if len(values) != width or not width or set(values) - {0.0, 1.0}:
                    raise DataError(
                        f"{kind} {row} is {values}; 0 or 1 for each class is needed, and the first row has {width}."
                    )
        return multilabel.scores(self.scores, np.array(references), np.array(predictions), weights)


class Regression(Module):
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
        return number()

    def _compute(self, predictions: list[float], references: list[float]) -> dict[str, float]:
        weights = once(predictions)
        for kind, column in (("reference", references), ("prediction", predictions)):
            for row in np.flatnonzero(~np.isfinite(column))[:1]:
                raise DataError(f"{kind} {row} is {column[row]}; a finite number is needed.")
        return regression.scores(self.scores, np.array(references), np.array(predictions), weights)


class Entities(Module):
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

        return array(Value("string"))

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
        once(predictions)
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


MODULES: dict[str, type[Module]] = {
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


def _whole(column: list[float], kind: str) -> np.ndarray:
    """Class ids, `(rows,)`."""
    values = np.array(column, dtype=float)
    for row in np.flatnonzero(values != np.floor(values))[:1]:
        raise DataError(f"{kind} {row} is {values[row]}; the id of a class, a whole number, is needed.")
    return values.astype(int)
