"""Plain text files: one running text as consecutive rows, or a text on each line.

Only a line feed ends a line, as for `wc` and in parallel files; a carriage return before it is no text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from finetune.errors import DataError

COLUMNS = ("text", "before")
"""Columns of a plain text file: a row's text, and that of the row before it in the same text."""
ROW = 2000
"""Characters that a row of a running text has at least; only the last may be shorter."""


def read(
    lines: Iterable[str], origin: str, starts: Callable[[str], bool] | None = None, least: int = ROW
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Records of one running text; `line` is the one that a row begins in.

    A row ends at a line end, after a blank line where one is near; lines longer than a row are cut at white space. All
    rows joined are the file again, but for its carriage returns.

    Args:
        lines: The open file.
        origin: The file, for messages.
        starts: Whether a line below a blank one begins another text, whose first row has nothing before it.
        least: Characters of a row.

    Raises:
        DataError: There is nothing but white space.
    """
    before, found = "", False
    for line, text, is_first in _rows(lines, starts or (lambda line: False), least):
        found = found or not text.isspace()
        yield line, dict(zip(COLUMNS, (text, "" if is_first else before), strict=True))
        before = text
    if not found:
        raise DataError(_blank(origin))


def read_lines(lines: Iterable[str], origin: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Records of a file with a text on each line, which nothing stands before; blank lines are left out.

    Raises:
        DataError: There is nothing but white space.
    """
    found = False
    for number, line in enumerate(lines, start=1):
        if line.strip():
            found = True
            yield number, dict(zip(COLUMNS, (plain(line), ""), strict=True))
    if not found:
        raise DataError(_blank(origin))


def plain(line: str) -> str:
    """A line without its end."""
    return line.removesuffix("\n").removesuffix("\r")


def _blank(origin: str) -> str:
    return f"{origin} holds nothing but white space."


def _rows(lines: Iterable[str], starts: Callable[[str], bool], least: int) -> Iterator[tuple[int, str, bool]]:
    """Of each row its first line, its text, and whether another text begins with it."""
    held: list[tuple[int, str]] = []  # parts of lines, of no row yet
    size = 0  # characters of them
    enough = most = 0  # how many parts suffice for a row, 0 if all do not; up to how many characters an end is near
    is_first = blank_above = True
    for number, line in enumerate(lines, start=1):
        if blank_above and starts(line):
            if enough or any(not part.isspace() for _, part in held):
                yield held[0][0], _joined(held), is_first
                held, size, enough = [], 0, 0
            is_first = True
        blank_above = not line.strip()
        for part in _parts(line[:-2] + "\n" if line.endswith("\r\n") else line, least):
            cut = 0
            if enough and held[-1][1].isspace() and not part.isspace():
                cut = len(held)
            elif enough and size + len(part) > most:
                cut = enough
            if cut:
                yield held[0][0], _joined(held[:cut]), is_first
                held, enough, is_first = held[cut:], 0, False
                size = len(_joined(held))
            held.append((number, part))
            size += len(part)
            if not enough and size >= least:
                enough, most = len(held), size + least // 4
    if held:
        yield held[0][0], _joined(held), is_first


def _joined(parts: Iterable[tuple[int, str]]) -> str:
    return "".join(text for _, text in parts)


def _parts(line: str, least: int) -> list[str]:
    """A line; one that is longer than a row in parts that end with white space, as far as there is any."""
    return [line] if len(line) <= least else _part(least).findall(line)


@cache
def _part(least: int) -> re.Pattern[str]:
    return re.compile(rf"(?s:.{{{least // 4},{least}}}?\s+|.{{1,{least}}})")
