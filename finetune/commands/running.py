"""From a recipe to a result: run, check, and every recipe of a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.commands.naming import is_run, load_own_code, recipe_of
from finetune.errors import RecipeError
from finetune.recipe import RECIPE_FILE

if TYPE_CHECKING:
    from finetune.executor import Outcome


def run(options: argparse.Namespace) -> int:
    """Run a recipe, or go on with a run."""
    if is_run(options.recipe):
        if options.assignments:
            raise RecipeError(
                f"{options.recipe} is a run; its recipe stays as it is. For a new run with changes: "
                f"finetune run {Path(options.recipe) / RECIPE_FILE} {' '.join(options.assignments)}"
            )
        load_own_code(options.recipe, options.code)
    else:
        recipe = recipe_of(options)  # before torch is loaded: what is wrong with it is said at once
    from rich.console import Console

    from finetune.display import Display, print_classes, result_lines, scores_table
    from finetune.experiment import resume, run

    console = Console()
    display = Display(console)
    try:
        going_on = is_run(options.recipe)
        result = resume(options.recipe, display) if going_on else run(recipe, options.directory, display)
    finally:
        display.close()
    if not result.first:
        return 0
    if display.total == 0:
        console.print("This run is finished; its result:")
    console.print(scores_table(result.scores, result.report["baseline"]))
    print_classes(console, result.report)
    for line in result_lines(result.report, str(result.directory)):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return 0 if result.complete else 1


def check(options: argparse.Namespace) -> int:
    """Show what a run will do."""
    if is_run(options.recipe):
        load_own_code(options.recipe, options.code)
    recipe = recipe_of(options)
    from rich.console import Console

    from finetune.check import check
    from finetune.display import print_check

    print_check(Console(), check(recipe))
    return 0


def suite(options: argparse.Namespace) -> int:
    """Run every recipe of a file."""
    from finetune.suite import Record, open_suite, run_suite, speaks, summarize

    only = [name.strip() for name in options.only.split(",") if name.strip()]
    opened = open_suite(options.recipes, options.assignments, only)
    record = Record.of(opened, options.out)
    from rich.console import Console

    from finetune.display import Display
    from finetune.interruption import Stopped
    from finetune.submission import submit
    from finetune.suite_display import outcome_line, print_submission, print_suite

    console = Console(quiet=not speaks(), soft_wrap=True, highlight=False)
    displays: list[Display] = []
    outcomes: list[Outcome] = []

    def watch(name: str) -> Display:
        console.print(f"\n[bold]{name}[/bold] ({len(displays) + 1} of {len(opened.cells)})")
        displays.append(Display(console))
        return displays[-1]

    try:
        for outcome in run_suite(opened, record, options.directory or options.out / "runs", watch):
            displays[-1].close()
            outcomes.append(outcome)
            console.print(outcome_line(outcome), markup=False)
        print_suite(console, outcomes)
        summary = summarize(opened, record)
        if summary is not None:
            console.print(summary.text)
        submission = submit(opened, record, console.print)
    except KeyboardInterrupt as stop:
        for display in displays:
            display.close()
        said = f"{str(stop) or 'Interrupted.'}\n{len(outcomes)} of {len(opened.cells)} recipes are done"
        number = getattr(stop, "exit_code", 130) - 128
        raise Stopped(f"{said}; the same `finetune suite` command goes on from here.", number) from None
    if submission is not None:
        print_submission(console, submission)
    console.print(f"Record: {record.path}", markup=False)
    return 0 if all(outcome.status == "complete" for outcome in outcomes) else 1
