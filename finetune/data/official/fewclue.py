"""The files of FewCLUE (Xu et al. 2021), nine Chinese tasks with few rows; eight of them are read here.

`train` and `validation` are the union of the five published samples (`train_few_all`, `dev_few_all`) or, where it is
absent, the first sample (`train_0`, `dev_0`); `test` is `test_public`. Every file is a split under its own name as
well, `train_3` for example. Labels are names, as `news_sports` or `公共交通`, not the numbers beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from finetune.data import formats
from finetune.data.formats import Options, Record
from finetune.data.official.base import Splits, pick
from finetune.errors import DataError, unknown

Values = dict[str, Any]

FILES = {
    "train": ("train_few_all.json", "train_0.json"),
    "validation": ("dev_few_all.json", "dev_0.json"),
    "test": ("test_public.json",),
}
SEPARATOR = "\N{FULLWIDTH SEMICOLON}"
"""Between keywords: what the abstracts themselves separate with."""
OTHERS = ("train_*.json", "dev_*.json", "test*.json", "unlabeled.json")


def read(folder: Path, config: str | None) -> Splits:
    """The splits whose files exist.

    Args:
        folder: The subset's folder, or the root that holds it.
        config: tnews, iflytek, ocnli, bustm, eprstmt, csl, chid or cluewsc.

    Raises:
        DataError: An unknown subset, or no files.
    """
    if config not in SUBSETS:
        raise DataError(unknown("FewCLUE subset", str(config), SUBSETS))
    folder = folder / config if (folder / config).is_dir() else folder
    files = {path.stem: path for pattern in OTHERS for path in sorted(folder.glob(pattern))}
    named = pick(folder, FILES, f"FewCLUE {config}")
    return Splits({**named, **files}, partial(_records, SUBSETS[config]), "fewclue", config)


def _plain(values: Values, *columns: str, label: str = "label") -> Values:
    row = {name: values[name] for name in columns}
    return {**row, "label": values[label]} if label in values else row


def _keywords(values: Values) -> Values:
    """CSL: the keywords as one text, which is a task's second."""
    return _plain({**values, "keywords": SEPARATOR.join(values["keyword"])}, "abst", "keywords")


def _idiom(values: Values) -> Values:
    """ChID: a text with `#idiom#`, seven idioms, and the position of the right one from 0."""
    row = _plain(values, "content", "candidates")
    return {**row, "answer": values["answer"]} if "answer" in values else row


def _pronoun(values: Values) -> Values:
    """CLUEWSC: does the pronoun (span2) mean the noun (span1)? `marked` is the text with `[noun]` and `_pronoun_`."""
    text, target = values["text"], values["target"]
    marked, marks = text, {"span1": ("[", "]"), "span2": ("_", "_")}
    for name in sorted(marks, key=lambda name: -target[f"{name}_index"]):  # the last first: the others stay in place
        start, span = target[f"{name}_index"], target[f"{name}_text"]
        if text[start : start + len(span)] != span:
            raise ValueError(f"{span!r} does not stand at character {start}")
        marked = marked[:start] + span.join(marks[name]) + marked[start + len(span) :]
    spans = {"marked": marked, "span1": target["span1_text"], "span2": target["span2_text"]}
    return _plain({**values, **spans}, "text", *spans)


SUBSETS: dict[str, Callable[[Values], Values]] = {
    "tnews": lambda values: _plain(values, "sentence", "keywords", label="label_desc"),
    "iflytek": lambda values: _plain(values, "sentence", label="label_des"),
    "ocnli": lambda values: _plain(values, "sentence1", "sentence2"),
    "bustm": lambda values: _plain(values, "sentence1", "sentence2"),
    "eprstmt": lambda values: _plain(values, "sentence"),
    "csl": _keywords,
    "chid": _idiom,
    "cluewsc": _pronoun,
}


def _records(convert: Callable[[Values], Values], path: Path) -> Iterator[Record]:
    for line, values in formats.read(path, Options(layout="jsonl")):
        try:
            yield line, convert(values)
        except KeyError as error:
            raise DataError(f"{path} line {line} has no {error.args[0]!r}. Its columns: {', '.join(values)}.") from None
        except (TypeError, ValueError) as error:
            raise DataError(f"{path} line {line} is not as published: {error}.") from None
