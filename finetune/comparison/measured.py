"""What is measured on the saved models of a comparison, once for each: seconds of an answer, and what was forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from finetune.comparison.cells import Cell
from finetune.errors import FinetuneError
from finetune.run_directory import FORMAT, read_json, write_json

MEASURED = "measured.json"
UNKNOWN: dict[str, Any] = {
    "latency_seconds": None,
    "merged_latency_seconds": None,
    "unmergeable": "",
    "forgetting": None,
    "forgetting_reason": "not measured",
}


def measure(out: Path, cells: Mapping[str, Cell], note: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Method -> latency and forgetting of one model of it.

    Seconds can be compared only if one process measured all of them: with a new method among them, all are again.

    Args:
        out: Folder of the comparison, which remembers them.
        cells: Method -> the run whose model is measured.
        note: Told before it begins.
    """
    path = out / MEASURED
    known: dict[str, Any] = read_json(path)["runs"] if path.exists() else {}
    if any(cell.digest not in known for cell in cells.values()):
        note(f"Measuring {len(cells)} models: seconds of an answer, and what was forgotten")
        kept = {
            digest: {name: found[name] for name in ("forgetting", "forgetting_reason")}
            for digest, found in known.items()
        }
        known = {cell.digest: _measured(cell, kept.get(cell.digest)) for cell in cells.values()}
        write_json(path, {"format": FORMAT, "runs": known})
    return {name: known[cell.digest] for name, cell in cells.items()}


def _measured(cell: Cell, before: dict[str, Any] | None) -> dict[str, Any]:
    from finetune.costs import forgetting, latency

    run = cell.directory.path
    return {
        **UNKNOWN,
        **_tried(latency, run, "unmergeable"),
        **(before or _tried(forgetting, run, "forgetting_reason")),
    }


def _tried(measure: Callable[[Path], dict[str, Any]], run: Path, reason: str) -> dict[str, Any]:
    """A figure that cannot be had must not cost the whole comparison."""
    try:
        return measure(run)
    except FinetuneError as error:
        return {reason: f"it could not be measured: {' '.join(error.problems)}"}
