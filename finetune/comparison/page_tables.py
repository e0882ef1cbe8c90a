"""The tables of the page: sorted by a click, intervals drawn beside the numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from finetune.comparison.columns import DASH, Cell, Column, digits, notes, rate
from finetune.comparison.page_plots import THEME
from finetune.comparison.plot_style import looks

WIDTH, HEIGHT = 150.0, 20.0


def methods_table(content: Mapping[str, Any], columns: list[Column], caption: str) -> str:
    """A row for each method, and below it why entries are missing."""
    look = looks(content)
    heads = "".join(_head(column.heading, column.meaning, column.numeric) for column in columns)
    rows = []
    for position, row in enumerate(zip(*(column.cells for column in columns), strict=True)):
        drawn = look[content["methods"][position]["name"]]
        colour = f'<span class="swatch" style="background: var(--{THEME[drawn.colour]})"></span>'
        first = f'<th scope="row"{_value(row[0])}>{colour}{_entry(row[0])}</th>'
        rest = "".join(
            _data(cell, column, _forest(content, position) if column.heading == "difference" else "")
            for column, cell in zip(columns[1:], row[1:], strict=True)
        )
        rows.append(f'<tr data-method="{drawn.gid}">{first}{rest}</tr>')
    missing = "".join(f"<li>{DASH} {escape(note)}</li>" for note in notes(columns))
    return _table(caption, heads, rows) + (f'<ul class="notes">{missing}</ul>' if missing else "")


def runs_tables(content: Mapping[str, Any]) -> str:
    """Every run of the comparison with a link to its directory: the final ones, and those of the search."""
    scored = list(dict.fromkeys(name for m in content["methods"] for c in m["cells"] for name in c.get("scores") or {}))
    finals = [_final(content, method, cell, scored) for method in content["methods"] for cell in method["cells"]]
    tries = [_trial(content, method, trial) for method in content["methods"] for trial in method["search"]]
    heads = [("method", False), ("seed", True), *((name, True) for name in scored)]
    heads += [("difference", True), ("p", True), ("test", False), ("status", False)]
    search = [("method", False), ("rate", True), ("round", True), ("score", True), ("status", False)]
    return _details("Final runs", heads, finals) + _details("Search of learning rates", search, tries)


def _final(
    content: Mapping[str, Any], method: Mapping[str, Any], cell: Mapping[str, Any], scored: list[str]
) -> list[Cell]:
    places, scores = digits(content) + 1, cell.get("scores") or {}
    tests = (method.get("against") or {}).get("per_seed") or []
    test = next((test for test in tests if test["seed"] == cell["seed"]), None)
    compared = [Cell(DASH), Cell(DASH), Cell("")]
    if test:
        turned = "" if test.get("gained") is None else f"{test['gained']} rows gained, {test['lost']} lost"
        compared = [
            _number(test["difference"], f"+z.{places}f"),
            _number(test["p"], ".2g"),
            Cell(test["test"], second=turned),
        ]
    return [
        Cell(method["name"], method["name"]),
        Cell(str(cell["seed"]), cell["seed"]),
        *(_number(scores.get(name), f"z.{places}f") for name in scored),
        *compared,
        Cell(cell.get("problem") or cell["status"], cell["directory"], note=cell["directory"]),
    ]


def _trial(content: Mapping[str, Any], method: Mapping[str, Any], trial: Mapping[str, Any]) -> list[Cell]:
    status = trial.get("problem") or ("chosen" if trial["learning_rate"] == method["learning_rate"] else "finished")
    return [
        Cell(method["name"], method["name"]),
        Cell(rate(trial["learning_rate"]), trial["learning_rate"]),
        Cell(str(trial["round"]), trial["round"]),
        _number(trial["score"], f"z.{digits(content) + 1}f"),
        Cell(status, status, note=trial["directory"]),
    ]


def _number(value: float | None, form: str) -> Cell:
    return Cell(DASH) if value is None else Cell(format(value, form), value)


def _details(title: str, heads: list[tuple[str, bool]], rows: list[list[Cell]]) -> str:
    columns = [Column(heading, heading, (), numeric) for heading, numeric in heads]
    lines = []
    for first, *middle, last in rows:
        text = escape(last.text)
        link = f'<a href="{quote(last.note)}">{text}</a>' if last.note else text
        data = "".join(_data(cell, column, "") for cell, column in zip(middle, columns[1:-1], strict=True))
        lines.append(f'<tr><th scope="row"{_value(first)}>{_entry(first)}</th>{data}<td{_value(last)}>{link}</td></tr>')
    head = "".join(_head(column.heading, column.meaning, column.numeric) for column in columns)
    return f"<details><summary>{title} ({len(rows)})</summary>{_table(title, head, lines)}</details>"


def _table(caption: str, heads: str, rows: list[str]) -> str:
    body = "\n".join(rows)
    region = f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0">'
    return f"{region}<table><thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table></div>"


def _head(heading: str, meaning: str, numeric: bool) -> str:
    kind = ' class="number"' if numeric else ""
    button = f'<button type="button" title="{escape(meaning)}">{escape(heading)}</button>'
    return f'<th scope="col" aria-sort="none"{kind}>{button}</th>'


def _data(cell: Cell, column: Column, drawing: str) -> str:
    if column.numeric:
        entry = f'<div class="beside">{drawing}<div>{_entry(cell)}</div></div>' if drawing else _entry(cell)
        return f'<td class="number"{_value(cell)}>{entry}</td>'
    verdict = f"verdict {str(cell.value).replace(' ', '-')}" if column.heading == "verdict" else ""
    return f'<td class="words"{_value(cell)}><span class="{verdict}">{escape(cell.text)}</span>{_second(cell)}</td>'


def _entry(cell: Cell) -> str:
    return _signed(cell.text) + _second(cell)


def _second(cell: Cell) -> str:
    return f"<small>{_signed(cell.second)}</small>" if cell.second else ""


def _signed(text: str) -> str:
    """Escaped text in which a negative number has the minus sign, not a hyphen."""
    return re.sub(r"(?<!\w)-(?=\d)", "\N{MINUS SIGN}", escape(text))


def _value(cell: Cell) -> str:
    return f' data-value="{"" if cell.value is None else escape(str(cell.value))}"'


def _forest(content: Mapping[str, Any], position: int) -> str:
    """The interval of a difference on a scale that all methods share, with zero and the margin."""
    found = content["methods"][position].get("against")
    margin = content["terms"]["margin"]
    ends = [0.0, -margin, margin]
    for method in content["methods"]:
        if against := method.get("against"):
            ends += [end for end in (against["low"], against["high"], against["difference"]) if end is not None]
    low, width = min(ends), max(ends) - min(ends) or 1.0

    def at(value: float) -> str:
        return f"{4 + (WIDTH - 8) * (value - low) / width:.1f}"

    tall = f'y1="{HEIGHT / 2:g}" y2="{HEIGHT / 2:g}" stroke="var(--grid)" stroke-width="{HEIGHT:g}"'
    band = f'<line x1="{at(-margin)}" x2="{at(margin)}" {tall}/>'
    zero = f'<line x1="{at(0)}" x2="{at(0)}" y2="{HEIGHT:g}" stroke="var(--muted)"/>'
    bar = dot = ""
    if found:
        colour = THEME[looks(content)[content["methods"][position]["name"]].colour]
        if found["low"] is not None and found["high"] is not None:
            ends_of = f'x1="{at(found["low"])}" x2="{at(found["high"])}" y1="10" y2="10"'
            bar = f'<line class="whisker" {ends_of} stroke="var(--{colour})" stroke-width="2"/>'
        if found["difference"] is not None:
            dot = f'<circle cx="{at(found["difference"])}" cy="10" r="4" fill="var(--{colour})"/>'
    return f'<svg class="forest" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" aria-hidden="true">{band}{zero}{bar}{dot}</svg>'
