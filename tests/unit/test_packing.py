"""Packing: features beside each other in a row of a batch compute what they compute alone."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from finetune.data.sources.rows import as_rows
from finetune.errors import ModelError
from finetune.tasks.language_modeling import LanguageModeling
from finetune.text import packing
from tests.support import tiny
from tests.support.rows import reviews

DECODERS, ENCODERS = ("gpt2", "llama", "qwen3"), ("bert", "roberta", "electra")
ATTENTIONS = ("sdpa", "eager")
LIMIT = 20
TEXTS = [row["text"] for row in reviews(14, longest=25)]


def tokenizer_of(architecture):
    tokenizer = tiny.tokenizer(architecture)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


@cache
def model_of(architecture, attention):
    """A model in double precision without dropout, whose attention is strong enough to be felt."""
    config = tiny.config(architecture)
    for name, value in vars(config).items():
        if "drop" in name and isinstance(value, float):
            setattr(config, name, 0.0)
    torch.manual_seed(0)
    auto = AutoModelForCausalLM if architecture in DECODERS else AutoModelForMaskedLM
    model = auto.from_config(config, attn_implementation=attention).double()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data *= 5
    return model


def batch_of(architecture, packed, mode="train", double=True):
    tokenizer = tokenizer_of(architecture)
    task = LanguageModeling(max_length=LIMIT, packing=packed)
    task = task.resolve(as_rows([{"text": text} for text in TEXTS], "train"), tokenizer)
    task = task.aligned(tiny.config(architecture))
    columns = task.encode({"text": TEXTS}, tokenizer, LIMIT, mode)
    features = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    batch = task.collate(features, tokenizer, mode, range(len(features)))
    if packed and double:
        batch.inputs["attention_mask"] = batch.inputs["attention_mask"].double()
    return task, batch


def gradients(model, task, batch):
    model.train()
    model.zero_grad()
    loss, weight = task.loss(model(**batch.inputs), batch)
    (loss / weight).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return float(loss.detach()), float(weight), found


def largest_difference(one, other):
    largest = max(float(value.norm()) for value in one.values())
    return max(float((one[name] - other[name]).norm()) / max(float(one[name].norm()), 1e-6 * largest) for name in one)


def test_every_sequence_lies_in_one_row_and_no_row_is_longer_than_the_longest():
    lengths = [3, 9, 4, 5, 9, 1, 2, 2, 7]
    found = packing.rows(lengths)
    assert sorted(number for row in found for number in row) == list(range(len(lengths)))
    assert max(sum(lengths[number] for number in row) for row in found) == 9
    assert len(found) == 5  # 42 tokens


def test_nothing_is_packed_of_no_sequences():
    assert packing.rows([]) == []


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("architecture", [*DECODERS, *ENCODERS])
def test_packed_loss_and_gradients_are_those_of_single_features(architecture, attention):
    model = model_of(architecture, attention)
    task, packed = batch_of(architecture, packed=True)
    assert packed.inputs["input_ids"].shape[0] < len(packed.weight)
    loss, weight, found = gradients(model, task, packed)
    plain_loss, plain_weight, plain = gradients(model, *batch_of(architecture, packed=False))
    assert weight == plain_weight
    assert loss == pytest.approx(plain_loss, rel=1e-9)
    assert largest_difference(plain, found) < 1e-6


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("architecture", [*DECODERS, *ENCODERS])
def test_packed_scores_are_those_of_single_features(architecture, attention):
    model = model_of(architecture, attention).eval()
    with torch.inference_mode():
        task, batch = batch_of(architecture, packed=True, mode="score")
        packed = task.predict(model, batch)
        plain_task, plain = batch_of(architecture, packed=False, mode="score")
        assert np.allclose(packed, plain_task.predict(model, plain), rtol=1e-9)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("architecture", ["gpt2", "bert"])
def test_packed_loss_is_right_in_bf16(architecture, attention):
    model = model_of(architecture, attention)
    exact = float(gradients(model, *batch_of(architecture, packed=False))[0])
    losses = []
    for packed in (True, False):
        task, batch = batch_of(architecture, packed, double=False)
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            losses.append(float(task.loss(model.float()(**batch.inputs), batch)[0]))
    model.double()
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0] == pytest.approx(exact, rel=1e-2)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "bert"])
def test_positions_alone_let_a_sequence_see_its_neighbours(architecture):
    """The usual way, a mask of ones beside positions that start anew, is caught by what the tests above compare."""
    model = model_of(architecture, "sdpa")
    task, batch = batch_of(architecture, packed=True)
    right = float(task.loss(model(**batch.inputs), batch)[0].detach())
    ones = {**batch.inputs, "attention_mask": torch.ones_like(batch.inputs["input_ids"])}
    leaking = float(task.loss(model(**ones), replace(batch, inputs=ones))[0].detach())
    assert abs(leaking - right) > 1e-4 * right


@pytest.mark.parametrize("architecture", [*DECODERS, *ENCODERS])
def test_a_token_of_one_feature_changes_no_other_feature(architecture):
    model = model_of(architecture, "sdpa").eval()
    _, batch = batch_of(architecture, packed=True, mode="score")
    row = max(range(len(batch.inputs["input_ids"])), key=lambda row: len(batch.targets["owner"][row].unique()))
    owner = batch.targets["owner"][row]
    assert len(set(owner.tolist()) - {-1}) > 1
    changed = batch.inputs["input_ids"].clone()
    changed[row, owner == owner[0]] = 7
    with torch.inference_mode():
        before = model(**batch.inputs).logits[row]
        after = model(**{**batch.inputs, "input_ids": changed}).logits[row]
    others = owner != owner[0]
    assert torch.allclose(before[others], after[others], atol=1e-12)
    assert not torch.allclose(before[~others], after[~others], atol=1e-3)


@pytest.mark.parametrize("architecture", ["modernbert", "distilbert", "albert", "deberta-v2"])
def test_architectures_whose_features_would_mix_are_refused(architecture):
    with pytest.raises(ModelError, match=r"task\.packing.*it works for bert.*Leave it out"):
        LanguageModeling(packing=True).head(tiny.config(architecture))


def test_sliding_windows_are_refused():
    config = tiny.config("qwen3")
    config.layer_types = ["full_attention", "sliding_attention"]
    with pytest.raises(ModelError, match=r"task\.packing"):
        LanguageModeling(packing=True).head(config)


def test_a_mask_that_would_be_misread_is_caught():
    task, batch = batch_of("gpt2", packed=True, double=False)
    with pytest.raises(AssertionError, match="double"):
        task.loss(model_of("gpt2", "eager")(**batch.inputs), batch)
