"""Two tasks that only the tests have. They show that the contract carries more than classification: rows that give
several features, and a model that writes, with other features and padding for training than for prediction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, ClassVar, Self

import numpy as np

from finetune.data.base import Column
from finetune.tasks.base import Batch, Head, Metric, Task
from finetune.tasks.classification import Classification
from finetune.text.tokens import pad
from tests.support.tiny import PAD, SEP


class WindowedClassification(Classification):
    """A long text as overlapping windows; the row's class is decided on the mean of their probabilities."""

    window: int = 4
    stride: int = 2

    def encode(self, rows, tokenizer, limit, mode):
        targets = self.ids(rows[self.label]) if mode != "predict" else [None] * len(rows[self.columns[0]])
        features: dict[str, list[Any]] = {}
        for row, (text, target) in enumerate(zip(rows[self.columns[0]], targets, strict=True)):
            ids = tokenizer(text, add_special_tokens=False)["input_ids"] or [tokenizer.unk_token_id]
            starts = range(0, max(1, len(ids) - self.stride), self.stride)
            for number, start in enumerate(starts):
                piece = ids[start : start + self.window]
                whole = [tokenizer.cls_token_id, *piece, tokenizer.sep_token_id] if tokenizer.cls_token_id else piece
                feature = {
                    "row": row,
                    "window": number,
                    "length": len(whole),
                    "weight": len(piece) / len(ids),  # unequal on purpose
                    "input_ids": whole,
                    "attention_mask": [1] * len(whole),
                    "start": start,
                }
                if mode != "predict":
                    feature["target"] = int(target)
                for name, value in feature.items():
                    features.setdefault(name, []).append(value)
        return features

    def merge(self, windows, row, tokenizer):
        assert [w.feature["start"] for w in windows] == sorted(w.feature["start"] for w in windows)
        assert [w.feature["window"] for w in windows] == list(range(len(windows)))
        return np.mean([window.output for window in windows], axis=0)


class Copying(Task):
    """Write the first words of a text: a decoder that is taught by its own next token."""

    baseline_name: ClassVar[str] = "first word"
    probed: ClassVar[str] = "train"

    new_tokens: int = 2

    def metrics(self):
        return (Metric("exact"), Metric("wrong_tokens", higher_is_better=False))

    def inputs(self):
        return (Column("source", "what to copy"),)

    def targets(self):
        return (Column("target", "the copy"),)

    def resolve(self, train, tokenizer) -> Self:
        longest = max(len(text.split()) for text in train.column("target"))
        return self.model_copy(update={"new_tokens": longest})

    def check(self, rows):
        pass

    def head(self, config):
        return Head("AutoModelForCausalLM", "CAUSAL_LM")

    def encode(self, rows, tokenizer, limit, mode):
        prompts = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in rows["source"]]
        answers = [tokenizer(text)["input_ids"] for text in rows["target"]] if mode == "train" else [[]] * len(prompts)
        sequences = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
        return {
            "row": list(range(len(prompts))),
            "window": [0] * len(prompts),
            "length": [len(sequence) for sequence in sequences],
            "weight": [float(len(answer)) for answer in answers],
            "input_ids": sequences,
            "prompt": [len(prompt) for prompt in prompts],
        }

    def collate(self, features, tokenizer, mode, seeds):
        import torch

        left = mode != "train"
        ids = [feature["input_ids"] for feature in features]
        inputs = {"input_ids": pad(ids, tokenizer.pad_token_id, left)}
        inputs["attention_mask"] = pad([[1] * len(sequence) for sequence in ids], 0, left)
        asked = [[-100] * f["prompt"] + f["input_ids"][f["prompt"] :] for f in features]
        targets = {"labels": pad(asked, -100)} if mode == "train" else {}
        return Batch(inputs, targets, torch.tensor([f["weight"] for f in features], dtype=torch.float64))

    def loss(self, output, batch):
        import torch
        from torch.nn.functional import cross_entropy

        logits, labels = output.logits[:, :-1], batch.targets["labels"][:, 1:]
        summed = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum")
        return summed, (labels != -100).sum().to(torch.float64)

    def predict(self, model, batch):
        from transformers import GenerationConfig

        settings = GenerationConfig(max_new_tokens=self.new_tokens, do_sample=False, pad_token_id=PAD, eos_token_id=SEP)
        written = model.generate(**batch.inputs, generation_config=settings)
        rows = written[:, batch.inputs["input_ids"].shape[1] :].tolist()
        return [list(takewhile(lambda token: token not in (PAD, SEP), row)) for row in rows]  # some end early

    def merge(self, windows, row, tokenizer):
        (window,) = windows
        return tokenizer.decode(window.output)

    def decide(self, raw: Sequence[Any], decisions):
        return [{"predicted": text} for text in raw]

    def gold(self, row):
        return row["target"]

    def baseline(self, train, rows):
        return [{"predicted": text.split()[0]} for text in rows.column("source")]

    def measure(self, predictions, rows):
        pairs = [(p["predicted"].split(), t.split()) for p, t in zip(predictions, rows.column("target"), strict=True)]
        wrong = [sum(a != b for a, b in zip(p, t, strict=False)) + abs(len(p) - len(t)) for p, t in pairs]
        return np.array([[p == t, count] for (p, t), count in zip(pairs, wrong, strict=True)], dtype=float)

    def aggregate(self, statistics, weights):
        exact, wrong = np.average(statistics, axis=0, weights=weights)
        return {"exact": float(exact), "wrong_tokens": float(wrong)}
