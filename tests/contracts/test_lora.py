"""LoRA's switches: each trains what it says, and comes back from disk as it was."""

import pytest
import torch

from finetune import LoRA, run
from finetune.errors import RecipeError
from finetune.predict import load
from finetune.run_directory import RunDirectory
from finetune.training import checkpoint as checkpoints
from finetune.tuning.lora import linear_layers
from tests.support.cases import recipe

VARIANTS = {
    "rslora": LoRA(rslora=True),
    "dora": LoRA(dora=True),
    "every layer": LoRA(targets="all", r=2),
    "named layers": LoRA(targets=("key", "intermediate.dense")),
    "dropout": LoRA(dropout=0.5),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_reloaded_bit_equal(tiny_bert, tmp_path, variant):
    made = recipe("classification", "bert", tiny_bert, VARIANTS[variant])
    directory = RunDirectory(run(made, tmp_path, certified=False).directory)
    report = directory.read_report()
    stored = checkpoints.load_file(checkpoints.at(directory.checkpoints, report["best_step"]) / checkpoints.PARAMETERS)
    loaded = dict(load(directory.path).module.named_parameters())
    for name, value in stored.items():
        if name in loaded:
            assert torch.equal(loaded[name], value), name
    assert any("lora_A" in name for name in stored)


def updated(path: str, tuning: LoRA, folder) -> set[str]:
    """Layers that got an update."""
    module = load(run(recipe("classification", "bert", path, tuning), folder, certified=False).directory).module
    return {
        name.partition("base_model.model.")[2].partition(".lora_A")[0]
        for name, _ in module.named_parameters()
        if "lora_A" in name
    }


def test_attention_means_query_and_value(tiny_bert, tmp_path):
    assert {name.rpartition(".")[2] for name in updated(tiny_bert, LoRA(), tmp_path)} == {"query", "value"}


def test_all_means_every_linear_layer_but_the_head(tiny_bert, tmp_path):
    from transformers import AutoModelForSequenceClassification

    plain = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    assert updated(tiny_bert, LoRA(targets="all"), tmp_path) == set(linear_layers(plain)) - {"classifier"}


def test_named_layers_are_those_whose_name_ends_so(tiny_bert, tmp_path):
    found = updated(tiny_bert, LoRA(targets=("intermediate.dense",)), tmp_path)
    assert found == {f"bert.encoder.layer.{number}.intermediate.dense" for number in (0, 1)}


def test_a_layer_that_does_not_exist_is_named(tiny_bert, tmp_path):
    with pytest.raises(RecipeError, match=r"no linear layer is named 'q_proj'\. Known: .*query"):
        run(recipe("classification", "bert", tiny_bert, LoRA(targets=("q_proj",))), tmp_path)


def test_the_adapter_is_scaled_as_the_switch_says(tiny_bert, tmp_path):
    scales = {}
    for name, tuning in {"plain": LoRA(r=4, alpha=8), "rslora": LoRA(r=4, alpha=8, rslora=True)}.items():
        module = load(
            run(recipe("classification", "bert", tiny_bert, tuning), tmp_path / name, certified=False).directory
        ).module
        layer = next(part for part in module.modules() if isinstance(getattr(part, "scaling", None), dict))
        scales[name] = layer.scaling["default"]
    assert scales == {"plain": 8 / 4, "rslora": 8 / 4**0.5}
