"""Rows from the Hugging Face Hub, or from the official files of the same dataset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from finetune import hub
from finetune.config import FilePath
from finetune.data import cache, official, table
from finetune.data.base import Data
from finetune.data.formats import Options, suffix
from finetune.data.sources.files import read_files
from finetune.data.table import Rows
from finetune.errors import DataError, listing, nearest

if TYPE_CHECKING:
    from datasets import Dataset


class Hub(Data):
    """A dataset of the Hub; `path` takes its rows from a local folder instead."""

    id: str
    """Name on the Hub, as `nyu-mll/glue`."""
    config: str | None = None
    """Subset, as `sst2`."""
    revision: str | None = None
    """Branch, tag or commit; None: the default branch. The commit read is in the report."""
    path: FilePath | None = None
    """Folder of the same dataset on this machine; no network is then touched."""
    reader: str | None = None
    """How the files of `path` are laid out: a module of finetune/data/official.
    None: files named train, validation and test in a known format."""
    train: str = "train"
    """Name of the split to train on."""
    validation: str | None = "validation"
    """Name of the split to validate on; None: part of the training rows is kept aside."""
    test: str | None = "test"
    """Name of the test split; None: none. It may be absent."""

    _commit: str | None = PrivateAttr(default=None)

    def read(self) -> dict[str, Rows]:
        """The splits named, as far as they exist."""
        found = self._from_folder(Path(self.path)) if self.path is not None else self._from_hub()
        splits = {}
        for split in ("train", "validation", "test"):
            name = getattr(self, split)
            if name in found:
                splits[split] = Rows(found[name].table, split, found[name].origin)
            elif name is not None and split != "test" and not (split == "validation" and self.holdout is not None):
                where = self.path or self.id
                raise DataError(f"{where} has no split {name!r} (data.{split}). {nearest(name, found)}")
        if self.train == self.validation and self.holdout is None:
            raise DataError("data.train and data.validation name the same split; set data.holdout, for example to 0.2.")
        return splits

    def revisions(self) -> dict[str, str]:
        """The commit that the Hub answered with."""
        return {self.id: self._commit} if self._commit else {}

    def _from_folder(self, folder: Path) -> dict[str, Rows]:
        if not folder.is_dir():
            raise DataError(f"data.path: the folder {folder} does not exist.")
        if self.reader is not None:
            return official.reader(self.reader)(folder, self.config)
        found = {}
        for name in filter(None, (self.train, self.validation, self.test)):
            files = sorted(path for path in folder.glob(f"{name}.*") if suffix(path))
            if len(files) > 1:
                raise DataError(f"{folder} has several files for {name!r}: {listing(file.name for file in files)}.")
            if files:
                found[name] = read_files(files, name, Options())
        return found

    def _from_hub(self) -> dict[str, Rows]:
        offline = hub.connect(f"the dataset {self.id!r}", "use the official files in a folder with data.path=FOLDER")
        from datasets import load_dataset

        try:
            loaded = load_dataset(self.id, self.config, revision=self.revision)
        except Exception as error:
            raise DataError(offline or f"the dataset {self.id!r} cannot be loaded: {_first_line(error)}") from error
        rows = {}
        for name, dataset in loaded.items():
            self._commit = self._commit or _commit(dataset)
            key = (self.id, self.config, name, dataset._fingerprint)

            def write(target: Path, name: str = name, dataset: Dataset = dataset) -> None:
                table.write(_records(dataset), name, target)

            rows[name] = table.read(cache.cached("rows", key, write), name, f"{self.id} {name}")
        return rows


def _records(dataset: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with the names of their classes instead of numbers; -1, the Hub's mark of a hidden label, becomes None."""
    from datasets import ClassLabel

    names = {key: feature.names for key, feature in dataset.features.items() if isinstance(feature, ClassLabel)}
    for number, row in enumerate(dataset, start=1):
        for column, known in names.items():
            value = row[column]
            row[column] = None if value is None or value < 0 else known[value]
        yield number, row


def _commit(dataset: Dataset) -> str | None:
    for source in dataset.info.download_checksums or {}:
        match = re.search(r"@([0-9a-f]{40})/", source)
        if match:
            return match.group(1)
    return None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
