"""The Annotated Enron Subject Line Corpus (Zhang and Tetreault 2019): e-mails and their subjects, a JSON object a line.

Its trap: only development and test rows have the further subjects that people wrote, `subject_annotations`; here the
list is there in training rows too, and empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finetune.data import formats
from finetune.data.formats import Options, Record
from finetune.data.official.base import Splits, pick, texts, whole
from finetune.errors import DataError

FILES = {"train": ("train.jsonl",), "validation": ("dev.jsonl",), "test": ("test.jsonl",)}
TEXTS = ("id", "email_body", "subject_line")


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist, with `id`, `email_body`, `subject_line` and `subject_annotations`.

    Args:
        folder: The folder of the files.
        config: None; there are no subsets.

    Raises:
        DataError: A subset was named, there are no files, or a row lacks something.
    """
    whole("AESLC", config)
    return Splits(pick(folder, FILES, "AESLC"), _records, "aeslc")


def _records(path: Path) -> Iterator[Record]:
    for line, values in formats.read(path, Options(layout="jsonl")):
        where = f"{path} line {line}"
        further = values.get("subject_annotations") or []
        if not isinstance(further, list) or not all(isinstance(subject, str) for subject in further):
            raise DataError(f"{where}: 'subject_annotations' is no list of texts.")
        yield line, {**texts(values, where, TEXTS), "subject_annotations": further}
