"""Which runs a comparison has, which of them are over, and what they found: all of it read from their directories."""

from __future__ import annotations

from collections.abc import Iterator

from finetune.comparison.cells import Cell, final_cell, search_cell
from finetune.comparison.methods import Method
from finetune.comparison.record import Record
from finetune.comparison.search import another, at_edge, chosen, grid
from finetune.comparison.terms import Terms
from finetune.errors import FinetuneError, RecipeError

Round = int | None
"""0: the grid; above: so many rounds after it; None: the runs whose scores are reported."""


class Plan:
    """The runs, as far as they are known: what a round of the search has depends on what the one before it found.

    Attributes:
        terms: What is compared.
        record: Knows the runs that diverged.
        device: Where the runs compute.
        searches: Name of a method -> the runs of each round of its search so far.
        finals: The runs whose scores are reported, once the rates are chosen.
        problems: Name of a run -> why it has no result, of those that failed in this process.
    """

    def __init__(self, terms: Terms, record: Record, device: str):
        self.terms = terms
        self.record = record
        self.device = device
        self.searches: dict[str, list[list[Cell]]] = {method.name: [] for method in terms.methods}
        self.finals: list[Cell] = []
        self.problems: dict[str, str] = {}
        self._refuse()

    def _refuse(self) -> None:
        """Say of every method at once why it does not fit."""
        problems = []
        for method in self.terms.methods:
            try:
                final_cell(self.terms, method, method.tuning.learning_rate, self.terms.seeds[0], self.device)
            except FinetuneError as error:
                problems += [f"--tuning {method.name}: {problem}" for problem in error.problems]
        if problems:
            raise RecipeError(*problems)

    def stages(self) -> Iterator[tuple[Round, list[Cell]]]:
        """The runs of one round after the other; those of the next are known once those of the last are over.

        All methods get one run more as long as the best rate of any lies at the edge of those tried, so that what was
        spent on their searches stays equal.
        """
        rounds = 1 + self.terms.extensions if self.terms.learning_rates > 1 else 0
        for number in range(rounds):
            added = self._round(number)
            if not added:
                break
            yield number, added
        self.finals = self._finals()
        yield None, self.finals

    def _round(self, number: int) -> list[Cell]:
        going_on = [method for method in self.terms.methods if self.failed(method.name) is None]
        if number and not any(self.at_edge(method.name) for method in going_on):
            return []
        for method in going_on:
            middle, count = method.tuning.learning_rate, self.terms.learning_rates
            rates = (another(self.scores(method.name)),) if number else grid(middle, count)
            cells = [search_cell(self.terms, method, rate, self.device) for rate in rates]
            self.searches[method.name].append(cells)
        return [cell for method in going_on for cell in self.searches[method.name][number]]

    def _finals(self) -> list[Cell]:
        """Seed by seed: what is done when this is interrupted has all methods."""
        rates = [(method, self.rate(method)) for method in self.terms.methods]
        return [
            final_cell(self.terms, method, rate, seed, self.device)
            for seed in self.terms.seeds
            for method, rate in rates
            if rate is not None
        ]

    def over(self, cell: Cell) -> bool:
        """Whether a run has a result, or has none that another try would give."""
        return cell.finished or self.problem(cell) is not None

    def problem(self, cell: Cell) -> str | None:
        """Why a run has no result."""
        return self.record.diverged(cell) or self.problems.get(cell.digest)

    def score(self, cell: Cell) -> float | None:
        """The first score of a run on the rows that it was scored on; None where it has none."""
        report = cell.report
        name = self.terms.recipe.task.metrics()[0].name
        return float(report["scores"]["validation"][name]["value"]) if report is not None else None

    def scores(self, method: str) -> dict[float, float | None]:
        """Rate -> how good it was, more is better; None where the training diverged."""
        sign = 1 if self.terms.recipe.task.metrics()[0].higher_is_better else -1
        found = {cell.learning_rate: self.score(cell) for round in self.searches[method] for cell in round}
        return {rate: None if value is None else sign * value for rate, value in found.items()}

    def failed(self, method: str) -> str | None:
        """Why the search of a method could not be finished."""
        cells = [cell for round in self.searches[method] for cell in round]
        return next((self.problems[cell.digest] for cell in cells if cell.digest in self.problems), None)

    def at_edge(self, method: str) -> bool:
        """Whether a rate beyond those tried may be better."""
        return bool(self.searches[method]) and at_edge(self.scores(method))

    def rate(self, method: Method) -> float | None:
        """The rate that was chosen; None where each one diverged, or the search could not be finished."""
        if self.terms.learning_rates == 1:
            return method.tuning.learning_rate
        return chosen(self.scores(method.name)) if self.failed(method.name) is None else None
