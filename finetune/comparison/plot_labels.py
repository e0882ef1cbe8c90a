"""Names beside what they name: no legend, no two of them over each other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finetune.comparison.plot_style import INK, MUTED, laid_out, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEAR = 12.0
"""Points from which on a line leads from a mark to its name."""
PLACES = np.array([(far, 2 * np.pi * turn / 16) for far in (7.0, NEAR, 20.0, 30.0, 44.0, 60.0) for turn in range(16)])
"""Where a name may stand: points from its mark, and the direction in radians."""
UNWANTED = 2 * PLACES[:, 0] + np.abs(np.sin(PLACES[:, 1]))
"""Far is worse than near, above and below worse than beside."""
PASSES = 4
SIZE = 8.5
"""Points of a name's letters."""
MARK, LINE = 9.0, 4.0
"""Points that a mark and a line take, with a little room."""


@dataclass(frozen=True)
class Named:
    """A mark and its name; low and high are the ends of its whisker."""

    name: str
    x: float
    y: float
    low: float
    high: float


def place(
    axes: Axes, marks: Sequence[Named], gids: Mapping[str, str], lines: Sequence[Sequence[tuple[float, float]]] = ()
) -> None:
    """Write each name where it covers no mark, no whisker, no line and no other name, as near as that allows.

    Every name takes in turn the best free place, the others standing; a few rounds settle it. A thin line leads to a
    name that stands far from its mark. The limits of the axes must be final.

    Args:
        axes: Where the marks are drawn already.
        marks: What is named.
        gids: Name -> the id of what belongs to it in the drawing.
        lines: Points of drawn lines, in data units.
    """
    point = laid_out(axes).dpi / 72
    inside = np.array([axes.get_window_extent().extents])
    trials = [axes.text(0, 0, short(mark.name), fontsize=SIZE) for mark in marks]
    sizes = [trial.get_window_extent() for trial in trials]
    for trial in trials:
        trial.remove()
    solid = _solid(axes, marks, lines, point)
    centres = axes.transData.transform([(mark.x, mark.y) for mark in marks])
    candidates = [
        _candidates(x, y, size.width, size.height, point) for (x, y), size in zip(centres, sizes, strict=True)
    ]
    costs = []
    for boxes in candidates:
        outside = (boxes[0, 2] - boxes[0, 0]) * (boxes[0, 3] - boxes[0, 1]) - _shared(boxes, inside)
        costs.append(4 * outside + _shared(boxes, solid) + UNWANTED * point)
    chosen = [int(cost.argmin()) for cost in costs]
    for _, index in itertools.product(range(PASSES), range(len(marks))):
        others = [candidates[other][chosen[other]] for other in range(len(marks)) if other != index]
        taken = np.array(others).reshape(-1, 4)
        chosen[index] = int((costs[index] + 2 * _shared(candidates[index], taken)).argmin())
    for index, mark in enumerate(marks):
        (left, bottom, right, top), (x, y) = candidates[index][chosen[index]], centres[index]
        towards = (
            (min(max(x, left), right) - left) / (right - left),
            (min(max(y, bottom), top) - bottom) / (top - bottom),
        )
        leader = {
            "arrowstyle": "-",
            "color": MUTED,
            "linewidth": 0.5,
            "shrinkA": 0,
            "shrinkB": MARK / 2,
            "relpos": towards,
        }
        written = axes.annotate(
            short(mark.name),
            xy=(mark.x, mark.y),
            xytext=((left - x) / point, (bottom - y) / point),
            textcoords="offset points",
            fontsize=SIZE,
            color=INK,
            zorder=6,
            gid=gids[mark.name],
            arrowprops=leader if PLACES[chosen[index], 0] > NEAR else None,
        )
        if written.arrow_patch is not None:
            written.arrow_patch.set_gid(gids[mark.name])


def _candidates(x: float, y: float, width: float, height: float, point: float) -> np.ndarray:
    """Where a name may stand: boxes `(places, 4)` of left, bottom, right, top, in pixels."""
    across, up = np.cos(PLACES[:, 1]), np.sin(PLACES[:, 1])
    left = x + PLACES[:, 0] * point * across + (across - 1) * width / 2
    bottom = y + PLACES[:, 0] * point * up + (up - 1) * height / 2
    return np.stack([left, bottom, left + width, bottom + height], axis=1)


def _solid(
    axes: Axes, marks: Sequence[Named], lines: Sequence[Sequence[tuple[float, float]]], point: float
) -> np.ndarray:
    """What no name should cover, as boxes `(count, 4)` in pixels; a line is a row of small ones."""
    boxes = []
    for mark in marks:
        (x, y), (_, low), (_, high) = axes.transData.transform([(mark.x, end) for end in (mark.y, mark.low, mark.high)])
        half = MARK * point / 2
        boxes += [(x - half, y - half, x + half, y + half), (x - 2 * point, low, x + 2 * point, high)]
    half = LINE * point / 2
    for line in lines:
        corners = axes.transData.transform(np.array(line))
        for start, end in itertools.pairwise(corners):
            count = max(2, int(np.hypot(*(end - start)) / (2 * half)) + 1)
            for x, y in np.linspace(start, end, count):
                boxes.append((x - half, y - half, x + half, y + half))
    return np.array(boxes)


def _shared(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The area that each of the boxes `(count, 4)` shares with all others `(others, 4)`, in square pixels."""
    width = np.minimum(boxes[:, None, 2], others[:, 2]) - np.maximum(boxes[:, None, 0], others[:, 0])
    height = np.minimum(boxes[:, None, 3], others[:, 3]) - np.maximum(boxes[:, None, 1], others[:, 1])
    return (width.clip(0) * height.clip(0)).sum(axis=1)


def spread(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The heights moved as little as needed to stand at least a gap apart, between low and high where they fit."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    groups: list[list[int]] = []
    for index in order:
        groups.append([index])
        while len(groups) > 1 and _start(groups[-1], heights, gap, low, high) < (
            _start(groups[-2], heights, gap, low, high) + gap * len(groups[-2])
        ):
            last = groups.pop()
            groups[-1].extend(last)
    moved = [0.0] * len(heights)
    for group in groups:
        start = _start(group, heights, gap, low, high)
        for above, index in enumerate(group):
            moved[index] = start + gap * above
    return moved


def _start(group: list[int], heights: Sequence[float], gap: float, low: float, high: float) -> float:
    middle = sum(heights[index] for index in group) / len(group)
    start = middle - gap * (len(group) - 1) / 2
    return max(low, min(start, high - gap * (len(group) - 1)))
