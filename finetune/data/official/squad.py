"""The folders of SQuAD v1.1 and v2.0 and of XQuAD as published, with the columns of the Hub's `rajpurkar/squad`.

Every json file is a split under its own name, `dev-v1.1` or `xquad.de`; the standard ones are `train` and `validation`
as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finetune.data import formats
from finetune.data.formats import Options, Record
from finetune.data.official.base import Splits, absent
from finetune.errors import DataError, unknown

VERSIONS = ("v1.1", "v2.0")
FOLDERS = {"v1.1": "squad_v1.1", "v2.0": "squad_v2.0", "xquad": "xquad"}
"""Version -> its folder where one root holds several."""
PUBLISHED = {"train": "train-{version}", "validation": "dev-{version}"}


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist.

    Args:
        folder: The folder of one version, or the root that holds `squad_v1.1`, `squad_v2.0` or `xquad`.
        config: `v1.1`, `v2.0` or `xquad`; None: what the folder holds.

    Raises:
        DataError: An unknown version, several of them and none named, or no files.
    """
    if config is not None and config not in FOLDERS:
        raise DataError(unknown("SQuAD version", config, FOLDERS))
    inside = [name for name, below in FOLDERS.items() if (folder / below).is_dir() and config in (None, name)]
    if len(inside) == 1:
        folder = folder / FOLDERS[inside[0]]
    files = {
        path.name.removesuffix(".gz").removesuffix(".json"): path
        for path in sorted(folder.glob("*.json*"))
        if path.is_file() and path.name.endswith((".json", ".json.gz"))
    }
    standard = {
        version: {split: _published(files, name.format(version=version)) for split, name in PUBLISHED.items()}
        for version in VERSIONS
        if config in (None, version)
    }
    held = {version: splits for version, splits in standard.items() if any(splits.values())}
    if len(held) > 1 or (not files and len(inside) > 1):
        raise DataError(f"{folder} holds {' and '.join(held or inside)}; data.config must say which.")
    if not files:
        names = [name.format(version=config or "v1.1") + ".json" for name in PUBLISHED.values()]
        raise DataError(absent(folder, "SQuAD", names))
    published = {split: path for splits in held.values() for split, path in splits.items() if path is not None}
    return Splits({**files, **published}, _records, "squad")


def _published(files: dict[str, Path], name: str) -> Path | None:
    """The file of that name; a part of it, as `train-v2.0-10articles`, where it is the only one."""
    parts = [path for stem, path in files.items() if stem.startswith(name)]
    return files.get(name) or (parts[0] if len(parts) == 1 else None)


def _records(path: Path) -> Iterator[Record]:
    for line, row in formats.read(path, Options()):
        if "context" not in row or "question" not in row:
            raise DataError(f"{path} is no SQuAD file: it has no 'data' with 'paragraphs'.")
        yield line, row
