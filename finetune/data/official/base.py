"""What the readers of published folders share: splits that are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from finetune.data import cache, formats, table
from finetune.data.formats import Options, Record
from finetune.data.table import Rows
from finetune.errors import DataError, listing

Reading = Callable[..., Iterator[Record]]
"""From the files of a split, each an argument, to its records."""


class Splits(Mapping[str, Rows]):
    """The splits of a folder. Each is read, through the cache, when it is first asked for.

    So a file beside the others that nobody asks for, whatever it holds, does no harm.

    Args:
        files: Split -> its file, or several that are read side by side.
        reading: From them to records.
        key: What the records depend on besides the files' content and names; the reader's name at least.
        by_word: Whether each word has a line of its own.
        names: Column -> its class names in the order of their ids.
        lacking: Split that is not there -> what a DataError says where it is asked for.
    """

    def __init__(
        self,
        files: Mapping[str, Path | tuple[Path, ...]],
        reading: Reading,
        *key: object,
        by_word: bool = False,
        names: dict[str, tuple[str, ...]] | None = None,
        lacking: Mapping[str, str] | None = None,
    ):
        self._files = files
        self._reading = reading
        self._key = key
        self._by_word = by_word
        self._names = names
        self._lacking = lacking or {}
        self._read: dict[str, Rows] = {}

    def __getitem__(self, split: str) -> Rows:
        if split in self._lacking:
            raise DataError(self._lacking[split])
        if split not in self._read:
            self._read[split] = self._rows(split)
        return self._read[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def _rows(self, split: str) -> Rows:
        found = self._files[split]
        paths = found if isinstance(found, tuple) else (found,)
        name = ", ".join(path.name for path in paths)

        def write(target: Path) -> None:
            table.write(self._reading(*paths), name, target)

        stored = cache.cached("rows", (*map(cache.file_digest, paths), name, *self._key), write)
        return table.read(stored, split, name, self._names, self._by_word)


def whole(what: str, config: str | None) -> None:
    """Refuse the name of a subset where there are none.

    Raises:
        DataError: One was named.
    """
    if config is not None:
        raise DataError(f"{what} has no subsets; leave data.config out (it is {config!r}).")


def texts(values: Mapping[str, Any], where: str, names: Collection[str]) -> dict[str, str]:
    """The columns of a row that must be texts.

    Raises:
        DataError: One is none.
    """
    for name in names:
        if not isinstance(values.get(name), str):
            raise DataError(f"{where} has no text {name!r}. Its columns: {', '.join(values)}.")
    return {name: values[name] for name in names}


def of_words(
    what: str, key: str, files: Mapping[str, tuple[str, ...]], options: Options
) -> Callable[[Path, str | None], Splits]:
    """The reader of a shared task without subsets whose files have a line for each word.

    Args:
        what: The shared task, for a person.
        key: The name of the reader.
        files: Split -> the names its file may have.
        options: How the files are laid out.
    """

    def records(path: Path) -> Iterator[Record]:
        return formats.read(path, options)

    def read(folder: Path, config: str | None) -> Splits:
        """The splits whose files exist.

        Args:
            folder: The folder of the files.
            config: None; there are no subsets.

        Raises:
            DataError: A subset was named, or there are no files.
        """
        whole(what, config)
        return Splits(pick(folder, files, what), records, key, by_word=True)

    return read


def pick(folder: Path, wanted: Mapping[str, tuple[str, ...]], what: str) -> dict[str, Path]:
    """Split -> the first of its possible files that the folder has, plain or gzipped; splits without one are left out.

    Raises:
        DataError: The folder has none at all; the message names what it wants and what is there.
    """
    found = {}
    for split, names in wanted.items():
        paths = (folder / f"{name}{packed}" for name in names for packed in ("", ".gz"))
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            found[split] = path
    if not found:
        raise DataError(absent(folder, what, [name for names in wanted.values() for name in names]))
    return found


def absent(folder: Path, what: str, names: list[str]) -> str:
    """That a folder has none of the files, and what it has."""
    here = listing(sorted(path.name for path in folder.glob("[!.]*")), 8)
    return f"{folder} has no files of {what} ({listing(names, 8)}). It has: {here or 'nothing'}."
