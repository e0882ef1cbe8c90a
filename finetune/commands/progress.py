"""What a person sees while a comparison goes on: a line for each run, and how long the rest may take."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from finetune.comparison.cells import Cell
from finetune.comparison.plan import Round
from finetune.comparison.watching import Following
from finetune.display import duration
from finetune.driver import Watcher
from finetune.training.loop import Step


class Bar(Watcher):
    """A run in one line that goes away; nothing where there is no terminal."""

    def __init__(self, console: Console, name: str):
        self.console = console
        self.name = name
        self.progress: Progress | None = None

    def started(self, total: int, done: int, directory: str) -> None:
        """Show the bar."""
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
            self.progress = Progress(*columns, console=self.console, transient=True)
            self.progress.add_task(self.name, total=total, completed=done)
            self.progress.start()

    def stepped(self, step: Step) -> None:
        """Move the bar."""
        if self.progress is not None:
            self.progress.update(self.progress.task_ids[0], completed=step.number)

    def close(self) -> None:
        """Take the bar away."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None


class Lines(Following):
    """Follows a comparison on a console.

    Attributes:
        made: Runs made in this process.
    """

    def __init__(self, console: Console):
        self.console = console
        self.bar: Bar | None = None
        self.made = 0
        self.left = 0
        self.seconds: dict[str, list[float]] = {}

    def planned(self, round: Round, cells: Sequence[Cell], over: int) -> None:
        """What comes next, unless it is all done."""
        self.left = len(cells) - over
        if not self.left:
            return
        stages = {None: "Runs to report", 0: "Search for learning rates"}
        known = f", {over} of {len(cells)} are done" if over else ""
        self._say(f"{stages.get(round, f'Search, round {round} after the grid')}: {self.left} runs{known}")

    def began(self, cell: Cell) -> Watcher:
        """A bar for the run."""
        self.bar = Bar(self.console, cell.name)
        return self.bar

    def ended(self, cell: Cell, score: float | None, seconds: float, problem: str | None) -> None:
        """A line of the run."""
        self.close()
        self.made += 1
        self.left -= 1
        self.seconds.setdefault(cell.method, []).append(seconds)
        result = f"failed: {problem}" if problem is not None or score is None else f"{score:.4f}"
        rest = f", {self.left} left, about {duration(self._rest())}" if self.left else ""
        self._say(f"  {cell.name}: {result}  ({duration(seconds)}{rest})")

    def note(self, text: str) -> None:
        """A line."""
        self._say(text)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _rest(self) -> float:
        """Seconds that the runs left of this round may take: as long as the mean over methods of those made."""
        means = [sum(seconds) / len(seconds) for seconds in self.seconds.values()]
        return self.left * sum(means) / len(means)

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
