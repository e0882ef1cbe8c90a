"""Scoring predictions by modules of the `evaluate` library, with intervals."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from finetune.errors import FinetuneError, RecipeError
from finetune.modules.loading import brief, load, quiet, stem
from finetune.statistics import resampling

if TYPE_CHECKING:
    from evaluate import EvaluationModule


class Score(NamedTuple):
    """A score and the ends of its 95 % interval; nan where the module has no number."""

    value: float
    low: float
    high: float


def score(
    names: Sequence[str], predictions: list[Any], references: list[Any], resamples: int = 200
) -> dict[str, Score]:
    """Scores by the named modules, each with a 95 % percentile bootstrap interval (Efron 1979).

    The value is what `compute` of the module returns for all rows. For the interval rows are drawn with replacement,
    200 times unless said otherwise, with a fixed seed, and the module scores each draw; draws that it refuses, or for
    which it has no number, are left out. A row that is drawn again gets an `id` of its own where it has one: modules
    that look rows up by it would else count it once.

    Args:
        names: What `load` takes.
        predictions: One a row, as the modules take them.
        references: One a row.
        resamples: How many times rows are drawn; 0: no interval.

    Returns:
        `STEM.KEY` -> score, for each number in what the module returns; `STEM.KEY.INNER` for the numbers of a
        dictionary in it. What is neither is left out. STEM is the name without folder and `.py`.

    Raises:
        RecipeError: A module cannot be loaded, fails on these rows, or returns no number; or two have one stem.
    """
    again = [name for name, times in Counter(map(stem, names)).items() if times > 1]
    if again:
        raise RecipeError(f"task.evaluate_modules: two modules are called {again[0]!r}; give one of them another name.")
    return {
        f"{stem(name)}.{key}": found
        for name in names
        for key, found in _scores(name, load(name), predictions, references, resamples).items()
    }


def _scores(
    name: str, module: EvaluationModule, predictions: list[Any], references: list[Any], resamples: int
) -> dict[str, Score]:
    direct: Callable[..., Any] = module._compute  # what authors of modules write: scores rows that are encoded already
    encoded: dict[str, Any] = {}

    def remembering(**columns: Any) -> Any:
        _refuse_cut(name, {"predictions": predictions, "references": references}, columns)
        encoded.update(columns)
        return direct(**columns)

    def drawn(positions: np.ndarray, counts: np.ndarray) -> dict[str, float]:
        rows = np.repeat(positions[:, 0], counts.astype(int))
        try:
            values = _numbers(direct(**{key: _at(column, rows) for key, column in encoded.items()}))
        except Exception:  # as of a module that wants every class in the rows
            return {}
        return {key: value for key, value in values.items() if math.isfinite(value)}

    module._compute = remembering
    try:
        with quiet():
            result = module.compute(predictions=predictions, references=references)
    except FinetuneError:
        raise
    except Exception as error:  # the module's own code may raise anything
        raise RecipeError(
            f"task.evaluate_modules: {name!r} fails with {brief(error)}. It was given predictions such as "
            f"{_shown(predictions[:1])} and references such as {_shown(references[:1])}; it takes {module.features}. "
            "If those do not fit, write a module of your own that takes these."
        ) from error
    values = _numbers(result)
    if not values:
        raise RecipeError(
            f"task.evaluate_modules: {name!r} returns {_shown(result)}; a dictionary of names and numbers is needed."
        )
    with quiet(), _unheard():
        intervals = resampling.bootstrap(np.arange(len(predictions))[:, np.newaxis], drawn, resamples)
    return {key: Score(value, *intervals.get(key, (math.nan, math.nan))) for key, value in values.items()}


def _refuse_cut(name: str, given: dict[str, list[Any]], columns: dict[str, Any]) -> None:
    """Refuse what `evaluate` turns from a fraction into a whole number without a word."""
    for kind, column in columns.items():
        for one, taken in zip(given[kind], column, strict=True):
            for before, after in _leaves(one, taken):
                if isinstance(before, float) and not isinstance(after, (float, np.floating)) and before != after:
                    raise RecipeError(
                        f"task.evaluate_modules: {name!r} takes whole numbers, and would count {before!r} of the "
                        f'{kind} as {after!r}. Give its features Value("float32"), or take a module for numbers.'
                    )


def _leaves(given: Any, taken: Any) -> Iterator[tuple[Any, Any]]:
    """Single values, before and after they were encoded."""
    if isinstance(given, Mapping) and isinstance(taken, Mapping):
        for key in given.keys() & taken.keys():
            yield from _leaves(given[key], taken[key])
    elif isinstance(given, (list, tuple, np.ndarray)) and isinstance(taken, (list, tuple, np.ndarray)):
        for one, other in zip(given, taken, strict=False):
            yield from _leaves(one, other)
    elif isinstance(taken, (Real, np.bool_)):
        yield given, taken


def _at(column: Any, rows: np.ndarray) -> Any:
    """Some rows of a column, in ascending order; an `id` that comes again is made different."""
    if isinstance(column, np.ndarray):
        return column[rows]
    found = [column[row] for row in rows]
    for place in np.flatnonzero(rows[1:] == rows[:-1]) + 1:
        if isinstance(found[place], dict) and "id" in found[place]:
            found[place] = {**found[place], "id": f"{found[place]['id']} drawn at {place}"}
    return found


def _numbers(result: Any) -> dict[str, float]:
    """The numbers of what a module returns, those of inner dictionaries as `KEY.INNER`."""
    flat: dict[str, Any] = {}
    for key, value in result.items() if isinstance(result, Mapping) else ():
        flat |= {f"{key}.{inner}": one for inner, one in value.items()} if isinstance(value, Mapping) else {key: value}
    plain = {str(key): one.item() if getattr(one, "shape", None) == () else one for key, one in flat.items()}
    return {key: float(one) for key, one in plain.items() if isinstance(one, Real) and not isinstance(one, bool)}


def _shown(value: Any) -> str:
    text = repr(value[0] if isinstance(value, list) and value else value)
    return text if len(text) <= 200 else f"{text[:200]}..."


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """What a module says once it need not say for every draw; and its own random numbers are the same every time."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(state)
