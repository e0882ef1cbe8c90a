"""Cells: the runs of a comparison, each an ordinary recipe and an ordinary run directory."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.certificate import PREDICTIONS
from finetune.comparison.methods import Method
from finetune.comparison.terms import Terms
from finetune.preparation import prepare
from finetune.recipe import Recipe
from finetune.run_directory import RunDirectory, own_code, write_json


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        method: Name of its method.
        learning_rate: Of its method.
        seed: Of its training.
        searching: Whether it is there to choose a rate; else its scores are reported.
        recipe: What it is.
        directory: Where it lies.
        steps: Optimizer steps.
    """

    method: str
    learning_rate: float
    seed: int
    searching: bool
    recipe: Recipe
    directory: RunDirectory
    steps: int

    @property
    def name(self) -> str:
        """For a person, different from that of every other cell."""
        what = f"rate {self.learning_rate:g}" if self.searching else f"seed {self.seed}"
        return f"{self.method}, {what}"

    @property
    def digest(self) -> str:
        """Names the run among those of its recipe."""
        return self.directory.path.name

    @property
    def report(self) -> dict[str, Any] | None:
        """Of the run, once it is scored and its model saved."""
        found = self.directory.read_report()
        return found if "scores" in found else None

    @property
    def finished(self) -> bool:
        """Whether nothing is left of it to train, score or save, and a fresh process could examine its model."""
        report = self.report
        if report is None:
            return False
        return (
            self.searching or report["certificate"] is not None or (self.directory.certificate / PREDICTIONS).exists()
        )

    @property
    def code(self) -> dict[str, str]:
        """Files and hashes of the classes of a user's own that it was made with."""
        return own_code(self.directory)

    def clear(self) -> None:
        """Delete what only a run that goes on would need."""
        shutil.rmtree(self.directory.checkpoints, ignore_errors=True)

    def write(self, folder: Path, data: Path) -> Path:
        """Write the recipe to a file of the folder that `finetune run` takes; rows in memory go to files in `data`."""
        recipe = self.recipe.model_copy(update={"data": self.recipe.data.stored(data)}).anchored(Path.cwd())
        folder.mkdir(parents=True, exist_ok=True)
        what = f"rate-{self.learning_rate:g}" if self.searching else f"seed-{self.seed}"
        plain = re.sub(r"[^\w.=,]+", "-", self.method).strip("-")
        path = folder / f"{plain}-{what}-{self.digest.rpartition('-')[2]}.json"
        write_json(path, recipe.to_json())
        return path


def search_cell(terms: Terms, method: Method, rate: float, device: str) -> Cell:
    """The run that scores a rate on rows kept aside from the training rows.

    Raises:
        FinetuneError: The method does not fit the recipe.
    """
    recipe = terms.recipe.model_copy(update={"data": terms.development})
    return _cell(terms, recipe, method, rate, terms.seeds[0], device, searching=True)


def final_cell(terms: Terms, method: Method, rate: float, seed: int, device: str) -> Cell:
    """The run whose scores are reported.

    Raises:
        FinetuneError: The method does not fit the recipe.
    """
    return _cell(terms, terms.recipe, method, rate, seed, device, searching=False)


def _cell(
    terms: Terms, recipe: Recipe, method: Method, rate: float, seed: int, device: str, *, searching: bool
) -> Cell:
    tuning = method.tuning.model_copy(update={"learning_rate": rate})
    training = recipe.training.model_copy(update={"seed": seed})
    fields: dict[str, Any] = {**dict(recipe), "tuning": tuning, "training": training}
    made = Recipe(**fields)  # anew: not every method takes every model
    prepared = prepare(made, device)
    directory = RunDirectory(terms.directory / prepared.directory_name)
    return Cell(method.name, rate, seed, searching, made, directory, prepared.steps)
