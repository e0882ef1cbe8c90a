"""Errors a user can act on: every problem at once, the nearest valid name, the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches

DIVERGED = (
    "the model's answers are no numbers any more: training has diverged. "
    "Lower tuning.learning_rate, or set training.precision=fp32."
)


class FinetuneError(ValueError):
    """Something the user can mend. The command line prints it without a traceback and exits with code 2.

    Args:
        *problems: One sentence each: what, where, the nearest valid choice, the remedy.
    """

    heading = "This cannot be done:"

    def __init__(self, *problems: str):
        self.problems = problems
        super().__init__("\n".join([self.heading, *(f"  - {problem}" for problem in problems)]))


class RecipeError(FinetuneError):
    """A recipe that cannot run."""

    heading = "This recipe cannot run:"


class DataError(FinetuneError):
    """Rows that cannot be read or do not fit the task."""

    heading = "The data does not fit:"


class ModelError(FinetuneError):
    """A checkpoint that cannot be loaded or does not fit the task or the tuning method."""

    heading = "The model does not fit:"


class RunError(FinetuneError):
    """A run directory that cannot be resumed, evaluated or used to predict."""

    heading = "This run cannot be used:"


def nearest(name: str, known: Iterable[str]) -> str:
    """`Did you mean 'tuning'? Known: data, model.`, the first sentence only where something is near."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1) or get_close_matches(name.lower(), names, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known: {', '.join(names)}."


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """`unknown field 'tunning'. Did you mean 'tuning'? Known: ...`."""
    return f"unknown {what} {name!r}. {nearest(name, known)}"


def listing(items: Iterable[object], most: int = 5) -> str:
    """The first `most` items, comma-separated, and how many more there are."""
    shown = [str(item) for item in items]
    rest = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + rest
