"""Rows that are already in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import field_serializer

from finetune.data import table
from finetune.data.base import SPLITS, Data
from finetune.data.table import Rows
from finetune.errors import DataError


class InMemory(Data):
    """Lists of dictionaries, dictionaries of lists, or `datasets.Dataset`s."""

    train: Any
    """Rows of the training split."""
    validation: Any = None
    """Rows of the validation split; None: part of the training rows is kept aside."""
    test: Any = None
    """Rows of the test split; their labels may be absent."""

    @field_serializer("train", "validation", "test")
    def _plain(self, value: Any) -> Any:
        return value.to_list() if hasattr(value, "to_list") else value

    def read(self) -> dict[str, Rows]:
        """Every split given."""
        return {split: as_rows(getattr(self, split), split) for split in SPLITS if getattr(self, split) is not None}

    def stored(self, folder: Path) -> Data:
        """Files of the same rows."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = {}
        for split, rows in self.read().items():
            paths[split] = str((folder / f"{split}.parquet").resolve())
            rows.table.to_parquet(paths[split])  # with ids and hashes, which another type of a column would change
        kept: dict[str, Any] = {"holdout": self.holdout, "limit": self.limit, "seed": self.seed}
        return Data.files(**paths, **kept)


def as_rows(values: Any, split: str) -> Rows:
    """Plain values as rows, numbered from 1.

    Raises:
        DataError: The values are no list of dictionaries, dictionary of lists or dataset.
    """
    from datasets import Dataset

    declared = isinstance(values, Dataset)
    records = table.named_records(values) if declared else _records(values, split)
    with tempfile.NamedTemporaryFile(suffix=".arrow") as file:  # unlinked, but still mapped while the rows live
        table.write(records, split, Path(file.name))
        return table.read(Path(file.name), split, split, table.class_names(values) if declared else None)


def _records(values: Any, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if isinstance(values, Mapping):
        lengths = {name: len(column) for name, column in values.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the columns of {split} have different lengths: {lengths}.")
        values = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    for number, row in enumerate(values, start=1):
        if not isinstance(row, Mapping):
            raise DataError(f"{split} row {number} is {type(row).__name__}; a dictionary of its columns is needed.")
        yield number, dict(row)
