"""From finished runs to comparison.json: scores with intervals, verdicts, costs, curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from finetune import batching
from finetune.comparison.agreement import demand_agreement
from finetune.comparison.cells import Cell
from finetune.comparison.curves import curves, number
from finetune.comparison.measured import UNKNOWN, measure
from finetune.comparison.methods import Method
from finetune.comparison.plan import Plan
from finetune.comparison.result import Comparison
from finetune.comparison.scoring import intervals, measured, verdicts
from finetune.comparison.terms import LEVEL
from finetune.costs import costs_of
from finetune.errors import RunError
from finetune.preparation import Prepared, prepare
from finetune.quiet import quiet_libraries
from finetune.run_directory import FORMAT
from finetune.suite import placed, speaks


def gather(plan: Plan, note: Callable[[str], None] = lambda text: None) -> Comparison:
    """Read every run of a comparison that was carried out, and say what they tell.

    Args:
        plan: With its final runs over.
        note: Told before something takes a while.

    Raises:
        RunError: The runs were not made alike, or none is finished.
    """
    terms = plan.terms
    done = [cell for cell in plan.finals if cell.finished]
    if not done:
        reasons = dict.fromkeys(_why(plan, method) for method in terms.methods)
        raise RunError(f"no run of this comparison has a result: {'; '.join(reasons)}.")
    searched = [cell for rounds in plan.searches.values() for round in rounds for cell in round if cell.finished]
    demand_agreement(done)
    demand_agreement(searched)
    with quiet_libraries():
        prepared = prepare(done[0].recipe, plan.device)
        of = {method.name: [cell for cell in done if cell.method == method.name] for method in terms.methods}
        firsts = {name: cells[0] for name, cells in of.items() if cells}
        extra = measure(terms.out, firsts, note) if speaks() else dict.fromkeys(firsts, UNKNOWN)
    task, rows = prepared.recipe.task, prepared.splits["validation"]
    found = {name: {cell.seed: measured(task, rows, cell) for cell in cells} for name, cells in of.items()}
    scored = {name: intervals(task, list(by_seed.values())) for name, by_seed in found.items()}
    judged = verdicts(terms, task, found, {name: pseudo for name, (_, pseudo) in scored.items()})
    told = {
        name: {
            "scores": scored[name][0],
            "against": judged.get(name),
            "costs": {**costs_of([_report(cell) for cell in cells]), **extra[name]} if cells else {},
        }
        for name, cells in of.items()
    }
    content = {
        **_heading(plan, prepared, _report(done[0]), searched),
        "methods": [{**_method(plan, method), **told[method.name]} for method in terms.methods],
        "environment": _environment(_report(done[0])),
    }
    return Comparison(content, terms.out)


def _report(cell: Cell) -> dict[str, Any]:
    assert cell.report is not None
    return cell.report


def _heading(plan: Plan, prepared: Prepared, report: Mapping[str, Any], searched: list[Cell]) -> dict[str, Any]:
    """What is equal for all methods."""
    terms, recipe = plan.terms, prepared.recipe
    first, training = recipe.task.metrics()[0], recipe.training
    development = _report(searched[0])["rows"]["validation"]["rows"] if searched else 0
    per_epoch = batching.steps_per_epoch(len(prepared.features), training.batch_size)
    baseline = report["scores"]["validation"][first.name]["baseline"]
    return {
        "format": FORMAT,
        "recipe": recipe.name,
        "target": plan.record.content["target"],
        "changes": list(plan.record.content["changes"]),
        "folders": {"out": terms.out.as_posix(), "directory": terms.directory.as_posix()},
        "task": recipe.task.kind(),
        "model": _called(recipe.model.path),
        "metric": {"name": first.name, "higher_is_better": first.higher_is_better, "point": first.point},
        "split": "validation",
        "rows": len(prepared.splits["validation"]),
        "baseline": {"name": report["baseline"], "value": baseline},
        "terms": {
            "seeds": list(terms.seeds),
            "learning_rates": terms.learning_rates,
            "extensions": terms.extensions,
            "development": terms.share,
            "development_rows": development,
            "train_rows": len(prepared.splits["train"]),
            "steps": report["steps"],
            "epochs": round(report["steps"] / per_epoch, 4),
            "batch_size": training.batch_size,
            "max_length": recipe.task.max_length,
            "precision": training.precision,
            "device": report["device"],
            "processes": report["processes"],
            "margin": terms.margin,
            "reference": terms.reference,
            "level": LEVEL,
        },
    }


def _called(model: str) -> str:
    """A checkpoint as others may read it: of a folder on this machine only its own name."""
    return Path(model).name if Path(model).is_absolute() else model


def _method(plan: Plan, method: Method) -> dict[str, Any]:
    """What its runs say of one method, apart from what they say together."""
    rate = plan.rate(method)
    tuning = method.tuning if rate is None else method.tuning.model_copy(update={"learning_rate": rate})
    finals = {cell.seed: cell for cell in plan.finals if cell.method == method.name}
    return {
        "name": method.name,
        "spec": method.spec,
        "tuning": tuning.model_dump(mode="json"),
        "learning_rate": rate,
        "at_edge": rate is not None and plan.at_edge(method.name),
        "search": [
            _trial(plan, cell, number) for number, round in enumerate(plan.searches[method.name]) for cell in round
        ],
        "cells": [_final(plan, method, seed, finals.get(seed)) for seed in plan.terms.seeds],
    }


def _trial(plan: Plan, cell: Cell, round: int) -> dict[str, Any]:
    score = plan.score(cell)
    value = None if score is None else number(score)
    problem = plan.problem(cell) or ("its score is no number" if value is None else None)
    return {
        "learning_rate": cell.learning_rate,
        "score": value,
        "directory": placed(cell.directory.path, plan.terms.out),
        "round": round,
        "problem": problem,
        "curve": curves(cell.directory, plan.terms.recipe.task.metrics()[0].name)[1],
    }


def _final(plan: Plan, method: Method, seed: int, cell: Cell | None) -> dict[str, Any]:
    if cell is None or not cell.finished:
        where = placed(cell.directory.path, plan.terms.out) if cell is not None else ""
        problem = plan.problem(cell) if cell is not None else _why(plan, method)
        empty: dict[str, Any] = {"scores": {}, "losses": [], "curve": []}
        return {"seed": seed, "directory": where, "status": "failed", "problem": problem, **empty}
    report = _report(cell)
    losses, curve = curves(cell.directory, plan.terms.recipe.task.metrics()[0].name)
    certificate = report["certificate"]
    reasons = [] if certificate is None else certificate["reasons"]
    return {
        "seed": seed,
        "directory": placed(cell.directory.path, plan.terms.out),
        "status": report["status"],
        "problem": f"the saved model could not be confirmed: {'; '.join(reasons)}" if reasons else None,
        "scores": {name: number(score["value"]) for name, score in report["scores"]["validation"].items()},
        "losses": losses,
        "curve": curve,
    }


def _why(plan: Plan, method: Method) -> str:
    """Why a method has no result."""
    failed = plan.failed(method.name)
    if failed is None and plan.rate(method) is None:
        failed = "training diverged at every learning rate"
    finals = [cell for cell in plan.finals if cell.method == method.name]
    return failed or next((said for cell in finals if (said := plan.problem(cell)) is not None), "not run yet")


def _environment(report: Mapping[str, Any]) -> dict[str, Any]:
    made = report["environment"]
    return {**{name: made[name] for name in ("finetune", "python", "platform", "cores")}, **made["versions"]}
