"""The run directory: where everything of a run lies, written so that nothing half written is later believed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from finetune import catalog
from finetune.data.cache import file_digest
from finetune.errors import RunError, listing
from finetune.recipe import RECIPE_FILE

FORMAT = 1


@dataclass(frozen=True)
class RunDirectory:
    """Paths and files of one run.

    Attributes:
        path: The directory.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe; itself a recipe."""
        return self.path / RECIPE_FILE

    @property
    def identity(self) -> Path:
        """What the run's name was computed from."""
        return self.path / "identity.json"

    @property
    def report(self) -> Path:
        """The result, complete once its status says so."""
        return self.path / "report.json"

    @property
    def metrics(self) -> Path:
        """One line for each step and scoring; no clock times, so that two equal runs write equal bytes."""
        return self.path / "metrics.jsonl"

    @property
    def timings(self) -> Path:
        """One line for each stretch of work: seconds, and steps done in it."""
        return self.path / "timings.jsonl"

    @property
    def checkpoints(self) -> Path:
        """What resuming needs."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The trained model, for public loaders."""
        return self.path / "model"

    @property
    def certificate(self) -> Path:
        """What a fresh process found when it loaded the model."""
        return self.path / "certificate"

    @property
    def data(self) -> Path:
        """Rows that were given in memory."""
        return self.path / "data"

    def predictions(self, split: str) -> Path:
        """One line for each row of a split."""
        return self.path / ("predictions.jsonl" if split == "validation" else f"predictions-{split}.jsonl")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else works here meanwhile; the lock ends with the process, however that ends.

        Raises:
            RunError: Somebody does, or the directory cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"{self.path} is in use by another process; wait for it, or use another --directory."
            ) from None
        except OSError as error:
            raise RunError(
                f"{self.path} cannot be written: {error.strerror}; choose another place with --directory."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def read_report(self) -> dict[str, Any]:
        """The report; empty where there is none.

        Raises:
            RunError: It is damaged.
        """
        return read_json(self.report) if self.report.exists() else {}

    @property
    def status(self) -> str:
        """`complete`, `uncertified`, `stopped`, `running`, or `new`."""
        return str(self.read_report().get("status", "new"))

    def cut_metrics(self, size: int) -> None:
        """Forget what was logged after a checkpoint, which holds the file's size at its time."""
        with self.metrics.open("ab") as file:
            if file.tell() < size:
                raise RunError(
                    f"{self.metrics} is shorter than its checkpoint says; delete {self.checkpoints} to start again."
                )
            file.truncate(size)


def own_code(run: RunDirectory) -> dict[str, str]:
    """Files and hashes of the user's own classes and modules of scores that a run was made with."""
    found: dict[str, str] = read_json(run.identity).get("code", {}) if run.identity.exists() else {}
    return found


def load_own_code(run: RunDirectory, given: Sequence[str]) -> None:
    """Execute the files of the user's own classes, after a look that they are those the run was made with.

    Args:
        run: The run.
        given: The files that the user names; nothing else is ever executed.

    Raises:
        RunError: The run needs a file that is not named, or that has changed.
    """
    found = {file_digest(Path(file)): Path(file) for file in given if Path(file).is_file()}
    for path, digest in own_code(run).items():
        if digest in found:
            catalog.execute(found[digest])
        elif not given:
            raise RunError(f"{run.path} was made with code of {path}; allow that file to run with --code {path}")
        else:
            named = listing(given)
            raise RunError(
                f"{named} is missing or not the file this run was made with, {path} of SHA-256 {digest[:12]}..."
            )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Write files of a folder; what fails leaves nothing half written.

    Raises:
        RunError: The disk is full or the folder cannot be written.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise RunError(
            f"{folder} cannot be written: {error}. What was finished before is whole: "
            "make room and run the same command again."
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file in one go."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one go: after a crash there is the old one or the new one."""
    unfinished = path.with_name(f".{path.name}.partial")
    with unfinished.open("w", encoding="utf-8", errors="surrogatepass") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Replace a JSON-lines file in one go."""
    unfinished = path.with_name(f".{path.name}.partial")
    with unfinished.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of this project.

    Raises:
        RunError: It is damaged, or of another format.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}.") from None
    if not isinstance(content, dict) or content.get("format", FORMAT) != FORMAT:
        raise RunError(f"{path} is not of format {FORMAT}, which this version reads.")
    return content


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
