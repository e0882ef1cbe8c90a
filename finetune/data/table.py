"""Rows: the memory-mapped table of one split, every row with its id, its line in the file and a hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.data import nested
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
        names: Column -> its class names in the order of their ids, where the source declares them.
        by_word: Whether a row's line is that of its first word, and each word has one, as in column files.
    """

    table: Dataset
    split: str
    origin: str
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    by_word: bool = False

    def __len__(self) -> int:
        return len(self.table)

    @property
    def columns(self) -> list[str]:
        """The columns of the source."""
        return [name for name in self.table.column_names if name not in OWN_COLUMNS]

    @property
    def fields(self) -> list[str]:
        """Fields within the columns, by dotted names: `translation.de`."""
        return list(nested.fields(self.table.data.schema))

    def unfolded(self, wanted: Iterable[str]) -> Rows:
        """The same rows with the wanted fields as columns of their own; names that are no fields are left out."""
        known, dataset = nested.fields(self.table.data.schema), self.table
        for name in dict.fromkeys(wanted):
            if name in known and name not in dataset.column_names:
                dataset = dataset.flatten_indices() if dataset._indices is not None else dataset
                column = dataset.data.column(known[name][0])
                dataset = dataset.add_column(name, nested.values(column, known[name]))
        return replace(self, table=dataset)

    def column(self, name: str) -> list[Any]:
        """All values of one column."""
        values: list[Any] = self.table[name][:]
        return values

    def absent(self, name: str) -> list[int]:
        """Positions of the rows that have no value in a column."""
        if name not in self.table.column_names or not self.table.data.column(name).null_count:
            return []
        return [row for row, value in enumerate(self.column(name)) if value is None]

    @property
    def ids(self) -> list[str]:
        """A stable name of each row: the file's name and line, or the split and position."""
        return self.column(ROW_ID)

    def batch(self, start: int, stop: int) -> dict[str, list[Any]]:
        """The columns of some consecutive rows."""
        columns: dict[str, list[Any]] = self.table[start:stop]
        return columns

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
        name, _, line = self.table[index][ROW_ID].rpartition(":")
        return f"{name} line {line}"

    def where_word(self, index: int, word: int) -> str:
        """How a message names a word of a row, counted from 0: by its line where it has one."""
        if not self.by_word:
            return f"{self.where(index)} word {word + 1}"
        name, _, line = self.table[index][ROW_ID].rpartition(":")
        return f"{name} line {int(line) + word}"

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the content of all rows in their order, 64 hex digits."""
        return hashlib.sha256("".join(self.column(HASH)).encode()).hexdigest()


def content_hash(values: dict[str, Any]) -> str:
    """SHA-256 of a row's columns, 16 hex digits; independent of the order of the columns."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def write(records: Iterable[tuple[int, dict[str, Any]]], name: str, path: Path) -> None:
    """Write `(line, values)` records to an Arrow file, with each row's id, line and hash; those it brings along stay.

    Rows that begin in the same line are told apart by the number of their part.

    Raises:
        DataError: A column holds values of different kinds; the message names the first line that differs.
    """
    import pyarrow as pa

    chunks: list[pa.Table] = []
    chunk: list[dict[str, Any]] = []
    above, part = 0, 1
    for line, values in records:
        part = part + 1 if line == above else 1
        above = line
        place = f"{line} part {part}" if part > 1 else str(line)
        own = {ROW_ID: f"{name}:{place}", LINE: line, HASH: values.get(HASH) or content_hash(values)}
        chunk.append({**values, **{column: values.get(column, value) for column, value in own.items()}})
        if len(chunk) == CHUNK:
            chunks.append(_table(chunk, name))
            chunk = []
    if chunk or not chunks:
        chunks.append(_table(chunk, name))
    try:
        table = pa.concat_tables(chunks, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise DataError(_changed(chunks, name)) from None
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
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
            raise DataError(_mixed(key, values, records, name)) from None
    return pa.table(arrays)


def _mixed(column: str, values: list[Any], records: list[dict[str, Any]], name: str) -> str:
    """Which value cannot stand beside those above it, or cannot be stored at all."""
    import pyarrow as pa

    good, bad = 0, len(values)  # the first `good` values fit each other, the first `bad` do not
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            pa.array(values[:middle])
            good = middle
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
            bad = middle
    value, above = values[good], next((v for v in values[:good] if v is not None), None)
    shown = f"{value!r:.60}"
    where = f"{name} line {records[good][LINE]}: column {column!r} is {shown} ({type(value).__name__})"
    if above is None or isinstance(value, type(above)):
        return f"{where}, which cannot be stored: too large a number, text that is no Unicode, or lists of mixed kinds."
    return f"{where}, above it is {type(above).__name__}. Write every value of a column the same way."


def _changed(chunks: list[pa.Table], name: str) -> str:
    """Which column has another type in a later chunk than in the first that has it."""
    known: dict[str, pa.DataType] = {}
    for chunk in chunks:
        for column in chunk.schema:
            before = known.setdefault(column.name, column.type)
            if str(before) == "null":
                known[column.name] = column.type
            elif before != column.type and str(column.type) != "null" and not _both_numbers(before, column.type):
                first = next(i for i, value in enumerate(chunk.column(column.name)) if value.is_valid)
                return (
                    f"{name} line {chunk.column(LINE)[first]}: column {column.name!r} is {column.type} from here on, "
                    f"above it is {before}. Write every value of a column the same way."
                )
    return f"{name}: a column changes its type on the way."


def _both_numbers(one: pa.DataType, other: pa.DataType) -> bool:
    import pyarrow as pa

    return all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (one, other))


def read(
    path: Path, split: str, origin: str, names: dict[str, tuple[str, ...]] | None = None, by_word: bool = False
) -> Rows:
    """Open what `write` wrote, memory-mapped."""
    from datasets import Dataset

    return Rows(Dataset.from_file(str(path)), split, origin, names or {}, by_word)


def class_names(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Column -> class names, of the columns that are declared as classes or as lists of classes."""
    from datasets import ClassLabel

    kinds = {key: getattr(kind, "feature", kind) for key, kind in dataset.features.items()}
    return {key: tuple(kind.names) for key, kind in kinds.items() if isinstance(kind, ClassLabel)}


def named_records(dataset: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with the names of their classes instead of numbers; -1, the Hub's mark of a hidden label, becomes None."""
    names = class_names(dataset)
    for number, row in enumerate(dataset, start=1):
        for column, known in names.items():
            row[column] = _named(row[column], known)
        yield number, row


def _named(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return None if value is None or value < 0 else names[value]
