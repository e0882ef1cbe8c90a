"""The files of CLUENER2020 (Xu et al. 2020), Chinese entities as spans of characters.

Their trap: the second index of an entity is that of its last character; here `end` is the one after it, so that
`text[start:end]` is the entity. The test file has no entities.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finetune.data import formats
from finetune.data.formats import Options, Record
from finetune.data.official.base import Splits, pick, texts, whole
from finetune.errors import DataError

FILES = {"train": ("train.json",), "validation": ("dev.json",), "test": ("test.json",)}


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist, with `text` and `spans`, a list of `{"start", "end", "type"}` in their order.

    Args:
        folder: The folder of the files.
        config: None; there are no subsets.

    Raises:
        DataError: A subset was named, there are no files, or a span does not hold the words it should.
    """
    whole("CLUENER", config)
    return Splits(pick(folder, FILES, "CLUENER"), _records, "cluener")


def _records(path: Path) -> Iterator[Record]:
    for line, values in formats.read(path, Options(layout="jsonl")):
        where = f"{path} line {line}"
        row = texts(values, where, ("text",))
        label = values.get("label")
        yield line, row if label is None else {**row, "spans": _spans(values["text"], label, where)}


def _spans(text: str, label: Any, where: str) -> list[dict[str, Any]]:
    spans = []
    try:
        found = [
            (start, last, kind, surface)
            for kind, surfaces in label.items()
            for surface, places in surfaces.items()
            for start, last in places
        ]
    except (AttributeError, TypeError, ValueError):
        raise DataError(f"{where}: 'label' is not {{type: {{entity: [[first, last], ...]}}}}.") from None
    for start, last, kind, surface in sorted(found):
        if text[start : last + 1] != surface:
            raise DataError(f"{where}: {surface!r} is said to stand at {start} to {last}, where there is other text.")
        spans.append({"start": start, "end": last + 1, "type": kind})
    return spans
