"""Driving the loop: what is logged, scored and saved when, and where a run goes on."""

import json
import logging
import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from finetune.compute import Compute
from finetune.evaluation import Evaluation, evaluate, scores
from finetune.preparation import Prepared
from finetune.run_directory import RunDirectory
from finetune.training import checkpoint
from finetune.training.checkpoint import Position
from finetune.training.loop import Step, Trainee, check_finite, steps
from finetune.training.meter import Meter

log = logging.getLogger(__name__)


class Watcher:
    """Told what a run does; this one does nothing with it."""

    def started(self, total: int, done: int, directory: str) -> None:
        """Training begins, or goes on after `done` steps."""

    def stepped(self, step: Step) -> None:
        """A step was made."""

    def scored(self, step: int, scores: dict[str, float], best: bool) -> None:
        """The validation split was scored."""

    def note(self, text: str) -> None:
        """Something else begins."""


class Driver:
    """Drives the loop of one run.

    Attributes:
        position: Where the run stands; after a checkpoint was found, what it says.
        latest: Step and outcome of the last scoring in this process.
    """

    def __init__(
        self,
        prepared: Prepared,
        trainee: Trainee,
        directory: RunDirectory,
        compute: Compute,
        watcher: Watcher,
        interrupted: Callable[[], bool],
        meter: Meter,
    ):
        self.prepared = prepared
        self.trainee = trainee
        self.directory = directory
        self.compute = compute
        self.watcher = watcher
        self.interrupted = interrupted
        self.meter = meter
        self.training = prepared.recipe.training
        self.position = self._go_on()
        self.begun = self.position.step
        self.latest: tuple[int, Evaluation] | None = None

    def _go_on(self) -> Position:
        """Restore the newest whole checkpoint and forget what was logged after it."""
        found = checkpoint.latest(self.directory.checkpoints)
        position = Position()
        if found is not None:
            position = checkpoint.position(found)
            checkpoint.restore(found, self.trainee)
            if position.processes != self.compute.processes:
                log.warning(
                    "started with %d processes, the run goes on with %d: dropout is drawn differently from here on",
                    position.processes,
                    self.compute.processes,
                )
        self.compute.wait()  # before the first process deletes or cuts anything
        if self.compute.first:
            self.directory.cut_metrics(position.metrics_size)
            checkpoint.drop_after(self.directory.checkpoints, found)
            checkpoint.prune(self.directory.checkpoints, self.training.keep, position.best_step)
        return position

    def drive(self) -> bool:
        """Make all steps that are left; False if the run was asked to stop and has saved where it stands."""
        if not self.position.scored and not self._score():
            return False
        if self._patience_is_over():
            return True
        made = steps(
            self.trainee,
            self.prepared.encoder,
            self.prepared.features,
            self.training,
            self.compute,
            self.position.step,
            self.interrupted,
        )
        for step in self.meter.watch(made):
            self._log(_line(step))
            due = step.number == self.prepared.steps or _due(self.training.evaluate_every, step)
            self.position = replace(self.position, step=step.number, scored=not due)
            self.watcher.stepped(step)
            if step.stop:
                self._save()
                return False
            if due and not self._score():
                return False
            if not due and _due(self.training.save_every, step):
                self._save()
            if self._patience_is_over():
                self.watcher.note(f"No better score in {self.position.waited} scorings: stopping early")
                return True
        return True

    def _log(self, line: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        if self.compute.first:
            with self.directory.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def _score(self) -> bool:
        """Score the validation split and save; False if that was interrupted, with the scoring still due."""
        check_finite(self.trainee.module)
        task = self.prepared.recipe.task
        rows = self.prepared.splits["validation"]
        try:
            done = evaluate(
                self.trainee.module,
                self.prepared.encoder,
                rows,
                self.compute,
                self.training.batch_tokens,
                interrupted=self.interrupted if self.compute.processes == 1 else lambda: False,
            )
        except KeyboardInterrupt:
            self._save()
            return False
        assert done.statistics is not None
        self.latest = (self.position.step, done)
        found = scores(task, done.statistics)
        first = task.metrics()[0]
        value, before = found[first.name], self.position.best_value
        ahead = before is None or math.isnan(before) or (value > before if first.higher_is_better else value < before)
        better = ahead and (before is None or not math.isnan(value))
        self._log({"step": self.position.step, "validation": found})
        best = {"best_step": self.position.step, "best_value": value, "waited": 0}
        changes = best if better else {"waited": self.position.waited + 1}
        self.position = replace(self.position, scored=True, **changes)
        self._save()
        self.watcher.scored(self.position.step, found, better)
        return True

    def _save(self) -> None:
        """Write a checkpoint, then delete those that are no longer needed."""
        if self.compute.first:
            with self.directory.metrics.open("rb") as file:
                os.fsync(file.fileno())  # before a checkpoint counts on its size
                size = os.fstat(file.fileno()).st_size
            self.position = replace(self.position, metrics_size=size, processes=self.compute.processes)
            checkpoint.save(self.directory.checkpoints, self.trainee, self.position)
            checkpoint.prune(self.directory.checkpoints, self.training.keep, self.position.best_step)
        self.compute.wait()

    def _patience_is_over(self) -> bool:
        return self.training.patience is not None and self.position.waited >= self.training.patience

    def note_time(self, seconds: float) -> None:
        """Add a stretch of work to timings.jsonl."""
        if self.compute.first:
            stretch = {"from_step": self.begun, "to_step": self.position.step}
            line = {"seconds": round(seconds, 3), **stretch, **self.meter.line()}
            with self.directory.timings.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def scorings(self) -> int:
        """How often the validation split was scored to choose among checkpoints."""
        return sum('"validation"' in line for line in self.directory.metrics.read_text("utf-8").splitlines())

    def stretches(self) -> list[dict[str, Any]]:
        """What timings.jsonl says of each stretch of work; one that was killed wrote nothing."""
        return [json.loads(line) for line in self.directory.timings.read_text("utf-8").splitlines()]


def _due(every: str | int, step: Step) -> bool:
    return step.ends_epoch if every == "epoch" else step.number % int(every) == 0


def _line(step: Step) -> dict[str, Any]:
    """What metrics.jsonl says of a step: nothing that depends on the clock."""
    names = ("epoch", "loss", "learning_rate", "gradient_norm", "features", "tokens")
    return {"step": step.number, **{name: getattr(step, name) for name in names}}
