"""Where and in which number format a model computes, over all processes of a run."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from finetune.errors import RunError

if TYPE_CHECKING:
    from accelerate import Accelerator

Item = TypeVar("Item")


@dataclass(frozen=True)
class Compute:
    """One process among those of a run.

    Attributes:
        accelerator: Accelerate's view of the processes; its own accumulation and mixed precision are not used.
        precision: `bf16` or `fp32`, of the forward pass.
        processes: How many take part.
        process: This one's number, from 0.
    """

    accelerator: Accelerator
    precision: str
    processes: int
    process: int

    @property
    def device(self) -> torch.device:
        """This process's device."""
        return self.accelerator.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.process == 0

    def alone(self, precision: str) -> Compute:
        """This process for itself, in another number format."""
        return replace(self, precision=precision, processes=1, process=0)

    def autocast(self) -> AbstractContextManager[Any]:
        """The number format of the forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over processes."""
        return self.accelerator.reduce(values, reduction="sum") if self.processes > 1 else values

    def gather(self, items: list[Item]) -> list[Item]:
        """The items of all processes, in the order of the processes."""
        if self.processes == 1:
            return items
        from accelerate.utils import gather_object

        gathered: list[Item] = gather_object(items)
        return gathered

    def peak_memory(self) -> int:
        """Most bytes held so far: on the GPU, or by this process."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated())
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale

    def wait(self) -> None:
        """Until every process is here."""
        self.accelerator.wait_for_everyone()


def compute(precision: str, deterministic: bool = False) -> Compute:
    """Join the processes that a launcher started; alone without one.

    Args:
        precision: `auto`, `fp32` or `bf16`.
        deterministic: Refuse algorithms whose result differs from run to run.

    Raises:
        RunError: The launcher asked for more processes than there are.
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs

    # a head may leave a parameter of the checkpoint unused, and which ones depends on the architecture
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no", kwargs_handlers=[unused])
    asked = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != asked:
        raise RunError(
            f"the launcher asked for {asked} processes, but {accelerator.num_processes} joined. "
            "Without a GPU start them with: torchrun --nproc_per_node N -m finetune run RECIPE"
        )
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    format = resolve_precision(precision, accelerator.device.type)
    return Compute(accelerator, format, int(accelerator.num_processes), int(accelerator.process_index))


def resolve_precision(precision: str, device: str) -> str:
    """What `auto` becomes: bf16 where the hardware multiplies in it, else fp32."""
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp32"
    flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bf16" if flags.get("avx512_bf16") or flags.get("amx_bf16") else "fp32"
