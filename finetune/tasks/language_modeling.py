"""Language modelling: a text's next tokens (decoders), or those behind its masks (encoders)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat

from finetune.data.base import Column
from finetune.data.table import Rows
from finetune.errors import DataError, ModelError, RecipeError, nearest
from finetune.generation.decoding import Special, Written, write
from finetune.generation.settings import Generation
from finetune.tasks.base import DEFAULT_LENGTH, Batch, Head, Metric, Mode, Task, Window
from finetune.text import masking, packing
from finetune.text.masking import IGNORED
from finetune.text.objectives import PACKED, Objective, first_position, objective_of, packs, unfit
from finetune.text.stream import Piece, continuation, frame, last, next_tokens, own_tokens
from finetune.text.tokens import pad, precise
from finetune.text.unigram import Unigram, size
from finetune.text.windows import check_stride, tally, token_ids

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

BEFORE = "before"
"""Column in which plain text files give what precedes a row."""
NEW_TOKENS = 50
"""Most tokens that are written where the recipe does not say."""
CANDIDATES = 5
"""Tokens that are given for a mask."""
LOGITS = 2**26
"""Most logits that scoring holds at once, but for a single sequence that has more."""
SAMPLE = 1000
"""Training rows, spread evenly, whose tokens are counted beside their bytes."""
SHOWN = 80
"""Characters of a row that a person is shown."""
SCORES = ("perplexity", "word_perplexity", "byte_perplexity")


class LanguageModeling(Task):
    """The tokens of texts: the next one (causal), or hidden ones (masked). No column but the text is needed.

    A feature is a window of one row. In training windows share nothing; in scoring each has some tokens before it as
    context, and every token of a row is scored in exactly one window. What a masked model scores is drawn once and for
    all, so that scores of different steps can be compared; in training every epoch draws anew.
    """

    baseline_name: ClassVar[str] = "unigram of words"
    target_name: ClassVar[str] = "tokens"

    text: str = "text"
    """Column of the text."""
    before: str | None = None
    """Column of the text that precedes a row's: context in scoring, never learned here. None: `before`, where the rows
    have it, as those of plain text files."""
    objective: Objective | None = None
    """What is learned; None: `causal` for decoders, `masked` for encoders."""
    stride: NonNegativeInt | None = None
    """Tokens that a scored window shares with the one before, as context; None: a quarter of `max_length`."""
    mask_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of a window's tokens that are to be found; of these .8 are masked, .1 random, .1 as they were (BERT)."""
    whole_words: bool = False
    """Whether all tokens of a word are masked together. A window counts in the loss as if its masks were as many as
    `mask_probability` says, though whole words may miss that number a little."""
    learn_end: bool | None = None
    """Whether a causal model learns that a training row ends; scores never count it. None: where no row is preceded
    by another, so that what it writes comes to an end."""
    packing: bool = False
    """Whether short features lie beside each other in a batch. Results are the same; less is padding."""
    generation: Generation = Generation()
    """How a causal model continues a prompt; `max_new_tokens` None: 50, at most half of `max_length`."""
    special: Special | None = None
    """Pad and end token; None: the tokenizer's."""
    first_position: NonNegativeInt | None = None
    """Position of a packed feature's first token; None: resolved from the checkpoint."""
    tokens_per_byte: PositiveFloat | None = None
    """For the baseline, whose words are no tokens; None: counted in the training rows."""

    def metrics(self) -> tuple[Metric, ...]:
        """Perplexity by token, by word between white space and by UTF-8 byte: lower is better.

        By word and by byte, models of different tokens can be compared. Published figures by word for WikiText and the
        Penn Treebank count the end of a line as a word and so are lower than these. Of a masked model all three are
        pseudo-perplexities, and the latter two take the tokens that were not masked for as hard as those that were.
        """
        return tuple(Metric(name, higher_is_better=False, point=1.0) for name in SCORES)

    def inputs(self) -> tuple[Column, ...]:
        """The text."""
        return (Column(self.text, "task.text"),)

    def targets(self) -> tuple[Column, ...]:
        """None: a text is its own."""
        return ()

    def optional(self) -> tuple[Column, ...]:
        """What precedes the text."""
        return (Column(self.before, "task.before"),) if self.before else ()

    def resolve(self, train: Rows, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Look for the column of what precedes, and at the tokenizer."""
        if self.before is not None and self.before not in train.columns:
            known = nearest(self.before, train.columns)
            raise DataError(f"{train.origin} has no column {self.before!r} (task.before). {known}")
        before = self.before or (BEFORE if BEFORE in train.columns and self.text != BEFORE else None)
        learn_end = self.learn_end
        if learn_end is None:
            learn_end = before is None or not any(train.column(before))
        spread = np.unique(np.linspace(0, len(train) - 1, SAMPLE).astype(int)).tolist()
        texts = [str(text) for text in train.select(spread).column(self.text)]
        tokens, end = sum(map(len, token_ids(texts, tokenizer))), tokenizer.eos_token_id
        if not tokens:
            raise DataError(f"{train.origin}: every {self.text!r} is empty; there is nothing to learn.")
        found = {
            "before": before,
            "learn_end": learn_end,
            "special": self.special or Special(tokenizer.pad_token_id, () if end is None else (end,)),
            "tokens_per_byte": self.tokens_per_byte or tokens / sum(map(size, texts)),
        }
        return self.model_copy(update=found)

    def aligned(self, config: PretrainedConfig, virtual_tokens: int = 0) -> Self:
        """The objective that fits the checkpoint, how much it may write, and where its positions begin."""
        if self.packing and virtual_tokens:
            raise RecipeError("task.packing: several texts in one row cannot all have virtual tokens; leave it out.")
        objective, generation = self.objective or objective_of(config), self.generation
        if objective == "causal" and generation.max_new_tokens is None:
            positions = getattr(config, "max_position_embeddings", None) or DEFAULT_LENGTH
            room = self.max_length or min(DEFAULT_LENGTH, positions - virtual_tokens)
            most = max(generation.min_new_tokens, min(NEW_TOKENS, room // 2))
            generation = generation.model_copy(update={"max_new_tokens": most})
        first = self.first_position
        if first is None and self.packing:
            first = first_position(config)
        found = {"objective": objective, "generation": generation, "first_position": first}
        return self.model_copy(update=found)

    def check(self, rows: Rows) -> None:
        """Refuse a split without any text."""
        if not any(rows.column(self.text)):
            raise DataError(f"{rows.origin}: every {self.text!r} is empty; there is nothing to score.")

    def head(self, config: PretrainedConfig) -> Head:
        """A causal or a masked language model.

        Raises:
            ModelError: The architecture is neither, or not that which was asked for, or cannot be packed.
            RecipeError: A setting belongs to the other objective.
        """
        refusal = unfit(config, self.objective)
        if refusal:
            raise ModelError(refusal)
        if self.packing and not packs(config):
            raise ModelError(
                f"task.packing: features of {config.model_type} cannot be kept apart in one row; "
                f"it works for {', '.join(PACKED)}. Leave it out: results are the same."
            )
        if objective_of(config) == "masked":
            return Head("AutoModelForMaskedLM")
        if self.whole_words:
            raise RecipeError("task.whole_words: a causal model has no masks; leave it out, or take an encoder.")
        settings = self.generation
        generation = settings.model_dump(exclude_defaults=not settings.do_sample, exclude_none=True)
        if self.special is not None:
            generation["pad_token_id"] = self.special.pad
            generation |= {"eos_token_id": list(self.special.ends)} if self.special.ends else {}
        return Head("AutoModelForCausalLM", "CAUSAL_LM", generation=generation)

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, limit: int, mode: Mode
    ) -> dict[str, list[Any]]:
        """Windows of at most `limit` tokens; a text without any token has none, but to predict.

        `first` is the first place at which something is asked, `target` what is to be found there and at the places
        after it: the next tokens, or those that masks may hide, `word` then the word of each. To predict, a causal
        feature is a prompt, without the beginning of one that leaves too little room for what is written, and `place`
        says where a masked one has its masks.

        Raises:
            ModelError: The tokenizer lacks what the objective needs.
            RecipeError: Windows would not move on, or nothing could be written.
        """
        texts = [str(text) for text in rows[self.text]]
        stride = 0 if mode == "train" else limit // 4 if self.stride is None else self.stride
        before: list[list[int]] = [[] for _ in texts]
        if mode != "train" and self.before in rows:
            before = token_ids([str(text or "") for text in rows[self.before]], tokenizer)
        cut = self._cutter(tokenizer, limit, stride, mode)
        words = masking.word_numbers(texts, tokenizer) if self.whole_words and mode != "predict" else None
        names = ["row", "window", "length", "whole", "weight", "input_ids", "first", "target"]
        asks = mode == "predict" and self.objective == "masked"
        names += ["word"] if words is not None else ["place"] if asks else []
        features: dict[str, list[Any]] = {name: [] for name in names}
        encoded = token_ids(texts, tokenizer)
        for row, ids in enumerate(encoded):
            pieces, done = cut(ids, before[row]), 0
            for number, piece in enumerate(pieces):
                size = len(piece.targets)
                feature = {
                    "row": row,
                    "window": number,
                    "length": len(piece.tokens),
                    "whole": 0 if number else len(piece.tokens) + sum(len(other.targets) for other in pieces[1:]),
                    "weight": float(size if self.objective == "causal" else masking.count(size, self.mask_probability)),
                    "input_ids": piece.tokens,
                    "first": piece.first,
                    "target": piece.targets,
                }
                if words is not None:
                    feature["word"] = words[row][done : done + size]
                if asks:
                    places = range(piece.first, piece.first + size)
                    feature["place"] = [place for place in places if piece.tokens[place] == tokenizer.mask_token_id]
                for name in names:
                    features[name].append(feature[name])
                done += size
        room = limit - (self.generation.max_new_tokens or 0)
        long = sum(len(ids) >= room for ids in encoded) if mode == "predict" and self.objective == "causal" else 0
        if long:
            log.warning(
                "%d of %d texts are too long to go on from: their last %d tokens are read", long, len(texts), room
            )
        if asks and not any(features["place"]):
            log.warning("no text holds a %s, so there is nothing to fill in", tokenizer.mask_token)
        tally(features, dict(enumerate(map(len, encoded))), {}, {})
        return features

    def _cutter(
        self, tokenizer: PreTrainedTokenizerBase, limit: int, stride: int, mode: Mode
    ) -> Callable[[list[int], list[int]], list[Piece]]:
        """What makes windows of a row's tokens and those before them."""
        assert self.objective is not None and self.special is not None, "resolve() and aligned() come first"
        if self.objective == "masked":
            if tokenizer.mask_token_id is None:
                raise ModelError("model: its tokenizer has no mask token, so nothing can be masked.")
            around = frame(tokenizer)
            room = limit - sum(map(len, around))
            check_stride(stride, room, limit)
            empty = [Piece([*around[0], *around[1]], len(around[0]), [])] if mode == "predict" else []
            return lambda ids, known: own_tokens(ids, last(known, stride), around, room, stride) or empty
        start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        if start is None:
            raise ModelError("model: its tokenizer has no token with which a text could begin (bos, eos).")
        check_stride(stride, limit, limit)
        left = limit - (self.generation.max_new_tokens or 0)
        if left < 1:
            raise RecipeError(
                f"task.generation.max_new_tokens = {self.generation.max_new_tokens} leaves no token of "
                f"task.max_length = {limit} for a prompt."
            )
        if mode == "predict":
            return lambda ids, known: [Piece([start, *ids][-left:], 0, [])]
        end = self.special.ends[:1] if mode == "train" and self.learn_end else ()
        return lambda ids, known: (
            next_tokens([*ids, *end], last([start, *known], stride + 1), limit, stride) if ids else []
        )

    def collate(
        self, features: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, mode: Mode, seeds: Sequence[int]
    ) -> Batch:
        """Token ids, `labels`, and which feature these are of, `owner`.

        They are `(features, length)` and `(features, 1)`; packed, all are `(rows, length)`. To predict, there are
        instead `seed`, `(features,)`, of what is drawn, or `place`, `(features, masks)`, where the masks are.
        """
        import torch

        sequences = [feature["input_ids"] for feature in features]
        weight = torch.tensor([feature["weight"] for feature in features], dtype=torch.float64)
        if mode == "predict":
            left = self.objective == "causal"  # what is written follows the last token of every prompt
            targets = {"seed": torch.tensor(seeds)} if left else {"place": pad([f["place"] for f in features], -1)}
            return Batch(_inputs(sequences, tokenizer, left), targets, weight)
        if self.objective == "masked":
            sequences, labels = self._drawn(features, tokenizer, seeds)
        else:
            labels = [[IGNORED] * feature["first"] + feature["target"] for feature in features]
        if self.packing:
            causal, first = self.objective == "causal", self.first_position or 0
            return Batch(*packing.packed(sequences, labels, tokenizer.pad_token_id, causal, first), weight)
        targets = {"labels": pad(labels, IGNORED), "owner": torch.arange(len(features))[:, None]}
        return Batch(_inputs(sequences, tokenizer), targets, weight)

    def _drawn(
        self, features: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, seeds: Sequence[int]
    ) -> tuple[list[list[int]], list[list[int]]]:
        others = masking.ordinary(tokenizer)
        drawn = []
        for feature, seed in zip(features, seeds, strict=True):
            places = range(feature["first"], feature["first"] + len(feature["target"]))
            wanted, words = int(feature["weight"]), feature.get("word")
            drawn.append(
                masking.draw(feature["input_ids"], places, words, wanted, tokenizer.mask_token_id, others, seed)
            )
        return [ids for ids, _ in drawn], [labels for _, labels in drawn]

    def loss(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Nats of the targets, from `(rows, length, tokens)` logits; each feature's are its mean times its weight."""
        nats, found = self._nats(output.logits, batch, slice(None))
        weight = batch.weight * (found > 0)
        return (nats * weight / found.clamp(min=1)).sum(), weight.sum()

    def _nats(self, logits: Tensor, batch: Batch, part: slice) -> tuple[Tensor, Tensor]:
        """Each feature's nats in some rows, and how many targets they are the sum of, `(features,)`, in double."""
        from torch.nn.functional import cross_entropy

        packing.check(batch.inputs["attention_mask"], logits)
        labels = batch.targets["labels"][part]
        owner = batch.targets["owner"][part].expand(labels.shape).clamp(min=0)
        logits, labels, owner = logits.flatten(0, 1), labels.flatten(), owner.flatten()
        if self.objective == "masked":  # asked of few places; of nearly all a copy would only cost memory
            asked = labels != IGNORED
            logits, labels, owner = logits[asked], labels[asked], owner[asked]
        nats = cross_entropy(precise(logits), labels, ignore_index=IGNORED, reduction="none").double()
        none = nats.new_zeros(len(batch.weight))
        return none.index_add(0, owner, nats), none.index_add(0, owner, (labels != IGNORED).double())

    def predict(self, model: nn.Module, batch: Batch) -> list[Any]:
        """To score, for each feature nats and weight, `(2,)`; else what is written, or `(masks, candidates, 2)`.

        A candidate is a token's id and its probability, the likeliest first.
        """
        import torch

        targets = batch.targets
        if "seed" in targets:
            assert self.special is not None, "resolve() comes first"
            return list(write(model, batch.inputs, self.generation, self.special, targets["seed"].tolist()))
        if "place" in targets:
            found = []
            for part, logits in _parts(model, batch.inputs):
                for own, places in zip(logits, targets["place"][part], strict=True):
                    likely = precise(own[places[places >= 0]]).double().softmax(-1).topk(min(CANDIDATES, own.shape[-1]))
                    found.append(torch.stack([likely.indices.double(), likely.values], dim=-1).cpu().numpy())
            return found
        nats = torch.zeros(2, len(batch.weight), dtype=torch.float64, device=batch.weight.device)
        for part, logits in _parts(model, batch.inputs):
            nats += torch.stack(self._nats(logits, batch, part))
        scored = torch.stack([nats[0] * batch.weight / nats[1].clamp(min=1), batch.weight], dim=-1)
        return list(scored.cpu().numpy())

    def merge(self, windows: Sequence[Window], row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> Any:
        """The sums over all windows; or the text that continues a prompt, or that has its masks filled in."""
        outputs = [window.output for window in windows]
        if any(isinstance(output, Written) for output in outputs):
            (window,) = windows
            return {"predicted": continuation(window.feature["input_ids"], window.output.tokens, tokenizer)}
        if "place" in (windows[0].feature if windows else ()):
            parts = [(window.feature["input_ids"], window.feature["place"], window.output) for window in windows]
            text, candidates = masking.filled(str(row[self.text]), parts, tokenizer)
            return {"predicted": text, "candidates": candidates}
        nats, scored = np.sum(outputs, axis=0) if outputs else (0.0, 0.0)
        return _scores(float(nats), float(scored), sum(len(window.feature["target"]) for window in windows))

    def decide(self, raw: Sequence[Any], decisions: dict[str, Any]) -> list[dict[str, Any]]:
        """The text that was written; of scored rows the perplexity by token, and the numbers behind it."""
        return list(raw)

    def gold(self, row: dict[str, Any]) -> Any:
        """How the text begins, in one line."""
        text = " ".join(str(row[self.text])[: 2 * SHOWN].split())
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."

    def baseline(self, train: Rows, rows: Rows) -> list[dict[str, Any]]:
        """How well the number of each word in the training rows guesses the texts.

        By word and by byte that is exact. By token it takes a text to have as many tokens as one of its bytes has in
        the training rows, for here is no tokenizer.
        """
        assert self.tokens_per_byte is not None, "resolve() comes first"
        usual = Unigram(map(str, train.column(self.text)))
        texts = [str(text) for text in rows.column(self.text)]
        tokens = [self.tokens_per_byte * size(text) for text in texts]
        return [_scores(usual.surprise(text), count, count) for text, count in zip(texts, tokens, strict=True)]

    def measure(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> np.ndarray:
        """Nats, scored tokens, and the words and bytes that these stand for, `(rows, 4)`."""
        found = []
        for prediction, value in zip(predictions, rows.column(self.text), strict=True):
            text, scored, tokens = str(value), prediction["scored"], prediction["tokens"]
            share = scored / tokens if tokens else 1.0
            found.append([prediction["nats"], scored, share * len(text.split()), share * size(text)])
        return np.array(found, dtype=float)

    def aggregate(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """The exponential of the mean nats of a token, word or byte; infinite where no float holds it."""
        nats, *units = weights @ statistics
        return {name: _exponential(nats, count) for name, count in zip(SCORES, units, strict=True)}

    def agree(self, first: dict[str, Any], second: dict[str, Any], tolerance: float) -> bool:
        """The same numbers within a share of their size; the same text, but where two tokens are as probable."""
        if first.get("candidates"):
            pairs = zip(first["candidates"], second["candidates"], strict=True)
            return all(masking.alike(one, other, tolerance) for one, other in pairs)
        return all(
            math.isclose(value, second[name], rel_tol=tolerance, abs_tol=tolerance)
            if isinstance(value, float) and isinstance(second[name], float)
            else value == second[name]
            for name, value in first.items()
        )


def _inputs(sequences: list[list[int]], tokenizer: PreTrainedTokenizerBase, left: bool = False) -> dict[str, Tensor]:
    mask = pad([[1] * len(sequence) for sequence in sequences], 0, left)
    return {"input_ids": pad(sequences, tokenizer.pad_token_id, left), "attention_mask": mask}


def _parts(model: Any, inputs: dict[str, Tensor]) -> Iterator[tuple[slice, Tensor]]:
    """The logits of a batch's rows, of as many at once as `LOGITS` allows."""
    rows, length = inputs["input_ids"].shape
    size = max(1, LOGITS // (length * model.config.get_text_config().vocab_size))
    for start in range(0, rows, size):
        part = slice(start, min(start + size, rows))
        yield part, model(**{name: values[part] for name, values in inputs.items()}).logits


def _scores(nats: float, scored: float, tokens: float) -> dict[str, Any]:
    perplexity = _exponential(nats, scored) if scored else None
    shown = None if perplexity is None else float(f"{perplexity:.6g}")  # what is behind differs from batch to batch
    return {"predicted": shown, "nats": nats, "scored": scored, "tokens": tokens}


def _exponential(nats: float, count: float) -> float:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return float(np.exp(np.float64(nats) / np.float64(count)))
