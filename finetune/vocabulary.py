"""A tokenizer from nothing: pairs of bytes that stand side by side most often become one token.

Byte pair encoding (Sennrich et al. 2016) on bytes (Radford et al. 2019): it knows every text and gives it back exactly.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.architectures import Kind
from finetune.data import cache
from finetune.data.table import CHUNK, Rows
from finetune.recipe import TrainedTokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

SPECIAL = PAD, START, END, MASK = ("<pad>", "<s>", "</s>", "<mask>")
"""The special tokens; their ids are their positions here."""

STARTS_WITH_PADDING = {"t5", "mt5", "umt5", "longt5", "switch_transformers"}
"""Model types whose decoder begins with the pad token."""
VOCABULARY_SIZES = ("vocab_size", "decoder_vocab_size", "src_vocab_size", "tgt_vocab_size")
"""What configurations call the number of tokens."""


def trained(settings: TrainedTokenizer, kind: Kind, rows: Rows, columns: Sequence[str]) -> PreTrainedTokenizerBase:
    """A tokenizer for the texts of some rows; the same rows and settings give the same one, byte for byte.

    Around a text stand, for an encoder, `<s> A </s>` and `<s> A </s> B </s>`, for an encoder-decoder `A </s>` and
    `A </s> B </s>`, and nothing for a decoder, whose tasks say where a text begins and ends.

    Args:
        settings: How many tokens, and which.
        kind: Of the model that it is for.
        rows: The training split.
        columns: Whose texts, or lists of texts, it learns from; what else they hold is passed over.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    def write(target: Path) -> None:
        target.write_text(_train(settings, rows, columns).to_str(), "utf-8")

    code = cache.file_digest(Path(__file__))
    key = (rows.digest, *columns, settings.model_dump_json(), version("tokenizers"), code)
    pieces = Tokenizer.from_file(str(cache.cached("tokenizer", key, write)))
    pieces.post_processor = _surroundings(kind)
    if pieces.get_vocab_size() < settings.vocabulary:
        log.warning(
            "The tokenizer has %d tokens, not %d: no further pair of them stands %d times in the texts of %s",
            pieces.get_vocab_size(),
            settings.vocabulary,
            settings.minimum,
            rows.origin,
        )
    separators = {"cls_token": START, "sep_token": END} if kind == "encoder" else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        mask_token=MASK,
        **separators,
    )


def _train(settings: TrainedTokenizer, rows: Rows, columns: Sequence[str]) -> Tokenizer:
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    pieces = Tokenizer(models.BPE())
    if settings.lowercase:
        pieces.normalizer = normalizers.Lowercase()
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        min_frequency=settings.minimum,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces.train_from_iterator(_texts(rows, columns), trainer)
    return pieces


def _texts(rows: Rows, columns: Sequence[str]) -> Iterator[list[str]]:
    """The texts of the columns, some rows at a time."""
    table = rows.table.select_columns(list(columns))
    for start in range(0, len(table), CHUNK):
        yield [text for values in table[start : start + CHUNK].values() for text in _flat(values)]


def _flat(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _flat(item)


def _surroundings(kind: Kind) -> Any:
    """What puts special tokens around a text or a pair, and leaves the space before a word out of its characters."""
    from tokenizers import processors

    spaces = processors.ByteLevel(trim_offsets=True, add_prefix_space=False)
    if kind == "decoder":
        return spaces
    start = f"{START} " if kind == "encoder" else ""
    around = processors.TemplateProcessing(
        single=f"{start}$A {END}",
        pair=f"{start}$A {END} $B {END}",
        special_tokens=[(token, number) for number, token in enumerate(SPECIAL)],
    )
    return processors.Sequence([spaces, around])


def halves(config: PretrainedConfig) -> dict[str, PretrainedConfig]:
    """The configurations of which one is made: `encoder` and `decoder`, or none."""
    found = {name: getattr(config, name, None) for name in ("encoder", "decoder")}
    return {name: half for name, half in found.items() if hasattr(half, "model_type")}


def fit(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, chosen: dict[str, Any]) -> None:
    """Give a configuration a tokenizer's size and special tokens.

    Args:
        config: Of a model without weights; changed.
        tokenizer: Its tokenizer.
        chosen: Fields that the recipe sets, which stay as they are.
    """
    for name, half in halves(config).items():
        fit(half, tokenizer, chosen.get(name, {}))
    ids = {name: getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos", "cls", "sep", "mask")}
    wanted = {f"{name}_token_id": number for name, number in ids.items() if number is not None}
    wanted |= dict.fromkeys(VOCABULARY_SIZES, chosen.get("vocab_size", len(tokenizer)))
    wanted |= dict.fromkeys(("forced_bos_token_id", "forced_eos_token_id"))  # nothing is forced on what it writes
    wanted = {name: value for name, value in wanted.items() if hasattr(config, name)}
    if config.is_encoder_decoder:
        openings = (ids["pad"],) if config.model_type in STARTS_WITH_PADDING else (ids["bos"], ids["cls"], ids["pad"])
        wanted["decoder_start_token_id"] = next(number for number in openings if number is not None)
    for name, value in wanted.items():
        if name not in chosen:
            setattr(config, name, value)
