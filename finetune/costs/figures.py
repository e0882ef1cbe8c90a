"""The costs in a run's report, and those of several runs of one method together."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from finetune.run_directory import RunDirectory
from finetune.training import checkpoint
from finetune.training.loop import Trainee

WEIGHTS = (".safetensors", ".bin")
"""Endings of files that hold weights."""


def costs(directory: RunDirectory, trainee: Trainee, step: int, stretches: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a run cost, besides its parameters and seconds.

    `memory_bytes` is the most that a step took over the loaded model: gradients, activations, the optimizer's state; of
    the first process where there are several. On a CPU the allocator's habits move it by some tens of MB.
    `rows_per_second` counts features, in optimizer steps alone, all but the first of each stretch. Both are None where
    no stretch ended by itself: a killed one leaves no measure, and `measured` says which steps there is one of.

    Args:
        directory: The run's, with its model saved.
        trainee: With the optimizer as the last step left it.
        step: The last one.
        stretches: Lines of timings.jsonl.
    """
    states = trainee.optimizer.state.values()
    tensors = [value for state in states for value in state.values() if hasattr(value, "nbytes")]
    worked = [stretch for stretch in stretches if stretch.get("step_seconds")]
    seconds = sum(stretch["step_seconds"] for stretch in worked)
    return {
        "optimizer_bytes": sum(tensor.nbytes for tensor in tensors),
        "memory_bytes": max((stretch["memory_bytes"] for stretch in worked), default=None),
        "memory_source": worked[-1]["memory_source"] if worked else "",
        "rows_per_second": sum(stretch["features"] for stretch in worked) / seconds if worked else None,
        "measured": [[stretch["from_step"], stretch["to_step"]] for stretch in worked],
        "stored_bytes": sum(path.stat().st_size for path in directory.model.iterdir() if path.suffix in WEIGHTS),
        "trained_bytes": (checkpoint.at(directory.checkpoints, step) / checkpoint.PARAMETERS).stat().st_size,
    }


def costs_of(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the runs of one method, as its seeds.

    Args:
        reports: Of finished runs; one at least.

    Returns:
        `trainable` and `total` parameters, `percent` of them, `optimizer_bytes`, `memory_bytes`, `seconds` of training
        with its scorings, `rows_per_second`, `stored_bytes`, `trained_bytes`. Those that are measured are None where no
        run measured them; seconds count of a run only whose steps were all measured, since a killed stretch is lost.
    """
    trainable = _median(report["parameters"]["trainable"] for report in reports)
    total = _median(report["parameters"]["total"] for report in reports)
    whole = [report for report in reports if _measured(report) == report["steps"]]
    names = ("optimizer_bytes", "memory_bytes", "rows_per_second", "stored_bytes", "trained_bytes")
    measured = {name: _median(report["costs"][name] for report in reports) for name in names}
    return {
        "trainable": trainable,
        "total": total,
        "percent": 100 * trainable / total,
        "seconds": _median(report["seconds"]["training"] for report in whole),
        **measured,
    }


def _measured(report: dict[str, Any]) -> int:
    """Steps of a run that its stretches say something of."""
    return sum(last - first for first, last in report["costs"]["measured"])


def _median(values: Any) -> Any:
    """The middle of the values that are there; a whole number where it can be."""
    found = [value for value in values if value is not None]
    if not found:
        return None
    middle = median(found)
    return int(middle) if all(isinstance(value, int) for value in found) else middle
