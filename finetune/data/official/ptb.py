"""The Penn Treebank as language models read it (Mikolov et al. 2010): one text of sentences, a line each.

Rows are several sentences that follow one another, so that a model sees more than one before it; their column has the
name that it has on the Hub, where each sentence is a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finetune.data import formats
from finetune.data.formats import Options, Record
from finetune.data.official.base import Splits, pick, whole

FILES = {"train": ("ptb.train.txt",), "validation": ("ptb.valid.txt",), "test": ("ptb.test.txt",)}


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist, with `sentence` and `before`.

    Args:
        folder: The folder of the files.
        config: None; there are no subsets.

    Raises:
        DataError: A subset was named, or there are no files.
    """
    whole("PTB", config)
    return Splits(pick(folder, FILES, "PTB"), _records, "ptb")


def _records(path: Path) -> Iterator[Record]:
    for line, row in formats.read(path, Options(layout="text")):
        yield line, {"sentence": row["text"], "before": row["before"]}
