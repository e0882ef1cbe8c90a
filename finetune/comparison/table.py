"""A comparison on a terminal: two tables of at most 80 columns, the answer, the terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from finetune.comparison.columns import DASH, Cell, Column, cost_columns, notes, score_columns
from finetune.comparison.words import answer, cautions, command, terms

STYLES = {"better": "bold green", "no worse": "green", "worse": "red", "worse but within the margin": "yellow"}
"""Colours only repeat what the word says."""
BENEATH = {"memory": ("optimizer", "({})"), "seconds": ("rows/s", "({}/s)"), "ms/row": ("merged", "({})")}
"""Costs under which a related one stands, so that all of them fit into 80 columns: the other, and how it is written."""


def print_comparison(console: Console, content: Mapping[str, Any]) -> None:
    """Print a comparison.

    Args:
        console: Where to. From 80 columns on no number is broken; long names are.
        content: A comparison.json.
    """
    scores, costs = score_columns(content), cost_columns(content)
    console.print()
    console.print(_table([_bare(column) if column.heading == "verdict" else column for column in scores], "Scores"))
    console.print()
    console.print(_table(_narrow(costs), "Costs (medians over the seeds)"))
    console.print()
    console.print(Text(answer(content), style="bold"))
    console.print()
    for sentence in terms(content):
        console.print(sentence, highlight=False, markup=False)
    needs = [
        f"{name.text}: {verdict.text}; {verdict.second}."
        for name, verdict in zip(scores[0].cells, _of(scores, "verdict").cells, strict=True)
        if verdict.second
    ]
    careful = [*needs, *cautions(content), *(f"{note}." for note in notes(scores) + notes(costs))]
    if careful:
        console.print("\n[bold]To be careful about[/bold]")
    for sentence in careful:
        console.print(Padding(Text(sentence), (0, 0, 0, 2)))
    console.print(f"\nAgain: {command(content)}", highlight=False, markup=False, soft_wrap=True)


def _of(columns: list[Column], heading: str) -> Column:
    return next(column for column in columns if column.heading == heading)


def _bare(column: Column) -> Column:
    return replace(column, cells=tuple(replace(cell, second="") for cell in column.cells))


def _narrow(costs: list[Column]) -> list[Column]:
    """The costs with related figures beneath each other, without the two losses of forgetting."""
    moved = {lower for lower, _ in BENEATH.values()}
    kept = [column for column in costs if column.heading not in moved]
    narrow = [_bare(column) if column.heading == "forgetting" else column for column in kept]
    return [
        _beneath(column, _of(costs, BENEATH[column.heading][0]), BENEATH[column.heading][1])
        if column.heading in BENEATH
        else column
        for column in narrow
    ]


def _beneath(upper: Column, lower: Column, pattern: str) -> Column:
    def stacked(cell: Cell, second: Cell) -> Cell:
        return cell if second.text == DASH else replace(cell, second=pattern.format(second.text))

    heading = f"{upper.heading}\n({lower.heading})"
    return replace(upper, heading=heading, cells=tuple(map(stacked, upper.cells, lower.cells)))


def _table(columns: list[Column], title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.pad_edge = table.show_edge = False
    for column in columns:
        table.add_column(
            escape(column.heading),
            justify="right" if column.numeric else "left",
            no_wrap=column.numeric,
            overflow="fold",
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        texts = []
        for cell in row:
            text = Text(cell.text, style=STYLES.get(str(cell.value), ""))
            if cell.second:
                text.append(f"\n{cell.second}", style="dim")
            texts.append(text)
        table.add_row(*texts)
        table.add_section()
    return table
