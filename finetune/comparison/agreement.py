"""Whether runs were made alike: only then their scores may stand in one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from finetune.comparison.cells import Cell
from finetune.errors import RunError
from finetune.preparation import differences
from finetune.run_directory import read_json

MOST = 5
"""Runs whose differences are said; those of many others are mostly the same."""


def demand_agreement(cells: Sequence[Cell]) -> None:
    """Look that finished runs differ in their tuning and their seed alone.

    Raises:
        RunError: Some differ from the first in what else they depend on, or in what they were made with.
    """
    if not cells:
        return
    first = _circumstances(cells[0])
    problems = []
    for cell in cells[1:]:
        found = differences(first, _circumstances(cell))
        if found:
            problems.append(
                f"{cell.directory.path} ({cell.name}) and {cells[0].directory.path} ({cells[0].name}) were not made "
                f"alike: {'; '.join(found)}. Delete the one that should be made again, then give the same command."
            )
    if problems:
        rest = [f"{len(problems) - MOST} more runs differ."] if len(problems) > MOST else []
        raise RunError(*problems[:MOST], *rest)


def _circumstances(cell: Cell) -> dict[str, Any]:
    """All that must be equal, by the names that a message says."""
    identity, report = read_json(cell.directory.identity), cell.report
    assert report is not None
    training = {name: value for name, value in identity["training"].items() if name != "seed"}
    made = report["environment"]
    return {
        **{name: value for name, value in identity.items() if name != "tuning"},
        "training": training,
        "steps": report["steps"],
        "device": report["device"],
        "processes": report["processes"],
        "finetune": made["finetune"],
        "versions": made["versions"],
    }
