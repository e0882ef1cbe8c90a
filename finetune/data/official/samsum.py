"""The files of SAMSum (Gliwa et al. 2019): chats and their summaries; also a sample of its development rows.

Their trap: one list of objects (`train.json`) as published, an object a line (`train.jsonl`) as often passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finetune.data import formats
from finetune.data.formats import Options, Record
from finetune.data.official.base import Splits, pick, texts, whole

FILES = {
    "train": ("train.json", "train.jsonl"),
    "validation": ("val.json", "val.jsonl", "validation.jsonl", "dev_subsample.jsonl"),
    "test": ("test.json", "test.jsonl"),
}


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist, with `dialogue`, `summary`, and `id` where the files have it.

    Args:
        folder: The folder of the files.
        config: None; there are no subsets.

    Raises:
        DataError: A subset was named, there are no files, or a row lacks something.
    """
    whole("SAMSum", config)
    return Splits(pick(folder, FILES, "SAMSum"), _records, "samsum")


def _records(path: Path) -> Iterator[Record]:
    for line, values in formats.read(path, Options()):
        row = texts(values, f"{path} row {line}", ("dialogue", "summary"))
        yield line, {"id": str(values["id"]), **row} if "id" in values else row
