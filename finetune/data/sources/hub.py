"""Rows from the Hugging Face Hub, or from the official files of the same dataset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, PrivateAttr, field_validator

from finetune import hub
from finetune.config import FilePath
from finetune.data import cache, official, table
from finetune.data.base import SPLITS, Data
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

    more: dict[str, str] = Field(default_factory=dict)
    """Further splits, scored at the end where they have targets: name here -> name at the source, as
    `validation_mismatched`, or `SUBSET/SPLIT` for one of another subset."""

    @field_validator("more")
    @classmethod
    def _further_names(cls, names: dict[str, str]) -> dict[str, str]:
        for name in names:
            if name in SPLITS or not re.fullmatch(r"\w[\w-]*", name):
                raise ValueError(f"{name!r} is no name of a further split: letters, digits, dash, no {listing(SPLITS)}")
        return names

    _commit: str | None = PrivateAttr(default=None)

    def read(self) -> dict[str, Rows]:
        """The splits named, as far as they exist."""
        found = self._subset(self.config)
        splits = {}
        for split in SPLITS:
            name = getattr(self, split)
            if name in found:
                splits[split] = replace(found[name], split=split)
            elif name is not None and split != "test" and not (split == "validation" and self.holdout is not None):
                said = f"{self.path or self.id} has no split {name!r} (data.{split}). {nearest(name, found)}"
                remedy = " Or keep training rows aside: data.holdout=0.1" if split == "validation" else ""
                raise DataError(said + remedy)
        for name, where in self.more.items():
            subset, _, split = where.rpartition("/")
            others = self._subset(subset) if subset else found
            if split in others:
                splits[name] = replace(others[split], split=name)
            elif self.path is None or self.reader is None:  # published folders may lack files
                raise DataError(
                    f"{self.path or self.id} has no split {where!r} (data.more.{name}). {nearest(split, others)}"
                )
        if self.train == self.validation and self.holdout is None:
            raise DataError("data.train and data.validation name the same split; set data.holdout, for example to 0.2.")
        return splits

    def pinned(self) -> Data:
        """The commit that was read, by name."""
        return self.model_copy(update={"revision": self._commit}) if self._commit else self

    def revisions(self) -> dict[str, str]:
        """The commit that the Hub answered with."""
        return {self.id: self._commit} if self._commit else {}

    def _subset(self, config: str | None) -> Mapping[str, Rows]:
        """All splits of a subset."""
        return self._from_folder(Path(self.path), config) if self.path is not None else self._from_hub(config)

    def _from_folder(self, folder: Path, config: str | None) -> Mapping[str, Rows]:
        if not folder.is_dir():
            raise DataError(f"data.path: the folder {folder} does not exist.")
        if self.reader is not None:
            return official.reader(self.reader)(folder, config)
        found = {}
        others = (where for where in self.more.values() if "/" not in where)
        for name in filter(None, (self.train, self.validation, self.test, *others)):
            files = sorted(path for path in folder.glob(f"{name}.*") if suffix(path))
            if len(files) > 1:
                raise DataError(f"{folder} has several files for {name!r}: {listing(file.name for file in files)}.")
            if files:
                found[name] = read_files(files, name, Options())
        return found

    def _from_hub(self, config: str | None) -> dict[str, Rows]:
        found = hub.find("dataset", self.id, self.revision, "use its files in a folder with data.path=FOLDER")
        from datasets import load_dataset_builder

        try:
            builder = load_dataset_builder(self.id, config, revision=found.commit)
            if builder.hash != found.commit:  # the library took what it had in its cache
                raise DataError(found.offline or f"the dataset {self.id!r} cannot be loaded at commit {found.commit}.")
            builder.download_and_prepare()
            loaded = builder.as_dataset()
        except DataError:
            raise
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise DataError(found.offline or f"the dataset {self.id!r} cannot be loaded: {reason}") from error
        self._commit = found.commit
        rows = {}
        for name, dataset in loaded.items():
            key = (self.id, config, name, dataset._fingerprint)

            def write(target: Path, name: str = name, dataset: Dataset = dataset) -> None:
                table.write(table.named_records(dataset), name, target)

            path = cache.cached("rows", key, write)
            rows[name] = table.read(path, name, f"{self.id} {name}", table.class_names(dataset))
        return rows
