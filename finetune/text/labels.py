"""Labels as texts."""

from typing import Any


def label_text(value: Any) -> str:
    """A label as text: 1.0 and 1 are the same class, None is empty."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
