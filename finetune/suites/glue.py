"""GLUE as a whole: the average of its nine tasks, and the files that gluebenchmark.com takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, ClassVar

from finetune.data.official.glue import LAYOUTS
from finetune.errors import DataError, listing
from finetune.suites.base import File, Scores, Suite, Summary

METRICS: dict[str, tuple[tuple[str, str], ...]] = {
    "cola": (("validation", "matthews"),),
    "sst2": (("validation", "accuracy"),),
    "mrpc": (("validation", "f1"), ("validation", "accuracy")),
    "stsb": (("validation", "pearson"), ("validation", "spearman")),
    "qqp": (("validation", "f1"), ("validation", "accuracy")),
    "mnli": (("validation", "accuracy"), ("validation_mismatched", "accuracy")),
    "qnli": (("validation", "accuracy"),),
    "rte": (("validation", "accuracy"),),
    "wnli": (("validation", "accuracy"),),
}
"""Task -> split and metric of each of its scores; a task counts with their mean (Wang et al. 2018, table 4)."""


class Glue(Suite):
    """GLUE's nine tasks and its diagnostic rows."""

    index: ClassVar[str] = "idx"
    files: ClassVar[tuple[File, ...]] = (
        File("CoLA.tsv", "cola", "test", 1063),
        File("SST-2.tsv", "sst2", "test", 1821),
        File("MRPC.tsv", "mrpc", "test", 1725),
        File("STS-B.tsv", "stsb", "test", 1379),
        File("QQP.tsv", "qqp", "test", 390_965),
        File("MNLI-m.tsv", "mnli", "test", 9796),
        File("MNLI-mm.tsv", "mnli", "test_mismatched", 9847),
        File("QNLI.tsv", "qnli", "test", 5463),
        File("RTE.tsv", "rte", "test", 3000),
        File("WNLI.tsv", "wnli", "test", 146),
        File("AX.tsv", "mnli", "ax", 1104),
    )

    def summary(self, scores: Scores) -> Summary | None:
        """The average as the leaderboard takes it, on validation rows; called GLUE's only if all nine tasks are in."""
        found = {task: _score(scores[task], task) for task in METRICS if task in scores}
        tasks = {task: value for task, value in found.items() if value is not None}
        if not tasks:
            return None
        missing = [task for task in METRICS if task not in tasks]
        average = fmean(tasks.values())
        values = {"average": average, "tasks": tasks, "missing": missing}
        if not missing:
            return Summary(f"GLUE average of the nine tasks, validation rows: {average:.4f}", values)
        text = (
            f"Average of the {len(tasks)} present ({', '.join(tasks)}), validation rows: {average:.4f}. "
            f"Not GLUE's average: without {', '.join(missing)}"
        )
        return Summary(text, values)

    def text(self, file: File, indices: Sequence[int], predicted: Sequence[Any]) -> str:
        """`index` and `prediction`, ordered by index: class names for inference, ids elsewhere, scores from 0 to 5."""
        ordered = sorted(zip(indices, predicted, strict=True), key=lambda pair: pair[0])
        lines = [f"{index}\t{_spelled(value, file)}\n" for index, value in ordered]
        return "index\tprediction\n" + "".join(lines)


def _score(splits: Mapping[str, Mapping[str, Mapping[str, float]]], task: str) -> float | None:
    """The mean of a task's scores; None where one of them is missing."""
    found = [splits.get(split, {}).get(metric, {}).get("value") for split, metric in METRICS[task]]
    known = [value for value in found if value is not None]
    return fmean(known) if len(known) == len(found) else None


BY_ID = ("cola", "sst2", "mrpc", "qqp", "wnli")
"""Tasks whose classes are handed in as numbers."""


def _spelled(value: Any, file: File) -> str:
    names = LAYOUTS[file.recipe].names
    if names is None:
        return f"{min(5.0, max(0.0, float(value))):.3f}"
    if value not in names:
        raise DataError(f"{file.name}: {value!r} is no class of {file.recipe}; it has {listing(names)}.")
    return str(names.index(value)) if file.recipe in BY_ID else str(value)
