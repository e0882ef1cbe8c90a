"""Rows: the memory-mapped table of one split, every row with its id, its line in the file and a hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

ROW_ID, LINE, HASH = "__id__", "__line__", "__hash__"
OWN_COLUMNS = (ROW_ID, LINE, HASH)
CHUNK = 5000


@dataclass(frozen=True)
class Rows:
    """One split.

    Attributes:
        table: The columns of the source and `OWN_COLUMNS`; memory-mapped.
        split: `train`, `validation` or `test`.
        origin: The file or Hub id the rows came from, for messages.
    """

    table: Dataset
    split: str
    origin: str

    def __len__(self) -> int:
        return len(self.table)

    @property
    def columns(self) -> list[str]:
        """The columns of the source."""
        return [name for name in self.table.column_names if name not in OWN_COLUMNS]

    def column(self, name: str) -> list[Any]:
        """All values of one column."""
        return list(self.table[name])

    @property
    def ids(self) -> list[str]:
        """A stable name of each row: the file's name and line, or the split and position."""
        return self.column(ROW_ID)

    def batch(self, start: int, stop: int) -> dict[str, list[Any]]:
        """The columns of some consecutive rows."""
        return self.table[start:stop]

    def records(self) -> Iterator[dict[str, Any]]:
        """Rows as dictionaries, own columns included."""
        for start in range(0, len(self), CHUNK):
            chunk = self.batch(start, start + CHUNK)
            for values in zip(*chunk.values(), strict=True):
                yield dict(zip(chunk, values, strict=True))

    def select(self, indices: Sequence[int], split: str | None = None) -> Rows:
        """Some of the rows, in the order given."""
        return replace(self, table=self.table.select(indices), split=split or self.split)

    def where(self, index: int) -> str:
        """How a message names a row: `tickets.csv line 17`."""
        return f"{self.origin} line {self.table[index][LINE]}"

    @property
    def digest(self) -> str:
        """SHA-256 over the content of all rows in their order, 64 hex digits."""
        return hashlib.sha256("".join(self.column(HASH)).encode()).hexdigest()


def content_hash(values: dict[str, Any]) -> str:
    """SHA-256 of a row's columns, 16 hex digits; independent of the order of the columns."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def write(records: Iterable[tuple[int, dict[str, Any]]], name: str, path: Path) -> None:
    """Write `(line, values)` records to an Arrow file, with each row's id, line and hash.

    Raises:
        DataError: A column holds values of different kinds; the message names the first line that differs.
    """
    import pyarrow as pa

    chunks: list[pa.Table] = []
    chunk: list[dict[str, Any]] = []
    for line, values in records:
        chunk.append({**values, ROW_ID: f"{name}:{line}", LINE: line, HASH: content_hash(values)})
        if len(chunk) == CHUNK:
            chunks.append(_table(chunk, name))
            chunk = []
    if chunk or not chunks:
        chunks.append(_table(chunk, name))
    try:
        table = pa.concat_tables(chunks, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"{name}: a column changes its type on the way: {error}") from None
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def _table(records: list[dict[str, Any]], name: str) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, list[Any]] = {key: [] for record in records for key in record}
    for key, values in columns.items():
        values.extend(record.get(key) for record in records)
    arrays = {}
    for key, values in columns.items():
        try:
            arrays[key] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise DataError(_mixed(key, values, records, name)) from None
    return pa.table(arrays)


def _mixed(column: str, values: list[Any], records: list[dict[str, Any]], name: str) -> str:
    kinds = [type(value).__name__ for value in values]
    usual = max(set(kinds) - {"NoneType"}, key=kinds.count)
    odd = next(i for i, kind in enumerate(kinds) if kind not in (usual, "NoneType"))
    line = records[odd][LINE]
    return (
        f"{name} line {line}: column {column!r} is {values[odd]!r} ({kinds[odd]}), in most rows it is {usual}. "
        "Write every value of a column the same way."
    )


def read(path: Path, split: str, origin: str) -> Rows:
    """Open what `write` wrote, memory-mapped."""
    from datasets import Dataset

    return Rows(Dataset.from_file(str(path)), split, origin)
