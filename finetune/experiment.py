"""One run, from a recipe to a believed result: prepare, train, score, save, certify."""

from __future__ import annotations

import logging
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import evaluation
from finetune.compute import Compute, compute
from finetune.driver import Driver, Watcher
from finetune.errors import DataError, RunError, listing, nearest
from finetune.finishing import finish
from finetune.interruption import Interruption, Stopped
from finetune.ledger import ledger
from finetune.predict import load
from finetune.preparation import Prepared, differences, prepare
from finetune.quiet import quiet_libraries
from finetune.recipe import Recipe, load_recipe
from finetune.run_directory import (
    FORMAT,
    RunDirectory,
    read_json,
    write_json,
    write_lines,
)
from finetune.training import optim
from finetune.training.loop import Trainee
from finetune.training.meter import Meter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        directory: Where everything lies.
        report: Content of report.json.
        first: Whether this process is the one that speaks for all processes of the run.
    """

    directory: Path
    report: dict[str, Any]
    first: bool = True

    @property
    def scores(self) -> dict[str, dict[str, dict[str, float]]]:
        """Split -> metric -> value, low, high (95 % interval) and baseline."""
        found: dict[str, dict[str, dict[str, float]]] = self.report["scores"]
        return found

    @property
    def complete(self) -> bool:
        """Whether a fresh process confirmed the saved model."""
        return bool(self.report["status"] == "complete")

    def predict(self, rows: Any) -> list[dict[str, Any]]:
        """Predictions of the saved model: see `finetune.predict.Predictor`."""
        return load(self.directory)(rows)


def run(
    recipe: Recipe, directory: str | Path = "runs", watcher: Watcher | None = None, certified: bool = True
) -> Result:
    """Run a recipe, or go on where an earlier run of the same recipe stopped; a finished one is only read.

    Args:
        recipe: What to run.
        directory: Folder of all runs; this one lies in `NAME/METHOD-DIGEST` below.
        watcher: Told of every step and scoring.
        certified: Whether a fresh process examines the saved model; without, the status stays `uncertified`.

    Raises:
        FinetuneError: The recipe, the data, the checkpoint or the directory does not fit.
        Stopped: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    with quiet_libraries():
        here = _join(recipe)
        prepared = prepare(recipe, here.device.type)
        where = RunDirectory(Path(directory) / prepared.directory_name)
        return _run(prepared, where, here, watcher or Watcher(), certified)


def resume(path: str | Path, watcher: Watcher | None = None, certified: bool = True) -> Result:
    """Go on with the run of a directory; a finished one is only read.

    Raises:
        RunError: What the run depends on has changed since; the message says what.
    """
    directory = RunDirectory(Path(path))
    recipe = load_recipe(str(path))
    if directory.status == "complete":
        speaks = os.environ.get("RANK", "0") == "0"
        return Result(directory.path, directory.read_report(), speaks)
    with quiet_libraries():
        here = _join(recipe)
        prepared = prepare(recipe, here.device.type)
        return _run(prepared, directory, here, watcher or Watcher(), certified)


def _join(recipe: Recipe) -> Compute:
    if os.environ.get("FINETUNE_CERTIFYING"):
        raise RunError(
            "a file with classes of your own starts a run when it is imported; guard it: if __name__ == '__main__'."
        )
    return compute(recipe.training.precision, recipe.training.deterministic)


def _run(prepared: Prepared, directory: RunDirectory, here: Compute, watcher: Watcher, certified: bool) -> Result:
    status = directory.status
    if directory.identity.exists():
        changed = differences(read_json(directory.identity), prepared.identity)
        if changed:
            raise RunError(
                f"{directory.path} cannot go on, because what it depends on has changed: {listing(changed)}. "
                f"For a new run on what is there now: finetune run {directory.recipe}"
            )
    here.wait()  # everyone has read the status before anyone changes it
    if status == "complete" or (
        status == "uncertified" and not certified and directory.read_report()["certificate"] is None
    ):
        return Result(directory.path, directory.read_report(), here.first)
    if not here.first:
        return _train(prepared, directory, here, Watcher(), certified)
    with directory.locked():
        if status == "new":
            _open(prepared, directory)
        return _train(prepared, directory, here, watcher, certified)


def _open(prepared: Prepared, directory: RunDirectory) -> None:
    """Write what a resumed run needs, before anything is computed."""
    recipe = prepared.recipe.model_copy(update={"data": prepared.recipe.data.stored(directory.data)})
    write_json(directory.recipe, recipe.anchored(Path.cwd()).to_json())
    write_json(directory.identity, prepared.identity)
    write_json(directory.report, {"format": FORMAT, "status": "running"})


def _train(prepared: Prepared, directory: RunDirectory, here: Compute, watcher: Watcher, certified: bool) -> Result:
    recipe, training = prepared.recipe, prepared.recipe.training
    built = prepared.build()
    module = built.module.to(here.device)
    meter = Meter(module, here)
    optimizer = optim.optimizer(module, recipe.tuning, training)
    wrapped = here.accelerator.prepare(module) if here.processes > 1 else module
    trainee = Trainee(module, wrapped, optimizer, recipe.tuning)
    started = time.perf_counter()
    with Interruption() as interruption:
        driver = Driver(prepared, trainee, directory, here, watcher, interruption, meter)
        watcher.started(prepared.steps, driver.position.step, str(directory.path))
        try:
            finished = driver.drive()
        finally:
            driver.note_time(time.perf_counter() - started)
        if finished:
            try:
                report = finish(prepared, trainee, built, driver, certified, interruption)
                return Result(directory.path, report, here.first)
            except KeyboardInterrupt:
                interruption.signal = interruption.signal or signal.SIGINT
        if here.first:
            write_json(directory.report, {"format": FORMAT, "status": "stopped"})
        raise Stopped(
            f"Stopped after step {driver.position.step} of {prepared.steps}; everything is saved. "
            f"Go on with: finetune run {directory.path}",
            interruption.signal or signal.SIGINT,
        )


def evaluate(path: str | Path, split: str) -> dict[str, Any]:
    """Score the saved model of a run on a split, and add that to its report.

    Args:
        path: The run directory.
        split: `validation`, `test` or a further one of the recipe's.

    Returns:
        Metric -> value, low, high and baseline.

    Raises:
        RunError: The run is not finished.
        DataError: There is no such split, or it has no labels.
    """
    with quiet_libraries():
        return _evaluate(RunDirectory(Path(path)), split)


def _evaluate(directory: RunDirectory, split: str) -> dict[str, Any]:
    predictor = load(directory.path)
    task = predictor.recipe.task
    splits = predictor.recipe.data.load(task.inputs(), task.targets(), task.optional())
    if split not in splits:
        remedy = " Name its file or split with data.test in the recipe." if split == "test" else ""
        raise DataError(f"there is no split {split!r}. {nearest(split, splits)}{remedy}")
    rows = splits[split]
    if not evaluation.labelled(task, rows):
        columns = listing(column.name for column in task.targets())
        raise DataError(
            f"the {split} split has no {columns}, so it cannot be scored; predict it with: "
            f"finetune predict {directory.path} --file FILE --output FILE"
        )
    task.check(rows)
    trained_on = read_json(directory.identity)["data"]
    moved = [name for name in ("train", "validation") if splits[name].digest != trained_on[name]]
    if moved:
        raise RunError(
            f"the rows of {listing(moved)} are not those of this run any more, so {split} rows may be rows it has "
            f"learned from. For a new run on what is there now: finetune run {directory.recipe}"
        )
    with directory.locked():
        done = evaluation.evaluate(
            predictor.module,
            predictor.encoder,
            rows,
            predictor.compute,
            predictor.recipe.training.batch_tokens,
            decisions=predictor.decisions,
        )
        found = evaluation.score(task, splits["train"], rows, done.predictions)
        for doubt in found.doubts:
            log.warning("%s", doubt)
        lines = evaluation.prediction_lines(task, rows, done.predictions, labelled=True)
        write_lines(directory.predictions(split), lines)
        report = directory.read_report()
        features = predictor.encoder.features(rows, "score")
        costs = {"rows": len(rows), **ledger(task, features, predictor.encoder.limit)}
        parts = {"scores": found.scores, "per_class": found.per_class, "signatures": found.signatures, "rows": costs}
        for part, value in parts.items():
            report[part] = {**report.get(part, {}), split: value}
        report["doubts"] = list(dict.fromkeys([*report.get("doubts", []), *found.doubts]))
        write_json(directory.report, report)
    return found.scores
