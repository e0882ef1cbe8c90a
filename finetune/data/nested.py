"""Fields within columns by dotted names: `translation.de` where a row holds `{"translation": {"de": "..."}}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def fields(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Dotted name -> the names on the way, of every field within a column; a field of lists has none within."""
    import pyarrow as pa

    def within(parent: pa.Field, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        way = (*above, parent.name)
        if above:
            yield way
        if pa.types.is_struct(parent.type):
            for field in parent.type:
                yield from within(field, way)

    return {".".join(way): way for column in schema for way in within(column, ())}


def values(column: pa.ChunkedArray, way: tuple[str, ...]) -> pa.ChunkedArray:
    """The values of a field within a column, null where any above it is.

    Args:
        column: The column, `(rows,)`.
        way: The names on the way, that of the column first.
    """
    from pyarrow import compute

    return compute.struct_field(column, list(way[1:]))


def value(row: Mapping[str, Any], name: str) -> Any:
    """What a row of plain values has under a name, dotted or not; None where it has nothing."""
    if name in row:
        return row[name]
    for column, content in row.items():
        if isinstance(content, Mapping) and name.startswith(f"{column}."):
            found = value(content, name.removeprefix(f"{column}."))
            if found is not None:
                return found
    return None


def names(row: Mapping[str, Any]) -> list[str]:
    """All names that `value` knows in a row."""
    inner = (
        f"{column}.{name}" for column, content in row.items() if isinstance(content, Mapping) for name in names(content)
    )
    return [*row, *inner]
