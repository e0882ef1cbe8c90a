"""The files of the WNUT-17 shared task on emerging entities (Derczynski et al. 2017): words and tags.

Their traps: three files of three names, tabs between the columns, blank lines that hold a tab.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finetune.data import formats
from finetune.data.formats import Options, Record
from finetune.data.official.base import Splits, pick
from finetune.errors import DataError

FILES = {
    "train": ("wnut17train.conll",),
    "validation": ("emerging.dev.conll",),
    "test": ("emerging.test.annotated",),
}
OPTIONS = Options(delimiter="\t", header=("tokens", "ner_tags"), layout="conll")


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist.

    Args:
        folder: The folder of the files.
        config: None; there are no subsets.

    Raises:
        DataError: A subset was named, or there are no files.
    """
    if config is not None:
        raise DataError(f"WNUT-17 has no subsets; leave data.config out (it is {config!r}).")
    return Splits(pick(folder, FILES, "WNUT-17"), _records, "wnut17", by_word=True)


def _records(path: Path) -> Iterator[Record]:
    return formats.read(path, OPTIONS)
