"""Several runs, one after the other: finished ones are read, stopped ones go on, a failed one stops no other."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from finetune.driver import Watcher
from finetune.errors import FinetuneError
from finetune.experiment import Result, run
from finetune.recipe import Recipe
from finetune.training.loop import Step


@dataclass(frozen=True)
class Outcome:
    """What became of one run.

    Attributes:
        name: Of the cell.
        result: Of the finished run; None if it failed.
        problems: Why it failed.
        reused: Whether it was finished before, so that it was only read.
    """

    name: str
    result: Result | None
    problems: tuple[str, ...] = ()
    reused: bool = False

    @property
    def status(self) -> str:
        """`complete`, `uncertified` (the saved model could not be confirmed) or `failed`."""
        return "failed" if self.result is None else "complete" if self.result.complete else "uncertified"


class _Listening(Watcher):
    """Passes everything on, and remembers whether any work was begun."""

    def __init__(self, behind: Watcher):
        self.behind = behind
        self.worked = False

    def started(self, total: int, done: int, directory: str) -> None:
        self.worked = True
        self.behind.started(total, done, directory)

    def stepped(self, step: Step) -> None:
        self.behind.stepped(step)

    def scored(self, step: int, scores: dict[str, float], best: bool) -> None:
        self.behind.scored(step, scores, best)

    def note(self, text: str) -> None:
        self.behind.note(text)


def execute(
    cells: Mapping[str, Recipe],
    directory: str | Path = "runs",
    watch: Callable[[str], Watcher] = lambda name: Watcher(),
    certified: bool = True,
) -> Iterator[Outcome]:
    """Run every cell in turn; each outcome comes as soon as it is known.

    A cell that fails stops no other, as long as one process works. Among several of a launcher (`WORLD_SIZE` above 1)
    an error may be that of one process alone: going on, it would meet in the next cell the others, which still wait in
    this one. So there it is raised; the process ends, the launcher stops the others, and the same call goes on.

    Args:
        cells: Name -> recipe.
        directory: Folder of all runs. A run is found again by its digest, so that nothing is done twice.
        watch: Makes the watcher of a cell, when its turn comes.
        certified: Whether a fresh process examines each saved model.

    Raises:
        Stopped: Ctrl-C or SIGTERM; a checkpoint was written, and the same call goes on from there.
        FinetuneError: Among several processes, what a cell fails with.
        RuntimeError: Among several processes a lack of memory; else what is no user's mistake.
    """
    for name, recipe in cells.items():
        listening = _Listening(watch(name))
        try:
            result = run(recipe, directory, listening, certified)
            outcome = Outcome(name, result, reused=not listening.worked)
        except FinetuneError as error:
            if _among_several():
                raise
            outcome = Outcome(name, None, error.problems)
        except RuntimeError as error:
            if _among_several() or not ran_out_of_memory(error):
                raise
            outcome = Outcome(name, None, (OUT_OF_MEMORY,))
        _free_memory()
        yield outcome


OUT_OF_MEMORY = "Out of memory: lower training.batch_tokens, or set training.gradient_checkpointing=true."


def ran_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error of torch says so; anything else is no user's mistake."""
    return "out of memory" in str(error) or "can't allocate memory" in str(error)


def _among_several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _free_memory() -> None:
    """Give back what the last run held, cycles included, before the next one asks for its own."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
