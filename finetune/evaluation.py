"""Scoring a split: compact outputs keyed by (row, window), gathered over all processes, merged by row."""

from __future__ import annotations

import inspect
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from finetune import batching, metrics, text
from finetune.compute import Compute
from finetune.data import cache
from finetune.data import features as feature_store
from finetune.data.features import Features
from finetune.data.table import Rows
from finetune.errors import DIVERGED, RunError
from finetune.modules import scoring
from finetune.randomness import derive
from finetune.statistics import resampling
from finetune.tasks.base import Batch, Mode, Task, Window

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Key = tuple[int, int]
"""Row and window of a feature."""


@dataclass(frozen=True)
class Encoder:
    """A task with what it needs to make features and batches.

    Attributes:
        task: Resolved.
        tokenizer: The checkpoint's.
        tokenizer_digest: Names the tokenizer in the cache.
        limit: Most tokens of a feature.
        seed: Of the run, for tasks that draw targets at random.
    """

    task: Task
    tokenizer: PreTrainedTokenizerBase
    tokenizer_digest: str
    limit: int
    seed: int

    def features(self, rows: Rows, mode: Mode, keep: bool = True) -> Features:
        """All features of a split, memory-mapped; kept in the cache for the next time or not."""
        key = (self.task.model_dump_json(), self.tokenizer_digest, self.limit, mode, _code_digest(type(self.task)))
        encoder = lambda part: self.task.encode(part, self.tokenizer, self.limit, mode)  # noqa: E731
        return feature_store.encode(rows, encoder, key if keep else None)

    def batch(self, features: Features, indices: Sequence[int] | np.ndarray, mode: Mode, epoch: int = 0) -> Batch:
        """Some features as a batch; the seeds of a feature depend on nothing else that is in the batch."""
        seeds = [derive(self.seed, epoch, *features.key(int(index))) for index in indices]
        return self.task.collate(features.take(indices), self.tokenizer, mode, seeds)


def _code_digest(kind: type[Task]) -> str:
    """Of the files that say how a task encodes, so that features made by other code are never taken from the cache."""
    files = [inspect.getfile(member) for member in kind.__mro__ if issubclass(member, Task)]
    for package in (text, metrics):
        files += sorted(str(path) for path in Path(package.__path__[0]).glob("*.py"))
    try:
        return cache.digest(*(cache.file_digest(Path(file)) for file in files))
    except OSError:  # a class that stands in no file, as one of a notebook's cell
        return cache.digest(os.getpid(), id(kind))


@dataclass(frozen=True)
class Evaluation:
    """What a model makes of a split.

    Attributes:
        raw: Merged outputs, one a row.
        predictions: Decisions, one a row.
        statistics: `(rows, k)`, what the scores need; None for rows without targets.
    """

    raw: list[Any]
    predictions: list[dict[str, Any]]
    statistics: np.ndarray | None


def outputs(
    module: nn.Module,
    encoder: Encoder,
    features: Features,
    mode: Mode,
    compute: Compute,
    batch_tokens: int,
    interrupted: Callable[[], bool] = lambda: False,
) -> dict[Key, Any]:
    """The task's output for every feature, the same on every process.

    Each process takes its share in the same number of rounds; the model is the plain one, without a wrapper that would
    wait for the others. Keys make the result exact whatever was computed where, or twice.

    Raises:
        KeyboardInterrupt: `interrupted` said so between two batches.
        RunError: The model answers with what is no number.
    """
    everything = np.arange(len(features))
    costs = encoder.task.cost(features.lengths)
    mine = batching.cut(everything, costs, batch_tokens, compute.processes)[compute.process]
    found: list[tuple[Key, Any]] = []
    training = module.training
    module.eval()
    try:
        with torch.inference_mode(), compute.autocast():
            for piece in mine:
                if interrupted():
                    raise KeyboardInterrupt
                indices = piece if len(piece) else everything[:1]  # an equal number of rounds; the key drops the double
                batch = encoder.batch(features, indices, mode).to(compute.device)
                answers = encoder.task.predict(module, batch)
                if any(isinstance(answer, np.ndarray) and np.isnan(answer).any() for answer in answers):
                    raise RunError(DIVERGED)
                found += [(features.key(int(i)), answer) for i, answer in zip(indices, answers, strict=True)]
    finally:
        module.train(training)
    return dict(compute.gather(found))


def merged(encoder: Encoder, rows: Rows, features: Features, found: dict[Key, Any]) -> list[Any]:
    """One raw prediction a row, from all its windows wherever they were computed."""
    positions: dict[int, list[int]] = defaultdict(list)
    for index in np.lexsort((features.windows, features.rows)):
        positions[int(features.rows[index])].append(int(index))
    raw = []
    for row, record in enumerate(rows.records()):
        indices = positions[row]
        parts = zip(indices, features.take(indices), strict=True)
        windows = [Window(feature, found[features.key(index)]) for index, feature in parts]
        raw.append(encoder.task.merge(windows, record, encoder.tokenizer))
    return raw


def evaluate(
    module: nn.Module,
    encoder: Encoder,
    rows: Rows,
    compute: Compute,
    batch_tokens: int,
    labelled: bool = True,
    decisions: dict[str, Any] | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    keep: bool = True,
) -> Evaluation:
    """Predict a split and measure it, on every process alike.

    Args:
        module: The plain model.
        encoder: Makes the features.
        rows: The split.
        compute: This process.
        batch_tokens: Most tokens at once.
        labelled: Whether the rows have targets.
        decisions: What `calibrate` found.
        interrupted: Asked between batches.
        keep: Whether the rows will be scored again, so that their features are worth keeping.
    """
    mode: Mode = "score" if labelled else "predict"
    features = encoder.features(rows, mode, keep)
    found = outputs(module, encoder, features, mode, compute, batch_tokens, interrupted)
    raw = merged(encoder, rows, features, found)
    predictions = encoder.task.decide(raw, decisions or {})
    return Evaluation(raw, predictions, encoder.task.measure(predictions, rows) if labelled else None)


def labelled(task: Task, rows: Rows) -> bool:
    """Whether rows have targets, so that they can be scored; -1 in all rows is the Hub's mark of hidden ones."""
    names = [column.name for column in task.targets()]
    return all(name in rows.columns and any(v not in (None, "", -1) for v in rows.column(name)) for name in names)


def scores(task: Task, measured: np.ndarray) -> dict[str, float]:
    """Metric -> value."""
    return task.aggregate(measured, np.ones(len(measured)))


@dataclass(frozen=True)
class Scored:
    """What a report says of a split.

    Attributes:
        scores: Metric -> value, the ends of its 95 % interval, and the trivial baseline's value.
        per_class: Class -> precision, recall, f1 and support.
        doubts: What looks wrong, in sentences.
        signatures: How scores were computed that depend on settings and versions.
    """

    scores: dict[str, dict[str, float]]
    per_class: dict[str, dict[str, float]]
    doubts: list[str]
    signatures: dict[str, str]


def score(task: Task, train: Rows, rows: Rows, predictions: list[dict[str, Any]]) -> Scored:
    """Score predictions of a split beside those of the trivial baseline.

    Args:
        task: Resolved.
        train: What the baseline learns from.
        rows: The split, labelled.
        predictions: One a row.
    """
    usual = task.baseline(train, rows)
    measured, baseline = task.measure(predictions, rows), task.measure(usual, rows)
    values, plain = scores(task, measured), scores(task, baseline)
    intervals = resampling.bootstrap(measured, task.aggregate)
    found = {
        name: {"value": value, "low": intervals[name][0], "high": intervals[name][1], "baseline": plain[name]}
        for name, value in values.items()
    }
    if task.evaluate_modules:
        own = scoring.score(task.evaluate_modules, *task.exchanged(predictions, rows))
        others = scoring.score(task.evaluate_modules, *task.exchanged(usual, rows), resamples=0)
        for name, (value, low, high) in own.items():
            plain_value = others[name].value if name in others else math.nan  # some modules name what was predicted
            found[name] = {"value": value, "low": low, "high": high, "baseline": plain_value}
    return Scored(found, task.per_class(measured), task.doubts(measured, baseline), task.signatures(rows))


def prediction_lines(
    task: Task, rows: Rows, predictions: list[dict[str, Any]], labelled: bool
) -> Iterator[dict[str, Any]]:
    """Lines of predictions.jsonl: row id, input columns, gold, prediction."""
    names = [column.name for column in task.inputs()]
    for identity, record, prediction in zip(rows.ids, rows.records(), predictions, strict=True):
        inputs = {"inputs": {name: record[name] for name in names}}  # apart: a column may be called as a field below
        gold = {"gold": task.gold(record)} if labelled else {}
        yield {"id": identity, **inputs, **gold, **prediction}
