"""Loading a module of the `evaluate` library by its name."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from finetune import hub
from finetune.errors import RecipeError, nearest
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
    script = script_of(name)
    import evaluate

    switched_off = [
        key for key in ("HF_EVALUATE_OFFLINE", "HF_HUB_OFFLINE") if os.environ.get(key, "").upper() in hub.TRUE
    ]
    away = ""
    if script is None and (switched_off or not hub.reachable()):
        away = f"{switched_off[0]} is set" if switched_off else f"{hub.endpoint()} cannot be reached"
    try:
        with quiet(), _offline(bool(script or away)):
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


def script_of(name: str) -> Path | None:
    """The file that a name means; None: it is a name on the Hub."""
    path = Path(name).expanduser()
    if path.exists():
        script = path / f"{path.absolute().name}.py" if path.is_dir() else path
        if script.suffix == ".py" and script.is_file():
            return script
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
        return f"wants a file of the network ({brief(error)}): put that file beside it, and import it with a dot"
    return f"cannot be loaded: {brief(error)}; {_FIRST_CLASS}"


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
    return f"cannot be loaded: {brief(error)}; {_OWN}"


def _of_import(error: ImportError) -> str:
    missing = re.search(r"pip install (.*)' for instance", str(error))
    if missing is None:
        return f"cannot import what it needs: {brief(error)}"
    if "," in missing[1]:
        return "imports several packages on one line, which evaluate cannot read: write one import a line"
    return f"needs what is not installed: pip install {missing[1]}"


def brief(error: Exception) -> str:
    """Kind and first line of an error."""
    text = next(iter(str(error).splitlines()), "").rstrip(".,")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


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
def quiet() -> Iterator[None]:
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
