"""Rows with choices: what they offer and which is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finetune.errors import RecipeError
from finetune.text.labels import label_text

Written = Literal["position", "position_from_1", "choice"]


@dataclass(frozen=True)
class Reading:
    """How a row says its text, its choices and the right one.

    Attributes:
        columns: Of the text.
        choices: The column of their list, or a column for each.
        placeholder: Mark in the text that a choice takes the place of.
        label: The column of the right choice.
        written: What that column holds.
    """

    columns: tuple[str, ...]
    choices: str | tuple[str, ...]
    placeholder: str | None
    label: str
    written: Written | None

    def options(self, row: dict[str, Any]) -> list[str]:
        """The choices of a row.

        Raises:
            ValueError: The row cannot be put to a model; the message says why.
        """
        if isinstance(self.choices, str):
            options = row[self.choices]
            if not isinstance(options, (list, tuple)) or any(option is None for option in options):
                raise ValueError(f"column {self.choices!r} holds {options!r:.60}; a list of choices is needed")
        else:
            options = [row[name] for name in self.choices]
            while options and options[-1] in (None, ""):
                options.pop()
            if any(option in (None, "") for option in options):
                raise ValueError("a choice is empty, but a later one is not")
        if len(options) < 2:
            raise ValueError(f"{len(options)} choices, at least 2 are needed")
        if self.placeholder is not None and self.placeholder not in self.text(row):
            raise ValueError(f"the text does not hold {self.placeholder!r} (task.placeholder)")
        return [label_text(option) for option in options]

    def text(self, row: dict[str, Any]) -> str:
        """The text of a row."""
        return " ".join(str(row[name]) for name in self.columns)

    def right(self, row: dict[str, Any]) -> int:
        """The position of a row's right choice, from 0; -1 where the label names none."""
        value, options = label_text(row[self.label]), self.options(row)
        if self.written == "choice":
            return options.index(value) if value in options else -1
        position = (int(value) if value.isdecimal() else -1) - (self.written == "position_from_1")
        return position if 0 <= position < len(options) else -1


def as_written(labels: Sequence[str], options: Sequence[Sequence[str]]) -> Written:
    """What labels are; a mixture is taken for what the first of them is, and `check` then complains.

    Raises:
        RecipeError: Labels that may be choices as well as positions, or positions from 0 as well as from 1.
    """
    if not labels[0].isdecimal():
        return "choice"
    pairs = [(int(label), len(own)) for label, own in zip(labels, options, strict=True) if label.isdecimal()]
    from_0, from_1 = all(n < most for n, most in pairs), all(0 < n <= most for n, most in pairs)
    if all(label in own for label, own in zip(labels, options, strict=True)):
        if (from_0 or from_1) and len(pairs) == len(labels):
            raise RecipeError(
                "task.written: every label of the training rows is one of its row's choices and also a position among "
                "them, so it cannot be told which is meant; set it to choice, position or position_from_1."
            )
        return "choice"
    if from_0 and from_1:
        raise RecipeError(
            "task.written: no training row holds 0 and none the number of its choices, so it cannot be told whether "
            "positions count from 0 or from 1; set it to position or to position_from_1."
        )
    return "position_from_1" if from_1 else "position"
