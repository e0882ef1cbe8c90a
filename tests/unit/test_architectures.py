"""Encoder, decoder or both: what a model type is taken for, and that a decoder's tokens see nothing that follows."""

import pytest
import torch

from finetune import run
from finetune.architectures import kind_of
from finetune.predict import load
from tests.support import tiny
from tests.support.cases import recipe


@pytest.mark.parametrize(
    ("kind", "architectures"),
    [("encoder", tiny.ENCODERS), ("decoder", tiny.DECODERS), ("encoder-decoder", tiny.BOTH)],
)
def test_architectures_are_told_apart(kind, architectures):
    assert {kind_of(tiny.config(architecture)) for architecture in architectures} == {kind}


def test_an_encoder_that_is_told_to_write_is_a_decoder():
    config = tiny.config("bert")
    config.is_decoder = True
    assert kind_of(config) == "decoder"


@pytest.mark.parametrize("kind", ["bert-generation", "xlm", "reformer"])
def test_models_that_see_ahead_are_no_decoders(kind):
    from transformers import AutoConfig

    assert kind_of(AutoConfig.for_model(kind)) == "encoder"


DECODERS = (
    "gpt2",
    "llama",
    "qwen3",
    "opt",
    "gpt_neo",
    "gpt_neox",
    "gptj",
    "bloom",
    "mistral",
    "phi",
    "biogpt",
    "openai-gpt",
)
SMALL = {
    "qwen3": {"num_key_value_heads": 1, "head_dim": 8},
    "mistral": {"num_key_value_heads": 1, "head_dim": 8},
    "opt": {"word_embed_proj_dim": 16, "ffn_dim": 24},
    "gpt_neo": {"attention_types": [[["global"], 2]], "num_layers": 2, "num_heads": 2},
    "gptj": {"n_embd": 16, "n_layer": 2, "n_head": 2, "rotary_dim": 4},
    "openai-gpt": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "bloom": {"n_layer": 2, "n_head": 2},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
}


@pytest.mark.parametrize("kind", DECODERS)
def test_a_decoders_tokens_do_not_see_those_that_follow(kind):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, vocab_size=20, **{**tiny.COMMON, **SMALL.get(kind, {})}, pad_token_id=0)
    assert kind_of(config) == "decoder"
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    one, other = torch.tensor([[3, 4, 5, 6]]), torch.tensor([[3, 4, 5, 7]])
    with torch.inference_mode():
        assert torch.equal(model(one).logits[:, :3], model(other).logits[:, :3])


def test_a_row_of_xlnet_does_not_depend_on_the_rows_beside_it(checkpoint, tmp_path):
    """Its classifier reads the last position: rows are filled up on the left, in training, scoring and use."""
    done = run(recipe("classification", "xlnet", checkpoint("xlnet")), tmp_path, certified=False)
    predictor = load(done.directory)
    alone = predictor(["a good film"])[0]["probabilities"]
    beside = predictor(["a good film", "the plot is slow but the cast is great and the music is not so dull"])[0]
    assert beside["probabilities"] == pytest.approx(alone, abs=1e-6)
