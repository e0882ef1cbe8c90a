"""The files of Multi30k (Elliott et al. 2016), captions of images in several languages: `train.de`, `train.en`.

Their traps: line n of one file is the translation of line n of the others, so blank lines are rows and only a line feed
ends one; not every split has every language.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finetune.data import formats
from finetune.data.formats import Record
from finetune.data.layouts.text import plain
from finetune.data.official.base import Splits, absent, whole
from finetune.errors import DataError

LANGUAGES = ("cs", "de", "en", "fr")
NAMES = {"train": "train", "val": "validation", "test_2016_flickr": "test"}
"""Name of the files -> their split; those of the other test files are called as they are."""


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist, with a column for each language that a split has: `de`, `en`.

    Args:
        folder: The folder of the files, plain or gzipped.
        config: None; there are no subsets.

    Raises:
        DataError: A subset was named, there are no files, or, when a split is asked for, its files are not parallel.
    """
    whole("Multi30k", config)
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):  # a plain file stands before its gzipped one
        name, language = _parts(path)
        if language in LANGUAGES and (name in NAMES or name.startswith("test_")) and path.is_file():
            found.setdefault(name, {}).setdefault(language, path)
    if not found:
        raise DataError(absent(folder, "Multi30k", [f"{name}.de, {name}.en" for name in NAMES]))
    order = dict.fromkeys(name for name in (*NAMES, *found) if name in found)
    return Splits({NAMES.get(name, name): tuple(found[name].values()) for name in order}, _records, "multi30k")


def _parts(path: Path) -> tuple[str, str]:
    """`train` and `de` of train.de.gz."""
    name, _, language = path.name.removesuffix(".gz").rpartition(".")
    return name, language


def _records(*paths: Path) -> Iterator[Record]:
    columns: dict[str, list[str]] = {}
    for path in paths:
        with formats.opened(path) as lines:
            columns[_parts(path)[1]] = [plain(line) for line in lines]
    if len({len(column) for column in columns.values()}) > 1:
        counts = ", ".join(f"{path.name} has {len(columns[_parts(path)[1]]):,} lines" for path in paths)
        raise DataError(f"{paths[0].parent}: {counts}. Line n of each must be the translation of line n of the others.")
    for number, row in enumerate(zip(*columns.values(), strict=True), start=1):
        yield number, dict(zip(columns, row, strict=True))
