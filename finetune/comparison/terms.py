"""What is equal for all methods of a comparison, settled before anything runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.comparison.methods import Method, read_methods
from finetune.comparison.result import RUNS
from finetune.data.base import SPLITS, Data, hold_out
from finetune.errors import RecipeError, unknown
from finetune.evaluation import labelled
from finetune.pretrained import open_checkpoint, positions, token_limit
from finetune.quiet import quiet_libraries
from finetune.recipe import Recipe
from finetune.tuning.base import Tuning
from finetune.tuning.full import Full

if TYPE_CHECKING:
    from finetune.data.table import Rows

LEVEL = 0.95
"""Of every interval."""


@dataclass(frozen=True)
class Terms:
    """One comparison.

    Attributes:
        recipe: With the one token limit, without a choice of the best checkpoint on the reported rows.
        development: Rows that rates are chosen on: the training rows less a slice, and the slice as validation split.
        methods: What is compared.
        seeds: Of the training, for each method alike; rates are searched with the first.
        learning_rates: Rates of each method's grid; 1: each method's own, without a search.
        extensions: Most rounds after the grid, each a run more for every method.
        share: Of the training rows that the slice has.
        margin: The difference of first scores that does not matter.
        reference: Name of the method that the others are held against.
        out: Folder of the comparison.
        directory: Folder of all runs.
    """

    recipe: Recipe
    development: Data
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]
    learning_rates: int
    extensions: int
    share: float
    margin: float
    reference: str
    out: Path
    directory: Path


def settle(
    recipe: Recipe,
    tuning: Sequence[str | Tuning],
    seeds: int,
    learning_rates: int,
    out: Path,
    directory: Path | None = None,
    margin: float | None = None,
    reference: str | None = None,
    extensions: int = 2,
    development: float = 0.1,
) -> Terms:
    """Read the methods and find the terms that all of them can keep.

    Raises:
        FinetuneError: Everything that is wrong, before anything is trained.
    """
    problems = [
        f"--{name} {value}: {needed} is needed."
        for name, value, needed, right in (
            ("seeds", seeds, "at least 1", seeds >= 1),
            ("learning-rates", learning_rates, "at least 1", learning_rates >= 1),
            ("extensions", extensions, "0 or more", extensions >= 0),
            ("development", development, "a share between 0 and 1", 0 < development < 1),
            ("margin", margin, "a number of 0 or more", margin is None or margin >= 0),
        )
        if not right
    ]
    methods: tuple[Method, ...] = ()
    try:
        methods = read_methods(recipe, tuning)
    except RecipeError as error:
        problems += error.problems
    names = [method.name for method in methods]
    if reference is not None and methods and reference not in names:
        problems.append(f"--reference: {unknown('method', reference, names)}")
    if problems:
        raise RecipeError(*problems)
    with quiet_libraries():
        splits = recipe.data.load(recipe.task.inputs(), recipe.task.targets(), recipe.task.optional())
        task = recipe.task.model_copy(update={"max_length": _limit(recipe, methods, splits["train"])})
        aside = _development(recipe, splits, development, out)
    training = recipe.training.model_copy(update={"select": "last", "patience": None})
    usual = "full" if "full" in names else names[0]
    return Terms(
        recipe=recipe.model_copy(update={"task": task, "training": training}),
        development=aside,
        methods=methods,
        seeds=tuple(range(recipe.training.seed, recipe.training.seed + seeds)),
        learning_rates=learning_rates,
        extensions=extensions,
        share=development,
        margin=task.metrics()[0].point if margin is None else margin,
        reference=reference or usual,
        out=out,
        directory=directory or out / RUNS,
    )


def _limit(recipe: Recipe, methods: Sequence[Method], train: Rows) -> int:
    """The token limit that every method can keep, so that all of them read the same."""
    columns = [column.name for column in (*recipe.task.inputs(), *recipe.task.targets())]
    config = open_checkpoint(recipe.model, train, columns).config
    limit, most = token_limit(recipe.task, Full(), config), positions(config)
    if most is None:
        return limit
    hungry = max(methods, key=lambda method: method.tuning.virtual_tokens())
    left = most - hungry.tuning.virtual_tokens()
    if left < 1:
        raise RecipeError(f"--tuning {hungry.name}: this model takes {most} tokens, which leaves none for the text.")
    return min(limit, left)


def _development(recipe: Recipe, splits: dict[str, Rows], share: float, out: Path) -> Data:
    """The training rows less a slice, which stands where the validation split does.

    So the rows that are reported, or kept for a test, decide nothing. A holdout would do the same, but not where it is
    needed already, where only some of the training rows are used, or where a run scores further splits: there the rows
    are written to files, with their ids and hashes.
    """
    data, train = recipe.data, splits["train"]
    further = any(name not in SPLITS and labelled(recipe.task, rows) for name, rows in splits.items())
    if data.holdout is None and data.limit is None and not further and "validation" in data.read():
        return data.model_copy(update={"holdout": share})
    targets = recipe.task.targets()
    labels = train.column(targets[0].name) if targets else [None] * len(train)
    kept, aside = hold_out(labels, share, data.seed)
    if not kept or not aside:
        raise RecipeError(
            f"{train.origin}: {len(train)} training rows are too few to keep some for the learning rates."
        )
    folder = (out / "data").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, rows in (("train", train.select(kept)), ("validation", train.select(aside, "validation"))):
        path = folder / f"{name}-{rows.digest[:12]}.parquet"
        if not path.exists():
            unfinished = path.with_suffix(f".{os.getpid()}.partial")
            rows.table.to_parquet(unfinished)
            unfinished.replace(path)
        paths[name] = str(path)
    return Data.files(**paths, seed=data.seed)
