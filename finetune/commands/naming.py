"""What the words of a command line name: a recipe with changes, a run, files that may be executed."""

from __future__ import annotations

import argparse
from pathlib import Path

from finetune import catalog
from finetune.errors import RecipeError
from finetune.recipe import RECIPE_FILE, Recipe, load_recipe


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe of a command line, its changes made; the files of `--code` are executed first.

    Raises:
        RecipeError: There is none of that name, or the changes do not fit.
    """
    for code in options.code:
        _execute(code)
    recipe = load_recipe(options.recipe)
    return recipe.override(*options.assignments).anchored(Path.cwd()) if options.assignments else recipe


def _execute(code: str) -> None:
    if not Path(code).is_file():
        raise RecipeError(f"--code: the file {code} does not exist.")
    catalog.execute(Path(code))


def is_run(target: str) -> bool:
    """Whether a run directory is named, not a recipe."""
    return (Path(target) / RECIPE_FILE).exists()


def load_own_code(run: str, code: list[str]) -> None:
    """Execute the files of `--code` that a run was made with.

    Raises:
        RunError: The run needs a file that is not named, or that has changed.
    """
    from finetune import run_directory

    run_directory.load_own_code(run_directory.RunDirectory(Path(run)), code)
