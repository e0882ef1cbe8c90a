"""Rows whose targets are texts: what is missing among them, and what else would be as right."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from finetune.data.table import Rows
from finetune.errors import DataError, listing
from finetune.text.references import references, text_of

log = logging.getLogger(__name__)


def check_targets(rows: Rows, target: str, others: Sequence[str]) -> None:
    """Look that every row has a target; say which columns of references a scored split lacks.

    Args:
        rows: A labelled split.
        target: Its column, `task.target`.
        others: Columns with further right texts, `task.references`.

    Raises:
        DataError: Some rows have none.
    """
    empty = [row for row, value in enumerate(rows.column(target)) if not text_of(value)]
    if empty:
        where = listing((rows.where(row) for row in empty), 3)
        raise DataError(
            f"{rows.origin}: {len(empty)} rows have no {target!r} (task.target): {where}. "
            "Fill it in, or delete these rows."
        )
    absent = [name for name in others if name not in rows.columns]
    if absent and rows.split != "train":
        log.warning("%s: no column %s (task.references); it is scored without", rows.origin, listing(absent))


def right_texts(rows: Rows, target: str, others: Sequence[str]) -> list[list[str]]:
    """All right texts of each row, the target first; columns that the rows lack give none."""
    return references(rows.column(target), (rows.column(name) for name in others if name in rows.columns))
