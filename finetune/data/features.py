"""Features: the encoded rows of a split, memory-mapped, so that their number does not show in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.data import cache
from finetune.data.table import CHUNK, Rows
from finetune.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

Encode = Callable[[dict[str, list[Any]]], dict[str, list[Any]]]
"""From columns of rows to columns of features, `row` counted from the first of the rows."""


@dataclass(frozen=True)
class Features:
    """All features of a split.

    Attributes:
        table: Their columns; `row` is the position in the split.
        rows, windows, lengths: `(features,)` each: position of the row, number within it, tokens.
    """

    table: Dataset
    rows: np.ndarray
    windows: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, indices: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
        """Some features, as dictionaries."""
        columns = self.table[[int(index) for index in indices]]
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def key(self, index: int) -> tuple[int, int]:
        """What an output is known by: row and window."""
        return int(self.rows[index]), int(self.windows[index])

    def column(self, name: str) -> np.ndarray | None:
        """A column of numbers, `(features,)`; None where the task has none of that name."""
        if name not in self.table.column_names:
            return None
        values: np.ndarray = self.table.data.column(name).to_numpy()
        return values


def encode(rows: Rows, encoder: Encode, key: tuple[object, ...] | None) -> Features:
    """Encode a split, through the cache.

    Args:
        rows: The split.
        encoder: Makes features of some rows.
        key: All that the features depend on besides the rows' content: task, tokenizer, limit, mode. None: they are
            not kept.

    Raises:
        DataError: No row gives a feature.
    """
    from datasets import Dataset

    def write(target: Path) -> None:
        _write(rows, encoder, target)

    if key is None:
        with tempfile.NamedTemporaryFile(suffix=".arrow") as file:  # unlinked, but still mapped while it is used
            write(Path(file.name))
            table = Dataset.from_file(file.name)
    else:
        table = Dataset.from_file(str(cache.cached("features", (rows.digest, *key), write)))
    if len(table) == 0:
        raise DataError(f"no row of {rows.origin} gives anything to learn from.")
    arrays = [table.data.column(name).to_numpy() for name in ("row", "window", "length")]
    return Features(table, *arrays)


def _write(rows: Rows, encoder: Encode, target: Path) -> None:
    """Write the features chunk by chunk; the first chunks wait until every column has shown its type."""
    import pyarrow as pa

    waiting: list[dict[str, list[Any]]] = []
    schema, stream = pa.schema([]), None
    with pa.OSFile(str(target), "wb") as file:
        for start in range(0, max(1, len(rows)), CHUNK):
            columns = encoder(rows.batch(start, start + CHUNK))
            columns["row"] = [row + start for row in columns["row"]]
            waiting.append(columns)
            last = start + CHUNK >= len(rows)
            if stream is None:
                schema = pa.unify_schemas([schema, pa.table(columns).schema], promote_options="permissive")
                if "null" in " ".join(str(kind) for kind in schema.types) and not last:
                    continue
                stream = pa.ipc.new_stream(file, schema)
            for columns in waiting:
                stream.write_table(pa.table(columns, schema=schema))
            waiting = []
        assert stream is not None
        stream.close()
