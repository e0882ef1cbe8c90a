"""A comparison as one page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from finetune.comparison.columns import cost_columns, score_columns
from finetune.comparison.page_plots import figures
from finetune.comparison.page_tables import methods_table, runs_tables
from finetune.comparison.words import answer, cautions, command, standing, terms

HERE = Path(__file__).parent


def page(content: Mapping[str, Any]) -> str:
    """The whole comparison as HTML: its answer, tables that sort, plots, terms, links to the runs.

    What the user wrote is escaped, and a policy in the page forbids every request and every script but the page's own.

    Args:
        content: A comparison.json; paths in it count from the folder where the page will lie.
    """
    script = (HERE / "page.js").read_text("utf-8")
    careful = "".join(f"<li>{escape(sentence)}</li>" for sentence in cautions(content))
    return Template((HERE / "page.html").read_text("utf-8")).substitute(
        title=escape(f"{content['recipe']}: {len(content['methods'])} methods compared"),
        css=(HERE / "page.css").read_text("utf-8"),
        script=script,
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii"),
        kicker=" · ".join(escape(str(content[key])) for key in ("recipe", "task", "model")),
        answer=f"{escape(answer(content))}.",
        verdicts="".join(
            f'<li><span class="verdict {verdict.replace(" ", "-")}">{verdict}</span> {escape(", ".join(names))}</li>'
            for verdict, names in standing(content).items()
        ),
        scores=methods_table(content, score_columns(content, every_metric=True), "Scores and verdicts"),
        overview=figures(content, ("seeds", "parameters")),
        trades=figures(content, ("memory", "seconds")),
        costs=methods_table(content, cost_columns(content), "Costs, medians over the seeds"),
        learning=figures(content, ("curves", "losses")),
        rates=figures(content, ("rates",)),
        terms="".join(f"<p>{escape(sentence)}</p>" for sentence in terms(content)),
        careful=f'<div class="careful"><h3>To be careful about</h3><ul>{careful}</ul></div>' if careful else "",
        runs=runs_tables(content),
        command=escape(command(content)),
        environment=_environment(content["environment"]),
    )


def _environment(found: Mapping[str, Any]) -> str:
    entries = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in found.items())
    return f"<dl>{entries}</dl>" if entries else ""
