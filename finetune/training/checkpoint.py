"""Checkpoints: trained parameters, optimizer, the method's own state, position; safetensors and JSON only."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from finetune.data.cache import file_digest
from finetune.errors import RunError
from finetune.run_directory import FORMAT, read_json, write_json, writing
from finetune.training.loop import Trainee

PARAMETERS, OPTIMIZER, METHOD = "parameters.safetensors", "optimizer.safetensors", "method.safetensors"
STATE, CHECKSUMS = "state.json", "checksums.json"
UNFINISHED = ".partial"
UNSCORED = "-unscored"
"""Marks a checkpoint whose scoring was interrupted; the one after the scoring stands beside it before it goes."""


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    Attributes:
        step: Optimizer steps done.
        metrics_size: Bytes of metrics.jsonl at that step.
        scored: Whether the scoring due at that step has been done.
        best_step: Step of the best scoring so far; None before the first.
        best_value: Its first metric.
        waited: Scorings since the best one.
        processes: How many took part.
    """

    step: int = 0
    metrics_size: int = 0
    scored: bool = True
    best_step: int | None = None
    best_value: float | None = None
    waited: int = 0
    processes: int = 1


def save(folder: Path, trainee: Trainee, position: Position) -> Path:
    """Write a checkpoint: beside, flushed, checksummed, then renamed; what a crash leaves behind is never picked up.

    Raises:
        RunError: The disk is full or the folder cannot be written; earlier checkpoints are left as they are.
    """
    scored = folder / f"step-{position.step:08d}"
    final = scored if position.scored else scored.with_name(scored.name + UNSCORED)
    if _is_whole(final):
        return final
    unfinished = final.with_name(final.name + UNFINISHED)
    state = {"format": FORMAT, "position": vars(position)}
    shutil.rmtree(unfinished, ignore_errors=True)
    with writing(unfinished):
        unfinished.mkdir(parents=True)
        save_file(trained(trainee.module), unfinished / PARAMETERS)
        save_file(_optimizer_tensors(trainee), unfinished / OPTIMIZER)
        save_file(trainee.tuning.state(trainee.module), unfinished / METHOD)
        write_json(unfinished / STATE, state)
        sums = {name: file_digest(unfinished / name) for name in (PARAMETERS, OPTIMIZER, METHOD, STATE)}
        write_json(unfinished / CHECKSUMS, {"format": FORMAT, "sha256": sums})
        for name in (PARAMETERS, OPTIMIZER, METHOD):
            _flush(unfinished / name)
        _flush(unfinished)
        shutil.rmtree(final, ignore_errors=True)  # a damaged one
        unfinished.rename(final)
        _flush(folder)
        if position.scored:
            shutil.rmtree(scored.with_name(scored.name + UNSCORED), ignore_errors=True)
    return final


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint; None where there is none."""
    return next((path for path in sorted(_finished(folder), reverse=True) if _is_whole(path)), None)


def drop_after(folder: Path, found: Path | None) -> None:
    """Delete checkpoints newer than the one a run goes on from: they are damaged."""
    for path in _finished(folder):
        if found is None or path.name > found.name:
            shutil.rmtree(path, ignore_errors=True)


def at(folder: Path, step: int) -> Path:
    """The checkpoint of a step.

    Raises:
        RunError: It is gone or damaged.
    """
    path = folder / f"step-{step:08d}"
    if not _is_whole(path):
        raise RunError(f"the checkpoint {path} is missing or damaged; delete {folder} to train again.")
    return path


def position(path: Path) -> Position:
    """Where the run stood."""
    return Position(**read_json(path / STATE)["position"])


def restore(path: Path, trainee: Trainee) -> None:
    """Put a checkpoint into a model and its optimizer.

    Raises:
        RunError: It belongs to another model.
    """
    restore_parameters(path, trainee)
    stored = load_file(path / OPTIMIZER)
    by_name = {name: p for name, p in trainee.module.named_parameters() if p.requires_grad}
    for key, tensor in stored.items():
        kind, _, name = key.partition(":")
        parameter = by_name[name]
        trainee.optimizer.state[parameter][kind] = tensor.to(parameter.device)
    trainee.tuning.restore(trainee.module, load_file(path / METHOD))


def restore_parameters(path: Path, trainee: Trainee) -> None:
    """Put the trained parameters and the buffers of a checkpoint into a model."""
    stored = load_file(path / PARAMETERS)
    parameters = _trained(trainee.module)
    if stored.keys() != parameters.keys():
        raise RunError(f"the checkpoint {path} belongs to another model or tuning method.")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(stored[name])


def prune(folder: Path, keep: int, best_step: int | None) -> None:
    """Delete all but the newest `keep` checkpoints and the best, and what was left unfinished."""
    for path in folder.glob(f"*{UNFINISHED}"):
        shutil.rmtree(path, ignore_errors=True)
    for path in sorted(_finished(folder), reverse=True)[keep:]:
        if best_step is None or path.name != f"step-{best_step:08d}":
            shutil.rmtree(path, ignore_errors=True)


def trained(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The trained parameters and the buffers (as running means) by name, copied to the CPU."""
    return {name: value.detach().cpu().contiguous() for name, value in _trained(module).items()}


def _trained(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    named = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    buffers = {name for name, _ in module.named_buffers()}
    return {**named, **{name: value for name, value in module.state_dict().items() if name in buffers}}


def _optimizer_tensors(trainee: Trainee) -> dict[str, torch.Tensor]:
    state = trainee.optimizer.state
    named = [(name, p) for name, p in trainee.module.named_parameters() if p in state]
    return {
        f"{kind}:{name}": value.detach().cpu().contiguous()
        for name, parameter in named
        for kind, value in state[parameter].items()
    }


def _finished(folder: Path) -> list[Path]:
    return [path for path in folder.glob("step-*") if not path.name.endswith(UNFINISHED)]


def _is_whole(path: Path) -> bool:
    """Whether every file is there as it was written."""
    try:
        sums: dict[str, Any] = json.loads((path / CHECKSUMS).read_text("utf-8"))["sha256"]
        return all(file_digest(path / name) == expected for name, expected in sums.items())
    except (OSError, ValueError, KeyError):
        return False


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
