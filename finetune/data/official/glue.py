"""The GLUE files as published, read into the columns and label names of the Hub's `nyu-mll/glue`.

Their traps: no quoting (unbalanced quotes are text), CoLA without a header, MRPC's `#1 String` columns, QQP's questions
that hold line ends, test files without labels, `NA` and empty words that are text.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from finetune.data import formats
from finetune.data.formats import Options
from finetune.data.official.base import Splits
from finetune.errors import DataError, listing, unknown

log = logging.getLogger(__name__)

FILES = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}


@dataclass(frozen=True)
class Layout:
    """One subset.

    Attributes:
        folders: Its folder in the published archive, and other names in use.
        columns: Hub column -> column of the file, in the order of the Hub.
        label: Column of the file that holds the label.
        names: Label names in the Hub's order of ids; a file may hold either the name or the id. None: a number.
        header: Column names where the training and validation files have none.
        files: Split of the Hub -> file.
        broken: Whether lines with too few or too many fields are left out, as the Hub does.
    """

    folders: tuple[str, ...]
    columns: dict[str, str]
    label: str
    names: tuple[str, ...] | None
    header: tuple[str, ...] | None = None
    files: dict[str, str] = field(default_factory=lambda: FILES)
    broken: bool = False


INFERENCE = ("entailment", "neutral", "contradiction")
ENTAILMENT = ("entailment", "not_entailment")
PAIR = {"sentence1": "sentence1", "sentence2": "sentence2"}
PREMISE = {"premise": "sentence1", "hypothesis": "sentence2"}
LAYOUTS = {
    "cola": Layout(
        ("CoLA",),
        {"sentence": "sentence"},
        "label",
        ("unacceptable", "acceptable"),
        ("source", "label", "mark", "sentence"),
    ),
    "sst2": Layout(("SST-2",), {"sentence": "sentence"}, "label", ("negative", "positive")),
    "mrpc": Layout(
        ("MRPC",), {"sentence1": "#1 String", "sentence2": "#2 String"}, "Quality", ("not_equivalent", "equivalent")
    ),
    "stsb": Layout(("STS-B",), PAIR, "score", None),
    "qqp": Layout(
        ("QQP",),
        {"question1": "question1", "question2": "question2"},
        "is_duplicate",
        ("not_duplicate", "duplicate"),
        broken=True,
    ),
    "mnli": Layout(
        ("MNLI",),
        PREMISE,
        "gold_label",
        INFERENCE,
        files={
            "train": "train.tsv",
            "validation_matched": "dev_matched.tsv",
            "validation_mismatched": "dev_mismatched.tsv",
            "test_matched": "test_matched.tsv",
            "test_mismatched": "test_mismatched.tsv",
        },
    ),
    "qnli": Layout(("QNLI",), {"question": "question", "sentence": "sentence"}, "label", ENTAILMENT),
    "rte": Layout(("RTE",), PAIR, "label", ENTAILMENT),
    "wnli": Layout(("WNLI",), PAIR, "label", ("not_entailment", "entailment")),
    "ax": Layout(("diagnostic", "AX", "MNLI"), PREMISE, "label", INFERENCE, files={"test": "diagnostic.tsv"}),
}
DIAGNOSTIC = ("diagnostic.tsv", "AX.tsv")
"""Names of the diagnostic file; it lies in a folder of its own, with MNLI's files, or beside the folders."""


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist, each with the column `idx`: the published `index`, else the row's number from 0.

    Where the training file is missing, every other tsv file is a split under its own name: parts of published ones.

    Args:
        folder: The subset's folder, or the root that holds it; for `ax` also MNLI's.
        config: The Hub's name of the subset.

    Raises:
        DataError: An unknown subset, the folder of another one, no files (but of `ax`, which may be absent), or, when a
            split is asked for, lines that cannot be read.
    """
    if config not in LAYOUTS:
        raise DataError(unknown("GLUE subset", str(config), LAYOUTS))
    layout = LAYOUTS[config]
    if config == "ax":
        path = _diagnostic(folder, layout)
        return _splits({"test": path} if path else {}, config)
    whose = next((name for name, other in LAYOUTS.items() if name != "ax" and folder.name in other.folders), config)
    if whose != config:
        raise DataError(f"{folder} is the folder of {whose}, not of {config}; give the folder that holds both.")
    folder = next((folder / name for name in layout.folders if (folder / name).is_dir()), folder)
    paths = {split: folder / name for split, name in layout.files.items() if (folder / name).is_file()}
    if "train" not in paths:
        known = {*layout.files.values(), *DIAGNOSTIC}
        paths |= {path.stem: path for path in sorted(folder.glob("*.tsv")) if path.name not in known}
    if not paths:
        wanted = f"{', '.join(layout.files.values())}: is it the folder of {layout.folders[0]}?"
        there = listing(sorted(path.name for path in folder.iterdir()), 12)
        raise DataError(f"{folder} has none of {wanted} It has: {there or 'nothing'}.")
    return _splits(paths, config, {} if "train" in paths else {"train": _untrained(folder, paths)})


def _splits(paths: Mapping[str, Path], config: str, lacking: Mapping[str, str] | None = None) -> Splits:
    layout = LAYOUTS[config]
    names = {"label": layout.names} if layout.names else None
    return Splits(paths, partial(_records, layout), "glue", config, names=names, lacking=lacking)


def _untrained(folder: Path, paths: Mapping[str, Path]) -> str:
    """That there is no training file, and what to train on instead."""
    there = ", ".join(f"{path.name} (split {split})" for split, path in paths.items())
    labelled = next((split for split in paths if not split.startswith("test")), None)
    remedy = f" For this recipe alone, one half to train on and one to score: data.train={labelled} data.holdout=0.5"
    return f"{folder} has no train.tsv. It has {there}.{remedy if labelled else ''}"


def _diagnostic(folder: Path, layout: Layout) -> Path | None:
    """Where the diagnostic file lies, if it is there."""
    roots = (folder, folder.parent) if folder.name in layout.folders else (folder,)
    places = (place for root in roots for place in (*(root / name for name in layout.folders), root))
    return next((place / name for place in places for name in DIAGNOSTIC if (place / name).is_file()), None)


def _records(layout: Layout, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    is_test = path.name.startswith("test")
    header = layout.header if not is_test else None
    options = Options(delimiter="\t", quoting=False, header=header)
    lines = _unbroken(path) if layout.broken else formats.read(path, options)
    for number, (line, values) in enumerate(lines):
        missing = [name for name in layout.columns.values() if name not in values]
        if missing:
            raise DataError(f"{path} has no column {missing[0]!r}. Columns here: {', '.join(values)}.")
        where = f"{path} line {line}"
        row: dict[str, Any] = {column: values[name] for column, name in layout.columns.items()}
        if layout.label in values:
            row["label"] = _label(values[layout.label], layout, where)
        index = values.get("index") or (values.get("id") if is_test else None)
        yield line, {**row, "idx": number if index is None else _index(index, where)}


def _unbroken(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines with as many fields as the header: a line end inside of a text makes two lines with too few."""
    left_out = []
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            names = next(file, "").rstrip("\r\n").split("\t")
            for line, text in enumerate(file, start=2):
                fields = text.rstrip("\r\n").split("\t")
                if len(fields) == len(names):
                    yield line, dict(zip(names, fields, strict=True))
                elif text.strip():
                    left_out.append(line)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: byte {error.object[error.start]:#04x} cannot be read.") from None
    if left_out:
        log.warning("%s: %d broken lines are left out: %s", path, len(left_out), listing(left_out))


def _label(value: str, layout: Layout, where: str) -> str | float:
    if layout.names is None:
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number <= 5:
            raise DataError(f"{where}: the label {value!r} is no number from 0 to 5.")
        return number
    if value in layout.names:
        return value
    if value.isascii() and value.isdecimal() and int(value) < len(layout.names):
        return layout.names[int(value)]
    raise DataError(f"{where}: the label {value!r} is none of {', '.join(layout.names)}.")


def _index(value: str, where: str) -> int:
    if not (value.isascii() and value.isdecimal()):
        raise DataError(f"{where}: the index {value!r} is no whole number.")
    return int(value)
