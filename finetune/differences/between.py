"""Two run directories beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finetune.differences.answers import Run
from finetune.differences.flips import flips
from finetune.differences.matching import Row, matched, row
from finetune.errors import FinetuneError
from finetune.preparation import differences
from finetune.quiet import quiet_libraries

MADE_OF = ("model", "code", "results")
"""Parts of a run's identity that its recipe does not show: hashes of the checkpoint, the tokenizer and code."""
MACHINE = ("finetune", "python", "platform", "cores", "versions", "git")
"""Parts of a report's environment that may change a result."""


def differences_between(before: Path, after: Path) -> dict[str, Any]:
    """What differs between two runs: how they were made, their rows, predictions and scores.

    Directories may have been moved and data may be gone: rows of scored splits are known from the predictions, training
    rows only from their source. Where something cannot be told, `problems` and each part's `problem` say why. All of it
    is about these two models; of methods, only a comparison over seeds can tell.

    Args:
        before: Directory of a run.
        after: Directory of another.

    Returns:
        `runs`, `recipe`, `made_of` and `machine` (what differs, in sentences), `train` (rows that differ), `splits`
        (see `finetune.differences.flips`), `problems`.

    Raises:
        FinetuneError: One of them is no run directory, or needs code that was not executed.
    """
    with quiet_libraries():
        return _between(Run.at(before), Run.at(after))


def _between(before: Run, after: Run) -> dict[str, Any]:
    found: dict[str, Any] = {"runs": [str(before.directory.path), str(after.directory.path)], "problems": []}
    found["recipe"] = differences(before.recipe.to_json(), after.recipe.to_json())
    found["made_of"] = differences(_made_of(before), _made_of(after))
    found["machine"] = differences(_machine(before), _machine(after))
    found["train"] = _train(before, after)
    found["splits"] = {}
    kinds = [run.recipe.task.kind() for run in (before, after)]
    if kinds[0] != kinds[1]:
        found["problems"].append(f"their tasks differ, {kinds[0]} and {kinds[1]}: predictions cannot be compared")
        return found
    for run in (before, after):
        if not run.predicted():
            found["problems"].append(f"{run.directory.path} has no predictions: it is {run.directory.status}")
    metrics = [run.recipe.task.metrics()[0].name for run in (before, after)]
    if metrics[0] != metrics[1]:
        found["problems"].append(f"their first scores differ, {metrics[0]} and {metrics[1]}")
    shared = [split for split in before.predicted() if split in after.predicted()]
    for split in shared:
        found["splits"][split] = flips(before.answers(split), after.answers(split), before.recipe.task)
    return found


def _made_of(run: Run) -> dict[str, Any]:
    return {part: run.identity.get(part) for part in MADE_OF}


def _machine(run: Run) -> dict[str, Any]:
    environment = run.report.get("environment", {})
    return {
        **{name: environment.get(name) for name in MACHINE},
        **{name: run.report.get(name) for name in ("device", "processes")},
    }


def _train(before: Run, after: Run) -> dict[str, Any]:
    """`same`: whether the training rows are; else how many were added, removed and relabelled, or the `problem`."""
    digests = [run.identity.get("data", {}).get("train") for run in (before, after)]
    if digests[0] == digests[1]:
        return {"same": True}
    try:
        rows = [_training_rows(run, digest) for run, digest in zip((before, after), digests, strict=True)]
    except FinetuneError as error:
        return {"same": False, "problem": error.problems[0]}
    found = matched(*rows)
    parts = ("relabelled", "removed", "added")
    return {"same": False, "before": len(rows[0]), "after": len(rows[1])} | {n: len(getattr(found, n)) for n in parts}


def _training_rows(run: Run, digest: str | None) -> list[Row]:
    """What each row that a run was trained on is known by.

    Raises:
        FinetuneError: The source is gone, or has other rows now.
    """
    rows = run.splits["train"]
    if rows.digest != digest:
        raise FinetuneError(f"the training rows of {run.directory.path} are not at their source any more")
    task = run.recipe.task
    names = [column.name for column in task.inputs()]
    return [row([record[name] for name in names], task.gold(record)) for record in rows.records()]
