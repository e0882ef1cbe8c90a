"""The predictions of a finished run, and what they score, from the run directory alone where that is possible."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from finetune.data.sources.rows import as_rows
from finetune.data.table import Rows
from finetune.differences.matching import Row, row
from finetune.errors import FinetuneError, RunError
from finetune.recipe import Recipe, load_recipe
from finetune.run_directory import RunDirectory, read_json
from finetune.tasks.base import Task

BESIDE = ("id", "inputs", "gold")
"""Fields of a line of predictions that are not the prediction."""
CLOSE = 1e-9
"""Two computations of a score may differ by so much of it."""


@dataclass(frozen=True)
class Run:
    """A run directory, and what it says.

    Attributes:
        directory: Where it lies; it may have been moved, and its data may be gone.
    """

    directory: RunDirectory

    @staticmethod
    def at(path: Path) -> Run:
        """The run of a directory.

        Raises:
            RunError: It is none.
        """
        directory = RunDirectory(path)
        if not directory.recipe.exists():
            raise RunError(f"{path} is no run directory: it has no {directory.recipe.name}.")
        return Run(directory)

    @cached_property
    def recipe(self) -> Recipe:
        """With everything that was resolved."""
        return load_recipe(str(self.directory.path))

    @cached_property
    def report(self) -> dict[str, Any]:
        """Empty where there is none."""
        return self.directory.read_report()

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What names the run; empty where it never began."""
        return read_json(self.directory.identity) if self.directory.identity.exists() else {}

    @cached_property
    def splits(self) -> dict[str, Rows]:
        """Its rows, read again from their source.

        Raises:
            FinetuneError: They are not there any more.
        """
        task = self.recipe.task
        return self.recipe.data.load(task.inputs(), task.targets(), task.optional())

    def predicted(self) -> list[str]:
        """Splits with predictions."""
        scored = self.report.get("scores", {})
        return [split for split in scored if self.directory.predictions(split).exists()]

    def answers(self, split: str) -> Answers:
        """The predictions of a split."""
        with self.directory.predictions(split).open(encoding="utf-8") as file:
            return Answers(self, split, [json.loads(line) for line in file])


@dataclass(frozen=True)
class Answers:
    """Predictions of a split.

    Attributes:
        run: Of which run.
        split: Of which split.
        lines: Of the file of predictions.
    """

    run: Run
    split: str
    lines: list[dict[str, Any]]

    @property
    def rows(self) -> list[Row]:
        """What each row is known by."""
        return [row(line["inputs"].values(), line.get("gold")) for line in self.lines]

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """One a row."""
        return [{name: value for name, value in line.items() if name not in BESIDE} for line in self.lines]

    def measured(self, task: Task) -> tuple[np.ndarray | None, set[str]]:
        """What a task's scores need of each row, `(rows, k)`, and the scores that come out as the report has them.

        The rows are made again of what the predictions tell of them; where that gives another first score than the
        report's, they are read from their source, and where they are gone, there are no statistics.
        """
        reported = self.run.report["scores"][self.split]
        first = task.metrics()[0].name
        for source in self._sources(task):
            try:
                measured = task.measure(self.predictions, source)
                found = task.aggregate(measured, np.ones(len(measured)))
            except (LookupError, TypeError, ValueError):  # these rows lack what the task needs
                continue
            equal = {name for name, value in found.items() if name in reported and _close(value, reported[name])}
            if first in equal:
                return measured, equal
        return None, set()

    def _sources(self, task: Task) -> Iterator[Rows]:
        names, targets = [column.name for column in task.inputs()], [column.name for column in task.targets()]
        records = [dict(zip(names, line["inputs"].values(), strict=False)) for line in self.lines]
        if len(targets) == 1:
            told = [record | {targets[0]: line.get("gold")} for record, line in zip(records, self.lines, strict=True)]
            with suppress(FinetuneError):  # targets of mixed kinds
                yield as_rows(told, self.split)
        try:
            rows = self.run.splits[self.split]
        except (FinetuneError, LookupError):
            return
        if rows.ids == [line["id"] for line in self.lines]:
            yield rows


def _close(value: float, reported: dict[str, float]) -> bool:
    return math.isclose(value, reported["value"], rel_tol=CLOSE, abs_tol=CLOSE)
