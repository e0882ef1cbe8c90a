"""What a folder of a comparison must remember besides the runs: whose it is, and which runs diverged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from finetune.comparison.cells import Cell
from finetune.errors import RecipeError
from finetune.run_directory import FORMAT, read_json, write_json

RECORD = "record.json"
DIVERGED = "training has diverged"
"""What every message says of a training that ended in no numbers."""


@dataclass
class Record:
    """record.json: a run that diverged would do so again, and leaves nothing else behind that says so.

    Attributes:
        path: The file.
        content: Format 1: target, changes, diverged (name of the run: why).
    """

    path: Path
    content: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, out: Path, target: str, changes: Sequence[str]) -> Record:
        """What an earlier call left there, of the same recipe with the same changes.

        Raises:
            RecipeError: The folder has the comparison of another.
            RunError: The record is damaged.
        """
        path = out / RECORD
        before: dict[str, Any] = {"target": target, "changes": list(changes), "diverged": {}}
        if path.exists():
            before = read_json(path)
        if before["target"] != target or sorted(before["changes"]) != sorted(changes):
            raise RecipeError(
                f"--out {out} has the comparison of {_called(before['target'], before['changes'])}, which is not "
                f"{_called(target, changes)}; give another --out."
            )
        return cls(path, {"format": FORMAT, **before})

    def diverged(self, cell: Cell) -> str | None:
        """Why a run ended without a result, if it diverged."""
        found: str | None = self.content["diverged"].get(cell.digest)
        return found

    def note(self, cell: Cell, problem: str) -> None:
        """Remember that a run diverged; several processes may want to at once."""
        with FileLock(self.path.with_name(f".{RECORD}.lock")):
            known = read_json(self.path)["diverged"] if self.path.exists() else {}
            self.content["diverged"] = {**known, **self.content["diverged"], cell.digest: problem}
            self.save()

    def save(self) -> None:
        """Replace the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self.content)


def _called(target: str, changes: Sequence[str]) -> str:
    return " ".join([target, *changes])
