"""The plots of a comparison inside its page: in the page's colours and letters, with ids of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from finetune.comparison.plot_style import GRID, INK, MUTED, PAPER, SERIES
from finetune.comparison.plots import PLOTS, names, svg

THEME = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"} | {
    colour: f"series-{number}" for number, colour in enumerate(SERIES)
}
"""Colour of a plot -> variable of the page, which has a light and a dark value."""


def figures(content: Mapping[str, Any], wanted: tuple[str, ...]) -> str:
    """The wanted plots that have something to show, as `<figure>` elements."""
    found = [name for name in wanted if name in names(content)]
    return "\n".join(
        f"<figure>{inline(svg(content, name), name, PLOTS[name].title)}"
        f"<figcaption>{escape(PLOTS[name].caption)}</figcaption></figure>"
        for name in found
    )


def inline(document: str, name: str, title: str) -> str:
    """An SVG document as an element of the page.

    Args:
        document: What `svg` returned.
        name: Goes before every id, so that plots do not share them.
        title: What a screen reader says.
    """
    drawing = document[document.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r'id="(method-\d+)"', r'class="method" data-method="\1"', drawing)
    drawing = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    for colour, variable in THEME.items():
        drawing = re.sub(rf"(?<=[ :]){colour}(?=[;\"])", f"var(--{variable})", drawing)
    return drawing.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)
