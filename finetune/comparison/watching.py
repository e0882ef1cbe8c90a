"""Who follows a comparison is told what it does."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.comparison.cells import Cell
from finetune.comparison.plan import Round
from finetune.driver import Watcher


class Following:
    """Told what a comparison does; this one does nothing with it."""

    def planned(self, round: Round, cells: Sequence[Cell], over: int) -> None:
        """The runs of a round are known; so many of them are over already."""

    def began(self, cell: Cell) -> Watcher:
        """A run begins, or goes on; who follows it."""
        return Watcher()

    def ended(self, cell: Cell, score: float | None, seconds: float, problem: str | None) -> None:
        """A run is over: its first score, or why it has none."""

    def note(self, text: str) -> None:
        """Something else begins."""
