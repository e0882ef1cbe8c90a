"""What tasks share that write a text from a text: prompts, targets, loss, generation; and what is lost by limits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PositiveInt, field_validator

from finetune import warm_start
from finetune.architectures import kind_of
from finetune.data.base import Column
from finetune.data.references import check_targets, right_texts
from finetune.data.table import Rows
from finetune.errors import DataError, ModelError, RecipeError, unknown
from finetune.generation.decoding import Special, write
from finetune.generation.settings import Generation
from finetune.tasks.base import Batch, Head, Mode, Task
from finetune.text.prompts import PLACE, cut, longest, prompts, targets
from finetune.text.references import text_of
from finetune.text.tokens import pad, precise

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

LEAST_SOURCE = 8
"""Tokens of a prompt that a target must leave where both stand in one sequence."""


class TextToText(Task):
    """A task whose model writes a text from a text: an encoder-decoder, a decoder, or an encoder doubled into both.

    A decoder reads prompt and target as one sequence and learns the target only. An encoder becomes both halves of an
    encoder-decoder (Rothe et al. 2020), with fresh attention between them.
    """

    probed: ClassVar[Mode] = "train"
    decoder_prompt: ClassVar[str]
    """The prompt for a decoder where the recipe has none."""

    source: str
    """Column of the text that is read, or of a list of its lines; `a.b` names a field within one."""
    target: str
    """Column of the text that is to be written, or of a list of its lines."""
    references: tuple[str, ...] = ()
    """Columns with further right texts, each a text or a list of texts: for scores only, and a split may lack them."""
    prompt: str | None = None
    """What stands around a source, with `{source}` in its place. None: what the checkpoint's configuration says (T5's
    prefixes), else the source alone, and for a decoder the task's own."""
    max_target_length: PositiveInt | None = None
    """Most tokens of a target, its end included; longer ones are cut. None: the longest of the training rows."""
    generation: Generation = Generation()
    """How texts are written; `max_new_tokens` None: `max_target_length`."""
    source_language: str | None = None
    """Language of the source, as a multilingual checkpoint's tokenizer calls it: `de_DE`, `deu_Latn`. For T5 `de`."""
    target_language: str | None = None
    """Language of the target."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each target token's probability that is spread over the vocabulary in the loss (Szegedy et al. 2016)."""
    writer: Literal["encoder-decoder", "decoder"] | None = None
    """What the checkpoint becomes; None: resolved from it."""
    special: Special | None = None
    """Its special tokens; None: resolved from the checkpoint."""

    @property
    def target_limit(self) -> int | None:
        """Most tokens of a target."""
        return self.max_target_length

    @field_validator("prompt")
    @classmethod
    def _one_place(cls, value: str | None) -> str | None:
        if value is not None and value.count(PLACE) != 1:
            raise ValueError(f"write {PLACE} once, where the source stands")
        return value

    @property
    @abstractmethod
    def own_prefix(self) -> str:
        """Under which name a checkpoint's configuration may say how its prompts for this task begin."""

    def inputs(self) -> tuple[Column, ...]:
        """The source."""
        return (Column(self.source, "task.source"),)

    def targets(self) -> tuple[Column, ...]:
        """The target."""
        return (Column(self.target, "task.target"),)

    def optional(self) -> tuple[Column, ...]:
        """Further right texts."""
        return tuple(Column(name, "task.references") for name in self.references)

    def prepared(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Set a multilingual tokenizer's languages.

        Raises:
            RecipeError: It needs them and the recipe does not name them, or names unknown ones.
        """
        codes = getattr(tokenizer, "lang_code_to_id", None) or getattr(tokenizer, "lang_code_to_token", None)
        if not hasattr(tokenizer, "src_lang") or not hasattr(tokenizer, "tgt_lang"):
            return
        for field, value in (("source_language", self.source_language), ("target_language", self.target_language)):
            if value is None:
                raise RecipeError(f"task.{field} is needed: this checkpoint knows many languages, and must be told.")
            if codes and value not in codes:
                raise RecipeError(unknown(f"task.{field}", value, codes))
        for name, value in (("src_lang", self.source_language), ("tgt_lang", self.target_language)):
            if getattr(tokenizer, name) != value:
                setattr(tokenizer, name, value)

    def resolve(self, train: Rows, tokenizer: PreTrainedTokenizerBase) -> Self:
        """Find the special tokens, and the longest target of the training rows.

        Raises:
            DataError: No training row has a target.
        """
        self.prepared(tokenizer)
        special = self.special or _special(tokenizer)
        texts = [text_of(value) for value in train.column(self.target)]
        if not any(texts):
            raise DataError(f"{train.origin}: every {self.target!r} is empty; there is nothing to learn.")
        most = self.max_target_length or longest(texts, tokenizer)
        return self.model_copy(update={"special": special, "max_target_length": most})

    def aligned(self, config: PretrainedConfig, virtual_tokens: int = 0) -> Self:
        """Fill in what the checkpoint decides: what it becomes, its special tokens, prompt and room for a target."""
        assert self.special is not None and self.max_target_length is not None, "resolve() comes first"
        writer = _writer(config)
        if self.writer not in (None, writer):
            raise RecipeError(f"task.writer = {self.writer}: this checkpoint becomes an {writer}; leave it out.")
        half = getattr(config, "decoder", config)
        special, own = self.special, getattr(half, "eos_token_id", None)
        ends = special.ends if own is None else tuple(dict.fromkeys([*special.ends, *_listed(own)]))
        if writer == "decoder":
            special = Special(special.pad, ends)
        else:
            known = (special.start, getattr(config, "decoder_start_token_id", None), special.forced)
            start = next((token for token in known if token is not None), None)
            if start is None:
                raise ModelError("model: nothing says which token its decoder starts with (decoder_start_token_id).")
            special = Special(special.pad, ends, start, None if special.forced == start else special.forced)
        prefixes = getattr(config, "task_specific_params", None) or {}
        prefix = prefixes.get(self.own_prefix, {}).get("prefix", "")
        prompt = self.prompt or (self.decoder_prompt if writer == "decoder" else prefix + PLACE)
        most = self.max_target_length
        generation, room = self.generation, _room(half, virtual_tokens)
        if room is not None:
            most = min(most, room // 2 if writer == "decoder" else room)
            asked = max(generation.max_new_tokens or 0, generation.min_new_tokens)
            if asked > room:
                raise RecipeError(f"task.generation: {asked} tokens are to be written; this model takes {room}.")
        if generation.max_new_tokens is None:
            written = max(most, generation.min_new_tokens)
            generation = generation.model_copy(update={"max_new_tokens": written})
        found = {"writer": writer, "special": special, "prompt": prompt, "max_target_length": most}
        return self.model_copy(update={**found, "generation": generation})

    def check(self, rows: Rows) -> None:
        """Look that every row has a target; say which columns of references a scored split lacks.

        Raises:
            DataError: Some have none.
        """
        check_targets(rows, self.target, self.references)

    def head(self, config: PretrainedConfig) -> Head:
        """A causal language model, an encoder-decoder, or an encoder doubled into one.

        Raises:
            ModelError: The checkpoint can become neither.
        """
        generation: dict[str, Any] = {}
        if self.special is not None:
            special, settings = self.special, self.generation
            generation = {
                "max_new_tokens": settings.max_new_tokens,
                "num_beams": settings.num_beams,
                "do_sample": settings.do_sample,
                "pad_token_id": special.pad,
                "eos_token_id": list(special.ends),
                **({} if special.pad in special.ends else {"bad_words_ids": [[special.pad]]}),
                **({"decoder_start_token_id": special.start} if special.start is not None else {}),
                **({"forced_bos_token_id": special.forced} if special.forced is not None else {}),
                **({"length_penalty": settings.length_penalty} if settings.num_beams > 1 else {}),
                **({"no_repeat_ngram_size": settings.no_repeat_ngram_size} if settings.no_repeat_ngram_size else {}),
            }
        if _writer(config) == "decoder":
            return Head("AutoModelForCausalLM", "CAUSAL_LM", generation=generation)
        changes: dict[str, Any] = {}
        doubled = not config.is_encoder_decoder
        if self.special is not None and (doubled or config.model_type == warm_start.COMPOSITE):
            changes = {
                "decoder_start_token_id": self.special.start,
                "eos_token_id": self.special.ends[0],
                "pad_token_id": self.special.pad,
            }
        return Head("AutoModelForSeq2SeqLM", "SEQ_2_SEQ_LM", changes, doubled, generation)

    def encode(
        self, rows: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, limit: int, mode: Mode
    ) -> dict[str, list[Any]]:
        """One feature a row: ids of the prompt, and in training those of the target.

        `whole` is the length that would cut nothing of the source, `target_whole` the target's without its limit.

        Raises:
            RecipeError: A target's room leaves none for the source.
        """
        assert self.special is not None and self.prompt is not None and self.max_target_length is not None
        self.prepared(tokenizer)
        decoder = self.writer == "decoder"
        room = max(self.max_target_length, self.generation.max_new_tokens or 0) if decoder else 0
        if limit - room < LEAST_SOURCE:
            raise RecipeError(
                f"task.max_length = {limit} must hold a prompt and {room} tokens of a target; "
                "lower task.max_target_length and task.generation.max_new_tokens."
            )
        sources = [text_of(value) for value in rows[self.source]]
        ids, lengths = prompts(sources, self.prompt, tokenizer, limit - room, decoder)
        size = len(ids)
        features: dict[str, list[Any]] = {
            "row": list(range(size)),
            "window": [0] * size,
            "length": [len(part) for part in ids],
            "whole": [length + room for length in lengths],
            "weight": [1.0] * size,
            "input_ids": ids,
        }
        if mode == "train":
            texts = [text_of(value) for value in rows[self.target]]
            whole = targets(texts, tokenizer, self.special.ends, self.special.start, self.prompt)
            labels = [cut(part, self.max_target_length, self.special.ends) for part in whole]
            features["labels"] = labels
            features["target_whole"] = [len(part) for part in whole]
            features["weight"] = [float(len(part)) for part in labels]
            features["length"] = [len(part) + len(label) for part, label in zip(ids, labels, strict=True)]
        return features

    def collate(
        self, features: Sequence[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, mode: Mode, seeds: Sequence[int]
    ) -> Batch:
        """Token ids `(features, length)`: right-padded; for a decoder that is to go on writing, left-padded."""
        import torch

        assert self.special is not None
        ids, label_ids = [f["input_ids"] for f in features], [f["labels"] for f in features] if mode == "train" else []
        start, left = self.special.start, self.writer == "decoder" and mode != "train"
        extra: dict[str, Tensor] = {}
        if mode != "train":
            of_loss = {"seeds": torch.tensor([seed % 2**31 for seed in seeds])}
        elif start is None:  # the logits at a position are of the token after it
            of_loss = {"labels": pad([[-100] * (len(p) - 1) + t for p, t in zip(ids, label_ids, strict=True)], -100)}
            ids = [prompt + target[:-1] for prompt, target in zip(ids, label_ids, strict=True)]
        else:
            of_loss = {"labels": pad(label_ids, -100)}
            extra = {"decoder_input_ids": pad([[start, *target[:-1]] for target in label_ids], self.special.pad)}
        inputs = {
            "input_ids": pad(ids, self.special.pad, left),
            "attention_mask": pad([[1] * len(part) for part in ids], 0, left),
            **extra,
        }
        return Batch(inputs, of_loss, torch.tensor([f["weight"] for f in features], dtype=torch.float64))

    def loss(self, output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Summed cross-entropy of the target tokens, and their number."""
        import torch
        from torch.nn.functional import cross_entropy

        labels = batch.targets["labels"]
        counted = labels != -100
        logits = precise(output.logits[counted])  # only these in fp32: a vocabulary is large
        summed = cross_entropy(logits, labels[counted], reduction="sum", label_smoothing=self.label_smoothing)
        return summed, counted.sum().to(torch.float64)

    def cost(self, lengths: np.ndarray) -> np.ndarray:
        """Tokens that a row holds while its text is written: its own, and the new ones of every beam."""
        beams = self.generation.num_beams
        return (lengths + (self.generation.max_new_tokens or 0)) * beams

    def predict(self, model: nn.Module, batch: Batch) -> list[Any]:
        """For each feature the ids of what the model writes, and whether it came to an end."""
        assert self.special is not None
        seeds = batch.targets["seeds"].tolist() if "seeds" in batch.targets else ()
        written = write(model, batch.inputs, self.generation, self.special, seeds)
        return [(text.tokens, text.ended) for text in written]

    def merge(self, windows: Sequence[Any], row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> Any:
        """The text, and whether it came to an end."""
        (window,) = windows
        ids, ended = window.output
        self.prepared(tokenizer)
        return str(tokenizer.decode(ids, skip_special_tokens=True)).strip(), ended

    def decide(self, raw: Sequence[Any], decisions: dict[str, Any]) -> list[dict[str, Any]]:
        """`predicted`, and `ended`: false where the text was stopped at `max_new_tokens`."""
        return [{"predicted": text, "ended": ended} for text, ended in raw]

    def gold(self, row: dict[str, Any]) -> Any:
        """The target."""
        return text_of(row[self.target])

    def right(self, rows: Rows) -> list[list[str]]:
        """All right texts of each row, the target first."""
        return right_texts(rows, self.target, self.references)

    @abstractmethod
    def scored(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """What the scores need of each row, `(rows, k)`."""

    def measure(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> np.ndarray:
        """`scored`, and in the last column whether the text came to an end: `(rows, k + 1)`."""
        texts = [str(prediction["predicted"]) for prediction in predictions]
        ended = [[float(prediction.get("ended", True))] for prediction in predictions]
        return np.hstack([self.scored(texts, self.right(rows)), np.array(ended)])

    def doubts(self, statistics: np.ndarray, baseline: np.ndarray) -> list[str]:
        """How many texts were stopped before they came to an end, if many were."""
        stopped = int((statistics[:, -1] == 0).sum())
        if stopped <= len(statistics) / 20:
            return []
        return [
            f"{stopped:,} of {len(statistics):,} texts were stopped at {self.generation.max_new_tokens} tokens "
            "(task.generation.max_new_tokens) before the model ended them"
        ]

    def exchanged(self, predictions: Sequence[dict[str, Any]], rows: Rows) -> tuple[list[Any], list[Any]]:
        """Texts, and for each a list of right texts, as `rouge` and `sacrebleu` of `evaluate` take them."""
        return [prediction["predicted"] for prediction in predictions], self.right(rows)


def _room(config: PretrainedConfig, virtual_tokens: int) -> int | None:
    """Most tokens that a decoder takes, virtual ones, start and padding's positions aside; None: any number."""
    found = getattr(config, "max_position_embeddings", None)
    return None if found is None or found <= 2 else int(found) - 2 - virtual_tokens


def _listed(value: int | Sequence[int]) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _writer(config: PretrainedConfig) -> Literal["encoder-decoder", "decoder"]:
    """What a checkpoint becomes.

    Raises:
        ModelError: It is an encoder that cannot be doubled.
    """
    kind = kind_of(config)
    if kind != "encoder":
        return kind
    warm_start.check(config)
    return "encoder-decoder"


def _special(tokenizer: PreTrainedTokenizerBase) -> Special:
    """The special tokens as far as the tokenizer says them.

    Raises:
        ModelError: It has no token that could end a text.
    """
    around = tokenizer(text_target="")["input_ids"]
    known = [token for token in (tokenizer.eos_token_id, tokenizer.sep_token_id) if token is not None]
    if not known:
        raise ModelError("model: its tokenizer has neither an end token nor a separator, so no text could end.")
    end = next((token for token in known if token in around), known[0])  # the one that it puts there
    if hasattr(tokenizer, "src_lang") and around[-1] != end:  # mBART: the language is behind the end, and starts
        return Special(tokenizer.pad_token_id, (end,), start=around[-1])
    return Special(tokenizer.pad_token_id, (end,), forced=next((token for token in around if token != end), None))
