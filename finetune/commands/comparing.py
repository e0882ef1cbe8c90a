"""Several runs beside each other: compare tuning methods, and what two runs differ in."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.commands.naming import is_run, load_own_code, recipe_of
from finetune.errors import RunError

if TYPE_CHECKING:
    from finetune.comparison.plan import Plan

ASSIGNMENT = re.compile(r"[A-Za-z_][\w.]*=")
"""Begins a change of the recipe, which no method's name does."""


def compare(options: argparse.Namespace) -> int:
    """Compare tuning methods on equal terms."""
    options.assignments += [word for word in options.tuning if ASSIGNMENT.match(word)]
    methods = [word for word in options.tuning if not ASSIGNMENT.match(word)]
    recipe = recipe_of(options)
    from rich.console import Console

    from finetune.commands.progress import Lines
    from finetune.comparison.compare import carry_out, opened
    from finetune.comparison.gather import gather
    from finetune.comparison.result import PAGE, RESULT
    from finetune.comparison.table import print_comparison
    from finetune.interruption import Stopped
    from finetune.suite import speaks

    plan = opened(
        recipe,
        methods,
        options.seeds,
        options.learning_rates,
        options.out,
        options.directory,
        options.margin,
        options.reference,
        options.extensions,
        options.development,
        options.recipe,
        options.assignments,
    )
    if options.print_commands:
        _print_commands(plan, options.code)
        return 0
    console = Console(quiet=not speaks(), soft_wrap=True, highlight=False)
    lines = Lines(console)
    try:
        carry_out(plan, lines, options.keep_checkpoints)
        found = gather(plan, lines.note)
    except KeyboardInterrupt as stop:
        said = f"{str(stop) or 'Interrupted.'}\n{lines.made} runs are done"
        number = getattr(stop, "exit_code", 130) - 128
        raise Stopped(f"{said}; the same `finetune compare` command goes on from here.", number) from None
    finally:
        lines.close()
    if not speaks():
        return 0
    if not found.saved:
        found.save()
    elif not lines.made:
        console.print("This comparison was finished before; nothing was done again.")
    print_comparison(Console(), found.content)
    console.print(f"Page: {found.out / PAGE}    Record: {found.out / RESULT}", markup=False)
    return 0 if found.complete else 1


def _print_commands(plan: Plan, code: Sequence[str]) -> None:
    """A command for each run that can be made now."""
    from finetune.comparison.compare import waiting

    own = [word for file in code for word in ("--code", file)]
    for cell in waiting(plan):
        path = cell.write(plan.terms.out / "cells", plan.terms.out / "data")
        print(shlex.join(["finetune", "run", str(path), "--directory", str(plan.terms.directory), *own]))


def diff(options: argparse.Namespace) -> int:
    """Say what two runs differ in, and what that changed."""
    for run in (options.first, options.second):
        if not is_run(run):
            raise RunError(f"{run} is no run directory; give two that `finetune run` has made.")
        load_own_code(run, options.code)
    from finetune.differences import describe, differences_between

    for line in describe(differences_between(Path(options.first), Path(options.second))):
        print(line)
    return 0
