"""Silence for libraries that talk to the terminal about what this project reports in its own words."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No progress bars and no reports below an error, of transformers, datasets and the Hub client, for a while."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # else a warning whenever a process is started
    import datasets
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging

    level, bars, hub_bars = logging.get_verbosity(), logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    data_bars, data_level = datasets.is_progress_bar_enabled(), datasets.logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    datasets.disable_progress_bar()
    datasets.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=UserWarning)
            warnings.simplefilter("ignore", category=FutureWarning)
            yield
    finally:
        logging.set_verbosity(level)
        datasets.logging.set_verbosity(data_level)
        if bars:
            logging.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()
        if data_bars:
            datasets.enable_progress_bar()
