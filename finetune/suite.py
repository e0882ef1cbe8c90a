"""A file of recipes as a whole: every run, one record of them all, and what the suite they form adds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import catalog
from finetune.data import cache
from finetune.errors import RecipeError, listing, nearest, unknown
from finetune.recipe import Recipe, recipes_of, shipped
from finetune.run_directory import FORMAT, read_json, write_json
from finetune.suites.base import Suite, Summary

if TYPE_CHECKING:
    from finetune.driver import Watcher
    from finetune.executor import Outcome
    from finetune.experiment import Result

RECORD = "suite.json"


@dataclass(frozen=True)
class Opened:
    """What a suite will run.

    Attributes:
        file: The recipe file.
        cells: Name -> recipe, changes made.
        digests: Name -> hash of the changed recipe; of all recipes of the file that take the changes, chosen or not.
        changes: As given.
        suite: What the file says that its recipes form; None for any file of recipes.
    """

    file: Path
    cells: dict[str, Recipe]
    digests: dict[str, str]
    changes: tuple[str, ...] = ()
    suite: Suite | None = None


def open_suite(target: str, changes: Sequence[str] = (), only: Sequence[str] = ()) -> Opened:
    """The recipes of a file, each changed alike.

    Args:
        target: `FILE.py`, or the name of a shipped file of recipes.
        changes: `FIELD=VALUE`; relative paths count from the current folder.
        only: Names of the recipes to keep; none: all.

    Raises:
        RecipeError: Everything that is wrong, before anything is loaded; what holds for every recipe is said once.
    """
    path = _find(target)
    name = getattr(catalog.execute(path), "suite", None)
    recipes = {key or recipe.name: recipe for key, recipe in recipes_of(path).items()}
    problems = [unknown("recipe", key, recipes) for key in only if key not in recipes]
    if name is not None and name not in catalog.names(Suite.package):
        problems.append(f"{path}: {unknown('suite', str(name), catalog.names(Suite.package))}")
    changed: dict[str, Recipe] = {}
    refused: dict[str, list[str]] = {}
    chosen = [key for key in recipes if not only or key in only]
    for key, recipe in recipes.items():
        try:
            changed[key] = recipe.override(*changes).anchored(Path.cwd()) if changes else recipe
        except RecipeError as error:
            for problem in error.problems if key in chosen else ():
                refused.setdefault(problem, []).append(key)
    problems += [
        problem if len(keys) == len(chosen) else f"{listing(keys)}: {problem}" for problem, keys in refused.items()
    ]
    if problems:
        raise RecipeError(*problems)
    made = catalog.find(Suite.package, name, Suite)() if name is not None else None
    digests = {key: cache.digest(recipe) for key, recipe in changed.items()}
    return Opened(path, {key: changed[key] for key in chosen}, digests, tuple(changes), made)


def _find(target: str) -> Path:
    path, known = Path(target).expanduser(), {path.stem: path for path in shipped()}
    if not path.is_file() and target.removeprefix("recipes/").removesuffix(".py") in known:
        return known[Path(target).stem]
    if path.suffix != ".py":
        raise RecipeError(f"{target}: a .py file with recipes = {{...}} is needed. {nearest(target, known)}")
    if not path.is_file():
        raise RecipeError(f"{target} does not exist. Shipped: {', '.join(known)}.")
    return path


@dataclass
class Record:
    """suite.json: what is known so far, replaced in one go whenever that changes.

    Attributes:
        path: The file.
        content: Format 1: file, changes, cells (recipe: its hash, status, directory, scores, baseline, problems),
            summary, submission. Paths below the record's folder are relative to it, others absolute.
    """

    path: Path
    content: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, opened: Opened, out: Path) -> Record:
        """What an earlier call recorded of the same recipes, chosen now or not; the other chosen ones are waiting.

        Raises:
            RecipeError: The folder has the record of another file, or of other changes.
            RunError: The record there is damaged.
        """
        path, file = out / RECORD, placed(opened.file, out)
        before: dict[str, Any] = read_json(path) if path.exists() else {"file": file, "changes": opened.changes}
        if before["file"] != file or sorted(before["changes"]) != sorted(opened.changes):
            raise RecipeError(
                f"--out {out} has the suite {_called(before['file'], before['changes'])}, which is not "
                f"{_called(file, opened.changes)}; give another --out."
            )
        cells: dict[str, dict[str, Any]] = {}
        for name, digest in opened.digests.items():
            kept = before.get("cells", {}).get(name, {})
            if kept.get("recipe") == digest:
                cells[name] = kept
            elif name in opened.cells:
                cells[name] = {"recipe": digest, "status": "waiting", **_found(None, out)}
        same = cells == before.get("cells")
        summed = {name: before.get(name) if same else None for name in ("summary", "submission")}
        content = {"format": FORMAT, "file": file, "changes": list(opened.changes), "cells": cells, **summed}
        return cls(path, content)

    def note(self, outcome: Outcome) -> None:
        """What became of a cell; what was made of all cells no longer holds where that is something new."""
        before = self.content["cells"][outcome.name]
        found = _found(outcome.result, self.path.parent, outcome.problems)
        now = {"recipe": before["recipe"], "status": outcome.status, **found}
        if now != before:
            self.content |= {"summary": None, "submission": None}
        self.content["cells"][outcome.name] = now

    def directory(self, name: str) -> Path:
        """Where the run of a cell lies that has one."""
        return self.path.parent / self.content["cells"][name]["directory"]

    def complete(self) -> dict[str, dict[str, Any]]:
        """Name -> what is recorded, of the runs that a fresh process confirmed."""
        return {name: cell for name, cell in self.content["cells"].items() if cell["status"] == "complete"}

    def save(self) -> None:
        """Replace the file; of several processes one does."""
        if speaks():
            write_json(self.path, self.content)


def _found(result: Result | None, out: Path, problems: Sequence[str] = ()) -> dict[str, Any]:
    """What the record says of a run, or of none."""
    return {
        "directory": placed(result.directory, out) if result else None,
        "scores": result.scores if result else {},
        "baseline": result.report["baseline"] if result else None,
        "problems": list(problems),
    }


def placed(path: Path, out: Path) -> str:
    """A path as the record writes it: with the folder of the record everything below it may be moved."""
    whole, root = path.resolve(), out.resolve()
    return str(whole.relative_to(root) if whole.is_relative_to(root) else whole)


def _called(file: str, changes: Sequence[str]) -> str:
    return " ".join([file, *changes])


def speaks() -> bool:
    """Whether this process is the one that writes and prints, among those of a launcher."""
    return os.environ.get("RANK", "0") == "0"


def run_suite(opened: Opened, record: Record, directory: Path, watch: Callable[[str], Watcher]) -> Iterator[Outcome]:
    """Run every recipe; the record is saved after each.

    Args:
        opened: The recipes.
        record: Filled in.
        directory: Folder of the runs.
        watch: Makes the watcher of a recipe.

    Raises:
        Stopped: Ctrl-C or SIGTERM; what is finished is recorded, the run at work can go on.
    """
    from finetune.executor import execute

    record.path.parent.mkdir(parents=True, exist_ok=True)
    record.save()
    for outcome in execute(opened.cells, directory, watch):
        record.note(outcome)
        record.save()
        yield outcome


def summarize(opened: Opened, record: Record) -> Summary | None:
    """The score over all that the suite takes from complete runs; recorded."""
    if opened.suite is None:
        return None
    found = opened.suite.summary({name: cell["scores"] for name, cell in record.complete().items()})
    record.content["summary"] = found.values if found else None
    record.save()
    return found
