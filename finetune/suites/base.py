"""Suite: what a family of recipes adds once its runs are there: a score over all, and files to hand in."""

from __future__ import annotations

import io
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

Scores = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
"""Recipe -> split -> metric -> value, low, high and baseline."""


@dataclass(frozen=True)
class File:
    """One file of a submission.

    Attributes:
        name: Its official name.
        recipe: Whose model predicts it.
        split: The rows to predict.
        rows: How many the published split has.
    """

    name: str
    recipe: str
    split: str
    rows: int


@dataclass(frozen=True)
class Summary:
    """What the scores amount to.

    Attributes:
        text: For a person.
        values: The same as JSON values.
    """

    text: str
    values: dict[str, Any]


class Suite(ABC):
    """A family of recipes that is scored as a whole."""

    package: ClassVar[str] = "finetune.suites"
    index: ClassVar[str]
    """Column that gives the order of the rows in a submission."""
    files: ClassVar[tuple[File, ...]]
    """The files of a submission."""

    @abstractmethod
    def summary(self, scores: Scores) -> Summary | None:
        """The score over all; None where no recipe of the suite has scores."""

    @abstractmethod
    def text(self, file: File, indices: Sequence[int], predicted: Sequence[Any]) -> str:
        """The content of a file.

        Args:
            file: Which.
            indices: Of the rows, `(rows,)`, in any order.
            predicted: What `Task.decide` calls `predicted`, `(rows,)`.

        Raises:
            DataError: A prediction that has no official spelling.
        """


def remarks(file: File, indices: Sequence[int]) -> list[str]:
    """What a reader of a submission may refuse, in sentences: other rows than the published ones."""
    found = []
    if len(indices) != file.rows:
        found.append(f"{file.name} has {len(indices):,} rows, the published split has {file.rows:,}")
    if sorted(indices) != list(range(len(indices))):
        found.append(f"the indices of {file.name} are not 0 to {len(indices) - 1:,}, each once")
    return found


def archive(texts: Mapping[str, str], missing: Sequence[str]) -> bytes:
    """A zip file; equal texts give equal bytes. Where files are missing, its comment says so."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in texts.items():
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            member.external_attr = 0o644 << 16
            file.writestr(member, text)
        if missing:
            file.comment = f"incomplete: without {', '.join(missing)}".encode()
    return stream.getvalue()
