"""The end of a run: score the best checkpoint, save it, report, and have a fresh process confirm what was saved."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from finetune import artefact, evaluation
from finetune.certificate import certify, record
from finetune.compute import Compute
from finetune.costs.figures import costs
from finetune.data.base import SPLITS
from finetune.driver import Driver
from finetune.environment import environment
from finetune.ledger import ledgers, losses
from finetune.model import Built
from finetune.preparation import Prepared
from finetune.run_directory import (
    FORMAT,
    RunDirectory,
    own_code,
    read_json,
    size_of,
    write_json,
    write_lines,
)
from finetune.training import checkpoint
from finetune.training.loop import Trainee

log = logging.getLogger(__name__)


def finish(
    prepared: Prepared,
    trainee: Trainee,
    built: Built,
    driver: Driver,
    certified: bool,
    interrupted: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Score, save and certify; returns the report.

    Args:
        prepared: The run.
        trainee: The model as training left it.
        built: Its numbers of parameters.
        driver: Knows the best step.
        certified: Whether a fresh process examines the saved model.
        interrupted: Asked between batches, and before each part.

    Raises:
        KeyboardInterrupt: `interrupted` said so; the next run of the directory does this again.
    """
    directory, here, recipe = driver.directory, driver.compute, prepared.recipe
    task, rows = recipe.task, prepared.splits["validation"]
    best = driver.position.best_step if recipe.training.select == "best" else driver.position.step
    if best is not None and best != driver.position.step:
        checkpoint.restore_parameters(checkpoint.at(directory.checkpoints, best), trainee)
    began = time.perf_counter()
    asked = interrupted if here.processes == 1 else lambda: False
    if driver.latest is not None and driver.latest[0] == best:
        done = driver.latest[1]  # the very parameters that were scored last
    else:
        driver.watcher.note("Scoring the validation split")
        done = evaluation.evaluate(
            trainee.module, prepared.encoder, rows, here, recipe.training.batch_tokens, interrupted=asked
        )
    decisions = task.calibrate(done.raw, rows)
    predictions = task.decide(done.raw, decisions)
    predicted = {"validation": predictions, **_further(prepared, trainee, here, decisions, asked)}
    if not here.first:
        here.wait()
        return directory.read_report()
    train = prepared.splits["train"]
    scored = {name: evaluation.score(task, train, prepared.splits[name], found) for name, found in predicted.items()}
    for doubt in (doubt for found in scored.values() for doubt in found.doubts):
        log.warning("%s", doubt)
    stretches = driver.stretches()
    training = round(sum(stretch["seconds"] for stretch in stretches), 2)
    seconds = {"scoring": round(time.perf_counter() - began, 2), "training": training}
    for name, found in predicted.items():
        lines = evaluation.prediction_lines(task, prepared.splits[name], found, labelled=True)
        write_lines(directory.predictions(name), lines)
    artefact.save(prepared, trainee, directory, decisions)
    report = {
        "format": FORMAT,
        "status": "uncertified",
        "scores": {name: found.scores for name, found in scored.items()},
        "per_class": {name: found.per_class for name, found in scored.items()},
        "doubts": [doubt for found in scored.values() for doubt in found.doubts],
        "signatures": {name: found.signatures for name, found in scored.items()},
        "baseline": task.baseline_name,
        "note": recipe.tuning.note,
        "loader": recipe.tuning.loader,
        "auto_class": prepared.head.auto,
        "doubled": prepared.head.doubled,
        "recipe": read_json(directory.recipe),
        "best_step": best,
        "scorings": driver.scorings(),
        "steps": driver.position.step,
        "parameters": {"trainable": built.trainable, "total": built.total},
        "rows": _row_counts(prepared),
        "losses": losses(prepared),
        "seconds": seconds,
        "peak_memory_bytes": driver.meter.peak(),
        "costs": costs(directory, trainee, driver.position.step, stretches),
        "bytes_on_disk": {"model": size_of(directory.model), "checkpoints": size_of(directory.checkpoints)},
        "revisions": {
            **recipe.data.revisions(),
            "model": prepared.checkpoint.revision,
            "digest": prepared.checkpoint.digest,
        },
        "processes": here.processes,
        "device": here.device.type if here.device.type == "cpu" else torch.cuda.get_device_name(),
        "environment": environment(),
        "certificate": None,
    }
    write_json(directory.report, report)
    record(directory, trainee.module, prepared.encoder, rows, here, decisions)
    if interrupted():
        raise KeyboardInterrupt
    if certified:
        driver.watcher.note("A fresh process examines the saved model")
        trainee.optimizer.state.clear()  # the fresh process needs room beside this one
        trainee.module.to("cpu")
        if here.device.type == "cuda":
            torch.cuda.empty_cache()
        report = confirm([directory], list(own_code(directory)), interrupted)[0]
    here.wait()
    return report


def _further(
    prepared: Prepared,
    trainee: Trainee,
    here: Compute,
    decisions: dict[str, Any],
    interrupted: Callable[[], bool],
) -> dict[str, list[dict[str, Any]]]:
    """Predictions of the further labelled splits, as MNLI's mismatched one: by name."""
    found = {}
    for name, rows in prepared.splits.items():
        if name not in SPLITS and evaluation.labelled(prepared.recipe.task, rows):
            found[name] = evaluation.evaluate(
                trainee.module,
                prepared.encoder,
                rows,
                here,
                prepared.recipe.training.batch_tokens,
                decisions=decisions,
                interrupted=interrupted,
            ).predictions
    return found


def confirm(
    directories: list[RunDirectory], code: Sequence[str] = (), interrupted: Callable[[], bool] = lambda: False
) -> list[dict[str, Any]]:
    """Have one fresh process examine saved runs; each report gets its certificate and its status.

    Args:
        directories: The runs.
        code: Files with the user's own classes that may be executed.
        interrupted: Asked meanwhile.
    """
    reports = []
    for directory, certificate in zip(directories, certify(directories, code, interrupted), strict=True):
        status = "complete" if certificate["holds"] else "uncertified"
        report = {**directory.read_report(), "status": status, "certificate": certificate}
        write_json(directory.report, report)
        artefact.write_card(directory, report)
        if not certificate["holds"]:
            log.warning("the saved model could not be confirmed: %s", "; ".join(certificate["reasons"]))
        reports.append(report)
    return reports


def _row_counts(prepared: Prepared) -> dict[str, dict[str, int]]:
    """Rows of each split, and what `max_length` costs those that were encoded."""
    costs = ledgers(prepared)
    return {name: {"rows": len(rows), **costs.get(name, {})} for name, rows in prepared.splits.items()}
