"""Learning curves, and the search of learning rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from finetune.comparison.columns import rate
from finetune.comparison.plot_labels import SIZE, Named, place, spread
from finetune.comparison.plot_style import INK, MUTED, PAPER, ROOM, Plot, across, laid_out, looks, metric_of, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = list[tuple[float, float]]
LABEL_HEIGHT = 12.0
"""Points that a line of text takes."""


def _curves(method: Mapping[str, Any], key: str) -> list[Curve]:
    found = [[(x, y) for x, y in cell.get(key) or [] if y is not None] for cell in method["cells"]]
    return [curve for curve in found if curve]


def _mean(curves: list[Curve]) -> Curve:
    """The mean at the epochs that every seed has."""
    tables = [dict(curve) for curve in curves]
    shared = [x for x, _ in curves[0] if all(x in table for table in tables)]
    return [(x, sum(table[x] for table in tables) / len(tables)) for x in shared]


def _painter(
    key: str, title: str, words: Callable[[Mapping[str, Any]], str]
) -> Callable[[Mapping[str, Any], Figure], None]:
    def paint(content: Mapping[str, Any], figure: Figure) -> None:
        axes, look, ends = figure.add_subplot(), looks(content), {}
        for method in content["methods"]:
            curves, drawn = _curves(method, key), look[method["name"]]
            for curve in curves if len(curves) > 1 else []:
                axes.plot(*zip(*curve, strict=True), color=drawn.colour, linewidth=0.6, alpha=0.3, gid=drawn.gid)
            if curves and (mean := _mean(curves)):
                axes.plot(
                    *zip(*mean, strict=True), drawn.dash, color=drawn.colour, linewidth=1.8, zorder=4, gid=drawn.gid
                )
                dot: dict[str, Any] = {"color": drawn.colour, "markersize": 6, "markeredgecolor": PAPER}
                axes.plot(*mean[-1], drawn.marker, zorder=5, gid=drawn.gid, **dot)
                ends[method["name"]] = mean[-1]
        axes.set(title=title, xlabel="epoch", ylabel=words(content))
        axes.set_xlim(left=0)
        _name_ends(axes, ends, {name: drawn.gid for name, drawn in look.items()})

    return paint


def _name_ends(axes: Axes, ends: dict[str, tuple[float, float]], gids: Mapping[str, str]) -> None:
    """Names right of the axes, each at the height where its line ends, as near as the others let it."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    dots = laid_out(axes).dpi
    height = axes.get_window_extent().height * 72 / dots
    share = [(y - low) / (high - low) for _, y in ends.values()]
    places = spread(share, LABEL_HEIGHT / height, 0.0, 1.0)
    right = axes.get_xlim()[1]
    for (name, (x, y)), at in zip(ends.items(), places, strict=True):
        written = axes.annotate(
            short(name),
            xy=(x, y),
            xytext=(1.03, at),
            xycoords="data",
            textcoords="axes fraction",
            va="center",
            fontsize=SIZE,
            color=INK,
            gid=gids[name],
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 4},
        )
        assert written.arrow_patch is not None, "it was asked for above"
        written.arrow_patch.set_gid(gids[name])
    axes.set_xlim(right=right)


def _trials(method: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(method["search"], key=lambda trial: float(trial["learning_rate"]))


def _paint_rates(content: Mapping[str, Any], figure: Figure) -> None:
    axes, look = figure.add_subplot(), looks(content)
    scores = [t["score"] for method in content["methods"] for t in _trials(method) if t["score"] is not None]
    low, high = min(scores), max(scores)
    room = ROOM * (high - low or abs(high) or 1.0)
    axes.set_ylim(low - room, high + room)
    across(axes, [trial["learning_rate"] for method in content["methods"] for trial in _trials(method)], rate)
    floor = low - 0.6 * room if content["metric"]["higher_is_better"] else high + 0.6 * room
    chosen, lines = [], []
    for method in content["methods"]:
        drawn = look[method["name"]]
        points = [(trial["learning_rate"], trial["score"]) for trial in _trials(method) if trial["score"] is not None]
        lost = [trial["learning_rate"] for trial in _trials(method) if trial["score"] is None]
        axes.plot(
            lost,
            [floor] * len(lost),
            "x",
            color=drawn.colour,
            markersize=6,
            markeredgewidth=1.5,
            zorder=4,
            gid=drawn.gid,
        )
        if not points:
            continue
        lines.append(points)
        usual: dict[str, Any] = {"color": drawn.colour, "markersize": 5, "linewidth": 1.3, "gid": drawn.gid}
        axes.plot(*zip(*points, strict=True), drawn.dash, marker=drawn.marker, markerfacecolor=PAPER, zorder=3, **usual)
        for x, y in points:
            if x == method["learning_rate"]:
                axes.plot(x, y, drawn.marker, zorder=5, **(usual | {"markersize": 9, "markeredgecolor": PAPER}))
                chosen.append(Named(method["name"], x, y, y, y))
    axes.set(title=RATES.title, xlabel="learning rate", ylabel=f"{metric_of(content)}, rows set aside")
    place(axes, chosen, {name: drawn.gid for name, drawn in look.items()}, lines)


CURVES = Plot(
    "Score while it learns",
    "Thick: the mean over the seeds. Thin: each seed. Nothing was chosen by these curves.",
    lambda content: any(_curves(method, "curve") for method in content["methods"]),
    _painter("curve", "Score while it learns", metric_of),
)
LOSSES = Plot(
    "Training loss",
    "Thick: the mean over the seeds. Thin: each seed.",
    lambda content: any(_curves(method, "losses") for method in content["methods"]),
    _painter("losses", "Training loss", lambda content: "loss"),
)
RATES = Plot(
    "How the learning rates were chosen",
    "Filled: the rate that was chosen. Cross: a rate that gave no score.",
    lambda content: any(t["score"] is not None for method in content["methods"] for t in method["search"]),
    _paint_rates,
)
