"""Using a trained model: the saved artefact, loaded as anyone would load it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from finetune.compute import Compute, compute
from finetune.data import nested
from finetune.data.sources.rows import as_rows
from finetune.errors import DataError, RecipeError, RunError, nearest
from finetune.evaluation import Encoder, evaluate
from finetune.model import auto_class
from finetune.pretrained import set_padding, token_limit, tokenizer_of
from finetune.quiet import quiet_libraries
from finetune.recipe import Recipe, load_recipe
from finetune.run_directory import RunDirectory, read_json

DECISIONS = "decisions.json"


@dataclass(frozen=True)
class Predictor:
    """A trained model with all that predicting needs.

    Attributes:
        recipe: The resolved recipe of its run.
        module: The model, in eval mode.
        encoder: Task and tokenizer.
        compute: Device and number format: those that the scores were made with.
        decisions: What the task calibrated.
    """

    recipe: Recipe
    module: nn.Module
    encoder: Encoder
    compute: Compute
    decisions: dict[str, Any]

    def __call__(self, rows: Sequence[dict[str, Any] | str | list[str] | tuple[str, ...]]) -> list[dict[str, Any]]:
        """One prediction a row.

        Args:
            rows: Dictionaries of the input columns; a plain text, a list of words or a tuple of texts where those are
                meant.

        Raises:
            DataError: An input column is missing.
        """
        names = [column.name for column in self.recipe.task.inputs()]
        if not rows:
            return []
        records = [_record(row, names, number) for number, row in enumerate(rows, start=1)]
        with quiet_libraries():
            done = evaluate(
                self.module,
                self.encoder,
                as_rows(records, "predict"),
                self.compute,
                self.recipe.training.batch_tokens,
                labelled=False,
                decisions=self.decisions,
                keep=False,
            )
        return done.predictions

    def writing(self, *assignments: str, seed: int | None = None) -> Predictor:
        """The same model with other settings of how it writes.

        Args:
            assignments: Fields of its task's `generation`, as `temperature=0.8`.
            seed: Tokens are drawn from it and the row's place; None: the run's.

        Raises:
            RecipeError: The model writes no texts, or a setting is not valid.
        """
        task: Any = self.recipe.task
        if not hasattr(task, "generation"):
            raise RecipeError(f"this model writes no texts: its task is {task.kind()}.")
        task = task.override(*(f"generation.{assignment}" for assignment in assignments))
        task = task.aligned(
            self.module.config, self.recipe.tuning.virtual_tokens()
        )  # which refuses what the model cannot write
        encoder = replace(self.encoder, task=task, seed=self.encoder.seed if seed is None else seed)
        return replace(self, recipe=self.recipe.model_copy(update={"task": task}), encoder=encoder)


def _record(row: dict[str, Any] | str | list[str] | tuple[Any, ...], names: list[str], number: int) -> dict[str, Any]:
    if isinstance(row, str) or (isinstance(row, list) and len(names) == 1):  # a list: the words of a text
        row = (row,)
    if not isinstance(row, dict):
        if len(row) != len(names):
            raise DataError(
                f"row {number} has {len(row)} texts, but this model reads {len(names)}: {', '.join(names)}."
            )
        row = dict(zip(names, row, strict=True))
    values = {name: nested.value(row, name) for name in names}
    for name, value in values.items():
        if value is None:
            raise DataError(f"row {number} has no {name!r}. {nearest(name, nested.names(row))}")
    return values


def load(directory: str | Path) -> Predictor:
    """Load the model of a finished run.

    Raises:
        RunError: The directory holds no finished run.
        ModelError: The checkpoint that an adapter belongs to is gone.
    """
    run = RunDirectory(Path(directory))
    recipe = load_recipe(str(directory))
    if not (run.model / "config.json").exists():
        raise RunError(
            f"{directory} has no trained model yet, its training is unfinished; go on with: finetune run {directory}"
        )
    with quiet_libraries():
        module, encoder = load_artefact(recipe, run.model)
    here = compute(recipe.training.precision)
    decisions = read_json(run.model / DECISIONS) if (run.model / DECISIONS).exists() else {}
    return Predictor(recipe, module.to(here.device).eval(), encoder, here, decisions.get("decisions", {}))


def load_artefact(recipe: Recipe, folder: Path) -> tuple[nn.Module, Encoder]:
    """The saved model through its public loader, weights in fp32, and the saved tokenizer."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    tokenizer, digest = tokenizer_of(str(folder), local=True)
    set_padding(tokenizer, config)
    limit = token_limit(recipe.task, recipe.tuning, config)
    module = recipe.tuning.load(folder, auto_class(recipe.task.head(config)))
    return module, Encoder(recipe.task, tokenizer, digest, limit, recipe.training.seed)
