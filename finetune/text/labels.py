"""Labels as texts, and what is said of those that look swapped."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from finetune.errors import listing
from finetune.metrics.swapped import swapped


def label_text(value: Any) -> str:
    """A label as text: 1.0 and 1 are the same class, None is empty."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def looks_swapped(confusion: np.ndarray, names: Sequence[str]) -> str:
    """Which of the predicted classes look like which others; empty where none does.

    Args:
        confusion: `(classes, classes)`, how often each gold class (first axis) was predicted as each class.
        names: The classes in the order of their ids.
    """
    return listing(f"{was!r} looks like {gold!r}" for was, gold in swapped(confusion, names))
