"""docs/support.md: what every cell of the matrix turned out to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.matrix.layout import ARCHITECTURES, CELLS, HEADS, METHODS, STEPS, Cell

PAGE = Path(__file__).parents[2] / "docs" / "support.md"
ABSENT = "no such head"


def page(outcomes: Mapping[Cell, dict[str, Any]]) -> str:
    """The page as Markdown.

    Args:
        outcomes: Of every cell: `outcome` (merged, trained, refused, no such head), `reason` and `evidence`.
    """
    numbers = _numbered(outcomes)
    counts = Counter(found["outcome"] for found in outcomes.values())
    parts = [_opening(counts)]
    parts += [_table(head, outcomes, numbers) for head in HEADS]
    parts += [_reasons(numbers, outcomes), _unmergeable(outcomes)]
    return "\n".join(parts)


def refusals() -> dict[Cell, str]:
    """Cells that the page calls refused, and why."""
    found: dict[Cell, str] = {}
    numbered: dict[Cell, str] = {}
    head, architectures = "", []
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [text.strip() for text in line.strip("|").split("|")]
        if line.startswith("## "):
            head = line.removeprefix("## ").lower()
        elif line.startswith("| method |"):
            architectures = cells[1:]
        elif line.startswith("| "):
            outcomes = zip(architectures, cells[1:], strict=True)
            numbered |= {Cell(head, name, cells[0]): text for name, text in outcomes if text.isdigit()}
        elif (number := line.partition(". ")[0]).isdigit():
            reason = line.partition(". ")[2].partition(". Methods: ")[0]
            found |= {cell: reason for cell, text in numbered.items() if text == number}
    return found


def _numbered(outcomes: Mapping[Cell, dict[str, Any]]) -> dict[str, int]:
    """Reason for a refusal -> its number, in the order of the cells."""
    reasons = [outcomes[cell]["reason"] for cell in CELLS if outcomes[cell]["outcome"] == "refused"]
    return {reason: number for number, reason in enumerate(dict.fromkeys(reasons), start=1)}


def _opening(counts: Counter[str]) -> str:
    exist = sum(counts.values()) - counts[ABSENT]
    return f"""# Which method fits which model

Written by `make matrix`; do not edit. {len(METHODS)} methods, {len(HEADS)} heads and {len(ARCHITECTURES)} \
architectures make {sum(counts.values())} cells. In {counts[ABSENT]} the architecture has no such head. Of the other \
{exist}, {counts["merged"]} are trained and merged, {counts["trained"]} trained and not mergeable, and \
{counts["refused"]} refused.

Each is tried with a small random checkpoint and {STEPS} optimizer steps on a CPU:

- **merged** and **trained**: only trained parameters moved, all that the checkpoint did not have moved, everything \
trained had a gradient; what was saved came back from disk bit-equal and with the same logits; no loss and no \
prediction of a row depended on the rows beside it. Merged: the merged model is one of the plain class, and its logits \
differ by at most 1e-4.
- a **number**: refused in words before it is trained, see [Why](#why). A refusal counts only if forcing the pair \
fails; how it failed stands behind the reason.

Small random models say whether a pair works, not how well it learns. Merging writes what was learned into the \
checkpoint's own weights; a method that trains those is merged as it is. In multiple choice a sequence classifier \
scores each choice; in text to text an encoder stands for both halves of an encoder-decoder."""


def _table(head: str, outcomes: Mapping[Cell, dict[str, Any]], numbers: dict[str, int]) -> str:
    def absent(architecture: str) -> bool:
        return outcomes[Cell(head, architecture, METHODS[0])]["outcome"] == ABSENT

    def shown(method: str, architecture: str) -> str:
        found = outcomes[Cell(head, architecture, method)]
        return str(numbers[found["reason"]]) if found["outcome"] == "refused" else found["outcome"]

    there = [architecture for architecture in ARCHITECTURES if not absent(architecture)]
    without = [architecture for architecture in ARCHITECTURES if absent(architecture)]
    rows = [f"| {method} | {' | '.join(shown(method, architecture) for architecture in there)} |" for method in METHODS]
    lines = ["", f"## {head.capitalize()}", "", f"| method | {' | '.join(there)} |", "|---" * (len(there) + 1) + "|"]
    return "\n".join([*lines, *rows, *(["", f"No such head: {', '.join(without)}."] if without else [])])


def _reasons(numbers: dict[str, int], outcomes: Mapping[Cell, dict[str, Any]]) -> str:
    """Each refusal's sentence, its method, and what happened when its cells were forced."""
    lines = ["", "## Why", ""]
    for reason, number in numbers.items():
        cells = [c for c in CELLS if outcomes[c]["outcome"] == "refused" and outcomes[c]["reason"] == reason]
        methods = ", ".join(dict.fromkeys(cell.method for cell in cells))
        evidence = Counter(outcomes[cell]["evidence"] for cell in cells)
        forced = "; ".join(f"{text} ({count})" for text, count in sorted(evidence.items()))
        lines.append(f"{number}. {reason}. Methods: {methods}. Forced: {forced}.")
    return "\n".join(lines)


def _unmergeable(outcomes: Mapping[Cell, dict[str, Any]]) -> str:
    """Why methods cannot be merged."""
    reasons = {cell.method: found["reason"] for cell, found in outcomes.items() if found["outcome"] == "trained"}
    lines = [f"- {method}: {reasons[method]}." for method in METHODS if method in reasons]
    return "\n".join(["", "## Why not merged", "", *lines, ""])
