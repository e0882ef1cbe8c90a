"""A comparison for a README."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from finetune.comparison.columns import Cell, Column, cost_columns, notes, score_columns
from finetune.comparison.words import answer, cautions, command, terms


def markdown(content: Mapping[str, Any]) -> str:
    """Two tables with verdicts in words, the terms, and the command that does it again; GitHub's Markdown.

    Args:
        content: A comparison.json.
    """
    scores, costs = score_columns(content, every_metric=True), cost_columns(content)
    careful = [*cautions(content), *(f"{note}." for note in notes(scores) + notes(costs))]
    parts = [
        f"**{_plain(answer(content))}.** ({_plain(content['recipe'])}, {_plain(content['model'])})",
        _table(scores),
        "Costs, medians over the seeds:",
        _table(costs),
        "\n".join(_plain(sentence) for sentence in terms(content)),
        "\n".join(f"- {_plain(sentence)}" for sentence in careful),
        f"Again:\n\n```console\n$ {command(content)}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(columns: list[Column]) -> str:
    lines = [
        [_plain(column.heading) for column in columns],
        ["---:" if column.numeric else "---" for column in columns],
        *([_entry(cell) for cell in row] for row in zip(*(column.cells for column in columns), strict=True)),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _entry(cell: Cell) -> str:
    return _plain(f"{cell.text} ({cell.second})" if cell.second else cell.text)


def _plain(text: str) -> str:
    """Text that Markdown and HTML take for nothing but text."""
    marked = escape(text, quote=False).replace("\n", " ")
    return "".join(f"\\{character}" if character in "\\`*_[]|~" else character for character in marked)
