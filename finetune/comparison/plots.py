"""The pictures of a comparison, as files and as text for the page."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.comparison.columns import amount
from finetune.comparison.plot_costs import against
from finetune.comparison.plot_curves import CURVES, LOSSES, RATES
from finetune.comparison.plot_seeds import SEEDS
from finetune.comparison.plot_style import Plot, figure, style
from finetune.errors import RunError, unknown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _bytes(value: float) -> str:
    return amount(value, "B")


PLOTS: dict[str, Plot] = {
    "seeds": SEEDS,
    "parameters": against("trainable", "Score against trained parameters", "trained parameters", amount),
    "memory": against("memory_bytes", "Score against memory", "peak memory over the loaded model", _bytes),
    "seconds": against("seconds", "Score against time", "seconds of training", "{:,g}".format),
    "curves": CURVES,
    "losses": LOSSES,
    "rates": RATES,
}
SIZE = (6.2, 4.0)
"""Inches."""
DOTS_PER_INCH = 200


def names(content: Mapping[str, Any]) -> list[str]:
    """The plots that have something to show."""
    return [name for name, plot in PLOTS.items() if plot.shows(content)]


def svg(content: Mapping[str, Any], which: str) -> str:
    """One plot as an SVG document; the same content gives the same text.

    Args:
        content: A comparison.json.
        which: One of `names(content)`.

    Raises:
        RunError: There is no such plot.
    """
    if which not in names(content):
        raise RunError(unknown("plot", which, names(content)))
    with style():
        buffer = io.StringIO()
        _paint(content, which).savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def draw(content: Mapping[str, Any], folder: Path) -> list[Path]:
    """Every plot that has something to show, as NAME.png and NAME.svg.

    Args:
        content: A comparison.json.
        folder: Where to; made where it is missing.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in names(content):
        picture, drawing = folder / f"{name}.png", folder / f"{name}.svg"
        with style():
            _paint(content, name).savefig(picture, dpi=DOTS_PER_INCH)
        drawing.write_text(svg(content, name), "utf-8")
        written += [picture, drawing]
    return written


def _paint(content: Mapping[str, Any], which: str) -> Figure:
    made = figure(*SIZE)
    PLOTS[which].paint(content, made)
    return made
