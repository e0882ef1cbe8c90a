"""Token classification: a tag for every word; entities and chunks where the tags have a scheme, else plain tags."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import NonNegativeInt

from finetune.data.base import Column
from finetune.data.table import Rows
from finetune.errors import DataError
from finetune.metrics import entities, entity_types
from finetune.tasks.base import Batch, Head, Metric, Mode, Task, Window
from finetune.text import tag_checks, tagging
from finetune.text.labels import looks_swapped
from finetune.text.tokens import pad, padded, precise
from finetune.text.windows import tally, windows
from finetune.text.words import marked, places, share

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

OUTSIDE = "O"
IGNORED = -100
"""Target of a token that begins no word."""
MOST_TYPES = 32
"""Up to so many types it is counted which is taken for which: a row's numbers grow with the square of the types."""


class TokenClassification(Task):
    """A tag for every word: entities (NER), chunks, parts of speech."""

    words: str = "words"
    """Column of the words, a list for each row."""
    tags: str = "tags"
    """Column of the tags, one for each word; IOB1, IOB2, BIOES, BILOU, or plain tags."""
    text: str | None = None
    """Column of a plain text instead of words; its entities are then in `spans`."""
    spans: str = "spans"
    """Column of the entities of a plain text: a list of `{start, end, type}`, in characters."""
    span_end: Literal["exclusive", "inclusive"] = "exclusive"
    """Whether the `end` of a span is the character after its last, or the last."""
    scheme: Literal["iob1", "iob2", "bioes", "plain"] | None = None
    """How the tags are written; None: as most of the training rows are. The model learns and predicts IOB2."""
    tag_names: tuple[str, ...] | None = None
    """Names of the tags in the order of their numbers, where the column holds numbers and the source has no names."""
    labels: tuple[str, ...] | None = None
    """What the model tells apart, in the order of its outputs; None: the tags of the training rows, as IOB2."""
    stride: NonNegativeInt | None = None
    """Tokens that two windows of a long row share; None: a quarter of `max_length`."""

    @property
    def baseline_name(self) -> str:  # type: ignore[override]
        """What the baseline does."""
        return "most frequent tag of the word"

    @property
    def target_name(self) -> str:  # type: ignore[override]
        """What a row may lose."""
        return "words" if self.scheme == "plain" else "entities"

    @property
    def source(self) -> str:
        """Column of the words or of the text."""
        return self.text or self.words

    @property
    def target(self) -> str:
        """Column of the tags or of the spans."""
        return self.spans if self.text else self.tags

    @property
    def written(self) -> tagging.Written:
        """How the rows say what is to be found."""
        columns = (self.source, self.target)
        return tagging.Written(columns, bool(self.text), self.span_end == "inclusive", self.scheme, self.tag_names)

    @property
    def names(self) -> tuple[str, ...]:
        """The tags of a resolved task, in the order of the model's outputs."""
        assert self.labels is not None, "resolve() comes first"
        return self.labels

    @property
    def types(self) -> tuple[str, ...]:
        """What is counted: the types of entities, or the plain tags."""
        if self.scheme == "plain":
            return self.names
        return tuple(sorted({name.partition("-")[2] for name in self.names if name != OUTSIDE}))

    def metrics(self) -> tuple[Metric, ...]:
        """F1 of entities as conlleval counts them; of plain tags the share of right ones."""
        return (Metric("accuracy"),) if self.scheme == "plain" else (Metric("f1"), Metric("strict_f1"))

    def inputs(self) -> tuple[Column, ...]:
        """Words or text."""
        return (Column(self.source, "task.text" if self.text else "task.words"),)

    def targets(self) -> tuple[Column, ...]:
        """Tags or spans."""
        return (Column(self.target, "task.spans" if self.text else "task.tags"),)

    def resolve(self, train: Rows, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Find out how the tags are written and which there are."""
        task = self
        if self.text is None and self.tag_names is None and train.names.get(self.tags):
            task = self.model_copy(update={"tag_names": train.names[self.tags]})
        columns = zip(*task._columns(train), strict=True)
        given = [task.written.given(*pair, train.where(row)) for row, pair in enumerate(columns)]
        scheme = "iob2" if task.text else task.scheme or entities.scheme_of(given) or "plain"
        if scheme == "plain":
            labels = tuple(sorted({tag for tags in given for tag in tags}))
        else:
            found = (span for one in given for span in (one if task.text else entities.read(one)))
            kinds = sorted({entity.type for entity in found})
            labels = (OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI"))
        if len(labels) < 2:
            raise DataError(f"{train.origin}: every word has the same tag in {task.target!r}; two are needed to learn.")
        if self.labels:
            tagging.check_labels(self.labels, set(labels), scheme == "plain")
        return task.model_copy(update={"scheme": scheme, "labels": self.labels or labels})

    def aligned(self, config: PretrainedConfig, virtual_tokens: int = 0) -> Self:
        """The task with its tags in the order of the checkpoint's own, where these are the same."""
        own = tuple(str(name) for _, name in sorted((config.id2label or {}).items()))
        return self.model_copy(update={"labels": own}) if sorted(own) == sorted(self.names) else self

    def check(self, rows: Rows) -> None:
        """Refuse tags that cannot be learned or scored; say where sequences break the rules of their scheme."""
        columns, where_word = self._columns(rows), rows.where_word
        tag_checks.check(self.written, self.types, columns, rows.origin, rows.where, where_word)

    def head(self, config: PretrainedConfig) -> Head:
        """A token classifier with the tags in its configuration."""
        names = {"id2label": dict(enumerate(self.names)), "label2id": {name: i for i, name in enumerate(self.names)}}
        return Head("AutoModelForTokenClassification", "TOKEN_CLS", {"num_labels": len(self.names), **names})

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, limit: int, mode: Mode
    ) -> dict[str, list[Any]]:
        """Windows; `word` and `token` are the words a window decides on and the first token of each.

        Every word is decided on in one window, that where it stands farthest from a cut end. It counts once in the
        loss, whatever number of windows it stands in.
        """
        sources = [marked(value) for value in rows[self.source]]
        pairs = [] if mode == "predict" else zip(sources, rows[self.target], strict=True)
        golds = [self.written.gold(*pair) for pair in pairs]
        ids = {name: number for number, name in enumerate(self.names)}
        stride = limit // 4 if self.stride is None else self.stride
        cuts = windows([source.text for source in sources], tokenizer, limit, stride)
        features: dict[str, list[Any]] = {}
        held: dict[int, int] = {}
        for row, group in groupby(cuts, key=lambda cut: cut.row):
            of_row = list(group)
            decided = share([places(sources[row].words, cut) for cut in of_row], of_row)
            for cut, tokens in zip(of_row, decided, strict=True):
                feature = {
                    **cut.inputs,
                    "row": row,
                    "window": cut.number,
                    "length": len(cut.inputs["input_ids"]),
                    "whole": cut.whole,
                    "weight": float(len(set(tokens.values()))),
                    "word": list(tokens),
                    "token": list(tokens.values()),
                }
                if golds:
                    feature["target"] = [ids[golds[row][0][word]] for word in tokens]
                for name, value in feature.items():
                    features.setdefault(name, []).append(value)
            if golds:
                tags, wanted = golds[row]
                held[row] = tagging.reachable(sources[row], tags, wanted, decided, self._unseen, self.scheme == "plain")
        if golds:
            tally(features, held, {row: len(gold[1]) - held[row] for row, gold in enumerate(golds)}, {})
        return features

    def collate(
        self, features: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, mode: Mode, seeds: Sequence[int]
    ) -> Batch:
        """Token ids and target tags `(features, length)`; first tokens of the words decided on `(features, words)`."""
        import torch

        targets = {"token": pad([f["token"] for f in features], -1)}
        if mode == "train":
            aims = []
            for feature in features:
                aim = [IGNORED] * feature["length"]
                for token, target in zip(feature["token"][::-1], feature["target"][::-1], strict=True):
                    aim[token] = target  # of words that share a token the first says what it stands for
                aims.append(aim)
            targets["labels"] = pad(aims, IGNORED)
        weight = torch.tensor([f["weight"] for f in features], dtype=torch.float64)
        return Batch(padded(features, tokenizer), targets, weight)

    def loss(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross entropy of `(features, length, tags)` logits at the first token of every word, summed."""
        from torch.nn.functional import cross_entropy

        logits, labels = precise(output.logits), batch.targets["labels"]
        summed = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")
        return summed, (labels != IGNORED).sum().to(summed.dtype)

    def predict(self, model: nn.Module, batch: Batch) -> list[Any]:
        """For each feature `(words, 2)`: the most probable tag's number and its probability."""
        import torch

        probability, tag = model(**batch.inputs).logits.double().softmax(-1).max(-1)
        both = torch.stack([tag.double(), probability], dim=-1).cpu().numpy()
        tokens = batch.targets["token"].cpu().numpy()
        return [answer[mine[mine >= 0]] for answer, mine in zip(both, tokens, strict=True)]

    def merge(self, windows: Sequence[Window], row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> Any:
        """The tag of every word and its probability; a word that no token stands for gets the first tag, with 0."""
        source = marked(row[self.source])
        tags, probabilities = [self._unseen] * len(source.words), [0.0] * len(source.words)
        for window in windows:
            names = [self.names[int(tag)] for tag, _ in window.output]
            told = tagging.shared(names, window.feature["token"], self.scheme == "plain")
            for word, tag, (_, probability) in zip(window.feature["word"], told, window.output, strict=True):
                tags[word], probabilities[word] = tag, float(probability)
        return {"source": source, "plain": not isinstance(row[self.source], list), "tags": tags, "sure": probabilities}

    @property
    def _unseen(self) -> str:
        return OUTSIDE if OUTSIDE in self.names else self.names[0]

    def decide(self, raw: Sequence[Any], decisions: dict[str, Any]) -> list[dict[str, Any]]:
        """The tags, the words of a plain text, and the entities with characters, text and score."""
        found = []
        for row in raw:
            source = row["source"]
            words = {"words": [source.word(number) for number in range(len(source.words))]} if row["plain"] else {}
            spans = {} if self.scheme == "plain" else {"spans": tagging.spans(row["tags"], row["sure"], source)}
            found.append({"predicted": row["tags"], **words, **spans, "probabilities": row["sure"]})
        return found

    def gold(self, row: dict[str, Any]) -> Any:
        """The tags as the data has them; of a plain text the spans, their ends exclusive as those predicted."""
        if self.text is None or row[self.target] is None:
            return row[self.target]
        spans = self.written.given(row[self.text], row[self.target], "a row")
        return [{"start": span.start, "end": span.end, "type": span.type} for span in spans]

    def baseline(self, train: Rows, rows: Rows) -> list[dict[str, Any]]:
        """For each word the tag it has most often in the training rows; one never seen there gets the outside tag."""
        known: list[tuple[str, str]] = []
        for source, value in zip(*self._columns(train), strict=True):
            marks = marked(source)
            known += zip(map(marks.word, range(len(marks.words))), self.written.gold(marks, value)[0], strict=True)
        usual = tagging.usual_tags(known, OUTSIDE if OUTSIDE in self.names else None)
        sources = map(marked, rows.column(self.source))
        return [{"predicted": [usual[marks.word(n)] for n in range(len(marks.words))]} for marks in sources]

    def measure(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> np.ndarray:
        """Right words and words, then for each type its gold, predicted and correct ones, `(rows, 2 + 3 * types)`.

        Entities are counted twice, `(rows, 2 + 6 * types)`: read as conlleval does, and as seqeval's strict IOB2. Last,
        of up to `MOST_TYPES`, come `types * types` counts: which gold type was predicted as which, read as conlleval
        does, where start and end are right.
        """
        types, found = self.types, []
        for prediction, source, value in zip(predictions, *self._columns(rows), strict=True):
            marks, tags = marked(source), prediction["predicted"]
            gold, wanted = self.written.gold(marks, value)
            right = sum(one == other for one, other in zip(gold, tags, strict=True))
            if self.scheme == "plain":
                said = [tagging.each(tags, marks)]
            else:
                said = [tagging.characters(tags, marks, read) for read in (entities.read, entities.strict)]
            counted = [entities.counts(wanted, one, types).ravel() for one in said]
            if len(types) <= MOST_TYPES:
                counted.append(entity_types.confusion(wanted, said[0], types).ravel())
            found.append(np.concatenate([[right, len(tags)], *counted]))
        return np.array(found, dtype=float)

    @property
    def _scored(self) -> int:
        """How many columns of the statistics the scores are made of."""
        return 2 + (3 if self.scheme == "plain" else 6) * len(self.types)

    def aggregate(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """The share of right words; F1, precision and recall of entities as conlleval counts, and strictly."""
        right, words, *counted = weights @ statistics[:, : self._scored]
        accuracy = {"accuracy": float(right / words) if words else 0.0}
        if self.scheme == "plain":
            return accuracy
        lenient, strict = np.array(counted).reshape(2, -1, 3)
        found, exact = entities.scores(lenient), entities.scores(strict)
        order = ("f1", "precision", "recall")
        return {**{n: found[n] for n in order}, **{f"strict_{n}": exact[n] for n in order}, **accuracy}

    def per_class(self, statistics: np.ndarray) -> dict[str, dict[str, float]]:
        """The scores of each type, as conlleval counts; of plain tags, of each tag."""
        counted = statistics.sum(axis=0)[2 : 2 + 3 * len(self.types)].reshape(-1, 3)
        return entities.per_type(counted, self.types)

    def doubts(self, statistics: np.ndarray, baseline: np.ndarray) -> list[str]:
        """Types that look swapped where start and end are right, if a score lies below the baseline's."""
        own, usual = (self.aggregate(each, np.ones(len(each))) for each in (statistics, baseline))
        confused = statistics[:, self._scored :].sum(axis=0).reshape(-1, len(self.types))
        if not len(confused) or all(own[metric.name] >= usual[metric.name] for metric in self.metrics()):
            return []
        pairs = looks_swapped(confused, self.types)
        if not pairs:
            return []
        names = "task.tag_names has the names in the order of the numbers, and whether " if self.tag_names else ""
        return [
            f"the scores lie below those of the {self.baseline_name}, and the types look swapped: predicted {pairs}. "
            f"Look whether {names}the values of {self.target!r} mean the same in every split."
        ]

    def exchanged(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> tuple[list[Any], list[Any]]:
        """Sequences of tags, as the `seqeval` module takes them."""
        columns = zip(*self._columns(rows), strict=True)
        golds = [self.written.gold(marked(source), value)[0] for source, value in columns]
        return [prediction["predicted"] for prediction in predictions], golds

    def agree(self, first: dict[str, Any], second: dict[str, Any], tolerance: float) -> bool:
        """The same probabilities, and the same tags but where two may be as probable."""
        keys = ("predicted", "probabilities")
        pairs = zip(*(prediction[key] for key in keys for prediction in (first, second)), strict=True)
        return all(abs(p - q) <= tolerance and (one == other or p <= 0.5 + tolerance) for one, other, p, q in pairs)

    def _columns(self, rows: Rows) -> tuple[list[Any], list[Any]]:
        return rows.column(self.source), rows.column(self.target)
