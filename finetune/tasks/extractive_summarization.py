"""Extractive summarization: the sentences of a document that say most of what its summary says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import PositiveInt

from finetune.data.base import Column
from finetune.data.references import check_targets, right_texts
from finetune.data.table import Rows
from finetune.errors import DataError, ModelError
from finetune.metrics import rouge
from finetune.tasks.base import Batch, Head, Metric, Mode, Task, Window
from finetune.text.extraction import document, leading, oracle, packed, select
from finetune.text.references import text_of
from finetune.text.tokens import pad, padded, precise, tokens
from finetune.text.windows import tally

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

IGNORED = -100
"""Target of a token that stands for no sentence."""
CONTEXT = 4
"""A later window begins with this part of its tokens from before its sentences, a fourth."""
WORTH_SAYING = 0.005
"""ROUGE-1 below the first sentences that is not said even if it is no chance."""
COUNTED = 2000
"""Training rows, spread evenly, by which the number of sentences to select is chosen."""


class ExtractiveSummarization(Task):
    """Select the sentences of a document that summarize it (Liu and Lapata 2019, BERTSUM).

    The model learns which sentences a greedy search takes that knows the summary (Nallapati et al. 2017).
    """

    baseline_name: ClassVar[str] = "first sentences"
    target_name: ClassVar[str] = "sentences"

    source: str = "document"
    """Column of the document: a text, or a list of its sentences."""
    target: str = "summary"
    """Column of the summary: a text, or a list of its lines."""
    references: tuple[str, ...] = ()
    """Columns with further right summaries, each a text or a list of texts: for scores only, and a split may lack
    them."""
    sentences: PositiveInt | None = None
    """How many sentences to select; None: as many as the greedy search takes on average of the training rows."""
    blocking: bool = True
    """Whether a sentence is passed over that repeats three words in a row of one selected before (trigram blocking,
    Paulus et al. 2018)."""
    words: Literal["english", "unicode"] | None = None
    """What ROUGE takes for words: `english`, the official a to z and 0 to 9; `unicode`, those of any script, a Chinese
    character each, never stemmed. None: as the training summaries are written."""
    stem: bool = True
    """Whether ROUGE compares English words without their endings (Porter 1980), as published scores do."""

    def metrics(self) -> tuple[Metric, ...]:
        """F-measures of ROUGE, from 0 to 1.

        ROUGE-1 comes first: what can be selected well or badly is what is said, how it is said stands in the document.
        """
        return tuple(Metric(name) for name in rouge.NAMES)

    def inputs(self) -> tuple[Column, ...]:
        """The document."""
        return (Column(self.source, "task.source"),)

    def targets(self) -> tuple[Column, ...]:
        """The summary."""
        return (Column(self.target, "task.target"),)

    def optional(self) -> tuple[Column, ...]:
        """Further right summaries."""
        return tuple(Column(name, "task.references") for name in self.references)

    def resolve(self, train: Rows, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Find out what words are, and how many sentences a summary takes."""
        summaries = [text_of(value) for value in train.column(self.target)]
        if not any(summaries):
            raise DataError(f"{train.origin}: every {self.target!r} is empty; summaries are needed to learn.")
        if not any(any(document(value)) for value in train.column(self.source)):
            raise DataError(f"{train.origin}: no {self.source!r} has a sentence; there is nothing to select.")
        task = self.model_copy(update={"words": self.words or rouge.fits(summaries)})
        if task.sentences is None:
            spread = train.select(np.unique(np.linspace(0, len(train) - 1, COUNTED).astype(int)).tolist())
            documents = [document(value) for value in spread.column(self.source)]
            known = [[text_of(value)] for value in spread.column(self.target)]
            taken = [len(numbers) for numbers in task._best(documents, known)]
            task = task.model_copy(update={"sentences": max(1, int(np.mean(taken) + 0.5))})
        return task

    def check(self, rows: Rows) -> None:
        """Refuse rows without a summary; say which columns of references a scored split lacks."""
        check_targets(rows, self.target, self.references)

    def head(self, config: PretrainedConfig) -> Head:
        """One logit a token, of which that of a sentence's class token counts.

        Raises:
            ModelError: The architecture has no head for tokens.
        """
        from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES as KNOWN

        if config.model_type not in KNOWN:
            raise ModelError(
                f"model: {config.model_type} has no head that scores tokens, so it cannot score sentences. Take an "
                "encoder (BERT, RoBERTa), a decoder (GPT-2, Llama), or T5, whose encoder is used."
            )
        names = {"id2label": {0: self.target}, "label2id": {self.target: 0}}
        return Head("AutoModelForTokenClassification", "TOKEN_CLS", {"num_labels": 1, **names})

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, limit: int, mode: Mode
    ) -> dict[str, list[Any]]:
        """Windows of whole sentences, each with special tokens of its own; one longer than a window is cut.

        Every sentence is scored in one window. Later ones begin with the end of what stands before, else their first
        sentence would look like that of the document, which says most.

        `token` is the place of each sentence's class token, or of its last token where the tokenizer puts none: a line
        break where it puts no special token at all. The segments of a model that has two alternate.
        """
        documents = [document(value) for value in rows[self.source]]
        end = "" if tokenizer.num_special_tokens_to_add(pair=False) else "\n"
        flat = [text + end for one in documents for text in one]
        encoded, whole = tokens([[*flat, ""]], tokenizer, limit)  # the last is for a document without any sentence
        pieces = [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]
        segments = 1 in tokenizer("a", "a").get("token_type_ids", ())
        best = self._best(documents, [[text_of(value)] for value in rows[self.target]]) if mode == "train" else []
        features: dict[str, list[Any]] = {}
        held, lost, longest = dict[int, int](), dict[int, int](), dict[int, int]()
        first, context = 0, limit // CONTEXT
        for row, one in enumerate(documents):
            sizes = whole[first : first + len(one)]
            lost[row] = sum(size > limit for size in sizes)
            held[row], longest[row] = len(sizes) - lost[row], max(sizes, default=0)
            own = pieces[first : first + len(one)]
            inputs, starts, places = _joined(own or pieces[-1:], tokenizer.cls_token_id, segments)
            for window, part in enumerate(packed([min(size, limit) for size in sizes], limit, context)):
                start, stop = starts[part.start], starts[part.stop or -1]
                start -= min(start, context, limit - (stop - start))
                feature = {
                    **{name: values[start:stop] for name, values in inputs.items()},
                    "row": row,
                    "window": window,
                    "length": stop - start,
                    "whole": 0 if window else sum(sizes) or stop,
                    "weight": float(len(part)),
                    "token": [places[number] - start for number in part],
                }
                if mode == "train":
                    feature["target"] = [int(number in best[row]) for number in part]
                for name, value in feature.items():
                    features.setdefault(name, []).append(value)
            first += len(one)
        tally(features, held, lost, longest)
        return features

    def collate(
        self, features: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, mode: Mode, seeds: Sequence[int]
    ) -> Batch:
        """Token ids and targets `(features, length)`; places of the tokens that stand for sentences `(features, n)`."""
        import torch

        targets = {"token": pad([f["token"] for f in features], -1)}
        if mode == "train":
            aims = []
            for feature in features:
                aim = [IGNORED] * feature["length"]
                for token, target in zip(feature["token"], feature["target"], strict=True):
                    aim[token] = target
                aims.append(aim)
            targets["labels"] = pad(aims, IGNORED)
        weight = torch.tensor([f["weight"] for f in features], dtype=torch.float64)
        return Batch(padded(features, tokenizer), targets, weight)

    def loss(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Binary cross entropy of `(features, length, 1)` logits where they stand for sentences, summed."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        logits, labels = precise(output.logits).squeeze(-1), batch.targets["labels"]
        counted = (labels != IGNORED).to(logits.dtype)
        aims = labels.clamp(min=0).to(logits.dtype)
        return binary_cross_entropy_with_logits(logits, aims, counted, reduction="sum"), counted.sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[Any]:
        """For each feature the logits of its sentences, `(sentences,)`."""
        logits = model(**batch.inputs).logits.squeeze(-1).double().cpu().numpy()
        places = batch.targets["token"].cpu().numpy()
        return [scores[mine[mine >= 0]] for scores, mine in zip(logits, places, strict=True)]

    def merge(self, windows: Sequence[Window], row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> Any:
        """The sentences of the document, and their logits from all windows."""
        return document(row[self.source]), np.concatenate([window.output for window in windows])

    def decide(self, raw: Sequence[Any], decisions: dict[str, Any]) -> list[dict[str, Any]]:
        """The selected sentences, a line each, their numbers from 0, and the probabilities of all sentences."""
        found = []
        for texts, logits in raw:
            scores = np.exp(-np.logaddexp(0, -logits)).tolist()
            numbers = select(scores, texts, self._count, self._cutter if self.blocking else None)
            found.append({**_summary(texts, numbers), "scores": scores})
        return found

    def gold(self, row: dict[str, Any]) -> Any:
        """The summary."""
        return text_of(row[self.target])

    def baseline(self, train: Rows, rows: Rows) -> list[dict[str, Any]]:
        """The first sentences, as many as are selected."""
        documents = map(document, rows.column(self.source))
        return [_summary(texts, leading(texts, self._count)) for texts in documents]

    def oracle(self, rows: Rows) -> list[dict[str, Any]]:
        """Predictions of the greedy search, which knows all right summaries: about the most that a selection can reach.

        It takes as many sentences as it likes.
        """
        documents = [document(value) for value in rows.column(self.source)]
        return [_summary(*pair) for pair in zip(documents, self._best(documents, self.right(rows)), strict=True)]

    def right(self, rows: Rows) -> list[list[str]]:
        """All right summaries of each row, the target first."""
        return right_texts(rows, self.target, self.references)

    def measure(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> np.ndarray:
        """ROUGE-1, 2, L and Lsum of each row, `(rows, 4)`."""
        return rouge.rouge([p["predicted"] for p in predictions], self.right(rows), self._words, self.stem)

    def aggregate(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """Means over the rows."""
        means = np.average(statistics, axis=0, weights=weights)
        return {name: float(mean) for name, mean in zip(rouge.NAMES, means, strict=True)}

    def signatures(self, rows: Rows) -> dict[str, str]:
        """How ROUGE was computed."""
        most = max(map(len, self.right(rows)), default=1)
        counted = f"{most} reference{'s' if most > 1 else ''} at most"
        return {"rouge": f"{rouge.rouge_signature(self._words, self.stem)}, {counted}"}

    def doubts(self, statistics: np.ndarray, baseline: np.ndarray) -> list[str]:
        """Summaries that are worse than the first sentences, by more than chance gives."""
        worse = (baseline - statistics)[:, 0]
        if worse.mean() <= max(WORTH_SAYING, 2 * worse.std() / np.sqrt(len(worse))):
            return []
        return [
            f"the selected sentences score below the {self.baseline_name}, ROUGE-1 {statistics[:, 0].mean():.3f} to "
            f"{baseline[:, 0].mean():.3f}: train for longer, or take those."
        ]

    def exchanged(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> tuple[list[Any], list[Any]]:
        """Texts, and for each a list of right ones, as the `rouge` module takes them."""
        return [prediction["predicted"] for prediction in predictions], self.right(rows)

    def agree(self, first: dict[str, Any], second: dict[str, Any], tolerance: float) -> bool:
        """The same probabilities and the same sentences selected.

        From where sentences that are as probable change places, others may be selected.
        """
        scores = np.array(first["scores"]), np.array(second["scores"])
        if len(scores[0]) != len(scores[1]) or (np.abs(scores[0] - scores[1]) > tolerance).any():
            return False
        if first["sentences"] == second["sentences"]:
            return bool(first["predicted"] == second["predicted"])
        one, other = (np.argsort(-each, kind="stable").tolist() for each in scores)
        ranks = [number for number, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=True))]
        return set(ranks) & set(first["sentences"]) == set(ranks) & set(second["sentences"])

    @property
    def _count(self) -> int:
        assert self.sentences is not None, "resolve() comes first"
        return self.sentences

    @property
    def _words(self) -> rouge.Words:
        assert self.words is not None, "resolve() comes first"
        return self.words

    @property
    def _cutter(self) -> Callable[[str], Sequence[str]]:
        return rouge.cutter(self._words, self.stem)

    def _best(self, documents: Sequence[Sequence[str]], summaries: Sequence[Sequence[str]]) -> list[list[int]]:
        """The sentences of each document that the greedy search takes for one of its right summaries."""
        cut = self._cutter
        pairs = zip(documents, summaries, strict=True)
        return [oracle([cut(text) for text in texts], [cut(text) for text in right]) for texts, right in pairs]


def _summary(texts: Sequence[str], numbers: Sequence[int]) -> dict[str, Any]:
    return {"predicted": "\n".join(texts[number] for number in numbers), "sentences": list(numbers)}


def _joined(
    pieces: Sequence[dict[str, list[int]]], class_token: int | None, segments: bool
) -> tuple[dict[str, list[int]], list[int], list[int]]:
    """Sentences one after the other.

    Args:
        pieces: The model inputs of each, with its special tokens.
        class_token: The tokenizer's.
        segments: Whether the model has two.

    Returns:
        The model inputs, in alternating segments; where each sentence begins, and at last where they end; and the place
        of each one's class token, else of its last token.
    """
    inputs: dict[str, list[int]] = {name: [] for name in pieces[0]}
    starts, places = [0], []
    for number, piece in enumerate(pieces):
        ids = piece["input_ids"]
        kinds = {"token_type_ids": [number % 2] * len(ids)} if segments else {}
        for name, values in (piece | kinds).items():
            inputs[name] += values
        places.append(starts[-1] + (ids.index(class_token) if class_token in ids else len(ids) - 1))
        starts.append(starts[-1] + len(ids))
    return inputs, starts, places
