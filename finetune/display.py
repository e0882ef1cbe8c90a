"""What a person sees while a run goes on, and of its result: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from finetune.check import Checked
from finetune.driver import Watcher
from finetune.training.loop import Step

MOST_CLASSES = 30
"""Classes of a table that a person still reads; all of them are in the report."""
PLAIN_SECONDS = 10.0
"""Seconds between two plain lines."""


class Display(Watcher):
    """Follows a run on a console."""

    def __init__(self, console: Console):
        self.console = console
        self.progress: Progress | None = None
        self.bar: TaskID | None = None
        self.total = 0
        self.said = 0.0
        self.last_score = ""
        self.last = 0.0
        self.busy = 0.0
        self.rows = 0
        self.tokens = 0

    def started(self, total: int, done: int, directory: str) -> None:
        """Show the bar, or say where the run lies."""
        self.console.print(f"Run directory: [bold]{escape(directory)}[/bold]", soft_wrap=True)
        if done:
            self.console.print(f"Going on after step {done} of {total}")
        self.total, self.last, self.said = total, time.monotonic(), time.monotonic()
        if self.console.is_terminal:
            text = TextColumn("{task.description}")
            count = TextColumn("{task.completed}/{task.total}")
            columns = (text, BarColumn(), count, TimeRemainingColumn())
            self.progress = Progress(*columns, console=self.console, transient=True)
            self.bar = self.progress.add_task("starting", total=total, completed=done)
            self.progress.start()

    def stepped(self, step: Step) -> None:
        """Move the bar; without one, a line every few seconds."""
        self.rows += step.features
        self.tokens += step.tokens
        now = time.monotonic()
        self.busy, self.last = self.busy + now - self.last, now  # steps only, without scoring and saving
        elapsed = max(1e-9, self.busy)
        speed = f"{self.rows / elapsed:,.0f} rows/s  {self.tokens / elapsed:,.0f} tokens/s"
        line = f"epoch {step.epoch:.2f}  loss {step.loss:.4f}  {speed}{self.last_score}"
        if self.progress is not None and self.bar is not None:
            self.progress.update(self.bar, completed=step.number, description=line)
        elif time.monotonic() - self.said >= PLAIN_SECONDS or step.number == self.total:
            self.said = time.monotonic()
            left = elapsed / max(1, self.rows) * step.features * (self.total - step.number)
            self.console.print(
                f"step {step.number}/{self.total}  {line}  {duration(left)} left", highlight=False, soft_wrap=True
            )
        if step.number == self.total or step.stop:
            self.close()

    def scored(self, step: int, scores: dict[str, float], best: bool) -> None:
        """A line for each scoring."""
        text = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        name, value = next(iter(scores.items()))
        self.last_score = f"  {name} {value:.4f}"
        self.last = time.monotonic()
        best_mark = "  (best so far)" if best else ""
        self.console.print(f"step {step}: validation {text}{best_mark}", highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """A line when something else begins."""
        self.close()
        self.console.print(text)

    def close(self) -> None:
        """Take the bar away."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = self.bar = None


def duration(seconds: float) -> str:
    """`4 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(bytes_: float) -> str:
    """`87 MB`, `1.6 GB`."""
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ >= 1e9 else f"{bytes_ / 1e6:.0f} MB"


def scores_table(scores: dict[str, dict[str, dict[str, float]]], baseline: str) -> Table:
    """Every score with its interval and the trivial baseline."""
    table = Table("split", "score", "value", "95 % interval", baseline)
    for split, metrics in scores.items():
        for name, score in metrics.items():
            interval = f"{score['low']:z.4f} to {score['high']:z.4f}"
            table.add_row(split, name, f"{score['value']:z.4f}", interval, f"{score['baseline']:z.4f}")
    return table


def print_classes(console: Console, report: dict[str, Any], split: str = "validation") -> None:
    """Precision, recall, F1 and support of every class of a split, where they are not too many."""
    classes = report.get("per_class", {}).get(split, {})
    if not 2 <= len(classes) <= MOST_CLASSES:
        return
    table = Table(f"{split}, by class", "precision", "recall", "f1", "support")
    for name, score in classes.items():
        values = (f"{score[key]:.4f}" for key in ("precision", "recall", "f1"))
        table.add_row(escape(name), *values, f"{score['support']:,.0f}")
    console.print(table)


def result_lines(report: dict[str, Any], directory: str) -> list[str]:
    """What a person wants to know of a finished run, besides the scores."""
    parameters, certificate = report["parameters"], report["certificate"]
    share = 100 * parameters["trainable"] / parameters["total"]
    lines = [
        f"{parameters['trainable']:,} of {parameters['total']:,} parameters trained ({share:.2f} %), "
        f"{report['steps']} steps in {duration(report['seconds']['training'])}, "
        f"peak memory {size(report['peak_memory_bytes'])}",
    ]
    if report["scorings"] > 1:
        chosen = f"the checkpoint was chosen on these rows (step {report['best_step']}, best of {report['scorings']})"
        lines.append(f"This score is somewhat optimistic: {chosen}; a test split gives an unbiased one")
    if any("heldout_f1" in scores for scores in report["scores"].values()):
        lines.append(
            'f1 and exact give "no answer" where its score is the highest; predictions use the threshold that half of '
            "the validation rows fitted (null_threshold in each line), heldout_* are its scores on the other rows"
        )
    lines += [f"{name}: {text}" for name, text in next(iter(report.get("signatures", {}).values()), {}).items()]
    lines += [f"LOOK AT THIS: {doubt}" for doubt in report.get("doubts", [])]
    lines += [f"Cut, {text}" for text in report.get("losses", [])]
    if certificate and certificate["holds"]:
        difference = f"largest difference of a logit {certificate['largest_difference']:.1e}"
        lines.append(
            f"Certificate: a fresh process loaded the saved model with {certificate['loader']} and found the same "
            f"predictions for {certificate['rows']} rows ({difference})"
        )
    elif certificate:
        lines.append(f"NO CERTIFICATE: {'; '.join(certificate['reasons'])}")
    lines.append(f"Model: {directory}/model    Report: {directory}/report.json")
    return lines


def print_check(console: Console, checked: Checked) -> None:
    """Show what a run will do."""
    rows = ", ".join(f"{name} {count:,}" for name, count in checked.rows.items())
    console.print(f"Rows: {rows}", highlight=False)
    console.print("\nAs the model sees it:")
    for example in checked.examples:
        text = example.text if len(example.text) <= 300 else example.text[:297] + "..."
        console.print(
            f"  {escape(example.row)} ({example.tokens} tokens) -> [bold]{escape(example.gold)}[/bold]", highlight=False
        )
        console.print(f"    {escape(text)}", highlight=False, soft_wrap=True)
    if checked.empty:
        console.print(f"\n{checked.empty:,} training rows have no text at all", highlight=False)
    if checked.targets:
        console.print("\nTargets of the training rows:")
        _bars(console, list(checked.targets.items())[:20])
        if len(checked.targets) > 20:
            console.print(f"  ... and {len(checked.targets) - 20} more")
    several = sum(count for *_, count in checked.lengths) > checked.rows["train"]
    what = "windows of the training rows" if several else "training rows"
    console.print(f"\nTokens of the {what} (limit {checked.limit}):", highlight=False)
    _bars(console, [(f"{low} to {high}", count) for low, high, count in checked.lengths])
    for text in checked.losses:
        console.print(f"Cut, {text}", highlight=False, soft_wrap=True)
    share = 100 * checked.trainable / checked.total
    console.print(
        f"\n{checked.trainable:,} of {checked.total:,} parameters trained ({share:.2f} %); "
        f"one step works, its loss is {checked.loss:.4f}\n"
        f"{checked.steps:,} steps on {checked.device} in {checked.precision}: training and scoring about "
        f"{duration(checked.seconds)}, besides start and certificate; peak memory about {size(checked.memory)}\n"
        f"Will lie in: {escape(checked.directory)}",
        highlight=False,
        soft_wrap=True,
    )


def _bars(console: Console, counts: list[tuple[str, int]]) -> None:
    widest, most = max(len(name) for name, _ in counts), max(count for _, count in counts)
    for name, count in counts:
        bar = "█" * round(30 * count / max(1, most))
        console.print(f"  {escape(name):>{widest}}  {bar} {count:,}", highlight=False)
