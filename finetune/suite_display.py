"""What a person sees of a suite: a line for each recipe, one table, what can be handed in."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from finetune.errors import listing
from finetune.executor import Outcome
from finetune.submission import Submission


def outcome_line(outcome: Outcome) -> str:
    """One recipe in one line."""
    if outcome.result is None:
        return f"{outcome.name}: failed: {listing(outcome.problems, 1)}"
    scores = next(iter(outcome.result.scores.values()))
    text = "  ".join(f"{name} {score['value']:.4f}" for name, score in scores.items())
    return f"{outcome.name}: {outcome.status}{', finished before' if outcome.reused else ''}: {text}"


def print_suite(console: Console, outcomes: Sequence[Outcome]) -> None:
    """All scores, and why runs failed."""
    splits = {split for outcome in outcomes if outcome.result for split in outcome.result.scores}
    several = len(splits) > 1
    table = Table("recipe", *(["split"] if several else []), "score", "value", "95 % interval", "baseline", "status")
    for outcome in outcomes:
        if outcome.result is None:
            table.add_row(outcome.name, *[""] * (len(table.columns) - 2), outcome.status)
            continue
        for split, metrics in outcome.result.scores.items():
            for name, score in metrics.items():
                interval = f"{score['low']:.4f} to {score['high']:.4f}"
                numbers = (f"{score['value']:.4f}", interval, f"{score['baseline']:.4f}")
                table.add_row(outcome.name, *([split] if several else []), name, *numbers, outcome.status)
    console.print()
    console.print(table)
    for outcome in outcomes:
        for problem in outcome.problems:
            console.print(f"{outcome.name} failed: {problem}", markup=False)
    complete = sum(outcome.status == "complete" for outcome in outcomes)
    before = sum(outcome.reused for outcome in outcomes)
    known = f" ({before} of them finished before, nothing was done again)" if before else ""
    console.print(f"{complete} of {len(outcomes)} recipes are complete{known}")


def print_submission(console: Console, submission: Submission) -> None:
    """What can be handed in, and what is missing or unusual."""
    names: dict[str, list[str]] = {}
    for name, reason in submission.missing.items():
        names.setdefault(reason, []).append(name)
    reasons = "; ".join(f"{', '.join(group)} ({reason})" for reason, group in names.items())
    if submission.path is None:
        console.print(f"No submission: {reasons}", markup=False)
        return
    state = f"INCOMPLETE, without {reasons}" if reasons else "complete"
    console.print(f"Submission: {submission.path}, {state}", markup=False)
    for text in submission.remarks:
        console.print(f"  {text}", markup=False)
