"""Further scores, by modules of the `evaluate` library that a recipe names.

A module is code that is run: a file of the user's, or one of the Hub.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from finetune import hub, statistics
from finetune.errors import FinetuneError, RecipeError, nearest
from finetune.quiet import quiet_libraries

if TYPE_CHECKING:
    from evaluate import EvaluationModule

_OWN = "a local folder or .py file with a class derived from evaluate.Metric does without the Hub"
_FIRST_CLASS = (
    "evaluate takes the first class derived from evaluate.Metric that the file holds, also one that is only imported: "
    "write `import evaluate`, then `class NAME(evaluate.Metric)` with _info and _compute"
)
_USUAL = (
    "accuracy brier_score exact_match f1 mae mape matthews_correlation mse pearsonr poseval precision r_squared recall "
    "roc_auc seqeval smape spearmanr squad squad_v2"
)
"""Modules of the Hub for what is learned here, to guess what a misspelt name means."""


class Score(NamedTuple):
    """A score and the ends of its 95 % interval; nan where the module has no number."""

    value: float
    low: float
    high: float


def stem(name: str) -> str:
    """What a module's scores are called after: `mymetric` for `metrics/mymetric.py` and for `someone/mymetric`."""
    return Path(name).name.removesuffix(".py")


def load(name: str) -> EvaluationModule:
    """The module that a recipe names.

    What exists on this machine is taken for a path, and nothing is asked of the network for it. Every other name is one
    of the Hub; where that is out of reach, the copy that `evaluate` made when it last loaded the module is taken.

    Args:
        name: A folder that holds a .py file of its own name, a .py file, or a name on the Hub, as `accuracy`.

    Raises:
        RecipeError: It does not exist, cannot be reached or run, or wants more than predictions and references.
    """
    script = _script(name)
    import evaluate

    switched_off = [
        key for key in ("HF_EVALUATE_OFFLINE", "HF_HUB_OFFLINE") if os.environ.get(key, "").upper() in hub.TRUE
    ]
    away = ""
    if script is None and (switched_off or not hub.reachable()):
        away = f"{switched_off[0]} is set" if switched_off else f"{hub.endpoint()} cannot be reached"
    try:
        with _quiet(), _offline(bool(script or away)):
            module = evaluate.load(str(script or name), keep_in_memory=True)
    except Exception as error:  # the module's own code may raise anything
        problem = _of_file(error) if script else _of_hub(name, error, away)
        raise RecipeError(f"task.evaluate_modules: {name!r} {problem}.") from error
    module.seed = 0  # else taken from NumPy's state of the moment
    features = module.features[0] if isinstance(module.features, list) else module.features
    others = sorted(set(features) - {"predictions", "references"})
    if others:
        raise RecipeError(
            f"task.evaluate_modules: {name!r} wants {', '.join(others)}; a task has predictions and references only."
        )
    return module


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
        with _quiet():
            result = module.compute(predictions=predictions, references=references)
    except FinetuneError:
        raise
    except Exception as error:  # the module's own code may raise anything
        raise RecipeError(
            f"task.evaluate_modules: {name!r} fails with {_brief(error)}. It was given predictions such as "
            f"{_shown(predictions[:1])} and references such as {_shown(references[:1])}; it takes {module.features}. "
            "If those do not fit, write a module of your own that takes these."
        ) from error
    values = _numbers(result)
    if not values:
        raise RecipeError(
            f"task.evaluate_modules: {name!r} returns {_shown(result)}; a dictionary of names and numbers is needed."
        )
    with _quiet(), _unheard():
        intervals = statistics.bootstrap(np.arange(len(predictions))[:, np.newaxis], drawn, resamples)
    return {key: Score(value, *intervals.get(key, (math.nan, math.nan))) for key, value in values.items()}


def _script(name: str) -> Path | None:
    """The file that a name means; None: it is a name on the Hub."""
    path = Path(name).expanduser()
    if path.exists():
        script = path / f"{path.absolute().name}.py" if path.is_dir() else path
        if script.suffix == ".py" and script.is_file():
            return script.absolute()
        missing = f"a folder without {script.name}" if path.is_dir() else "no .py file"
        beside = (
            f"; the Hub's module of that name is evaluate-metric/{name}" if path.is_dir() and "/" not in name else ""
        )
        raise RecipeError(f"task.evaluate_modules: {name!r} is {missing}{beside}.")
    if path.is_absolute() or name.startswith((".", "~")) or name.endswith(".py") or name.count("/") > 1:
        parent = path.parent
        others = (
            [other.name for other in parent.iterdir() if other.is_dir() or other.suffix == ".py"]
            if parent.is_dir()
            else []
        )
        hint = f" {nearest(path.name, others)}" if others else ""
        raise RecipeError(f"task.evaluate_modules: the file or folder {name!r} does not exist.{hint}")
    return None


def _of_file(error: Exception) -> str:
    """Why a file cannot be loaded."""
    if isinstance(error, ImportError):
        return _of_import(error)
    if isinstance(error, ConnectionError):
        return f"wants a file of the network ({_brief(error)}): put that file beside it, and import it with a dot"
    return f"cannot be loaded: {_brief(error)}; {_FIRST_CLASS}"


def _of_hub(name: str, error: Exception, away: str) -> str:
    """Why a module of the Hub cannot be loaded."""
    if isinstance(error, ImportError):
        return _of_import(error)
    if isinstance(error, (FileNotFoundError, ConnectionError)):
        if away:
            return f"is not on this machine, and {away}; {_OWN}"
        near = get_close_matches(name, _USUAL.split(), n=1)
        hint = f". Did you mean {near[0]!r}? Else" if near else ";"
        return f"is not at {hub.endpoint()}, or cannot be read from there{hint} {_OWN}"
    return f"cannot be loaded: {_brief(error)}; {_OWN}"


def _of_import(error: ImportError) -> str:
    missing = re.search(r"pip install (.*)' for instance", str(error))
    if missing is None:
        return f"cannot import what it needs: {_brief(error)}"
    if "," in missing[1]:
        return "imports several packages on one line, which evaluate cannot read: write one import a line"
    return f"needs what is not installed: pip install {missing[1]}"


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


def _brief(error: Exception) -> str:
    """Kind and first line of an error."""
    text = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shown(value: Any) -> str:
    text = repr(value[0] if isinstance(value, list) and value else value)
    return text if len(text) <= 200 else f"{text[:200]}..."


@contextlib.contextmanager
def _offline(offline: bool) -> Iterator[None]:
    """Keep `evaluate` from the network, or not; it reads its environment only once."""
    import evaluate

    before = evaluate.config.HF_EVALUATE_OFFLINE
    evaluate.config.HF_EVALUATE_OFFLINE = offline or before
    try:
        yield
    finally:
        evaluate.config.HF_EVALUATE_OFFLINE = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no reports below an error."""
    from evaluate import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with quiet_libraries():
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


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
