"""Everything that can be known and checked before any weight is loaded."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune import catalog
from finetune.compute import resolve_precision
from finetune.data import cache
from finetune.data.features import Features
from finetune.data.table import Rows
from finetune.errors import RecipeError
from finetune.evaluation import Encoder, labelled
from finetune.model import Built, build
from finetune.modules import scoring
from finetune.modules.loading import script_of
from finetune.pretrained import Checkpoint, open_checkpoint, token_limit
from finetune.recipe import Recipe
from finetune.tasks.base import Head
from finetune.training.loop import total_steps
from finetune.tuning.base import Tuning

RESULTS_VERSION = 1
"""Raised whenever the code gives other results for the same recipe, so that runs of before get other names."""

NEUTRAL = {"batch_tokens", "save_every", "keep"}
"""Fields of `training` that do not name a run: memory, speed and disk."""

IN_DIGESTS = {"path", "revision", "config", "tokenizer"}
"""Fields of `model` whose content names a run, instead of their words."""


@dataclass(frozen=True)
class Prepared:
    """A recipe with everything it resolved to.

    Attributes:
        recipe: With label names, token limit and number format filled in.
        splits: Its rows.
        checkpoint: What it starts from.
        head: What is put on it.
        encoder: Makes features and batches.
        features: Of the training split.
        steps: Optimizer steps of the whole run.
        identity: All that the result depends on, as JSON values.
    """

    recipe: Recipe
    splits: dict[str, Rows]
    checkpoint: Checkpoint
    head: Head
    encoder: Encoder
    features: Features
    steps: int
    identity: dict[str, Any]

    @property
    def digest(self) -> str:
        """Names the run."""
        return cache.digest(json.dumps(self.identity, sort_keys=True))

    def build(self) -> Built:
        """Load the weights and apply the tuning method."""
        training = self.recipe.training
        return build(
            self.recipe.model,
            self.checkpoint,
            self.head,
            self.recipe.tuning,
            training.seed,
            self.steps,
            training.gradient_checkpointing,
        )

    @property
    def directory_name(self) -> str:
        """`mrpc/lora-3f9a2c01`."""
        method = self.recipe.tuning.kind().rpartition(":")[2].lower()
        return f"{self.recipe.name}/{method}-{self.digest[:8]}"


def prepare(recipe: Recipe, device: str) -> Prepared:
    """Load rows, tokenizer and configuration, check them against each other, and encode the training rows.

    Args:
        recipe: As written.
        device: `cpu` or `cuda`, which decides what `precision=auto` becomes.

    Raises:
        FinetuneError: Whatever does not fit.
    """
    splits = recipe.data.load(recipe.task.inputs(), recipe.task.targets(), recipe.task.optional())
    columns = [column.name for column in (*recipe.task.inputs(), *recipe.task.targets())]
    checkpoint = open_checkpoint(recipe.model, splits["train"], columns)
    limit = token_limit(recipe.task, recipe.tuning, checkpoint.config)
    task = recipe.task.resolve(splits["train"], checkpoint.tokenizer)
    task = task.aligned(checkpoint.config, recipe.tuning.virtual_tokens())
    task = task.model_copy(update={"max_length": limit})
    for name, rows in splits.items():
        # the targets of a test split may be hidden behind any mark, further splits may have none
        if name in ("train", "validation") or (name != "test" and labelled(task, rows)):
            task.check(rows)
    if task.evaluate_modules:  # what is wrong with one is said now, not after the training
        rows = splits["validation"]
        usual = task.exchanged(task.baseline(splits["train"], rows), rows)
        scoring.score(task.evaluate_modules, *usual, resamples=0)
    head = task.head(checkpoint.config)
    precision = resolve_precision(recipe.training.precision, device)
    training = recipe.training.model_copy(update={"precision": precision})
    pinned = {"data": recipe.data.pinned(), "model": recipe.model.model_copy(update={"revision": checkpoint.revision})}
    resolved = recipe.model_copy(update={"task": task, "training": training, **pinned})
    shape = (head.auto, head.peft_task, checkpoint.config, training.gradient_checkpointing)
    if refusal := recipe.tuning.refuse(*shape):
        fitting = [name for name, method in _methods() if method.refuse(*shape) is None]
        raise RecipeError(f"tuning={recipe.tuning.kind()}: {refusal}. Methods that fit here: {', '.join(fitting)}.")
    encoder = Encoder(task, checkpoint.tokenizer, checkpoint.tokenizer_digest, limit, training.seed)
    features = encoder.features(splits["train"], "train")
    steps = total_steps(training, len(features))
    identity = _identity(resolved, splits, checkpoint)
    return Prepared(resolved, splits, checkpoint, head, encoder, features, steps, identity)


def _methods() -> Iterator[tuple[str, Tuning]]:
    """Every method of the catalog that needs no setting."""
    for name in catalog.names(Tuning.package):
        kind = catalog.find(Tuning.package, name, Tuning)
        if not any(field.is_required() for field in kind.model_fields.values()):
            yield name, kind()


def _identity(recipe: Recipe, splits: dict[str, Rows], checkpoint: Checkpoint) -> dict[str, Any]:
    fields = recipe.model_dump(mode="json", exclude={"data"})
    return {
        "format": 1,
        "results": RESULTS_VERSION,
        "task": fields["task"],
        "tuning": {**fields["tuning"], **recipe.tuning.digests()},
        "training": {name: value for name, value in fields["training"].items() if name not in NEUTRAL},
        "model": {
            **{name: value for name, value in fields["model"].items() if name not in IN_DIGESTS},
            "checkpoint": checkpoint.digest,
            "tokenizer": checkpoint.tokenizer_digest,
        },
        # rows that are only predicted decide nothing: a test file may come later
        "data": {n: rows.digest for n, rows in splits.items() if n != "test" and labelled(recipe.task, rows)},
        "code": _own_code(recipe),
    }


def _own_code(recipe: Recipe) -> dict[str, str]:
    """File and hash of the classes that a user wrote, and of the modules of scores on this machine.

    Raises:
        RecipeError: A class that stands in no file.
    """
    scripts = filter(None, map(script_of, recipe.task.evaluate_modules))
    found = {str(script.resolve()): cache.file_digest(script) for script in scripts}
    for value in (recipe.task, recipe.tuning, recipe.data):
        for kind in value.own_classes():
            try:
                path = Path(inspect.getfile(kind)).resolve()
                found[str(path)] = cache.file_digest(path)
            except (TypeError, OSError):
                raise RecipeError(
                    f"the class {kind.__qualname__} stands in no file; put it into one, so that its run can be loaded."
                ) from None
    return found


def differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """What differs between two identities, in words."""
    found = []
    for name in sorted(before.keys() | now.keys()):
        old, new, where = before.get(name), now.get(name), f"{prefix}{name}"
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{where}.")
        else:
            found.append(f"{where} was {old!r} and is {new!r}")
    return found
