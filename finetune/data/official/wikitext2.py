"""The files of WikiText-2 (Merity et al. 2016): articles of Wikipedia in one file, as rows that follow one another.

Their traps: a formula may look like the heading of an article (` = Title = `), but no blank line stands above it; the
training file is often not passed on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from finetune.data import formats
from finetune.data.formats import Record
from finetune.data.layouts import text
from finetune.data.official.base import Splits, pick
from finetune.errors import DataError, unknown

log = logging.getLogger(__name__)

FILES = {
    "train": ("train.txt", "wiki.train.tokens", "wiki.train.raw"),
    "valid": ("valid.txt", "wiki.valid.tokens", "wiki.valid.raw"),
    "test": ("test.txt", "wiki.test.tokens", "wiki.test.raw"),
}
SUBSETS = ("wikitext-2-v1", "wikitext-2-raw-v1")


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist, with `text` and `before`; no row holds parts of two articles.

    `validation` is the validation file, which is `valid` as well. Without a training file it is what to train on; there
    is no `validation` then.

    Args:
        folder: The folder of the files.
        config: The name of the subset on the Hub, or None; it is the folder that tells.

    Raises:
        DataError: An unknown subset, or no files.
    """
    if config is not None and config not in SUBSETS:
        raise DataError(unknown("WikiText-2 subset", config, SUBSETS))
    files = pick(folder, FILES, "WikiText-2")
    if "train" in files and "valid" in files:
        files["validation"] = files["valid"]
    elif "valid" in files:
        files["train"] = files["valid"]
        log.warning(
            "%s has no training file (%s): its validation file %s is what to train on; keep rows aside to score with "
            "data.holdout.",
            folder,
            ", ".join(FILES["train"]),
            files["valid"].name,
        )
    return Splits(files, _records, "wikitext2")


def _records(path: Path) -> Iterator[Record]:
    with formats.opened(path) as lines:
        yield from text.read(lines, str(path), _starts)


def _starts(line: str) -> bool:
    """Whether a line is the heading of an article, not of a section: those have several signs on each side."""
    title = line.strip()
    return title.startswith("= ") and title.endswith(" =") and not title.startswith("= =")
