"""Tiny random checkpoints of every architecture, saved without a head, as real ones come."""

from __future__ import annotations

from pathlib import Path

WORDS = (  # noqa: SIM905  # as a list it would take fifty lines
    "the a film is was good bad fine poor great dull very not quite so and but it this that plot cast music light dark "
    "fast slow long short new old warm cold red blue green one two three four five six seven eight nine ten"
).split()
COMMON = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
POSITIONS = 32
PAD, UNK, CLS, SEP, MASK = range(5)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZE = len(SPECIAL) + len(WORDS)

ENCODERS = ("bert", "roberta", "distilbert", "deberta-v2", "modernbert", "electra", "albert", "xlnet")
DECODERS = ("gpt2", "llama", "qwen3")
BOTH = ("t5", "bart")
ARCHITECTURES = (*ENCODERS, *DECODERS, *BOTH)


def config(architecture: str):
    from transformers import AutoConfig

    ends = {"eos_token_id": SEP, "bos_token_id": CLS}
    settings = {
        "bert": {**COMMON, "max_position_embeddings": POSITIONS},
        "roberta": {**COMMON, "max_position_embeddings": POSITIONS + 1 + PAD, "type_vocab_size": 2, **ends},
        "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": POSITIONS},
        "deberta-v2": {
            **COMMON,
            "max_position_embeddings": POSITIONS,
            "relative_attention": True,
            "type_vocab_size": 2,
        },
        "modernbert": {
            **COMMON,
            "max_position_embeddings": POSITIONS,
            "cls_token_id": CLS,
            "sep_token_id": SEP,
            **ends,
        },
        "electra": {**COMMON, "embedding_size": 16, "max_position_embeddings": POSITIONS},
        "albert": {**COMMON, "embedding_size": 8, "max_position_embeddings": POSITIONS},
        "xlnet": {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24},
        "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": POSITIONS, **ends},
        "llama": {**COMMON, "max_position_embeddings": POSITIONS, "num_key_value_heads": 1, **ends},
        "qwen3": {**COMMON, "max_position_embeddings": POSITIONS, "num_key_value_heads": 1, "head_dim": 8, **ends},
        "t5": {"d_model": 16, "d_ff": 24, "d_kv": 8, "num_layers": 2, "num_heads": 2, "eos_token_id": SEP},
        "bart": {
            "d_model": 16,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 24,
            "decoder_ffn_dim": 24,
            "max_position_embeddings": POSITIONS,
            **ends,
        },
    }[architecture]
    if architecture not in DECODERS:
        settings["pad_token_id"] = PAD
    if architecture in BOTH:
        settings["decoder_start_token_id"] = PAD
    return AutoConfig.for_model(architecture, vocab_size=SIZE, **settings)


def tokenizer(architecture: str):
    """Words to ids; decoders get no pad token and no special tokens of their own, as GPT-2."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertTokenizer, PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    if architecture not in DECODERS:
        return BertTokenizer(vocab=vocabulary)
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="[SEP]", unk_token="[UNK]")


def save(architecture: str, folder: Path, size: float | None = None) -> None:
    """A base model with its tokenizer.

    Args:
        architecture: One of ARCHITECTURES.
        folder: Where to.
        size: Least standard deviation of a weight matrix. None: the library's own, which is mostly .02 and makes a
            model so tame that hardly any token minds another.
    """
    import torch
    from transformers import AutoModel, AutoModelForCausalLM

    torch.manual_seed(0)
    kind = AutoModelForCausalLM if architecture == "gpt2" else AutoModel
    model = kind.from_config(config(architecture))
    with torch.no_grad():
        for parameter in model.parameters() if size else ():
            if parameter.dim() > 1 and 0 < parameter.std() < size:
                parameter.mul_(size / parameter.std())
    model.save_pretrained(folder)
    tokenizer(architecture).save_pretrained(folder)
