"""A dot for each seed, beside the mean and its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from finetune.comparison.columns import finished
from finetune.comparison.plot_style import GRID, INK, MUTED, PAPER, ROOM, Plot, looks, metric_of, only_grid, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _shown(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The methods with a score, the best first."""
    name = content["metric"]["name"]
    scores = [((method.get("scores") or {}).get(name) or {}).get("mean") for method in content["methods"]]
    scored = [method for method, mean in zip(content["methods"], scores, strict=True) if mean is not None]
    sign = -1 if content["metric"]["higher_is_better"] else 1
    return sorted(scored, key=lambda method: sign * method["scores"][name]["mean"])


def _paint(content: Mapping[str, Any], figure: Figure) -> None:
    methods, look, metric = _shown(content), looks(content), content["metric"]["name"]
    figure.set_figheight(1.3 + 0.42 * len(methods))
    axes = figure.add_subplot()
    only_grid(axes, "x")
    axes.spines["left"].set_visible(False)
    ends: list[float] = []
    for row, method in enumerate(methods):
        drawn, score = look[method["name"]], method["scores"][metric]
        mean = score["mean"]
        low = mean if score["low"] is None else score["low"]
        high = mean if score["high"] is None else score["high"]
        axes.plot(
            [low, high], [row, row], color=drawn.colour, linewidth=5, alpha=0.25, solid_capstyle="butt", gid=drawn.gid
        )
        axes.plot(mean, row, "|", color=drawn.colour, markersize=13, markeredgewidth=2.2, zorder=4, gid=drawn.gid)
        seeds = [cell["scores"][metric] for cell in finished(method) if cell["scores"][metric] is not None]
        axes.plot(
            seeds,
            [row] * len(seeds),
            drawn.marker,
            color=drawn.colour,
            markersize=5.5,
            markeredgecolor=PAPER,
            markeredgewidth=0.7,
            linestyle="none",
            zorder=5,
            gid=drawn.gid,
        )
        verdict = "reference" if not method.get("against") else method["against"]["verdict"]
        axes.text(1.01, row, verdict, transform=axes.get_yaxis_transform(), va="center", color=MUTED, fontsize=8.5)
        ends += [low, high, *seeds]
    axes.set_yticks(range(len(methods)), [short(method["name"]) for method in methods], color=INK)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    room = ROOM / 3 * (max(ends) - min(ends) or abs(max(ends)) or 1.0)
    axes.set_xlim(min(ends) - room, max(ends) + room)
    _mark(content, axes, methods)
    axes.set(title=SEEDS.title, xlabel=metric_of(content))


def _mark(content: Mapping[str, Any], axes: Any, methods: list[Mapping[str, Any]]) -> None:
    """Lines at the score of the reference, with its margin, and at the baseline where that is in sight."""
    side = "left"
    reference = [method for method in methods if method["name"] == content["terms"]["reference"]]
    if reference:
        mean, margin = reference[0]["scores"][content["metric"]["name"]]["mean"], content["terms"]["margin"]
        axes.axvspan(mean - margin, mean + margin, color=GRID, alpha=0.6, linewidth=0, zorder=0)
        axes.axvline(mean, color=MUTED, linewidth=0.8, zorder=1)
        side = "right" if mean > content["baseline"]["value"] else "left"
    baseline, (low, high) = content["baseline"], axes.get_xlim()
    if low < baseline["value"] < high:
        axes.axvline(baseline["value"], color=MUTED, linewidth=0.9, linestyle=":", zorder=1)
        away = {"ha": side, "va": "bottom", "color": MUTED, "fontsize": 8}  # from the line of the reference
        axes.text(baseline["value"], len(methods) - 0.42, f" {baseline['name']} ", **away)


SEEDS = Plot(
    "Every seed",
    "Dots: the seeds. Stroke: their mean. Bar: its interval. Line and band: the reference and the margin around it.",
    lambda content: bool(_shown(content)),
    _paint,
)
