"""From the predictions of runs to intervals and verdicts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from finetune.comparison.cells import Cell
from finetune.comparison.terms import LEVEL, Terms
from finetune.data.table import Rows
from finetune.errors import RunError
from finetune.evaluation import scores
from finetune.statistics.paired import compared
from finetune.statistics.seeds import all_pseudo_values, interval
from finetune.statistics.verdicts import judge
from finetune.tasks.base import Task

AGREEMENT = 1e-6
"""Relative difference of a score that is computed anew from predictions; more means that they are others."""


def measured(task: Task, rows: Rows, cell: Cell) -> np.ndarray:
    """What the scores need to know of each row, `(rows, k)`, from the predictions of a run.

    Raises:
        RunError: They are not those that its report was written from.
    """
    path = cell.directory.predictions("validation")
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}. {_again(cell)}") from None
    if [line["id"] for line in lines] != rows.ids:
        raise RunError(f"{path} has not the rows of the validation split in their order. {_again(cell)}")
    statistics = task.measure(lines, rows)
    reported = cell.report or {}
    for name, value in scores(task, statistics).items():
        said = reported["scores"]["validation"][name]["value"]
        if not (math.isclose(value, said, rel_tol=AGREEMENT, abs_tol=AGREEMENT) or math.isnan(value + said)):
            raise RunError(f"{path} gives {name} {value:.6g}, its report says {said:.6g}. {_again(cell)}")
    return statistics


def _again(cell: Cell) -> str:
    return f"Delete {cell.directory.path} to make this run again."


def intervals(task: Task, found: Sequence[np.ndarray]) -> tuple[dict[str, Any], np.ndarray | None]:
    """Each score's mean over seeds with its interval, and the pseudo values of the first one, `(seeds, rows)`.

    Args:
        task: Resolved.
        found: `(rows, k)` statistics of each seed's run; none where none is finished.
    """
    if not found:
        return {}, None
    pseudo = [all_pseudo_values(statistics, task.aggregate) for statistics in found]
    stacked = {name: np.stack([values[name] for values in pseudo]) for name in pseudo[0]}
    return {name: asdict(interval(values, LEVEL)) for name, values in stacked.items()}, stacked[task.metrics()[0].name]


def verdicts(
    terms: Terms,
    task: Task,
    found: Mapping[str, Mapping[int, np.ndarray]],
    pseudo: Mapping[str, np.ndarray | None],
) -> dict[str, dict[str, Any]]:
    """Each method beside the reference; those that lack a seed are left out, as it may be just the bad one.

    Args:
        terms: What is compared.
        task: Resolved.
        found: Method -> seed -> `(rows, k)` statistics.
        pseudo: Method -> `(seeds, rows)` pseudo values of the first score.
    """
    whole = {name: values for name, values in pseudo.items() if values is not None and len(values) == len(terms.seeds)}
    if terms.reference not in whole:
        return {}
    first = task.metrics()[0]
    judged = judge(whole, terms.reference, first.higher_is_better, terms.margin, LEVEL, first.point)
    told: dict[str, dict[str, Any]] = {}
    for name, verdict in judged.items():
        tests = {
            seed: compared(found[name][seed], found[terms.reference][seed], task.aggregate, first.name)
            for seed in terms.seeds
        }
        told[name] = {**asdict(verdict), "per_seed": [{"seed": seed, **asdict(test)} for seed, test in tests.items()]}
    return told
