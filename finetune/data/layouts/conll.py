"""Column files of the CoNLL shared tasks: a word and its tags on each line, a blank line after each sentence.

Layout: CoNLL-2003 (Tjong Kim Sang and De Meulder 2003): the word first, the tag last, other columns between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from finetune.errors import DataError, listing

MOST_PROBLEMS = 5
DOCUMENT = "-DOCSTART-"


@dataclass(frozen=True)
class Columns:
    """How the lines of one file are written; all are held against the line that it was learned from.

    Attributes:
        count: Number of columns.
        delimiter: What stands between two columns; a space means one or several.
        line: Number of the line it was learned from.
    """

    count: int
    delimiter: str
    line: int

    def split(self, text: str) -> list[str]:
        """The columns of a line; only spaces and tabs are white space, others may be words."""
        if self.delimiter == " ":
            return re.split(" +", text.strip(" \t"))
        return [column.strip(" ") for column in text.split(self.delimiter)]

    def problem(self, text: str, fields: Sequence[str]) -> str | None:
        """What is wrong with a line."""
        between = {" ": "spaces", "\t": "a tab"}.get(self.delimiter, repr(self.delimiter))
        if len(fields) != self.count:
            said = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
            return (
                f"{said}, but {self.count} in line {self.line}; they are separated by {between}, "
                "unless data.delimiter says otherwise."
            )
        if self.delimiter == " " and "\t" in text.strip(" \t"):
            return f"a tab, but the columns of line {self.line} are separated by spaces. Write every line the same way."
        if not fields[-1]:
            return "the last column is empty."
        return None


def read(
    text: TextIO, origin: str, header: Sequence[str] | None = None, delimiter: str | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Records of one file, a sentence each; `line` is that of its first word, so that word i stands in `line + i`.

    A row has lists of equal length: `words`, `column2`, `column3`, ..., `tags`, or what `header` names them; only
    `words` where the lines have one column. `-DOCSTART-` lines are no sentences, and lines with `# ` before a sentence
    are comments where they have fewer columns than the others.

    Args:
        text: The open file, at its start; it is read twice.
        origin: The file, for messages.
        header: Names of the columns.
        delimiter: What separates the columns; None: a tab where the first line of data has one, else spaces.

    Raises:
        DataError: Lines with another number of columns, at most 5 of them; `header` does not fit.
    """
    columns = _learn(text, delimiter)
    if columns is None:
        return
    names = _names(columns, origin, header)
    text.seek(0)
    problems: list[str] = []
    start, words = 0, list[list[str]]()
    for number, line in enumerate(text, start=1):
        line = line.rstrip("\r\n")
        fields = columns.split(line)
        if _is_outside(line, fields[0]) or (not words and line.startswith("# ") and len(fields) < columns.count):
            if words:
                yield start, _row(names, words)
            words = []
            continue
        problem = columns.problem(line, fields)
        if problem is not None:
            problems.append(f"{origin} line {number}: {problem}")
            if len(problems) == MOST_PROBLEMS:
                break
            continue
        start = start if words else number
        words.append(fields)
    if problems:
        raise DataError(*problems)
    if words:
        yield start, _row(names, words)


def _row(names: Sequence[str], words: list[list[str]]) -> dict[str, list[str]]:
    return dict(zip(names, map(list, zip(*words, strict=True)), strict=True))


def _is_outside(line: str, first: str) -> bool:
    """Whether a line is between two sentences."""
    return not line.strip(" \t") or first == DOCUMENT


def _learn(text: TextIO, delimiter: str | None) -> Columns | None:
    """From the first line that is surely data; a word may be `#`, but a comment never starts otherwise."""
    learned = None
    for number, line in enumerate(text, start=1):
        line = line.rstrip("\r\n")
        between = delimiter or ("\t" if "\t" in line.strip(" \t") else " ")
        fields = Columns(0, between, number).split(line)
        if _is_outside(line, fields[0]):
            continue
        learned = Columns(len(fields), between, number)
        if not line.startswith("#"):
            break
    return learned


def _names(columns: Columns, origin: str, header: Sequence[str] | None) -> Sequence[str]:
    if header is None:
        between = [f"column{number}" for number in range(2, columns.count)]
        return ["words", *between, "tags"] if columns.count > 1 else ["words"]
    if len(header) != columns.count or len(set(header)) < len(header):
        raise DataError(
            f"{origin}: data.header names {len(header)} columns ({listing(header, 10)}), but line {columns.line} has "
            f"{columns.count}; each needs a name of its own."
        )
    return header
