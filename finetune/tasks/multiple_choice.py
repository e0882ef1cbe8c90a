"""Multiple choice: a text and several choices, of which one is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from finetune.data.base import Column
from finetune.data.table import ROW_ID, Rows
from finetune.errors import DataError, listing, nearest
from finetune.metrics import classification as metrics
from finetune.tasks.base import Batch, Head, Metric, Mode, Window
from finetune.tasks.texts import Texts, shortened_around
from finetune.text.choices import Reading, Written, as_written
from finetune.text.labels import label_text, looks_swapped
from finetune.text.tokens import padded, precise, tokens

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

Around = tuple[str, str]
"""The text before and after the place of the choice; without a place all of it stands after."""


class MultipleChoice(Texts):
    """One of the choices of each row, which may have different numbers of them.

    A batch pads all choices of its rows to the longest of them. Where rows of many short choices stand beside rows of
    few long ones, it costs more tokens than these rows cost alone, by which batches are cut.
    """

    baseline_name: ClassVar[str] = "most frequent position"

    text: str | Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = "text"
    """Column of the text, or two, which are joined with a space."""
    choices: str | Annotated[tuple[str, ...], Field(min_length=2)] = "choices"
    """Column with the list of the choices, or a column for each of them; the last ones of a row may be empty then."""
    begin: str | None = None
    """Column of what every choice begins with."""
    placeholder: Annotated[str, Field(min_length=1)] | None = None
    """Mark in the text, into whose place each choice is put; None: each choice follows the text as a second one.
    Where it stands several times, its first place is meant."""
    label: str = "label"
    """Column of the right choice."""
    written: Written | None = None
    """What that column holds: the position, from 0 or from 1, or the choice itself. None: as all training rows fit."""
    score: Annotated[tuple[Literal["accuracy"], ...], Field(min_length=1)] = ("accuracy",)
    """Scores to report."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.begin is not None and self.placeholder is not None:
            raise ValueError("begin: a choice that is put into the text (placeholder) has no beginning of its own.")
        return self

    @property
    def row(self) -> Reading:
        """How a row is read."""
        return Reading(self.columns, self.choices, self.placeholder, self.label, self.written)

    def metrics(self) -> tuple[Metric, ...]:
        """The share of right rows."""
        return tuple(Metric(name) for name in self.score)

    def inputs(self) -> tuple[Column, ...]:
        """The columns of the text and of the choices."""
        choices = (self.choices,) if isinstance(self.choices, str) else self.choices
        purposes = {
            **dict.fromkeys(self.columns, "task.text"),
            **({self.begin: "task.begin"} if self.begin else {}),
            **dict.fromkeys(choices, "task.choices"),
        }
        return tuple(Column(name, purpose) for name, purpose in purposes.items())

    def targets(self) -> tuple[Column, ...]:
        """The column of the right choice."""
        return (Column(self.label, "task.label"),)

    def resolve(self, train: Rows, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Find out what the label column holds."""
        options = self._every(train.records(), train.where)
        labels = [label_text(value) for value in train.column(self.label)]
        return self.model_copy(update={"written": self.written or as_written(labels, options)})

    def _every(self, records: Iterable[dict[str, Any]], where: Callable[[int], str]) -> list[list[str]]:
        """The choices of all rows.

        Raises:
            DataError: Rows cannot be put to a model; the message names the first of them by `where`.
        """
        options, problems = [], []
        for position, record in enumerate(records):
            try:
                options.append(self.row.options(record))
            except ValueError as error:
                problems.append(f"{where(position)}: {error}.")
        if problems:
            more = [f"and {len(problems) - 3} more rows like these."] if len(problems) > 3 else []
            raise DataError(*problems[:3], *more)
        return options

    def check(self, rows: Rows) -> None:
        """Refuse rows that cannot be put to a model, and labels that are none of the row's choices."""
        every = self._every(rows.records(), rows.where)
        bad = [position for position, row in enumerate(rows.records()) if self.row.right(row) < 0]
        if bad:
            value, options = label_text(rows.column(self.label)[bad[0]]), every[bad[0]]
            first = int(self.written == "position_from_1")
            known = (
                nearest(value, options)
                if self.written == "choice"
                else f"Known: {first} to {len(options) - 1 + first}."
            )
            where = listing(map(rows.where, bad), 3)
            raise DataError(
                f"{rows.origin}: {value!r} in column {self.label!r} is none of the row's {len(options)} choices "
                f"(task.written={self.written}; {len(bad)} such rows: {where}). {known}"
            )

    def head(self, config: PretrainedConfig) -> Head:
        """One score a choice, by a sequence classifier, which exists for decoders too."""
        return Head(
            auto="AutoModelForSequenceClassification",
            peft_task="SEQ_CLS",
            changes={"num_labels": 1, "id2label": {0: "choice"}, "label2id": {"choice": 0}},
        )

    def learned(self, rows: dict[str, list[Any]]) -> tuple[list[Any], list[float]]:
        """The positions of the right choices; every row counts 1."""
        right = [self.row.right(record) for record in _records(rows)]
        return right, [1.0] * len(right)

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, limit: int, mode: Mode
    ) -> dict[str, list[Any]]:
        """One feature a row: the token ids of each choice with the text, and but for `predict` the right position.

        `length` is what the feature costs alone, choices times the longest of them; in a batch it costs more where
        another feature has a longer one. `whole` is the longest without the limit. All choices of a row see the same
        part of a text that is too long.
        """
        records = _records(rows)
        names = rows.get(ROW_ID) or [f"row {number}" for number in range(1, len(records) + 1)]
        options = self._every(records, names.__getitem__)
        around = [self._around(record) for record in records]
        endings = [
            own if self.begin is None else [f"{record[self.begin]} {option}" for option in own]
            for record, own in zip(records, options, strict=True)
        ]
        encoded, whole = self._tokens(around, endings, tokenizer, limit)
        long = [row for row, length in enumerate(whole) if length > limit]
        if long:
            cut = [shortened_around(*around[row], tokenizer, whole[row] - limit) for row in long]
            if self.placeholder is None:  # a choice that is too long by itself leaves the text its share
                cut = [short if any(short) else around[row] for row, short in zip(long, cut, strict=True)]
            again, _ = self._tokens(cut, [endings[row] for row in long], tokenizer, limit)
            for name, values in encoded.items():
                for row, short in zip(long, again[name], strict=True):
                    values[row] = short
        features: dict[str, list[Any]] = {
            **encoded,
            "row": list(range(len(records))),
            "window": [0] * len(records),
            "length": [len(ids) * max(map(len, ids)) for ids in encoded["input_ids"]],
            "whole": whole,
            "weight": [1.0] * len(records),
        }
        if mode != "predict":
            features["target"], features["weight"] = self.learned(rows)
        return features

    def _around(self, row: dict[str, Any]) -> Around:
        if self.placeholder is None:
            return "", self.row.text(row)
        before, _, after = self.row.text(row).partition(self.placeholder)
        return before, after

    def _tokens(
        self, around: Sequence[Around], endings: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, limit: int
    ) -> tuple[dict[str, list[list[list[int]]]], list[int]]:
        """Model inputs of each row's choices, and for each row its longest length without the limit."""
        each = [(*text, ending) for text, own in zip(around, endings, strict=True) for ending in own]
        if self.placeholder is None:
            texts = [[after for _, after, _ in each], [ending for *_, ending in each]]
        else:
            texts = [[f"{before}{ending}{after}" for before, after, ending in each]]
        encoded, whole = tokens(texts, tokenizer, limit)
        places = [slice(*ends) for ends in pairwise(accumulate(map(len, endings), initial=0))]
        grouped = {name: [values[place] for place in places] for name, values in encoded.items()}
        return grouped, [max(whole[place]) for place in places]

    def collate(
        self, features: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, mode: Mode, seeds: Sequence[int]
    ) -> Batch:
        """Token ids `(choices of all features, length)`; `counts` `(features,)` tells how many each feature has."""
        import torch

        counts = [len(feature["input_ids"]) for feature in features]
        inputs = {name for name in features[0] if name in ("input_ids", "attention_mask", "token_type_ids")}
        flat = [{name: f[name][i] for name in inputs} for f, n in zip(features, counts, strict=True) for i in range(n)]
        targets = {"counts": torch.tensor(counts)}
        if mode != "predict":
            targets["labels"] = torch.tensor([feature["target"] for feature in features])
        weight = torch.tensor([feature["weight"] for feature in features], dtype=torch.float64)
        return Batch(padded(flat, tokenizer, left=tokenizer.padding_side == "left"), targets, weight)

    def loss(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross entropy over the choices of each feature, summed; choices that a feature has not are minus infinity."""
        import torch
        from torch.nn.functional import cross_entropy
        from torch.nn.utils.rnn import pad_sequence

        parts = torch.split(precise(output.logits).squeeze(-1), batch.targets["counts"].tolist())
        logits = pad_sequence(list(parts), batch_first=True, padding_value=-float("inf"))
        losses = cross_entropy(logits, batch.targets["labels"], reduction="none")
        weight = batch.weight.to(losses.dtype)
        return (losses * weight).sum(), weight.sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[Any]:
        """The probability of each choice, `(choices,)` for each feature."""
        logits = model(**batch.inputs).logits.double().squeeze(-1)
        return [part.softmax(-1).cpu().numpy() for part in logits.split(batch.targets["counts"].tolist())]

    def merge(self, windows: Sequence[Window], row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> Any:
        """The choices as texts, and their probabilities `(choices,)`."""
        return self.row.options(row), super().merge(windows, row, tokenizer)

    def decide(self, raw: Sequence[Any], decisions: dict[str, Any]) -> list[dict[str, Any]]:
        """The most probable choice, its position from 0, and the probabilities of all."""
        best = [int(np.argmax(probabilities)) for _, probabilities in raw]
        return [
            {"predicted": options[position], "position": position, "probabilities": probabilities.tolist()}
            for position, (options, probabilities) in zip(best, raw, strict=True)
        ]

    def gold(self, row: dict[str, Any]) -> Any:
        """The right choice as a text."""
        position = self.row.right(row)
        return self.row.options(row)[position] if position >= 0 else None

    def baseline(self, train: Rows, rows: Rows) -> list[dict[str, Any]]:
        """The position that most training rows have, among those that a row has."""
        counts = np.bincount([self.row.right(row) for row in train.records()])
        found = []
        for row in rows.records():
            options = self.row.options(row)
            position = int(counts[: len(options)].argmax())
            found.append({"predicted": options[position], "position": position})
        return found

    def measure(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> np.ndarray:
        """Gold and predicted position, from 0, and the number of choices, `(rows, 3)`."""
        records = zip(predictions, rows.records(), strict=True)
        return np.array([[self.row.right(row), p["position"], len(self.row.options(row))] for p, row in records])

    def aggregate(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """The share of right rows."""
        return {"accuracy": float(np.average(statistics[:, 0] == statistics[:, 1], weights=weights))}

    def doubts(self, statistics: np.ndarray, baseline: np.ndarray) -> list[str]:
        """Positions that look swapped, where fewer rows are right than with the most frequent position.

        Only rows of the most frequent number of choices are looked at: that number alone ties positions together.
        """
        gold, predicted, choices = statistics.T
        if (gold == predicted).mean() >= (baseline[:, 0] == baseline[:, 1]).mean():
            return []
        most = int(np.bincount(choices).argmax())
        confusion = metrics.confusion(gold[choices == most], predicted[choices == most], most)
        pairs = looks_swapped(confusion, [f"position {position}" for position in range(most)])
        if not pairs:
            return []
        return [
            f"fewer rows are right than with the most frequent position, and the choices look exchanged: predicted "
            f"{pairs} (from 0). Look whether task.written, {self.written}, is what {self.label!r} holds in every split."
        ]

    def exchanged(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> tuple[list[Any], list[Any]]:
        """Positions from 0, as the module accuracy takes them."""
        return [p["position"] for p in predictions], [self.row.right(row) for row in rows.records()]

    def agree(self, first: dict[str, Any], second: dict[str, Any], tolerance: float) -> bool:
        """The same probabilities, and the same choice unless both are as probable."""
        one, other = np.array(first["probabilities"]), np.array(second["probabilities"])
        tied = abs(one[first["position"]] - one[second["position"]]) <= 2 * tolerance
        return bool(np.abs(one - other).max() <= tolerance and (first["position"] == second["position"] or tied))


def _records(rows: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
