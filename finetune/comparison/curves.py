"""Learning curves of a run, out of its metrics.jsonl."""

from __future__ import annotations

import json
import math

import numpy as np

from finetune.run_directory import RunDirectory

Curve = list[list[float | None]]
"""`[epoch, value]` pairs; None for what is no number."""
POINTS = 60
"""Points of a curve of losses, each the mean of the steps up to it."""


def curves(run: RunDirectory, metric: str) -> tuple[Curve, Curve]:
    """The training losses by epoch, thinned, and the scores of the validation split.

    Args:
        run: Finished, or as far as it came.
        metric: Of the scores.
    """
    if not run.metrics.exists():
        return [], []
    losses: list[tuple[float, float]] = []
    scores: Curve = []
    epochs = {0: 0.0}
    for line in map(json.loads, run.metrics.read_text("utf-8").splitlines()):
        if "validation" in line:
            scores.append([epochs.get(line["step"], 0.0), number(line["validation"][metric])])
        else:
            epochs[line["step"]] = line["epoch"]
            losses.append((line["epoch"], line["loss"]))
    return _thinned(losses), scores


def number(value: float) -> float | None:
    """None for what is none: JSON knows no other sign of it that every reader takes."""
    return float(value) if math.isfinite(value) else None


def _thinned(losses: list[tuple[float, float]]) -> Curve:
    parts = [part for part in np.array_split(np.array(losses), min(POINTS, len(losses))) if len(part)] if losses else []
    return [[float(part[-1, 0]), number(float(part[:, 1].mean()))] for part in parts]
