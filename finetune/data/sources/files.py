"""Rows from files on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from finetune.config import FilePath
from finetune.data import cache, formats, table
from finetune.data.base import SPLITS, Data
from finetune.data.formats import Options
from finetune.data.table import Rows
from finetune.errors import DataError, FinetuneError


class Files(Data):
    """csv, tsv, json, jsonl, parquet, txt and CoNLL column files, each also gzipped; one or several for each split.

    A json file may be nested as SQuAD's are: each question gives a row. A txt file is one running text, cut into rows
    that follow one another: `text`, and `before`, the text of the row above.
    """

    train: Annotated[tuple[FilePath, ...], Field(min_length=1)]
    """Files of the training split."""
    validation: Annotated[tuple[FilePath, ...], Field(min_length=1)] | None = None
    """Files of the validation split; None: part of the training rows is kept aside."""
    test: Annotated[tuple[FilePath, ...], Field(min_length=1)] | None = None
    """Files of the test split; their labels may be absent."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """One character between the fields of a csv or tsv file; None: a comma for csv, a tab for tsv, and for CoNLL
    columns a tab where there is one, else spaces."""
    quoting: bool | None = None
    """Whether " quotes a field; None: yes for csv, no for tsv."""
    header: tuple[str, ...] | None = None
    """Column names of files whose first line is already data; None: the first line names the columns, and those of
    CoNLL columns are `words`, then `column2` and so on, the last `tags`."""
    field: str | None = None
    """Name of the list of rows inside a json file; None: the file is the list, or has only one."""
    layout: Literal["conll", "text", "lines"] | None = None
    """What the files hold, whatever their names: conll, words and tags in columns; text, one running text; lines, a
    text on each line. None: their names tell; .conll, .iob, .bio and .bioes are columns, .txt is a running text."""

    @field_validator("train", "validation", "test", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (str(value),) if isinstance(value, (str, Path)) else value

    def read(self) -> dict[str, Rows]:
        """Every split, from its files; all that is wrong with them at once."""
        options = Options(self.delimiter, self.quoting, self.header, self.field, self.layout)
        splits: dict[str, Rows] = {}
        problems: list[str] = []
        for split in SPLITS:
            paths = getattr(self, split)
            if paths is None:
                continue
            try:
                splits[split] = read_files([Path(path).expanduser() for path in paths], split, options)
            except FinetuneError as error:
                problems += error.problems
        if problems:
            raise DataError(*problems)
        return splits


def read_files(paths: list[Path], split: str, options: Options) -> Rows:
    """One split from its files, through the cache of files already read."""
    from datasets import concatenate_datasets

    parts = []
    for path in paths:
        content = cache.file_digest(path) if path.is_file() else "missing"

        name = path.name if len({other.name for other in paths}) == len(paths) else str(path)

        def write(target: Path, path: Path = path, name: str = name) -> None:
            table.write(formats.read(path, options), name, target)

        stored = cache.cached("rows", (content, name, options), write)
        parts.append(table.read(stored, split, name, by_word=formats.in_columns(path, options)))
    if len(parts) == 1:
        return parts[0]
    try:
        joined = concatenate_datasets([part.table for part in parts])
    except (ValueError, TypeError, AttributeError) as error:
        kinds = "; ".join(f"{part.origin}: {dict(part.table.features)}" for part in parts)
        raise DataError(f"the files of {split} hold different types in the same column: {kinds}.") from error
    by_word = all(part.by_word for part in parts)
    return Rows(joined, split, ", ".join(part.origin for part in parts), by_word=by_word)
