"""The English files of the CoNLL-2003 shared task (Tjong Kim Sang and De Meulder 2003), with the columns of the Hub.

Tags are as the files have them: `B-` starts every entity in train.txt and its kin (IOB2), in eng.train only one that
touches another of its type (IOB1).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finetune.data import formats
from finetune.data.formats import Options, Record
from finetune.data.official.base import Splits, pick
from finetune.errors import DataError

FILES = {
    "train": ("train.txt", "eng.train"),
    "validation": ("valid.txt", "dev.txt", "eng.testa"),
    "test": ("test.txt", "eng.testb"),
}
OPTIONS = Options(header=("tokens", "pos_tags", "chunk_tags", "ner_tags"), layout="conll")


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist.

    Args:
        folder: The folder of the files.
        config: None; there are no subsets.

    Raises:
        DataError: A subset was named, or there are no files.
    """
    if config is not None:
        raise DataError(f"CoNLL-2003 has no subsets; leave data.config out (it is {config!r}).")
    return Splits(pick(folder, FILES, "CoNLL-2003"), _records, "conll2003", by_word=True)


def _records(path: Path) -> Iterator[Record]:
    return formats.read(path, OPTIONS)
