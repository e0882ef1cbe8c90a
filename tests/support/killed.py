"""A warm process that forks runs and kills them: forking keeps each start down to milliseconds."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from finetune.experiment import run
from finetune.recipe import Recipe
from finetune.run_directory import RunDirectory
from finetune.training import checkpoint

tqdm.monitor_interval = 0  # its thread may hold a lock in the moment of a fork, and the forked run would wait for ever


def start(recipe: Recipe, folder: Path) -> int:
    """Fork a child that runs the recipe (or goes on with it); returns its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        run(recipe, folder, certified=False)
        code = 0
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        os._exit(code)


def finish(recipe: Recipe, folder: Path) -> RunDirectory:
    """Run to the end in a child; returns the run's directory."""
    _, status = os.waitpid(start(recipe, folder), 0)
    assert os.waitstatus_to_exitcode(status) == 0
    (identity,) = folder.glob("*/*/identity.json")
    return RunDirectory(identity.parent)


def kill_when(recipe: Recipe, folder: Path, due: Callable[[], bool]) -> bool:
    """Run in a child, and kill -9 it as soon as `due`; False if it ended before."""
    child = start(recipe, folder)
    while True:
        if due():
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return True
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0
            return False


def writing_a_checkpoint(folder: Path, step: int) -> Callable[[], bool]:
    """Whether a checkpoint of that step, or a later one, is half written at this very moment."""

    def due() -> bool:
        unfinished = folder.glob(f"*/*/checkpoints/step-*{checkpoint.UNFINISHED}")
        return any(int(path.name[5:13]) >= step for path in unfinished)

    return due


def after_checkpoint(folder: Path, step: int, seconds: float) -> Callable[[], bool]:
    """Whether so much time has passed since a checkpoint of that step, or a later one, was there."""
    seen: list[float] = []

    def due() -> bool:
        if not seen and any(int(path.name[5:13]) >= step for path in folder.glob("*/*/checkpoints/step-*")):
            seen.append(time.monotonic())
        return bool(seen) and time.monotonic() - seen[0] >= seconds

    return due


def after(seconds: float) -> Callable[[], bool]:
    """Whether so much time has passed since now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def where(folder: Path) -> str:
    """What lies in a killed run's directory, in a few words."""
    found = next(iter(folder.glob("*/*/recipe.json")), None)
    if found is None:
        return "before the run directory was there"
    names = sorted(path.name for path in (found.parent / "checkpoints").glob("*"))
    return f"checkpoints {names or 'none'}, model {'saved' if (found.parent / 'model').exists() else 'not yet'}"


def fingerprint(directory: RunDirectory) -> dict[str, str]:
    """SHA-256 of the final parameters, the saved model and the log."""
    report = directory.read_report()
    last = checkpoint.at(directory.checkpoints, report["steps"])
    files = {
        "parameters": last / checkpoint.PARAMETERS,
        "optimizer": last / checkpoint.OPTIMIZER,
        "metrics": directory.metrics,
        "model": next(directory.model.glob("*model.safetensors")),
        "predictions": directory.predictions("validation"),
    }
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def in_a_process(work: Callable[..., None], *arguments: object) -> tuple[list[str], list[str]]:
    """What `work(*arguments, queue)` puts into the queue, in a process of its own: a line a kill, and what differs."""
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    process = context.Process(target=work, args=(*arguments, results))
    process.start()
    found: tuple[list[str], list[str]] = results.get(timeout=400)
    process.join()
    return found


def show(lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Print where the kills fell, also when all is well."""
    with capsys.disabled():  # the error stream also comes through from a worker process of the test runner
        sys.stderr.write("\n" + "\n".join(lines) + "\n")


def clean(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def start_command(words: list[str]) -> int:
    """Fork a child that runs a command without a word; returns its process id."""
    from finetune.cli import main

    child = os.fork()
    if child:
        return child
    code = 9
    try:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            code = main(words)
    finally:
        os._exit(code)


def kill_command_when(words: list[str], due: Callable[[], bool]) -> bool:
    """Run a command in a child, and kill -9 it as soon as `due`; False if it ended before."""
    child = start_command(words)
    while not due():
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True
