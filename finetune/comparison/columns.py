"""The columns that every table of a comparison has, on a terminal, in a README and on the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DASH = "\N{EN DASH}"
"""Stands where there is no number; the reason is in the cell's note."""
NOT_FINISHED = "no run of this method is finished"


@dataclass(frozen=True)
class Cell:
    """One entry: what a person reads, what a column is sorted by, and why nothing stands there."""

    text: str
    value: float | str | None = None
    second: str = ""
    """A second, smaller line: the interval of a score, the share of a count."""
    note: str = ""


@dataclass(frozen=True)
class Column:
    """One column with an entry for each method."""

    heading: str
    meaning: str
    cells: tuple[Cell, ...]
    numeric: bool = True


def digits(content: Mapping[str, Any]) -> int:
    """Decimals that scores are worth showing with: a tenth of a point."""
    return max(0, 1 - math.floor(math.log10(content["metric"]["point"])))


def amount(value: float, unit: str = "") -> str:
    """`770`, `148 K`, `22.7 M`, `642 MB`: three significant digits, decimal prefixes."""
    rounded = float(f"{value:.3g}")
    power = min(4, max(0, math.floor(math.log10(rounded) / 3))) if rounded >= 1 else 0
    number = f"{rounded / 1000**power:.4g}" if power < 4 else f"{rounded / 1000**power:,.0f}"
    return f"{number} {['', 'K', 'M', 'G', 'T'][power]}{unit}".strip()


def rate(value: float) -> str:
    """`2e-5`, `1.3e-3`: a learning rate in its shortest form."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def problems(method: Mapping[str, Any]) -> str:
    """Why cells of a method have no score, each reason once."""
    found = [str(cell.get("problem") or cell["status"]) for cell in method["cells"] if not cell.get("scores")]
    return "; ".join(dict.fromkeys(found))


def score_columns(content: Mapping[str, Any], every_metric: bool = False) -> list[Column]:
    """Method, score, spread over seeds, difference from the reference, verdict, learning rate.

    Args:
        content: A comparison.json.
        every_metric: The further scores of the task too, not only the one that decides.
    """
    methods, metric = content["methods"], content["metric"]["name"]
    names = list(dict.fromkeys(name for method in methods for name in method.get("scores") or {}))
    further = [name for name in names if name != metric] if every_metric else []
    level = f"{100 * content['terms']['level']:g} %"
    return [
        _names(content),
        Column(
            metric, f"mean over the seeds, and its {level} interval", tuple(_score(content, m, metric) for m in methods)
        ),
        Column("spread", "standard deviation over the seeds", tuple(_spread(content, m) for m in methods)),
        *(Column(name, "mean over the seeds", tuple(_score(content, m, name) for m in methods)) for name in further),
        Column(
            "difference",
            f"score less that of {content['terms']['reference']}, paired by seed and row, and its {level} interval",
            tuple(_difference(content, m) for m in methods),
        ),
        Column("verdict", "what the difference shows", tuple(_verdict(content, m) for m in methods), numeric=False),
        Column("rate", "learning rate, chosen on training rows set aside", tuple(_rate(m) for m in methods)),
    ]


def cost_columns(content: Mapping[str, Any]) -> list[Column]:
    """Method, and what it costs: parameters, memory, time, disk, latency, forgetting; medians over the seeds."""
    methods = content["methods"]

    def column(heading: str, meaning: str, key: str, unit: str) -> Column:
        return Column(heading, meaning, tuple(_cost(method, key, unit) for method in methods))

    return [
        _names(content),
        Column("trained", "trained parameters, and their share of all", tuple(map(_trained, methods))),
        column("optimizer", "state of the optimizer in memory", "optimizer_bytes", "B"),
        column("memory", "peak memory of training, over the loaded model", "memory_bytes", "B"),
        column("seconds", "seconds of training, without the search", "seconds", ""),
        column("rows/s", "rows trained each second", "rows_per_second", ""),
        column("stored", "the saved model on disk", "stored_bytes", "B"),
        Column("ms/row", "milliseconds to predict one row", tuple(_cost(m, "latency_seconds", "ms") for m in methods)),
        Column("merged", "milliseconds for one row after merging into plain weights", tuple(map(_merged, methods))),
        Column(
            "forgetting",
            "rise of the language modelling loss on plain prose, in nats a token",
            tuple(map(_forgetting, methods)),
        ),
    ]


def notes(columns: list[Column]) -> list[str]:
    """Why entries are a dash, each reason once: `merged of prefix, prompt: virtual tokens cannot be merged`."""
    found: dict[tuple[str, str], list[str]] = {}
    for column in columns:
        for name, cell in zip(columns[0].cells, column.cells, strict=True):
            if cell.note:
                found.setdefault((column.heading, cell.note), []).append(name.text)
    grouped: dict[tuple[str, str], list[str]] = {}
    for (heading, note), names in found.items():
        grouped.setdefault((note, ", ".join(names)), []).append(heading)
    return [f"{', '.join(headings)} of {names}: {note}" for (note, names), headings in grouped.items()]


def finished(method: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The cells of a method that have scores."""
    return (cell for cell in method["cells"] if cell.get("scores"))


def _names(content: Mapping[str, Any]) -> Column:
    cells = []
    for method in content["methods"]:
        done, of = len(list(finished(method))), len(method["cells"])
        cells.append(Cell(method["name"], method["name"], second="" if done == of else f"{done} of {of} seeds"))
    return Column("method", "tuning method", tuple(cells), numeric=False)


def _score(content: Mapping[str, Any], method: Mapping[str, Any], name: str) -> Cell:
    score = (method.get("scores") or {}).get(name)
    if not score or score["mean"] is None:
        return Cell(DASH, note=problems(method) or NOT_FINISHED)
    return Cell(f"{score['mean']:z.{digits(content)}f}", score["mean"], second=_interval(content, score))


def _spread(content: Mapping[str, Any], method: Mapping[str, Any]) -> Cell:
    score = (method.get("scores") or {}).get(content["metric"]["name"])
    if not score or score["spread"] is None or len(list(finished(method))) < 2:
        return Cell(DASH, note="a spread needs two finished seeds")
    return Cell(f"{score['spread']:.{digits(content)}f}", score["spread"])


def _interval(content: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if found["low"] is None or found["high"] is None:
        return ""
    return f"{found['low']:z.{digits(content)}f} to {found['high']:z.{digits(content)}f}"


def _difference(content: Mapping[str, Any], method: Mapping[str, Any]) -> Cell:
    against = method.get("against")
    if method["name"] == content["terms"]["reference"]:
        return Cell(DASH, 0.0, second="the reference")
    if not against:
        return Cell(DASH, note=problems(method) or NOT_FINISHED)
    if against["difference"] is None:
        return Cell(DASH, note="a score is no number")
    return Cell(
        f"{against['difference']:+z.{digits(content)}f}", against["difference"], second=_interval(content, against)
    )


def _verdict(content: Mapping[str, Any], method: Mapping[str, Any]) -> Cell:
    if method["name"] == content["terms"]["reference"]:
        return Cell("reference", "reference")
    against = method.get("against")
    if not against:
        return Cell(DASH, note=problems(method) or NOT_FINISHED)
    words, _, need = against["words"].partition("; ")
    return Cell(words, against["verdict"], second=need)


def _rate(method: Mapping[str, Any]) -> Cell:
    value = method.get("learning_rate")
    if value is None:
        return Cell(DASH, note="no rate gave a score")
    return Cell(rate(value), value, second="at edge" if method.get("at_edge") else "")


def _cost(method: Mapping[str, Any], key: str, unit: str) -> Cell:
    costs = method.get("costs") or {}
    value = costs.get(key)
    if value is None:
        return Cell(DASH, note="not measured" if costs else problems(method) or NOT_FINISHED)
    if unit == "ms":
        return Cell(f"{1000 * value:.3g}", 1000 * value)
    if unit:
        return Cell(amount(value, unit), value)
    return Cell(f"{value:,.0f}" if value >= 10 else f"{value:.2g}", value)


def _trained(method: Mapping[str, Any]) -> Cell:
    costs = method.get("costs") or {}
    if costs.get("trainable") is None:
        return _cost(method, "trainable", "")
    return Cell(amount(costs["trainable"]), costs["trainable"], second=share(costs["percent"]))


def share(percent: float) -> str:
    """`100 %`, `0.65 %`, `0.0034 %`: two significant digits below 100."""
    return f"{percent:.0f} %" if percent >= 99.5 else f"{float(f'{percent:.2g}'):.10g} %"


def _merged(method: Mapping[str, Any]) -> Cell:
    costs = method.get("costs") or {}
    if costs.get("latency_seconds") is not None and costs.get("merged_latency_seconds") is None:
        return Cell(DASH, note=costs.get("unmergeable") or "the saved model is plain already")
    if costs.get("unmergeable"):
        return Cell(DASH, note=costs["unmergeable"])
    return _cost(method, "merged_latency_seconds", "ms")


def _forgetting(method: Mapping[str, Any]) -> Cell:
    costs = method.get("costs") or {}
    found = costs.get("forgetting")
    if not found:
        return Cell(DASH, note=costs.get("forgetting_reason") or ("not measured" if costs else NOT_FINISHED))
    rise = found["after"] - found["before"]
    return Cell(f"{rise:+z.2f}", rise, second=f"{found['before']:.2f} to {found['after']:.2f}")
