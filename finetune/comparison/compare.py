"""A comparison from beginning to end: rates are searched, runs are made, models examined, scores gathered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from finetune.comparison.cells import Cell
from finetune.comparison.gather import gather
from finetune.comparison.plan import Plan
from finetune.comparison.record import DIVERGED, Record
from finetune.comparison.result import FOLDER, Comparison
from finetune.comparison.terms import settle
from finetune.comparison.watching import Following
from finetune.compute import compute
from finetune.errors import FinetuneError, RunError
from finetune.executor import execute
from finetune.finishing import confirm
from finetune.interruption import Interruption, Stopped
from finetune.quiet import quiet_libraries
from finetune.recipe import Recipe
from finetune.suite import speaks
from finetune.tuning.base import Tuning


def compare(
    recipe: Recipe,
    tuning: Sequence[str | Tuning] = ("full", "lora"),
    seeds: int = 3,
    learning_rates: int = 3,
    out: str | Path = FOLDER,
    directory: str | Path | None = None,
    margin: float | None = None,
    reference: str | None = None,
    extensions: int = 2,
    development: float = 0.1,
    watch: Following | None = None,
    keep_checkpoints: bool = False,
    target: str | None = None,
    changes: Sequence[str] = (),
) -> Comparison:
    """Tune a model by several methods on equal terms, and say which is better, or that nobody can tell.

    Every method gets the same rows, steps, token limit and number of runs. Its learning rate is chosen on a slice of
    the training rows with the first seed; with that rate it is trained on all training rows once for each seed, and the
    model of the last step is scored. What is finished is never done again: the same call goes on after an interruption,
    and one with more seeds or methods adds to what is there.

    Args:
        recipe: What is learned from what; its own tuning settings hold for the method that it names.
        tuning: The methods: `lora`, `lora:r=16,targets=all`, or declarations as `LoRA(r=16)`.
        seeds: Runs of each method, from the recipe's seed on.
        learning_rates: Rates that each method is tried with, around its own and a factor of the square root of 10
            apart; 1: its own, without a search.
        out: Folder of the comparison.
        directory: Folder of all runs; None: `OUT/runs`.
        margin: Difference of the first score that does not matter; None: one point of it.
        reference: The method that the others are held against; None: `full`, or else the first.
        extensions: Most rounds after the grid, each one run more for every method, as long as the best rate of any
            lies at the edge of those tried.
        development: Share of the training rows that the rates are chosen on.
        watch: Told of every run.
        keep_checkpoints: Whether finished runs keep what only going on would need.
        target: What the recipe is called; None: its name.
        changes: Made to it, as `field=value`.

    Raises:
        FinetuneError: What does not fit is said before anything runs; runs that differ in what they depend on are not
            compared.
        Stopped: Ctrl-C or SIGTERM; the same call goes on.
    """
    plan = opened(
        recipe,
        tuning,
        seeds,
        learning_rates,
        out,
        directory,
        margin,
        reference,
        extensions,
        development,
        target,
        changes,
    )
    following = watch or Following()
    carry_out(plan, following, keep_checkpoints)
    found = gather(plan, following.note)
    if speaks() and not found.saved:
        found.save()
    return found


def opened(
    recipe: Recipe,
    tuning: Sequence[str | Tuning],
    seeds: int,
    learning_rates: int,
    out: str | Path,
    directory: str | Path | None,
    margin: float | None,
    reference: str | None,
    extensions: int,
    development: float,
    target: str | None = None,
    changes: Sequence[str] = (),
) -> Plan:
    """Everything that can be known and refused before anything runs; the arguments are those of `compare`."""
    record = Record.of(Path(out), target or recipe.name, changes)
    runs = Path(directory) if directory is not None else None
    terms = settle(recipe, tuning, seeds, learning_rates, Path(out), runs, margin, reference, extensions, development)
    with quiet_libraries():
        plan = Plan(terms, record, compute(recipe.training.precision).device.type)
    if speaks() and not record.path.exists():
        record.save()
    return plan


def waiting(plan: Plan) -> list[Cell]:
    """The runs of the first round that has some which are not over: what can be done now, in any order."""
    with quiet_libraries():
        for _, cells in plan.stages():
            left = [cell for cell in cells if not plan.over(cell)]
            if left:
                return left
    return []


def carry_out(plan: Plan, watch: Following, keep_checkpoints: bool = False) -> None:
    """Make every run that is not over, then have the saved models examined.

    Raises:
        Stopped: Ctrl-C or SIGTERM.
        FinetuneError: Among several processes, what a run fails with.
    """
    for round, cells in plan.stages():
        watch.planned(round, cells, sum(map(plan.over, cells)))
        for cell in cells:
            if not plan.over(cell):
                _run(plan, cell, watch)
            if not keep_checkpoints and cell.searching and plan.over(cell):
                cell.clear()
    _examine(plan, watch)
    for cell in plan.finals:
        if not keep_checkpoints and cell.directory.status == "complete":
            cell.clear()


def _run(plan: Plan, cell: Cell, watch: Following) -> None:
    began = time.perf_counter()
    # a run that was killed after its report, but before it wrote down what to examine, is finished by an examination
    certified = cell.report is not None
    try:
        (outcome,) = execute({cell.name: cell.recipe}, plan.terms.directory, lambda _: watch.began(cell), certified)
    except FinetuneError as error:
        _note(plan, cell, error.problems)
        if plan.record.diverged(cell) is None:
            raise
        raise RunError(*error.problems, "The same command goes on without this run.") from None
    _note(plan, cell, outcome.problems)
    watch.ended(cell, plan.score(cell), time.perf_counter() - began, plan.problem(cell))


def _note(plan: Plan, cell: Cell, problems: Sequence[str]) -> None:
    """Why a run failed: of one that diverged for all time, else for this call."""
    diverged = next((problem for problem in problems if DIVERGED in problem), None)
    if diverged is not None:
        plan.record.note(cell, diverged)
    elif problems:
        plan.problems[cell.digest] = " ".join(problems)


def _examine(plan: Plan, watch: Following) -> None:
    """One fresh process for all models that none has seen."""
    cells = [cell for cell in plan.finals if (report := cell.report) is not None and report["certificate"] is None]
    if not cells or not speaks():
        return
    watch.note(f"A fresh process examines {len(cells)} saved models")
    code = sorted({file for cell in cells for file in cell.code})
    with Interruption() as interruption:
        try:
            confirm([cell.directory for cell in cells], code, interruption)
        except KeyboardInterrupt:
            raise Stopped("Stopped while the saved models were examined.", interruption.signal or 2) from None
