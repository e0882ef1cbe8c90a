"""Bottleneck adapters: where they stand, what they compute, what is trained, and how they come back."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch

from finetune import artefact, run
from finetune.errors import ModelError, RecipeError
from finetune.model import head_parameters
from finetune.predict import load, load_artefact
from finetune.recipe import load_recipe
from finetune.run_directory import RunDirectory
from finetune.training import checkpoint as checkpoints
from finetune.tuning.adapter import SETTINGS, WEIGHTS, Adapter
from tests.support import tiny
from tests.support.cases import recipe

BERT_ENDS = ("output.dense", "attention.output.dense")
ENDS = {
    "bert": BERT_ENDS,
    "roberta": BERT_ENDS,
    "distilbert": ("ffn.lin2", "attention.out_lin"),
    "deberta-v2": BERT_ENDS,
    "modernbert": ("mlp.Wo", "attn.Wo"),
    "electra": BERT_ENDS,
    "gpt2": ("mlp.c_proj", "attn.c_proj"),
    "llama": ("mlp.down_proj", "self_attn.o_proj"),
    "qwen3": ("mlp.down_proj", "self_attn.o_proj"),
}
"""What ends the feed-forward network of a layer, and its attention."""
LAYERS = {
    **dict.fromkeys(("bert", "roberta", "deberta-v2", "electra"), "encoder.layer"),
    "distilbert": "transformer.layer",
    "gpt2": "transformer.h",
    **dict.fromkeys(("modernbert", "llama", "qwen3"), "model.layers"),
}
IDS = torch.tensor([[2, 7, 9, 11, 3], [2, 8, 10, 12, 3]])


def classifier(architecture: str):
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    config = tiny.config(architecture)
    config.pad_token_id = tiny.PAD
    return AutoModelForSequenceClassification.from_config(config).eval()


def adapted(architecture: str, tuning: Adapter | None = None, moved: bool = False):
    """A tiny classifier with adapters, as at the start or with other numbers in them."""
    model = classifier(architecture)
    (tuning or Adapter()).apply(model, "SEQ_CLS", head_parameters(model), 2)
    if moved:
        for name, parameter in model.named_parameters():
            if ".adapter." in name:
                torch.nn.init.normal_(parameter, std=0.5)
    return model


def followed(model) -> set[str]:
    """Names of the linear layers that have an adapter."""
    return {name.partition(".adapter.")[0] for name, _ in model.named_parameters() if ".adapter." in name}


@pytest.mark.parametrize("architecture", ENDS)
def test_adapters_follow_the_feed_forward_network(architecture):
    found = {name.partition(LAYERS[architecture])[2] for name in followed(adapted(architecture))}
    assert found == {f".{number}.{ENDS[architecture][0]}" for number in (0, 1)}


@pytest.mark.parametrize("architecture", ENDS)
def test_adapters_follow_attention_too(architecture):
    model = adapted(architecture, Adapter(placement="houlsby"))
    found = {name.partition(LAYERS[architecture])[2] for name in followed(model)}
    assert found == {f".{number}.{end}" for number in (0, 1) for end in ENDS[architecture]}


def test_adapters_stand_in_encoder_and_decoder():
    t5 = followed(adapted("t5", Adapter(placement="houlsby")))
    first = {name.partition(".block.0.layer.")[2] for name in t5 if "decoder.block.0." in name}
    assert first == {"0.SelfAttention.o", "1.EncDecAttention.o", "2.DenseReluDense.wo"}
    assert len(t5) == 2 * (2 + 3)
    assert len(followed(adapted("t5"))) == len(followed(adapted("bart"))) == 4
    bart = {name.partition("decoder.layers.1.")[2] for name in followed(adapted("bart", Adapter(placement="houlsby")))}
    assert bart - {""} == {"self_attn.out_proj", "encoder_attn.out_proj", "fc2"}


def test_a_layer_computed_again_and_again_has_one_adapter():
    found = {name.rpartition("albert_layers.0.")[2] for name in followed(adapted("albert"))}
    assert found == {"ffn_output"}
    assert len(followed(adapted("albert", Adapter(placement="houlsby")))) == 2


def test_cross_attention_of_a_doubled_encoder_counts_as_attention(tiny_bert):
    from transformers import EncoderDecoderModel

    def ends(tuning: Adapter) -> set[str]:
        model = EncoderDecoderModel.from_encoder_decoder_pretrained(tiny_bert, tiny_bert)
        tuning.apply(model, None, set(), 2)
        return {name.partition("decoder.bert.encoder.layer.0.")[2] for name in followed(model)} - {""}

    assert ends(Adapter()) == {"output.dense"}
    assert ends(Adapter(placement="houlsby")) == {
        "output.dense",
        "attention.output.dense",
        "crossattention.output.dense",
    }


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_an_adapter_changes_nothing_at_first(architecture):
    before, after = classifier(architecture), adapted(architecture)
    with torch.inference_mode():
        assert torch.equal(before(IDS).logits, after(IDS).logits)
        assert not torch.equal(before(IDS).logits, adapted(architecture, moved=True)(IDS).logits)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize(("architecture", "place"), [("bert", "output"), ("gpt2", "mlp")])
def test_an_adapter_adds_its_narrow_network_to_what_the_layer_gives(architecture, place, activation):
    model = adapted(architecture, Adapter(activation=activation, reduction=4), moved=True)
    layer = next(
        module for name, module in model.named_modules() if f"1.{place}" in name and hasattr(module, "adapter")
    )
    given = torch.randn(3, 24 if architecture == "bert" else 64)
    matrix = layer.weight.T if architecture == "bert" else layer.weight
    plain = given @ matrix + layer.bias
    down, up = layer.adapter.down, layer.adapter.up
    assert down.weight.shape == (4, 16)
    inner = getattr(torch.nn.functional, activation)(plain @ down.weight.T + down.bias)
    assert torch.allclose(layer(given), plain + inner @ up.weight.T + up.bias, atol=1e-5)


def test_an_adapter_is_at_least_one_wide():
    model = adapted("bert", Adapter(reduction=1000))
    assert {p.shape[0] for name, p in model.named_parameters() if name.endswith("adapter.down.weight")} == {1}


def test_dropout_is_only_of_training():
    model = adapted("bert", Adapter(dropout=0.5, reduction=1), moved=True)
    network = next(module for name, module in model.named_modules() if name.endswith(".adapter"))
    ones = torch.ones(1, 16)
    assert torch.equal(network(ones), network(ones))
    assert not torch.equal(network.train()(ones), network(ones))


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_only_adapters_and_the_head_get_gradients(architecture):
    model = adapted(architecture, moved=True)
    head = head_parameters(model)
    model(IDS).logits.square().sum().backward()
    got = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert got == {name for name, _ in model.named_parameters() if ".adapter." in name} | head
    assert all(p.grad.any() for name, p in model.named_parameters() if name.endswith("adapter.up.weight"))


def test_a_copy_has_adapters_of_its_own():
    model = adapted("bert", moved=True)
    copied = copy.deepcopy(model)
    for name, parameter in copied.named_parameters():
        if ".adapter.up." in name:
            torch.nn.init.zeros_(parameter)
    with torch.inference_mode():
        assert torch.equal(copied(IDS).logits, classifier("bert")(IDS).logits)
        assert not torch.equal(model(IDS).logits, copied(IDS).logits)


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "t5"])
def test_gradients_are_the_same_when_activations_are_computed_again(architecture):
    found = []
    for again in (False, True):
        torch.manual_seed(1)
        model = adapted(architecture, moved=True).train()
        if again:
            model.gradient_checkpointing_enable()
        torch.manual_seed(2)
        model(IDS).logits.square().sum().backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-6) for name in found[0])


def test_an_unknown_architecture_is_refused():
    from transformers import AutoConfig

    refusal = Adapter().refuse("AutoModelForCausalLM", "CAUSAL_LM", AutoConfig.for_model("bloom"), False)
    assert refusal == "where the attention and the feed-forward network of 'bloom' end is not known"


def test_attention_without_linear_layers_is_refused():
    shape = ("AutoModelForSequenceClassification", "SEQ_CLS", tiny.config("xlnet"), False)
    assert Adapter().refuse(*shape) is None
    assert "placement=pfeiffer fits" in Adapter(placement="houlsby").refuse(*shape)


def test_a_model_without_its_layers_is_said():
    model = torch.nn.Module()
    model.config, model.layers = tiny.config("bert"), torch.nn.ModuleList([torch.nn.Linear(2, 2)])
    with pytest.raises(RecipeError, match="no layer that an adapter could follow"):
        Adapter().apply(model, None, set(), 2)


def test_merging_is_refused_in_words():
    with pytest.raises(RecipeError, match=r"tuning=adapter cannot be merged: .*no matrix"):
        Adapter().merge(torch.nn.Linear(2, 2))


RUNS = {
    "houlsby": ("classification", "bert", Adapter(placement="houlsby", activation="relu", dropout=0.1), True),
    "doubled": ("summarization", "bert", Adapter(placement="houlsby"), False),
    "seq2seq": ("summarization", "bart", Adapter(), False),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, checkpoint):
    """Runs of two steps, examined by one fresh process."""
    from finetune.finishing import confirm

    folder, made = tmp_path_factory.mktemp("adapters"), {}
    for name, (case, architecture, tuning, again) in RUNS.items():
        chosen = recipe(case, architecture, checkpoint(architecture), tuning, gradient_checkpointing=again)
        made[name] = RunDirectory(run(chosen, folder, certified=False).directory)
    confirm(list(made.values()))
    return made


@pytest.mark.parametrize("name", RUNS)
def test_a_fresh_process_finds_the_same_model(runs, name):
    certificate = runs[name].read_report()["certificate"]
    assert certificate["reasons"] == [] and certificate["loader"] == "finetune"


@pytest.mark.parametrize("name", RUNS)
def test_what_was_trained_is_reloaded_bit_equal(runs, name):
    stored = checkpoints.load_file(checkpoints.at(runs[name].checkpoints, 2) / checkpoints.PARAMETERS)
    module = load(runs[name].path).module
    loaded = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    assert any(".adapter." in key for key in stored)
    for key, value in stored.items():
        assert torch.equal(loaded[key], value), key
    assert {key for key, p in module.named_parameters() if p.requires_grad} <= set(stored)


def test_the_folder_holds_what_was_trained_and_no_more(runs):
    folder = runs["houlsby"].model
    stored = checkpoints.load_file(folder / WEIGHTS)
    assert {key for key in stored if ".adapter." not in key} == {"classifier.weight", "classifier.bias"}
    assert not (folder / "model.safetensors").exists()


def test_the_settings_name_the_method_and_the_checkpoint(runs, checkpoint):
    content = json.loads((runs["houlsby"].model / SETTINGS).read_text())
    assert content == {
        "format": 1,
        "method": {"type": "adapter", "placement": "houlsby", "reduction": 16, "activation": "relu", "dropout": 0.1},
        "base": {"path": checkpoint("bert"), "revision": None},
    }


def test_the_card_says_how_to_load_it(runs):
    report = runs["houlsby"].read_report()
    text = artefact.card(report)
    assert "library_name: finetune" in text and Adapter.note in text
    code = text.partition("```python")[2].partition("```")[0].replace("RUN)", f"{str(runs['houlsby'].path)!r})")
    found: dict = {"ROWS": [{"text": "a good film"}]}
    exec(code, found)
    assert found["predictions"] == load(runs["houlsby"].path)(["a good film"])


@pytest.mark.parametrize(("select", "said"), [("best", True), ("last", False)])
def test_the_card_says_that_the_model_was_chosen_where_it_was(runs, select, said):
    report = {**runs["houlsby"].read_report(), "scorings": 3}
    report["recipe"]["training"]["select"] = select
    assert ("was the best of 3 scorings" in artefact.card(report)) == said


def test_a_loaded_adapter_is_not_in_training(runs):
    module, _ = load_artefact(load_recipe(str(runs["houlsby"].path)), runs["houlsby"].model)
    assert not any(part.training for part in module.modules())


def moved(run_directory: RunDirectory, folder, **base):
    """A copy of a saved model whose adapter names another base."""
    shutil.copytree(run_directory.model, folder)
    content = json.loads((folder / SETTINGS).read_text())
    (folder / SETTINGS).write_text(json.dumps({**content, "base": {**content["base"], **base}}))
    return load_artefact(load_recipe(str(run_directory.path)), folder)


def test_a_base_that_is_gone_is_said(runs, tmp_path):
    with pytest.raises(ModelError, match=r"belongs to /gone, which is gone\. Put it back, or change base\.path"):
        moved(runs["houlsby"], tmp_path / "model", path="/gone")


def test_a_base_of_another_kind_is_said(runs, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(runs["houlsby"].model, folder)
    stored = checkpoints.load_file(folder / WEIGHTS)
    checkpoints.save_file({**stored, "classifier.bias": torch.zeros(5)}, folder / WEIGHTS)
    with pytest.raises(ModelError, match=r"classifier\.bias is not there as it was saved"):
        load_artefact(load_recipe(str(runs["houlsby"].path)), folder)


def test_the_base_is_found_from_any_folder(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny_bert)
    model = classifier("bert")
    model.name_or_path = "."
    Adapter().save(model, tmp_path)
    assert json.loads((tmp_path / SETTINGS).read_text())["base"]["path"] == str(Path(tiny_bert).resolve())
