"""What optimizer steps cost: seconds, and memory over that of the loaded model, whatever this process did before."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from finetune.compute import Compute
from finetune.training.loop import Step

STATUS, CLEAR, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs"), "5"
"""Where Linux says what this process holds, and where the number is written that resets its peak."""
SOURCES = {
    "device": "allocated on the GPU",
    "resident": "resident memory of this process that no file backs",
    "lifetime": "growth of this process's peak since it began: too little after anything larger in the same process",
}


class Meter:
    """Measures the steps of one run in this process.

    Attributes:
        source: How memory is measured: a key of `SOURCES`.
        held: Bytes before training, the model's weights among them, but not the optimizer's state; and what scoring and
            saving have kept since.
        memory: Most bytes that a step held over that; None before the first step.
        features, seconds: Of the steps that count for the speed: all but the first, which also loads kernels.
    """

    def __init__(self, module: nn.Module, compute: Compute):
        self.compute = compute
        self.memory: int | None = None
        self.features = 0
        self.seconds = 0.0
        self._first: tuple[int, float] | None = None
        self._highest = 0
        settle(module)
        if compute.device.type == "cuda":
            self.source = "device"
        else:
            self.source = "resident" if _can_reset() else "lifetime"
        self._reset()
        self.held = self._now()

    def watch(self, made: Iterator[Step]) -> Iterator[Step]:
        """The same steps, measured; nothing that is done between them is."""
        ended: int | None = None
        while True:
            self._reset()
            if ended is not None:
                self.held += self._now() - ended  # by scoring and saving since the last step
            began = time.perf_counter()
            step = next(made, None)
            seconds = time.perf_counter() - began
            if step is None:
                return
            self.memory, ended = max(self.memory or 0, self._now(peak=True) - self.held), self._now()
            if self._first is None:
                self._first = (step.features, seconds)
            else:
                self.features += step.features
                self.seconds += seconds
            yield step

    def line(self) -> dict[str, Any]:
        """The measures as JSON values."""
        features, seconds = self.features, self.seconds
        if not features and self._first is not None:
            features, seconds = self._first
        return {
            "features": features,
            "step_seconds": round(seconds, 6),
            "memory_bytes": self.memory,
            "memory_source": SOURCES[self.source],
        }

    def peak(self) -> int:
        """Most bytes of this process since the model was loaded, or of its GPU; without a way to reset, in its life."""
        if self.source == "device":
            self._highest = max(self._highest, torch.cuda.max_memory_allocated(self.compute.device))
        elif self.source == "resident":
            self._highest = max(self._highest, _status()["VmHWM"])
        else:
            self._highest = self.compute.peak_memory()
        return self._highest

    def _reset(self) -> None:
        """Forget the peak of what was done so far, but for `peak`."""
        if self.source == "device":
            self.peak()
            torch.cuda.reset_peak_memory_stats(self.compute.device)
        elif self.source == "resident":
            self.peak()
            CLEAR.write_text(PEAK)

    def _now(self, peak: bool = False) -> int:
        """Bytes that count: held at this moment, or at most since the last reset."""
        if self.source == "device":
            device = self.compute.device
            return int(torch.cuda.max_memory_allocated(device) if peak else torch.cuda.memory_allocated(device))
        if self.source == "resident":
            found = _status()
            # pages of files, as the libraries' code and the rows, come and go with what was read before
            return found["VmHWM" if peak else "VmRSS"] - found["RssFile"] - found["RssShmem"]
        return self.compute.peak_memory()


def settle(module: nn.Module) -> None:
    """Give back what earlier work left behind, and bring the trained weights into memory of their own.

    They may lie in the checkpoint's file; the first step would copy them, which is no memory of training.
    """
    gc.collect()
    if hasattr(ctypes.CDLL(None), "malloc_trim"):  # the C library of most Linux systems keeps freed memory
        ctypes.CDLL(None).malloc_trim(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad and parameter.device.type == "cpu":
                parameter.mul_(1)


def _can_reset() -> bool:
    """Whether the peak of this process can be read and reset."""
    try:
        CLEAR.write_text(PEAK)
        return {"VmHWM", "VmRSS", "RssFile", "RssShmem"} <= _status().keys()
    except OSError:
        return False


def _status() -> dict[str, int]:
    """Bytes that this process holds, by the kernel's names."""
    lines = (line.split() for line in STATUS.read_text("utf-8").splitlines() if line.endswith(" kB"))
    return {name.rstrip(":"): 1024 * int(number) for name, number, _ in lines}
