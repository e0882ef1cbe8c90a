"""A comparison in a notebook: its answer and its scores."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from finetune.comparison.columns import score_columns
from finetune.comparison.words import answer


def fragment(content: Mapping[str, Any]) -> str:
    """The answer and the table of scores as HTML without any style, for the page it will stand in.

    Args:
        content: A comparison.json.
    """
    columns = score_columns(content)
    head = "".join(f'<th scope="col">{escape(column.heading)}</th>' for column in columns)
    rows = ""
    for row in zip(*(column.cells for column in columns), strict=True):
        texts = (f"{cell.text} ({cell.second})" if cell.second else cell.text for cell in row)
        rows += f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in texts)}</tr>"
    return f"<p>{escape(answer(content))}.</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
