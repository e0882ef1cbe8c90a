"""Stopping on request: the first Ctrl-C lets the step end and a checkpoint be written, the second stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Self

HANDLED = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Turns SIGINT and SIGTERM into a question that the training loop asks between steps.

    Attributes:
        signal: The signal that came; None so far.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signal is not None

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()  # elsewhere handlers cannot be set
        self._before = {number: signal.signal(number, self._handle) for number in HANDLED} if main else {}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


class Stopped(KeyboardInterrupt):
    """A run that ended on request, with everything saved.

    Attributes:
        exit_code: What a shell expects of a process that this signal ended.
    """

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.exit_code = 128 + number
