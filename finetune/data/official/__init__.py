"""One file for each published file layout that has its own traps; `data.reader` names one."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from finetune import catalog
from finetune.data.table import Rows
from finetune.errors import DataError, unknown

Reader = Callable[[Path, str | None], Mapping[str, Rows]]
"""From a folder and the name of a subset to its splits, with the columns and label names that the Hub gives them."""


def reader(name: str) -> Reader:
    """The reader of one published layout.

    Raises:
        DataError: No reader has that name.
    """
    if name not in catalog.names(__name__):
        raise DataError(unknown("data.reader", name, catalog.names(__name__)))
    read: Reader = importlib.import_module(f"{__name__}.{name}").read
    return read
