"""Score against what it costs, and which methods nothing else beats in both."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from finetune.comparison.plot_labels import Named, place
from finetune.comparison.plot_style import MUTED, PAPER, ROOM, Plot, across, looks, metric_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def against(key: str, title: str, words: str, written: Callable[[float], str]) -> Plot:
    """The plot of the score against one of the costs, whose ticks are written by a function."""

    def shows(content: Mapping[str, Any]) -> bool:
        return bool(_points(content, key))

    def paint(content: Mapping[str, Any], figure: Figure) -> None:
        _paint(content, figure, key, title, words, written)

    caption = "Whiskers: the interval of the score. The line joins the methods that no other beats in both."
    return Plot(title, caption, shows, paint)


def front(points: Sequence[tuple[float, float]], higher_is_better: bool) -> list[int]:
    """Positions of the (cost, score) points that no other point beats: dearer ones must score better.

    Returns:
        Positions by rising cost.
    """
    sign = 1 if higher_is_better else -1
    kept: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -sign * points[index][1])):
        if not kept or sign * points[index][1] > sign * points[kept[-1]][1]:
            kept.append(index)
    return kept


def _points(content: Mapping[str, Any], key: str) -> list[Named]:
    found = []
    for method in content["methods"]:
        score = (method.get("scores") or {}).get(content["metric"]["name"])
        cost = (method.get("costs") or {}).get(key)
        if score and score["mean"] is not None and cost is not None:
            mean = score["mean"]
            low = mean if score["low"] is None else score["low"]
            high = mean if score["high"] is None else score["high"]
            found.append(Named(method["name"], cost, mean, low, high))
    return found


def _paint(
    content: Mapping[str, Any], figure: Figure, key: str, title: str, words: str, written: Callable[[float], str]
) -> None:
    marks = _points(content, key)
    axes, look = figure.add_subplot(), looks(content)
    axes.set(title=title, xlabel=words, ylabel=metric_of(content))
    across(axes, [mark.x for mark in marks], written)
    low, high = min(mark.low for mark in marks), max(mark.high for mark in marks)
    room = ROOM / 2 * (high - low or abs(high) or 1.0)
    axes.set_ylim(low - room, high + room)
    best = front([(mark.x, mark.y) for mark in marks], content["metric"]["higher_is_better"])
    line = [(marks[index].x, marks[index].y) for index in best]
    line.append((axes.get_xlim()[1], line[-1][1]))
    axes.plot(*zip(*_stairs(line), strict=True), color=MUTED, linewidth=1.2, alpha=0.55, zorder=2)
    for mark in marks:
        drawn = look[mark.name]
        # the line of the front rises where a whisker stands: it goes behind it
        axes.vlines(mark.x, mark.low, mark.high, PAPER, linewidth=4, zorder=2.5, gid=drawn.gid)
        axes.vlines(mark.x, mark.low, mark.high, drawn.colour, linewidth=1.1, alpha=0.5, zorder=3, gid=drawn.gid)
        dot: dict[str, Any] = {"color": drawn.colour, "markersize": 8, "markeredgecolor": PAPER, "markeredgewidth": 0.8}
        axes.plot(mark.x, mark.y, drawn.marker, zorder=4, gid=drawn.gid, **dot)
    place(axes, marks, {mark.name: look[mark.name].gid for mark in marks}, [_stairs(line)])


def _stairs(line: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of a step line that holds each height until the next point."""
    corners = [line[0]]
    for (_, before), (x, y) in itertools.pairwise(line):
        corners += [(x, before), (x, y)]
    return corners
