"""Methods that train some of the checkpoint's own parameters: which ones, and how fast each layer learns."""

import pytest
import torch

from finetune import Training
from finetune.errors import RecipeError
from finetune.model import head_parameters
from finetune.training import optim
from finetune.tuning import layers
from finetune.tuning.base import Tuning
from finetune.tuning.bitfit import BitFit
from finetune.tuning.frozen import Frozen
from finetune.tuning.full import Full
from finetune.tuning.layer_norm import LayerNorm
from finetune.tuning.partial import Partial
from tests.support import tiny

LAST = {
    "bert": ("bert.encoder.layer.1.", "bert.pooler.", "classifier."),
    "roberta": ("roberta.encoder.layer.1.", "classifier."),
    "distilbert": ("distilbert.transformer.layer.1.", "pre_classifier.", "classifier."),
    "deberta-v2": ("deberta.encoder.layer.1.", "pooler.", "classifier."),
    "modernbert": ("model.layers.1.", "model.final_norm.", "head.", "classifier."),
    "electra": ("electra.encoder.layer.1.", "classifier."),
    "xlnet": ("transformer.layer.1.", "sequence_summary.", "logits_proj."),
    "gpt2": ("transformer.h.1.", "transformer.ln_f.", "score."),
    "llama": ("model.layers.1.", "model.norm.", "score."),
    "qwen3": ("model.layers.1.", "model.norm.", "score."),
    "t5": (
        "transformer.encoder.block.1.",
        "transformer.encoder.final_layer_norm.",
        "transformer.decoder.block.1.",
        "transformer.decoder.final_layer_norm.",
        "classification_head.",
    ),
    "bart": ("model.encoder.layers.1.", "model.decoder.layers.1.", "classification_head."),
}
"""How the names of the last layer begin, of what stands above it and of the head; ALBERT's layers are all one."""
FIRST = {
    "bert": "bert.encoder.layer.0.",
    "roberta": "roberta.encoder.layer.0.",
    "distilbert": "distilbert.transformer.layer.0.",
    "deberta-v2": "deberta.encoder.layer.0.",
    "modernbert": "model.layers.0.",
    "electra": "electra.encoder.layer.0.",
    "xlnet": "transformer.layer.0.",
    "gpt2": "transformer.h.0.",
    "llama": "model.layers.0.",
    "qwen3": "model.layers.0.",
    "t5": ("transformer.encoder.block.0.", "transformer.decoder.block.0."),
    "bart": ("model.encoder.layers.0.", "model.decoder.layers.0."),
}
"""How the names of the first layer begin: what is left are embeddings."""
NORMS = {
    "bert": {"LayerNorm"},
    "deberta-v2": {"LayerNorm"},
    "xlnet": {"layer_norm"},
    "gpt2": {"ln_1", "ln_2", "ln_f"},
    "llama": {"input_layernorm", "post_attention_layernorm", "norm"},
    "qwen3": {"input_layernorm", "post_attention_layernorm", "norm", "q_norm", "k_norm"},
    "t5": {"layer_norm", "final_layer_norm"},
    "bart": {"self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm", "layernorm_embedding"},
}
"""Names of the norms."""
WITH_BIASES = ("bert", "roberta", "distilbert", "deberta-v2", "electra", "albert", "xlnet", "gpt2", "bart")


def classifier(architecture: str, **changes):
    """A tiny random classifier, and the names of what its checkpoint would not have."""
    from transformers import AutoModelForSequenceClassification

    config = tiny.config(architecture)
    for name, value in changes.items():
        setattr(config, name, value)
    model = AutoModelForSequenceClassification.from_config(config)
    return model, head_parameters(model)


def trained(architecture: str, tuning: Tuning) -> set[str]:
    model, fresh = classifier(architecture)
    return {name for name, p in tuning.apply(model, "SEQ_CLS", fresh, 2).named_parameters() if p.requires_grad}


def names_of(architecture: str) -> set[str]:
    return {name for name, _ in classifier(architecture)[0].named_parameters()}


def rates(model, tuning: Tuning) -> dict[str, float]:
    """Peak learning rate of each trained parameter, by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = optim.optimizer(model, tuning, Training()).param_groups
    found = [(names[id(parameter)], group["peak"]) for group in groups for parameter in group["params"]]
    assert len(found) == len(dict(found)), "a parameter stands in two groups"
    return dict(found)


@pytest.mark.parametrize("architecture", LAST)
def test_partial_trains_the_last_layer_and_what_stands_above(architecture):
    expected = {name for name in names_of(architecture) if name.startswith(LAST[architecture])}
    assert trained(architecture, Partial(layers=1)) == expected


@pytest.mark.parametrize("architecture", LAST)
def test_partial_with_all_layers_leaves_the_embeddings(architecture):
    lower = (*LAST[architecture], *([f] if isinstance(f := FIRST[architecture], str) else f))
    expected = {name for name in names_of(architecture) if name.startswith(lower)}
    assert trained(architecture, Partial(layers=2)) == expected


@pytest.mark.parametrize("architecture", LAST)
def test_partial_trains_the_embeddings_when_told(architecture):
    first = FIRST[architecture]
    expected = {name for name in names_of(architecture) if not name.startswith(first)}
    assert trained(architecture, Partial(layers=1, embeddings=True)) == expected


def test_partial_says_how_many_layers_the_shorter_stack_has():
    model, fresh = classifier("bart", decoder_layers=1)
    with pytest.raises(RecipeError, match=r"tuning\.layers = 2: model\.decoder\.layers has 1 layers; at most 1\."):
        Partial(layers=2).apply(model, "SEQ_CLS", fresh, 2)


def test_a_model_without_layers_is_said():
    with pytest.raises(RecipeError, match="Linear has no list of layers"):
        Partial().apply(torch.nn.Linear(2, 2), None, set(), 2)


def test_frozen_trains_the_head_alone():
    assert trained("bert", Frozen()) == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("architecture", WITH_BIASES)
def test_bitfit_trains_biases_and_the_head(architecture):
    head = classifier(architecture)[1]
    expected = {name for name in names_of(architecture) if name.rpartition(".")[2].endswith("bias")}
    assert trained(architecture, BitFit()) == expected | head
    assert len(expected - head) > 10


def test_bitfit_leaves_the_attention_bias_of_positions():
    """T5's is a matrix; here a model has both."""
    model, fresh = classifier("t5")
    model.transformer.encoder.block[0].layer[0].SelfAttention.q.bias = torch.nn.Parameter(torch.zeros(16))
    chosen = BitFit().apply(model, "SEQ_CLS", fresh, 2)
    assert {name for name, p in chosen.named_parameters() if p.requires_grad} - fresh == {
        "transformer.encoder.block.0.layer.0.SelfAttention.q.bias"
    }


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_bitfit_is_refused_where_no_bias_is(architecture):
    refusal = BitFit().refuse("AutoModelForSequenceClassification", "SEQ_CLS", tiny.config(architecture), False)
    without = None if architecture in WITH_BIASES else f"{architecture} has no biases to train"
    assert refusal == without


@pytest.mark.parametrize("architecture", NORMS)
def test_layer_norm_trains_norms_and_the_head(architecture):
    model, head = classifier(architecture)
    expected = {
        n for n, _ in model.named_parameters() if n.rpartition(".")[0].rpartition(".")[2] in NORMS[architecture]
    }
    assert trained(architecture, LayerNorm()) == expected | head
    assert len(expected) >= 5


def test_layer_norm_says_that_there_is_none():
    with pytest.raises(RecipeError, match="no norm of Linear has parameters"):
        LayerNorm().apply(torch.nn.Linear(2, 2), None, set(), 2)


@pytest.mark.parametrize("architecture", LAST)
def test_each_layer_learns_slower_than_the_one_above(architecture):
    model, fresh = classifier(architecture)
    found = rates(model, Full(learning_rate=0.8, layer_decay=0.5))
    stack = layers.stacks(model)
    last = tuple(f"{name}.1." for name in stack)
    expected = {
        name: 0.4 if name.startswith(last) else 0.2 if name.startswith(FIRST[architecture]) else None for name in found
    }
    for name, rate in found.items():
        above = name.startswith(LAST[architecture]) and not name.startswith(last)
        assert rate == pytest.approx(0.8 if above else expected[name] or 0.1), name
    assert set(found) == names_of(architecture)
    assert all(found[name] == 0.8 for name in fresh)


def test_stacks_of_unequal_depth_count_from_their_own_tops():
    model, _ = classifier("bart", decoder_layers=1)
    found = rates(model, Full(learning_rate=1.0, layer_decay=0.5))
    place = "self_attn.q_proj.weight"
    assert found[f"model.decoder.layers.0.{place}"] == found[f"model.encoder.layers.1.{place}"] == 0.5
    assert found[f"model.encoder.layers.0.{place}"] == 0.25
    assert found["model.shared.weight"] == found["model.decoder.layernorm_embedding.weight"] == 0.125


def test_a_norm_of_relative_positions_is_an_embedding():
    model, _ = classifier("deberta-v2", norm_rel_ebd="layer_norm")
    found = rates(model, Full(learning_rate=1.0, layer_decay=0.5))
    assert found["deberta.encoder.LayerNorm.weight"] == found["deberta.encoder.rel_embeddings.weight"] == 0.125


def test_a_matrix_that_the_head_shares_is_an_embedding():
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(tiny.config("gpt2"))
    assert layers.distances(model)["transformer.wte.weight"] == 3


def test_a_name_of_a_model_is_no_embedding():
    """RemBERT's parameters all begin with `rembert.`."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.for_model("rembert", vocab_size=20, num_hidden_layers=1, hidden_size=16, num_attention_heads=2)
    with torch.device("meta"):
        places = layers.distances(AutoModelForSequenceClassification.from_config(config))
    assert places["rembert.pooler.dense.weight"] == 0
    assert places["rembert.encoder.embedding_hidden_mapping_in.weight"] == 2


def test_halves_made_of_one_encoder_are_two_stacks(tiny_bert):
    from transformers import EncoderDecoderModel

    model = EncoderDecoderModel.from_encoder_decoder_pretrained(tiny_bert, tiny_bert)
    assert layers.stacks(model) == {"encoder.encoder.layer": 2, "decoder.bert.encoder.layer": 2}
    places = layers.distances(model)
    assert places["decoder.cls.predictions.transform.dense.weight"] == places["encoder.pooler.dense.weight"] == 0
    assert places["decoder.bert.encoder.layer.1.crossattention.self.query.weight"] == 1
    assert places["encoder.embeddings.LayerNorm.weight"] == 3


def test_vectors_are_not_decayed_in_any_layer():
    model, _ = classifier("bert")
    groups = Full(layer_decay=0.9).groups(model, 0.01)
    assert len(groups) == 8  # of the head, two layers and the embeddings
    assert all((group["weight_decay"] == 0.01) == (p.dim() >= 2) for group in groups for p in group["params"])


@pytest.mark.parametrize("tuning", [Full(), Partial(layers=1)])
def test_without_layer_decay_the_groups_are_those_of_every_method(tuning):
    model, fresh = classifier("bert")
    model = tuning.apply(model, "SEQ_CLS", fresh, 2)
    expected = Tuning.groups(tuning, model, 0.01)
    found = tuning.groups(model, 0.01)
    assert [{**group, "params": list(map(id, group["params"]))} for group in found] == [
        {**group, "params": list(map(id, group["params"]))} for group in expected
    ]


def test_partial_decays_what_it_trains():
    model, fresh = classifier("bert")
    tuning = Partial(learning_rate=1.0, layers=1, layer_decay=0.5)
    found = rates(tuning.apply(model, "SEQ_CLS", fresh, 2), tuning)
    assert found["classifier.weight"] == found["bert.pooler.dense.weight"] == 1.0
    assert found["bert.encoder.layer.1.output.dense.weight"] == 0.5
    assert {name for name in found if "layer.0." in name or "embeddings" in name} == set()


@pytest.mark.parametrize("tuning", [Partial(), Full(layer_decay=0.9)])
def test_one_layer_with_all_the_weights_is_refused(tuning):
    shape = ("AutoModelForSequenceClassification", "SEQ_CLS")
    assert "all its layers are one and the same" in tuning.refuse(*shape, tiny.config("albert"), False)
    assert tuning.refuse(*shape, tiny.config("bert"), False) is None


def test_full_without_layer_decay_fits_albert():
    assert Full().refuse("AutoModelForSequenceClassification", "SEQ_CLS", tiny.config("albert"), False) is None


@pytest.mark.parametrize("decay", [0, 1.1])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(RecipeError, match="layer_decay"):
        Full(layer_decay=decay)
