"""Data: what a recipe says about its rows, and what every source of rows shares."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, PositiveInt

from finetune import catalog
from finetune.config import Choice
from finetune.data.layouts import text
from finetune.data.table import Rows
from finetune.errors import DataError, listing, nearest

SPLITS = ("train", "validation", "test")
"""The splits that every source may have; some have further ones, scored at the end of a run if they have targets."""


@dataclass(frozen=True)
class Column:
    """A column that a task reads, and what it is for, in a user's words."""

    name: str
    purpose: str


class Data(Choice, ABC):
    """Where rows come from. Make one with `Data.hub`, `Data.files` or `Data.rows`."""

    package: ClassVar[str] = "finetune.data.sources"

    holdout: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the training rows kept aside for validation, drawn by seed and stratified by the label.
    None: the validation split is used; where there is none, 0.1 is kept aside."""
    limit: PositiveInt | None = None
    """Rows of the training split to use, drawn by seed; None: all. Other splits are never cut."""
    seed: int = 0
    """Seed of holdout and limit; apart from the training seed, so that runs over seeds see the same rows."""

    @staticmethod
    def hub(id: str, config: str | None = None, **fields: Any) -> Data:
        """A dataset of the Hugging Face Hub, or its official files in a local folder (`path`)."""
        made: Data = catalog.find(Data.package, "hub", Data)(id=id, config=config, **fields)
        return made

    @staticmethod
    def files(train: str | Sequence[str], **fields: Any) -> Data:
        """Files: csv, tsv, json, jsonl, parquet, txt, words and tags in columns, each also gzipped."""
        made: Data = catalog.find(Data.package, "files", Data)(train=train, **fields)
        return made

    @staticmethod
    def rows(train: Any, **fields: Any) -> Data:
        """Rows in memory: a list of dictionaries, a dictionary of lists, or a `datasets.Dataset`."""
        made: Data = catalog.find(Data.package, "rows", Data)(train=train, **fields)
        return made

    @abstractmethod
    def read(self) -> dict[str, Rows]:
        """Every split that the source has, whole.

        Raises:
            DataError: Something is missing or cannot be read.
        """

    def stored(self, folder: Path) -> Data:
        """The same rows as a run directory can keep them: rows in memory are written to `folder`."""
        return self

    def pinned(self) -> Data:
        """The same source at the version that was read; known after `read`."""
        return self

    def revisions(self) -> dict[str, str]:
        """Which version of a remote source was read; known after `read`."""
        return {}

    def load(
        self, inputs: Sequence[Column], targets: Sequence[Column], optional: Sequence[Column] = ()
    ) -> dict[str, Rows]:
        """The splits of a run: columns checked, validation rows kept aside, the training split limited.

        Args:
            inputs: Columns that every split must have.
            targets: Columns that training and validation must have; other splits may lack them. The first stratifies.
            optional: Columns that any split may lack.

        Raises:
            DataError: A column or a split is missing.
        """
        asked = [column.name for column in (*inputs, *targets, *optional)]
        splits = {name: rows.unfolded(asked) for name, rows in self.read().items()}
        if "train" not in splits:
            raise DataError(f"there is no training split. Known: {', '.join(splits)}.")
        problems = []
        for name, rows in splits.items():
            if len(rows) == 0:
                problems.append(f"{rows.origin} holds no rows.")
                continue
            for column in (*inputs, *(targets if name in ("train", "validation") else ())):
                if column.name not in rows.columns:
                    problems.append(_lacking(rows, column))
            problems += [_absent(rows, column.name) for column in inputs if rows.absent(column.name)]
        if problems:
            raise DataError(*problems)
        if "validation" not in splits or self.holdout is not None:
            labels = splits["train"].column(targets[0].name) if targets else [None] * len(splits["train"])
            kept, aside = hold_out(labels, 0.1 if self.holdout is None else self.holdout, self.seed)
            if not kept or not aside:
                raise DataError(
                    f"{splits['train'].origin}: {len(labels)} rows are too few to keep some for validation."
                )
            splits["validation"] = splits["train"].select(aside, "validation")
            splits["train"] = splits["train"].select(kept)
        if self.limit is not None and self.limit < len(splits["train"]):
            chosen = random.Random(f"limit {self.seed}").sample(range(len(splits["train"])), self.limit)
            splits["train"] = splits["train"].select(sorted(chosen))
        return {name: splits[name] for name in dict.fromkeys((*SPLITS, *splits)) if name in splits}


def _lacking(rows: Rows, column: Column) -> str:
    known = nearest(column.name, dict.fromkeys((*rows.columns, *rows.fields)))
    said = f"{rows.origin} has no column {column.name!r} ({column.purpose}). {known}"
    if tuple(rows.columns) != text.COLUMNS:
        return said
    return (
        f"{said} It was read as one running text; data.layout=lines makes each line a row, data.layout=conll reads "
        "words and tags in columns."
    )


def _absent(rows: Rows, column: str) -> str:
    where = listing((rows.where(row) for row in rows.absent(column)), 3)
    return f"{len(rows.absent(column))} rows have no {column!r}: {where}. Fill it in, or delete these rows."


def hold_out(labels: Sequence[Any], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Positions to train on and positions kept aside, each in order; every label gives its share, within one row.

    A label of one row stays in training. Labels that are all different (numbers, texts) give a plain random share.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for position, label in enumerate(labels):
        groups[str(label)].append(position)
    if len(groups) > len(labels) / 2:
        groups = {"all": list(range(len(labels)))}
    generator = random.Random(f"holdout {seed}")
    aside: list[int] = []
    owed = 0.0
    for label in sorted(groups):
        members = groups[label]
        generator.shuffle(members)
        owed += len(members) * share
        take = max(0, min(round(owed), len(members) - 1))
        owed = max(-0.5, min(0.5, owed - take))  # a label too small to give its share leaves no debt to the next
        aside += members[:take]
    chosen = set(aside)
    return [position for position in range(len(labels)) if position not in chosen], sorted(aside)
