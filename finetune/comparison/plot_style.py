"""How every plot of a comparison looks: colours, markers, type, grid; nothing of the user's own settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1b2430", "#657080", "#e3e7ec", "#ffffff"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#e69f00", "#56b4e9", "#882255")
"""Told apart with every kind of colour blindness (Okabe and Ito 2008; Tol 2021)."""
MARKERS = "os^Dv<Ph>pX"
"""As many as share no divisor with the colours: their pairs are distinct for 77 methods."""
DASHES = ("-", "--", ":", "-.")
LONGEST_NAME = 24
WIDE = 8.0
"""A range of more than this factor is shown on a logarithmic axis."""

ROOM = 0.12
"""Share of the range that is left free beside the outermost values."""

SETTINGS = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlepad": 12.0,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "figure.facecolor": PAPER,
    "font.family": ["sans-serif"],
    "font.size": 9.0,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    "svg.hashsalt": "comparison",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.color": MUTED,
    "ytick.major.size": 0.0,
    "ytick.minor.size": 0.0,
}


@dataclass(frozen=True)
class Look:
    """How one method is drawn in every plot."""

    colour: str
    marker: str
    dash: str
    gid: str
    """`method-3`: by this the page finds what belongs to a method."""


@dataclass(frozen=True)
class Plot:
    """One picture of a comparison."""

    title: str
    caption: str
    """How it is read."""
    shows: Callable[[Mapping[str, Any]], bool]
    """Whether the comparison has anything to show in it."""
    paint: Callable[[Mapping[str, Any], Figure], None]


def looks(content: Mapping[str, Any]) -> dict[str, Look]:
    """A look for each method: the reference in the colour of the text, the others each in their own."""
    found: dict[str, Look] = {}
    number = 0
    for position, method in enumerate(content["methods"]):
        gid = f"method-{position}"
        if method["name"] == content["terms"]["reference"]:
            found[method["name"]] = Look(INK, "d", "-", gid)
            continue
        dash = DASHES[number // len(SERIES) % len(DASHES)]
        found[method["name"]] = Look(SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)], dash, gid)
        number += 1
    return found


def short(name: str) -> str:
    """A name that fits into a plot, its middle left out where it is long."""
    return name if len(name) <= LONGEST_NAME else f"{name[:15]}…{name[-8:]}"


def metric_of(content: Mapping[str, Any]) -> str:
    """`accuracy (higher is better)`."""
    metric = content["metric"]
    return f"{metric['name']} ({'higher' if metric['higher_is_better'] else 'lower'} is better)"


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults and the settings above, whatever the user has set; theirs come back at the end."""
    from matplotlib import rc_context, rcParamsDefault

    defaults = {key: value for key, value in rcParamsDefault.items() if not key.startswith(("backend", "date"))}
    with rc_context({**defaults, **SETTINGS}):
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure of its own, which no window and no other plot knows; inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def laid_out(axes: Axes) -> Figure:
    """The figure of some axes, drawn once, so that every length in it is known."""
    found = axes.get_figure(root=True)
    assert found is not None, "axes are made by a figure"
    found.canvas.draw()
    return found


def across(axes: Axes, values: list[float], written: Callable[[float], str]) -> None:
    """A logarithmic x axis where values differ much, room beside the outermost, few ticks in short words."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    low, high = min(values), max(values)
    if low > 0 and high / low > WIDE:
        axes.set_xscale("log")
        room = (high / low) ** ROOM
        axes.set_xlim(low / room, high * room)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high / low < 1000 else (1.0,)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        room = ROOM * (high - low or abs(high) or 1.0)
        axes.set_xlim(max(0.0, low - room) if low >= 0 else low - room, high + room)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))


def only_grid(axes: Axes, direction: str) -> None:
    """Lines across one direction only, and no frame."""
    axes.grid(visible=False)
    axes.grid(visible=True, axis="x" if direction == "x" else "y")
    axes.spines["left"].set_visible(direction == "x")
