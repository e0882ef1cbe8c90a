"""Predictions of two runs on the rows that both have, and whether their scores differ by more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from finetune.differences.answers import Answers
from finetune.differences.matching import matched
from finetune.errors import listing
from finetune.statistics.paired import all_compared, right_rows
from finetune.statistics.seeds import all_pseudo_values, interval
from finetune.tasks.base import Task

MOST = 10
"""Examples shown."""


def flips(before: Answers, after: Answers, task: Task) -> dict[str, Any]:
    """Two runs on the rows of a split that both have, with equal inputs and targets.

    Args:
        before: Of the first run.
        after: Of the second.
        task: By which both are scored, that of the first.

    Returns:
        `rows` (what the splits share), `scores` (by name: before, after, difference, its 95 % interval over rows, and
        the test of `finetune.statistics.paired`), `changed` (predictions; None where rows have none), `right_by`,
        `right_to_wrong`, `wrong_to_right` (None where no score says of a row that it is right), `examples`, `problems`.
    """
    found = matched(before.rows, after.rows)
    shared = {name: len(getattr(found, name)) for name in ("same", "relabelled", "removed", "added")}
    result: dict[str, Any] = {"rows": shared, "scores": {}, "changed": None, "right_by": None, "examples": []}
    result |= {"right_to_wrong": None, "wrong_to_right": None, "problems": []}
    if not found.same:
        return result | {"problems": [f"no row of the {before.split} split is in both, so nothing can be compared"]}
    old, new = (np.array(places) for places in zip(*found.same, strict=True))
    pairs = [(before.lines[one], after.lines[other]) for one, other in found.same]
    changes = np.array([one.get("predicted") != other.get("predicted") for one, other in pairs])
    if any("predicted" in one for one, _ in pairs):
        result["changed"] = int(changes.sum())
    first, first_names = before.measured(task)
    second, second_names = after.measured(task)
    for answers, measured in ((before, first), (after, second)):
        if measured is None:
            result["problems"].append(
                f"the scores of {answers.run.directory.path} cannot be found again: its {answers.split} rows are gone, "
                "or scored in another way"
            )
    if first is None or second is None:
        return result | {"examples": _examples(pairs, np.flatnonzero(changes), "changed")}
    names = [name for name in before.run.report["scores"][before.split] if name in first_names & second_names]
    unlike = [name for name in before.run.report["scores"][before.split] if name not in names]
    if unlike:
        result["problems"].append(
            f"not compared, for they cannot be found again from the predictions: {listing(unlike)}"
        )
    one, other = first[old], second[new]
    values = [all_pseudo_values(statistics, task.aggregate) for statistics in (one, other)]
    tests = all_compared(other, one, task.aggregate)
    rights = right_rows(np.vstack([one, other]), task.aggregate)
    for name in names:
        over_rows = interval((values[1][name] - values[0][name])[None])
        ends = {"before": float(values[0][name].mean()), "after": float(values[1][name].mean())}
        result["scores"][name] = {**ends, "low": over_rows.low, "high": over_rows.high, **asdict(tests[name])}
        if result["right_by"] is None and name in rights:
            was, now = np.split(rights[name], 2)
            lost, gained = np.flatnonzero(was & ~now), np.flatnonzero(~was & now)
            result |= {"right_by": name, "right_to_wrong": len(lost), "wrong_to_right": len(gained)}
            most = max(MOST // 2, MOST - len(gained))
            result["examples"] = _examples(pairs, lost[:most], "right to wrong")
            result["examples"] += _examples(pairs, gained[: MOST - len(result["examples"])], "wrong to right")
    if result["right_by"] is None and names:
        moved = np.abs(values[1][names[0]] - values[0][names[0]])
        result["examples"] = _examples(pairs, [i for i in np.argsort(-moved, kind="stable") if moved[i]], "changed")
    return result


def _examples(
    pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], places: Sequence[int] | np.ndarray, kind: str
) -> list[dict[str, Any]]:
    found = []
    for place in places[:MOST]:
        one, other = pairs[int(place)]
        told = {"id": other["id"], "inputs": other["inputs"], "gold": other.get("gold"), "kind": kind}
        found.append({**told, "before": one.get("predicted"), "after": other.get("predicted")})
    return found
