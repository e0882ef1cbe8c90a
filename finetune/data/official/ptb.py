"""The Penn Treebank as language models read it (Mikolov et al. 2010): one text of sentences, a line each.

Rows are several sentences that follow one another, so that a model sees more than one before it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from finetune.data import formats
from finetune.data.formats import Options
from finetune.data.official.base import Splits, pick, whole

FILES = {"train": ("ptb.train.txt",), "validation": ("ptb.valid.txt",), "test": ("ptb.test.txt",)}


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist, with `text` and `before`.

    Args:
        folder: The folder of the files.
        config: None; there are no subsets.

    Raises:
        DataError: A subset was named, or there are no files.
    """
    whole("PTB", config)
    return Splits(pick(folder, FILES, "PTB"), partial(formats.read, options=Options(layout="text")), "ptb")
