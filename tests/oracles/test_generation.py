"""Texts against the library's own `generate`, which computes every row until the slowest one ends.

The models are tiny and random, in double precision so that ties do not matter. An end token that is a little likelier
than chance makes their texts end at different lengths.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from finetune.generation.continuation import Continuation
from finetune.generation.decoding import Special, Written, write
from finetune.generation.settings import Generation
from tests.support import tiny
from tests.support.tiny import CLS, PAD, SEP, SIZE, SPECIAL

WEIGHTS = {"t5": (0.2, 1.2), "bart": (0.35, 1.2), "bert2bert": (0.35, 0.4), "gpt2": (0.35, 0.4), "llama": (0.2, 1.2)}
"""Architecture -> standard deviation of its matrices, and what is added to the end token's logit."""
BOTH = ("t5", "bart", "bert2bert")
DECODERS = ("gpt2", "llama")
ALL = (*BOTH, *DECODERS)
MOST = 16

every_architecture = pytest.mark.parametrize("architecture", ALL)
every_way = pytest.mark.parametrize(
    "settings",
    [
        Generation(max_new_tokens=MOST),
        Generation(max_new_tokens=MOST, num_beams=3),
        Generation(max_new_tokens=MOST, do_sample=True, temperature=0.7, top_k=20, top_p=0.9),
    ],
    ids=["greedy", "beams", "sampling"],
)


def untrained(architecture: str):
    """A model whose texts end at different lengths, without generation settings of its own."""
    import torch
    from torch.nn.functional import layer_norm
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        EncoderDecoderConfig,
        EncoderDecoderModel,
        GenerationConfig,
    )

    torch.manual_seed(2)
    spread, likelier = WEIGHTS[architecture]
    if architecture == "bert2bert":
        half = tiny.config("bert")
        model = EncoderDecoderModel(EncoderDecoderConfig.from_encoder_decoder_configs(half, half))
    else:
        kind = AutoModelForCausalLM if architecture in DECODERS else AutoModelForSeq2SeqLM
        model = kind.from_config(tiny.config(architecture))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, spread)
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                module.weight.normal_()
    mixing = torch.randn(SIZE, SIZE)

    def mix(module, inputs, logits):  # else tied weights would write the same token again and again
        logits = layer_norm(layer_norm(logits, [SIZE]) @ mixing.to(logits.dtype), [SIZE])
        logits[..., SEP] += likelier
        logits[..., [PAD, CLS]] -= 1e4  # start tokens: the library counts them as written
        return logits

    model.get_output_embeddings().register_forward_hook(mix)
    model.generation_config = GenerationConfig()
    return model.double().eval()


@cache
def writer(architecture: str):
    return untrained(architecture)


def special(architecture: str) -> Special:
    start = {"bert2bert": CLS}.get(architecture, PAD) if architecture in BOTH else None
    return Special(PAD, (SEP,), start)


def prompts(architecture: str, rows: int = 8, seed: int = 0):
    """Texts of 3 to 10 words, padded as the architecture needs it."""
    import torch

    generator = np.random.default_rng(seed)
    texts = [generator.integers(len(SPECIAL), SIZE, length) for length in generator.integers(3, 11, rows)]
    longest = max(map(len, texts))
    ids, mask = torch.full((rows, longest), PAD), torch.zeros((rows, longest), dtype=torch.long)
    for row, text in enumerate(texts):
        place = slice(longest - len(text), None) if architecture in DECODERS else slice(0, len(text))
        ids[row, place], mask[row, place] = torch.tensor(text), 1
    return {"input_ids": ids, "attention_mask": mask}


def of_the_library(model, inputs, settings: Generation, special: Special, **more) -> list[Written]:
    from transformers import GenerationConfig

    config = GenerationConfig(
        max_new_tokens=settings.max_new_tokens,
        min_new_tokens=settings.min_new_tokens or None,
        num_beams=settings.num_beams,
        length_penalty=settings.length_penalty,
        no_repeat_ngram_size=settings.no_repeat_ngram_size,
        repetition_penalty=settings.repetition_penalty,
        pad_token_id=special.pad,
        eos_token_id=list(special.ends),
        decoder_start_token_id=special.start,
        forced_bos_token_id=special.forced,
    )
    found = model.generate(**inputs, generation_config=config, **more)
    start = inputs["input_ids"].shape[1] if special.start is None else 1
    texts = []
    for tokens in found[:, start + (special.forced is not None) :].tolist():
        end = next((place for place, token in enumerate(tokens) if token in special.ends), None)
        texts.append(Written(tokens[:end], end is not None))
    return texts


def seeds_for(settings: Generation, inputs) -> list[int]:
    return list(range(100, 100 + len(inputs["input_ids"]))) if settings.do_sample else []


@contextmanager
def seen(model):
    """The rows of each batch that the model gets, step by step."""
    batches: list[int] = []
    hook = model.get_output_embeddings().register_forward_hook(lambda m, i, logits: batches.append(len(logits)))
    try:
        yield batches
    finally:
        hook.remove()


@every_architecture
def test_texts_end_early_and_late(architecture):
    written = write(writer(architecture), prompts(architecture), Generation(max_new_tokens=MOST), special(architecture))
    assert any(text.ended for text in written)
    assert len({len(text.tokens) for text in written}) > 3
    assert len({tuple(text.tokens) for text in written}) > 3


@every_architecture
def test_the_likeliest_tokens_are_the_librarys(architecture):
    model, inputs, settings = writer(architecture), prompts(architecture), Generation(max_new_tokens=MOST)
    written = write(model, inputs, settings, special(architecture))
    assert written == of_the_library(model, inputs, settings, special(architecture))


@every_architecture
@pytest.mark.parametrize(
    ("num_beams", "length_penalty"), [(2, 1.0), (3, 0.0), (4, 1.0), (4, 2.0), (4, -1.0)], ids=lambda value: f"{value}"
)
def test_beams_are_the_librarys(architecture, num_beams, length_penalty):
    model, inputs = writer(architecture), prompts(architecture)
    settings = Generation(max_new_tokens=MOST, num_beams=num_beams, length_penalty=length_penalty)
    written = write(model, inputs, settings, special(architecture))
    assert written == of_the_library(model, inputs, settings, special(architecture))


@every_architecture
@pytest.mark.parametrize("num_beams", [1, 3])
def test_the_least_number_of_tokens_is_the_librarys(architecture, num_beams):
    model, inputs = writer(architecture), prompts(architecture)
    settings = Generation(max_new_tokens=MOST, min_new_tokens=11, num_beams=num_beams)
    written = write(model, inputs, settings, special(architecture))
    assert written == of_the_library(model, inputs, settings, special(architecture))
    assert min(len(text.tokens) for text in written) >= 11


RESTRICTIONS = [{"no_repeat_ngram_size": 1}, {"no_repeat_ngram_size": 2}, {"repetition_penalty": 1.3}]


@pytest.mark.parametrize("architecture", BOTH)
@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("restriction", RESTRICTIONS, ids=str)
def test_restrictions_are_the_librarys_where_there_is_no_prompt(architecture, num_beams, restriction):
    model, inputs = writer(architecture), prompts(architecture)
    settings = Generation(max_new_tokens=MOST, num_beams=num_beams, **restriction)
    written = write(model, inputs, settings, special(architecture))
    assert written == of_the_library(model, inputs, settings, special(architecture))
    free = settings.model_copy(update={"no_repeat_ngram_size": 0, "repetition_penalty": 1.0})
    assert written != write(model, inputs, free, special(architecture))


@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("restriction", RESTRICTIONS, ids=str)
def test_restrictions_of_a_decoder_do_not_see_the_prompt(architecture, num_beams, restriction):
    from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

    model, inputs = writer(architecture), prompts(architecture)
    start = inputs["input_ids"].shape[1]
    if "no_repeat_ngram_size" in restriction:
        processor = NoRepeatNGramLogitsProcessor(restriction["no_repeat_ngram_size"])
    else:
        processor = RepetitionPenaltyLogitsProcessor(restriction["repetition_penalty"])
    free = Generation(max_new_tokens=MOST, num_beams=num_beams)
    written = write(model, inputs, free.model_copy(update=restriction), special(architecture))
    blind = [lambda tokens, scores: processor(tokens[:, start:], scores)]
    assert written == of_the_library(model, inputs, free, special(architecture), logits_processor=blind)


def test_a_token_of_the_prompt_may_be_written_once_and_not_twice():
    inputs = prompts("gpt2")
    settings = Generation(max_new_tokens=MOST, no_repeat_ngram_size=1)
    written = write(writer("gpt2"), inputs, settings, special("gpt2"))
    texts = [text.tokens for text in written]
    assert all(len(tokens) == len(set(tokens)) for tokens in texts)
    assert any(set(tokens) & set(prompt) for tokens, prompt in zip(texts, inputs["input_ids"].tolist(), strict=True))


@pytest.mark.parametrize("architecture", BOTH)
@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_forced_first_token_is_written_and_not_shown(architecture, num_beams):
    forced = Special(PAD, (SEP,), special(architecture).start, forced=SPECIAL.index("[MASK]"))
    model, inputs = writer(architecture), prompts(architecture)
    settings = Generation(max_new_tokens=MOST, num_beams=num_beams)
    written = write(model, inputs, settings, forced)
    assert written == of_the_library(model, inputs, settings, forced)
    assert written != write(model, inputs, settings, special(architecture))
    assert max(len(text.tokens) for text in written) <= MOST - 1  # it counts


@every_architecture
@pytest.mark.parametrize("num_beams", [1, 3])
def test_any_of_several_tokens_ends_a_text(architecture, num_beams):
    model, inputs, one = writer(architecture), prompts(architecture), special(architecture)
    settings = Generation(max_new_tokens=MOST, num_beams=num_beams)
    tokens = [token for text in write(model, inputs, settings, one) for token in text.tokens]
    usual = max(tokens, key=tokens.count)
    both = Special(PAD, (SEP, usual), one.start)
    written = write(model, inputs, settings, both)
    assert written == of_the_library(model, inputs, settings, both)
    assert not any(usual in text.tokens for text in written)


def test_a_text_that_is_stopped_has_not_ended():
    written = write(writer("gpt2"), prompts("gpt2"), Generation(max_new_tokens=3), special("gpt2"))
    assert {(len(text.tokens), text.ended) for text in written if not text.ended} == {(3, False)}
    assert all(len(text.tokens) < 3 for text in written if text.ended)


@every_architecture
@every_way
def test_a_text_does_not_depend_on_the_rows_beside_it(architecture, settings):
    model, inputs = writer(architecture), prompts(architecture)
    seeds = seeds_for(settings, inputs)
    together = write(model, inputs, settings, special(architecture), seeds)
    alone = []
    for row, mask in enumerate(inputs["attention_mask"]):
        single = {name: value[row : row + 1, mask.bool()] for name, value in inputs.items()}  # without padding
        alone += write(model, single, settings, special(architecture), seeds[row : row + 1])
    assert together == alone


@every_architecture
@every_way
def test_rows_that_have_ended_leave_the_batch(architecture, settings):
    model, inputs = writer(architecture), prompts(architecture)
    with seen(model) as batches:
        written = write(model, inputs, settings, special(architecture), seeds_for(settings, inputs))
    needed = [len(text.tokens) + text.ended for text in written]
    assert len(batches) > 1
    assert batches[0] == len(written)
    if settings.num_beams > 1:
        assert sorted(batches[1:], reverse=True) == batches[1:]  # a row's beams go on after its best text has ended
        assert batches[-1] < batches[1]
    else:
        assert batches == [sum(length > step for length in needed) for step in range(max(needed))]


def test_in_a_big_batch_rows_leave_together():
    inputs, settings = prompts("llama", rows=64), Generation(max_new_tokens=MOST)
    with seen(writer("llama")) as batches:
        written = write(writer("llama"), inputs, settings, special("llama"))
    ends = Counter(len(text.tokens) for text in written)
    assert min(ends.values()) < 64 / 8  # else they would end together anyway
    assert len(set(batches)) > 2
    assert all(after <= before * 7 / 8 for before, after in pairwise(batches) if before != after)


def test_scores_are_in_fp32_whatever_the_model_computes_in():
    import torch

    inputs = prompts("gpt2")
    model = untrained("gpt2").bfloat16()
    texts = Continuation(model, inputs.pop("input_ids"), {**inputs, "use_cache": True})
    with torch.no_grad():
        assert texts.scores().dtype == torch.float32


def test_drawn_tokens_have_the_probabilities_of_the_warped_scores():
    import torch
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    count, model = 4000, writer("gpt2")
    inputs = {name: value[:1].expand(count, -1) for name, value in prompts("gpt2").items()}
    settings = Generation(max_new_tokens=1, do_sample=True, temperature=0.8, top_k=12, top_p=0.9)
    written = write(model, inputs, settings, Special(PAD, (SEP,)), range(count))
    drawn = np.bincount([(text.tokens or [SEP])[0] for text in written], minlength=SIZE) / count
    with torch.no_grad():
        mask = inputs["attention_mask"][:1]
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        scores = model(inputs["input_ids"][:1], attention_mask=mask, position_ids=positions).logits[:, -1]
    for warper in (TemperatureLogitsWarper(0.8), TopKLogitsWarper(12), TopPLogitsWarper(0.9)):
        scores = warper(None, scores)
    expected = scores.softmax(-1)[0].numpy()
    assert 3 <= (expected > 0).sum() <= 12
    assert not drawn[expected == 0].any()
    errors = np.sqrt(expected * (1 - expected) / count)
    assert (abs(drawn - expected) <= 4 * errors).all()


def test_a_seed_gives_the_same_text_again_and_another_seed_another():
    settings = Generation(max_new_tokens=MOST, do_sample=True)
    first, again, other = (
        write(writer("bart"), prompts("bart"), settings, special("bart"), range(seed, seed + 8)) for seed in (0, 0, 50)
    )
    assert first == again
    assert first != other


def test_equal_rows_with_unequal_seeds_get_unequal_texts():
    inputs = {name: value[1:2].expand(4, -1) for name, value in prompts("t5").items()}
    settings = Generation(max_new_tokens=MOST, do_sample=True)
    written = write(writer("t5"), inputs, settings, special("t5"), range(4))
    assert len({tuple(text.tokens) for text in written}) > 2


OF_A_CHECKPOINT = {
    "num_beams": 4,
    "max_length": 20,
    "min_length": 10,
    "repetition_penalty": 1.3,
    "no_repeat_ngram_size": 3,
    "length_penalty": 2.0,
    "early_stopping": True,
    "forced_bos_token_id": CLS,
    "forced_eos_token_id": SEP,
    "suppress_tokens": list(range(len(SPECIAL), 20)),
    "encoder_repetition_penalty": 1.5,
    "stop_strings": ["film"],
    "num_return_sequences": 2,
    "return_dict_in_generate": True,
    "output_scores": True,
    "output_attentions": True,
    "use_cache": False,
    "cache_implementation": "static",
    "do_sample": True,
    "top_k": 5,
    "temperature": 0.1,
}


@pytest.mark.parametrize("architecture", ["bart", "gpt2"])
@every_way
def test_the_checkpoints_own_settings_do_not_count(architecture, settings):
    from transformers import GenerationConfig

    inputs = prompts(architecture)
    plain = write(writer(architecture), inputs, settings, special(architecture), seeds_for(settings, inputs))
    opinionated = untrained(architecture)
    own = opinionated.generation_config = GenerationConfig(**OF_A_CHECKPOINT)
    assert plain == write(opinionated, inputs, settings, special(architecture), seeds_for(settings, inputs))
    assert opinionated.generation_config is own


def test_the_checkpoints_own_settings_come_back_after_an_error():
    model = untrained("gpt2")
    own = model.generation_config
    with pytest.raises(ValueError, match="nonsense"):
        write(model, {**prompts("gpt2"), "nonsense": 1}, Generation(max_new_tokens=2), special("gpt2"))
    assert model.generation_config is own


@pytest.mark.parametrize("architecture", ["bart", "gpt2"])
@every_way
@pytest.mark.filterwarnings("error")
def test_the_library_says_nothing(architecture, settings, caplog, monkeypatch):
    from transformers import GenerationConfig

    model, inputs = untrained(architecture), prompts(architecture)
    model.generation_config = GenerationConfig(max_length=20, min_length=10)
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    with caplog.at_level(logging.WARNING):
        write(model, inputs, settings, special(architecture), seeds_for(settings, inputs))
    assert not caplog.records


@every_architecture
@every_way
def test_texts_are_written_in_bf16_without_gradients(architecture, settings):
    import torch

    model, inputs = untrained(architecture).float(), prompts(architecture)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        written = write(model, inputs, settings, special(architecture), seeds_for(settings, inputs))
    assert len(written) == 8
    assert any(text.tokens for text in written)


def tuned(architecture: str, method: str):
    """A model with a random adapter of PEFT's."""
    import torch
    from peft import LoraConfig, PrefixTuningConfig, TaskType, get_peft_model

    task = TaskType.CAUSAL_LM if architecture in DECODERS else TaskType.SEQ_2_SEQ_LM
    if method == "lora":
        config = LoraConfig(task_type=task, r=2)
    else:
        config = PrefixTuningConfig(task_type=task, num_virtual_tokens=3)
    torch.manual_seed(5)
    model = get_peft_model(untrained(architecture), config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, 0.3)
    return model


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("method", ["lora", "prefix"])
@pytest.mark.parametrize("architecture", ["t5", "bart", "gpt2", "llama"])
def test_an_adapter_of_peft_writes_what_peft_generates(architecture, method, num_beams):
    model, inputs = tuned(architecture, method), prompts(architecture)
    settings = Generation(max_new_tokens=MOST, num_beams=num_beams)
    with seen(model.get_base_model()) as batches:
        written = write(model, inputs, settings, special(architecture))
    assert written == of_the_library(model, inputs, settings, special(architecture))
    assert written != write(writer(architecture), inputs, settings, special(architecture))
    assert len({len(text.tokens) for text in written}) > 1
    assert batches[-1] < batches[0] * num_beams
