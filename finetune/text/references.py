"""Right texts: a target, and what else would be as right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def text_of(value: Any) -> str:
    """A text; of a list its texts, a line each."""
    if isinstance(value, (list, tuple)):
        return "\n".join(filter(None, map(text_of, value)))
    return "" if value is None else str(value).strip()


def references(targets: Sequence[Any], others: Iterable[Sequence[Any]]) -> list[list[str]]:
    """All right texts of each row, the target first.

    Args:
        targets: A text a row, or a list of its lines.
        others: Further columns; each value is a text or a list of texts, of which empty ones do not count.
    """
    found = [[text_of(value)] for value in targets]
    for column in others:
        for texts, more in zip(found, column, strict=True):
            texts += filter(None, map(text_of, more if isinstance(more, (list, tuple)) else [more]))
    return found
