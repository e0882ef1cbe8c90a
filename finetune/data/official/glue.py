"""The GLUE files as published, read into the columns and label names of the Hub's `nyu-mll/glue`.

Their traps: no quoting (unbalanced quotes are text), CoLA without a header, MRPC's `#1 String` columns, test files
without labels, `NA` and empty words that are text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.data import cache, formats, table
from finetune.data.formats import Options
from finetune.data.table import Rows
from finetune.errors import DataError, unknown


@dataclass(frozen=True)
class Layout:
    """One subset.

    Attributes:
        folder: Its folder in the published archive.
        columns: Hub column -> column of the file, in the order of the Hub.
        label: Column of the file that holds the label.
        names: Label names in the Hub's order of ids; a file may hold either the name or the id.
        header: Column names where the training and validation files have none.
    """

    folder: str
    columns: dict[str, str]
    label: str
    names: tuple[str, ...]
    header: tuple[str, ...] | None = None


ENTAILMENT = ("entailment", "not_entailment")
PAIR = {"sentence1": "sentence1", "sentence2": "sentence2"}
LAYOUTS = {
    "cola": Layout(
        "CoLA",
        {"sentence": "sentence"},
        "label",
        ("unacceptable", "acceptable"),
        ("source", "label", "mark", "sentence"),
    ),
    "sst2": Layout("SST-2", {"sentence": "sentence"}, "label", ("negative", "positive")),
    "mrpc": Layout(
        "MRPC", {"sentence1": "#1 String", "sentence2": "#2 String"}, "Quality", ("not_equivalent", "equivalent")
    ),
    "rte": Layout("RTE", PAIR, "label", ENTAILMENT),
    "qnli": Layout("QNLI", {"question": "question", "sentence": "sentence"}, "label", ENTAILMENT),
    "wnli": Layout("WNLI", PAIR, "label", ("not_entailment", "entailment")),
}
FILES = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}


def read(folder: Path, config: str | None) -> dict[str, Rows]:
    """The splits whose files exist.

    Args:
        folder: The subset's folder, or the root that holds it.
        config: The Hub's name of the subset.

    Raises:
        DataError: An unknown subset, no files, or lines that cannot be read.
    """
    if config not in LAYOUTS:
        raise DataError(unknown("GLUE subset", str(config), LAYOUTS))
    layout = LAYOUTS[config]
    folder = folder / layout.folder if (folder / layout.folder).is_dir() else folder
    found = {}
    for split, name in FILES.items():
        path = folder / name
        if path.is_file():
            header = layout.header if split != "test" else None

            def write(target: Path, path: Path = path, header: tuple[str, ...] | None = header) -> None:
                table.write(_records(path, layout, header), path.name, target)

            key = (cache.file_digest(path), config, split)
            found[split] = table.read(cache.cached("rows", key, write), split, path.name, {"label": layout.names})
    if not found:
        raise DataError(f"{folder} has none of {', '.join(FILES.values())}: is it the folder of {layout.folder}?")
    return found


def _records(path: Path, layout: Layout, header: tuple[str, ...] | None) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, values in formats.read(path, Options(delimiter="\t", quoting=False, header=header)):
        missing = [name for name in layout.columns.values() if name not in values]
        if missing:
            raise DataError(f"{path} has no column {missing[0]!r}. Columns here: {', '.join(values)}.")
        row = {column: values[name] for column, name in layout.columns.items()}
        yield line, {**row, **_label(values.get(layout.label), layout, f"{path} line {line}")}


def _label(value: str | None, layout: Layout, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if value in layout.names:
        return {"label": value}
    if value.isdecimal() and int(value) < len(layout.names):
        return {"label": layout.names[int(value)]}
    raise DataError(f"{where}: the label {value!r} is none of {', '.join(layout.names)}.")
