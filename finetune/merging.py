"""From a run with an adapter to a plain model without one, and the proof that it answers as the run's model did."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import artefact
from finetune.certificate import RESULT, certify
from finetune.errors import RecipeError, RunError
from finetune.predict import DECISIONS, load_artefact
from finetune.quiet import quiet_libraries
from finetune.recipe import Recipe, load_recipe
from finetune.run_directory import RunDirectory, own_code, write_text, writing

GENERATION = "generation_config.json"
"""How a model writes, for whoever loads it."""


@dataclass(frozen=True)
class Merged:
    """A plain model made of a run's.

    Attributes:
        folder: Where it lies.
        auto: Auto class of transformers that loads it.
        certificate: What a fresh process found that loaded it so.
    """

    folder: Path
    auto: str
    certificate: dict[str, Any]

    @property
    def holds(self) -> bool:
        """Whether it answers as the run's model did."""
        return bool(self.certificate["holds"])


def merge(run: str | Path, out: str | Path | None = None, interrupted: Callable[[], bool] = lambda: False) -> Merged:
    """Write the plain model of a run and have a fresh process confirm it.

    What was learned becomes part of the checkpoint's own weights; tokenizer, decisions and a card come along.

    Args:
        run: The run directory.
        out: Folder of the plain model; None: `merged` in the run directory.
        interrupted: Asked while the fresh process works.

    Raises:
        RunError: The run is not finished, its model is plain already or cannot be merged, or `out` holds other files.
        KeyboardInterrupt: `interrupted` said so.
    """
    directory = RunDirectory(Path(run))
    recipe = load_recipe(str(run))
    report = directory.read_report()
    folder = Path(out) if out is not None else directory.path / "merged"
    _check(directory, recipe, report, folder)
    with directory.locked():
        with quiet_libraries():
            _write(directory, recipe, folder)
        certificate = certify([directory], list(own_code(directory)), interrupted, folder)[0]
        whence = f"{directory.path.resolve().parent.name}/{directory.path.resolve().name}"
        text = artefact.card({**report, "certificate": certificate, "loader": "transformers", "note": ""})
        method = recipe.tuning.kind()
        note = f"Merged from the run `{whence}`: what {method} learned is part of these weights.\n"
        write_text(folder / "README.md", f"{text.rstrip()}\n\n{note}")
    return Merged(folder, report["auto_class"], certificate)


def _check(directory: RunDirectory, recipe: Recipe, report: dict[str, Any], folder: Path) -> None:
    """Look, before anything is loaded, that there is something to merge and a place for it."""
    path, tuning = directory.path, recipe.tuning
    if tuning.loader == "transformers":
        raise RunError(
            f"{path}: tuning={tuning.kind()} has nothing to merge, its model is a plain one already: {directory.model}."
        )
    if tuning.unmergeable:
        raise RunError(f"{path}: tuning={tuning.kind()} cannot be merged: {tuning.unmergeable}.")
    if "scores" not in report or not directory.certificate.is_dir():
        raise RunError(f"{path} is unfinished, there is nothing to merge yet; go on with: finetune run {path}")
    if folder.exists() and not (folder / RESULT).exists() and any(folder.iterdir()):
        raise RunError(f"{folder} exists and holds no merged model; choose another place with --out.")


def _write(directory: RunDirectory, recipe: Recipe, folder: Path) -> None:
    """Write the folder beside, then rename it."""
    module, encoder = load_artefact(recipe, directory.model)
    try:
        merged: Any = recipe.tuning.merge(module)
    except RecipeError as error:
        raise RunError(*(f"{directory.path}: {problem}" for problem in error.problems)) from error
    if (directory.model / GENERATION).exists():
        from transformers import GenerationConfig

        merged.generation_config = GenerationConfig.from_pretrained(directory.model)
    unfinished = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    with writing(unfinished):
        unfinished.mkdir(parents=True)
        merged.save_pretrained(unfinished)
        encoder.tokenizer.save_pretrained(unfinished)
        shutil.copyfile(directory.model / DECISIONS, unfinished / DECISIONS)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
