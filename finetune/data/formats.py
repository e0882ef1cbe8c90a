"""Reading one file into `(line, values)` records: csv, tsv, json, jsonl, parquet, txt, CoNLL columns; also as .gz."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from finetune.data.layouts import conll, squad
from finetune.data.layouts import text as plain_text
from finetune.errors import DataError, listing, nearest

Record = tuple[int, dict[str, Any]]

COLUMN_SUFFIXES = (".conll", ".iob", ".bio", ".bioes")
SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt", *COLUMN_SUFFIXES)
LINE_FEED = "\n"
"""How plain text is opened: only a line feed ends a line there, as in parallel files."""


@dataclass(frozen=True)
class Options:
    """How a file is written, as far as its name does not tell.

    Attributes:
        delimiter: One character; None: a comma for csv, a tab for tsv; in CoNLL columns a tab where there is one, else
            spaces.
        quoting: Whether `"` quotes a field; None: yes for csv, no for tsv; in CoNLL columns nothing quotes.
        header: Column names of a file whose first line is already data; None: the first line names the columns; in
            CoNLL columns `words` come first and `tags` last.
        field: Name of the list that holds the rows of a json file; None: the file is the list, or has one list.
        layout: The format where the name does not tell it: `conll`; `text`, one running text; `lines`, a text on each
            line; or `jsonl` for lines under the name of json, which otherwise are only told from one object where
            there are several.
    """

    delimiter: str | None = None
    quoting: bool | None = None
    header: tuple[str, ...] | None = None
    field: str | None = None
    layout: Literal["conll", "jsonl", "text", "lines"] | None = None


def in_columns(path: Path, options: Options) -> bool:
    """Whether a file holds words and tags in columns, so that each word has a line of its own."""
    return _kind(path, options) in COLUMN_SUFFIXES


def _kind(path: Path, options: Options) -> str:
    """The suffix of a file's format, or `.lines`, which no name tells."""
    return {None: suffix(path), "text": ".txt"}.get(options.layout, f".{options.layout}")


def suffix(path: Path) -> str:
    """The suffix that tells the format, `.gz` aside."""
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def read(path: Path, options: Options) -> Iterator[Record]:
    """Records of a file; `line` is where a row begins in the file, or in json and parquet its number, from 1.

    Raises:
        DataError: The file is missing, empty, of an unknown format, not UTF-8, or has lines that cannot be read.
    """
    kind = _kind(path, options)
    _check(path)
    if kind not in (*SUFFIXES, ".lines"):
        raise DataError(
            f"{path} has no known format. Known: {', '.join(SUFFIXES)}, each also with .gz. A file may have any name "
            "with data.layout=conll (words and tags in columns), text (one running text) or lines (a text on each)."
        )
    if kind == ".parquet":
        yield from _parquet(path)
        return
    with opened(path, LINE_FEED if kind in (".txt", ".lines") else "") as text:
        if kind in COLUMN_SUFFIXES:
            yield from conll.read(text, str(path), options.header, options.delimiter)
        elif kind in (".csv", ".tsv"):
            yield from _delimited(text, path, options, kind)
        elif kind == ".jsonl":
            yield from _json_lines(text, path)
        elif kind == ".txt":
            yield from plain_text.read(text, str(path))
        elif kind == ".lines":
            yield from plain_text.read_lines(text, str(path))
        else:
            yield from _json(text, path, options)


@contextmanager
def opened(path: Path, newline: str = LINE_FEED) -> Iterator[TextIO]:
    """The text of a file, unpacked if it is gzipped.

    Args:
        path: The file.
        newline: What ends a line, as the `io` module has it.

    Raises:
        DataError: The file is missing or empty; or, where the block raises that, not UTF-8 or not whole.
    """
    _check(path)
    opener = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline=newline) as text:
            yield text
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte {error.object[error.start]:#04x} cannot be read. "
            "Save it as UTF-8, for example with: iconv -f latin1 -t utf-8"
        ) from None
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} is not a whole gzip file: {error}.") from None


def _check(path: Path) -> None:
    if not path.exists():
        from difflib import get_close_matches

        beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, beside, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(f"the file {path.absolute()} does not exist.{hint}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; a file is needed.")
    if path.stat().st_size == 0:
        raise DataError(f"the file {path} is empty.")


def _delimited(text: TextIO, path: Path, options: Options, kind: str) -> Iterator[Record]:
    csv.field_size_limit(2**31 - 1)
    quoting = kind == ".csv" if options.quoting is None else options.quoting
    lines = csv.reader(
        text,
        delimiter=options.delimiter or ("," if kind == ".csv" else "\t"),
        quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
        strict=True,
    )
    problems: list[str] = []
    names = list(options.header) if options.header else None
    while True:
        start = lines.line_num + 1
        try:
            fields = next(lines)
        except StopIteration:
            break
        except csv.Error as error:
            problems.append(f"{path} line {start}: {error}. If quotes are part of the text, set data.quoting=false.")
            break
        if not fields:
            continue
        if names is None:
            names = fields
            if len(set(names)) < len(names):
                twice = sorted({name for name in names if names.count(name) > 1})
                raise DataError(f"{path}: the header names {listing(map(repr, twice))} twice.")
        elif len(fields) != len(names):
            problems.append(f"{path} line {start}: {len(fields)} fields, but {len(names)} columns ({listing(names)}).")
            if len(problems) == 5:
                break
        else:
            yield start, dict(zip(names, fields, strict=True))
    if problems:
        raise DataError(*problems)


def _json_lines(text: TextIO, path: Path) -> Iterator[Record]:
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path} line {number}: no JSON: {error.msg} at character {error.pos + 1}.") from None
        yield number, _object(values, f"{path} line {number}")


def _json(text: TextIO, path: Path, options: Options) -> Iterator[Record]:
    try:
        content = json.load(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # one object a line, under a .json name
            text.seek(0)
            yield from _json_lines(text, path)
            return
        raise DataError(f"{path} line {error.lineno}: no JSON: {error.msg}.") from None
    if options.field in (None, "data") and squad.is_squad(content):
        yield from squad.read(content, str(path))
        return
    if isinstance(content, dict):
        lists = [key for key, value in content.items() if isinstance(value, list)]
        if options.field is None and len(lists) != 1:
            raise DataError(f"{path}: data.field must name the list of rows. Lists here: {listing(lists) or 'none'}.")
        if options.field is not None and options.field not in lists:
            raise DataError(
                f"{path}: {options.field!r} (data.field) is no list of rows. {nearest(options.field, lists)}"
            )
        content = content[options.field or lists[0]]
    if not isinstance(content, list):
        raise DataError(f"{path}: a list of rows is needed, there is {type(content).__name__}.")
    for number, values in enumerate(content, start=1):
        yield number, _object(values, f"{path} row {number}")


def _object(values: Any, where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise DataError(f"{where}: a row is an object with named values, there is {type(values).__name__}.")
    return values


def _parquet(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(
            pa.BufferReader(gzip.decompress(path.read_bytes())) if path.suffix == ".gz" else path
        )
        number = 0
        for batch in file.iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield number, values
    except (pa.ArrowInvalid, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a readable parquet file: {error}") from None
