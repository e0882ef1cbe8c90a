"""What the readers of published folders share: splits that are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from finetune.data import cache, formats, table
from finetune.data.formats import Options, Record
from finetune.data.table import Rows
from finetune.errors import DataError, listing

Reading = Callable[[Path], Iterator[Record]]


class Splits(Mapping[str, Rows]):
    """The splits of a folder. Each is read, through the cache, when it is first asked for.

    So a file beside the others that nobody asks for, whatever it holds, does no harm.

    Args:
        files: Split -> its file.
        reading: From a file to its records.
        key: What the records depend on besides the file's content and name; the reader's name at least.
        by_word: Whether each word has a line of its own.
    """

    def __init__(self, files: Mapping[str, Path], reading: Reading, *key: object, by_word: bool = False):
        self._files = files
        self._reading = reading
        self._key = key
        self._by_word = by_word

    def __getitem__(self, split: str) -> Rows:
        path = self._files[split]

        def write(target: Path) -> None:
            table.write(self._reading(path), path.name, target)

        stored = cache.cached("rows", (cache.file_digest(path), path.name, *self._key), write)
        return table.read(stored, split, path.name, by_word=self._by_word)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


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
        if config is not None:
            raise DataError(f"{what} has no subsets; leave data.config out (it is {config!r}).")
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
