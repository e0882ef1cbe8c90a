"""LoRA's switches: each trains what it says, and comes back from disk as it was."""

import importlib.util
import shutil
from functools import partial

import pytest
import torch

from finetune import LoRA, run
from finetune.data.base import Data
from finetune.errors import RecipeError
from finetune.predict import load
from finetune.preparation import prepare
from finetune.run_directory import RunDirectory
from finetune.statistics import resampling
from finetune.training import checkpoint as checkpoints
from finetune.tuning.through_peft import linear_layers
from tests.support.cases import recipe
from tests.support.rows import reviews

VARIANTS = {
    "rslora": LoRA(rslora=True),
    "dora": LoRA(dora=True),
    "every layer": LoRA(targets="all", r=2),
    "named layers": LoRA(targets=("key", "intermediate.dense")),
    "dropout": LoRA(dropout=0.5),
    "pissa": LoRA(start="pissa", r=4),
    "pissa and dora": LoRA(start="pissa", dora=True, rslora=True),
}


@pytest.fixture(autouse=True, scope="module")
def few_resamples():
    """Intervals are no matter of these tests, and drawing a thousand resamples takes longer than the rest of a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "bootstrap", partial(resampling.bootstrap, resamples=2))
        yield


def built(tuning: LoRA, path: str, rows=None):
    """The model of a run before its first step, and the run's digest."""
    made = recipe("classification", "bert", path, tuning)
    if rows is not None:
        made = made.model_copy(update={"data": Data.rows(rows, validation=rows)})
    prepared = prepare(made, "cpu")
    return prepared.build().module, prepared.digest


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


def updated(path: str, tuning: LoRA) -> set[str]:
    """Layers that get an update."""
    return {
        name.partition("base_model.model.")[2].partition(".lora_A")[0]
        for name, _ in built(tuning, path)[0].named_parameters()
        if "lora_A" in name
    }


def test_attention_means_query_and_value(tiny_bert):
    assert {name.rpartition(".")[2] for name in updated(tiny_bert, LoRA())} == {"query", "value"}


def test_all_means_every_linear_layer_but_the_head(tiny_bert):
    from transformers import AutoModelForSequenceClassification

    plain = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    assert updated(tiny_bert, LoRA(targets="all")) == set(linear_layers(plain)) - {"classifier"}


def test_named_layers_are_those_whose_name_ends_so(tiny_bert):
    found = updated(tiny_bert, LoRA(targets=("intermediate.dense",)))
    assert found == {f"bert.encoder.layer.{number}.intermediate.dense" for number in (0, 1)}


def test_a_layer_that_does_not_exist_is_named(tiny_bert):
    with pytest.raises(RecipeError, match=r"no linear layer is named 'q_proj'\. Known: .*query"):
        built(LoRA(targets=("q_proj",)), tiny_bert)


def test_the_adapter_is_scaled_as_the_switch_says(tiny_bert, tmp_path):
    made = recipe("classification", "bert", tiny_bert, LoRA(r=4, alpha=8, rslora=True))
    plain, _ = built(LoRA(r=4, alpha=8), tiny_bert)
    loaded = load(run(made, tmp_path, certified=False).directory).module
    assert [scale(plain), scale(loaded)] == [8 / 4, 8 / 4**0.5]


def scale(module) -> float:
    """Of the first update."""
    return next(part for part in module.modules() if isinstance(getattr(part, "scaling", None), dict)).scaling[
        "default"
    ]


def test_pissa_begins_with_the_answers_of_the_checkpoint(tiny_bert):
    inputs = {"input_ids": torch.arange(5, 15).view(2, 5)}
    with torch.inference_mode():
        plain, split = (built(LoRA(start=start), tiny_bert)[0].eval()(**inputs).logits for start in ("zero", "pissa"))
    assert torch.allclose(plain, split, atol=1e-6)


def test_pissa_takes_the_largest_singular_values_out_of_the_frozen_weights(tiny_bert):
    plain, split = (
        built(LoRA(start=start, r=4, targets=("query",)), tiny_bert)[0].base_model.model.bert.encoder.layer[0]
        for start in ("zero", "pissa")
    )
    before, after = (torch.linalg.svdvals(layer.attention.self.query.base_layer.weight) for layer in (plain, split))
    assert torch.allclose(after[: len(before) - 4], before[4:], atol=1e-6)


@pytest.fixture(scope="module")
def source(tiny_bert, tmp_path_factory):
    """A finished run to start from."""
    folder = tmp_path_factory.mktemp("source")
    made = recipe("classification", "bert", tiny_bert, LoRA(learning_rate=0.1))
    return run(made, folder, certified=False).directory


def trained_in(directory) -> dict[str, torch.Tensor]:
    return {name: value for name, value in load(directory).module.named_parameters() if "default" in name}


def test_a_run_starts_from_the_adapter_of_another(tiny_bert, source):
    module, _ = built(LoRA(start_from=str(source)), tiny_bert)
    parameters = dict(module.named_parameters())
    stored = trained_in(source)
    assert any("lora_B" in name and value.any() for name, value in stored.items())
    assert any("classifier" in name for name in stored)
    for name, value in stored.items():
        assert torch.equal(parameters[name], value), name


def test_the_head_is_fresh_where_the_labels_are_others(tiny_bert, source):
    rows = [{**row, "label": {"good": "yes", "bad": "no"}[row["label"]]} for row in reviews(24)]
    module, _ = built(LoRA(start_from=str(source)), tiny_bert, rows)
    parameters = dict(module.named_parameters())
    fresh = dict(built(LoRA(), tiny_bert, rows)[0].named_parameters())
    for name, value in trained_in(source).items():
        expected = fresh[name] if "classifier" in name else value
        assert torch.equal(parameters[name], expected), name


def test_the_content_of_the_adapter_names_the_run_and_not_its_place(tiny_bert, source, tmp_path):
    moved = shutil.copytree(source, tmp_path / "moved")
    _, plain = built(LoRA(), tiny_bert)
    _, first = built(LoRA(start_from=str(source)), tiny_bert)
    _, second = built(LoRA(start_from=str(moved)), tiny_bert)
    assert first == second != plain


def test_every_difference_to_the_adapter_is_named(tiny_bert, checkpoint, source):
    tuning = LoRA(start_from=str(source), r=4, targets="all")
    with pytest.raises(
        RecipeError, match=r"tuning\.r is 8 there and 4 here; tuning\.targets is attention there and all"
    ):
        built(tuning, tiny_bert)
    made = recipe("classification", "roberta", checkpoint("roberta"), LoRA(start_from=str(source)))
    with pytest.raises(RecipeError, match=r"the checkpoint is \S+/bert there and \S+/roberta here"):
        prepare(made, "cpu")


def test_the_same_checkpoint_at_another_place_fits(tiny_bert, source, tmp_path):
    moved = shutil.copytree(tiny_bert, tmp_path / "moved")
    assert any("lora_A" in name for name, _ in built(LoRA(start_from=str(source)), str(moved))[0].named_parameters())


def test_a_folder_that_is_no_finished_run_is_refused(tiny_bert, tmp_path):
    with pytest.raises(RecipeError, match=r"no finished run with tuning=lora: it has no recipe\.json"):
        built(LoRA(start_from=str(tmp_path)), tiny_bert)


def test_a_run_of_another_method_is_refused(tiny_bert, tmp_path):
    other = run(recipe("classification", "bert", tiny_bert, "ia3"), tmp_path, certified=False).directory
    with pytest.raises(RecipeError, match="is a run with tuning=ia3; tuning=lora is needed"):
        built(LoRA(start_from=str(other)), tiny_bert)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"start": "pissa", "start_from": "runs/a"}, "leave one out"),
        ({"start": "pissa", "quantize": 4}, "leave one out"),
        ({"quantize": 5}, "quantize"),
    ],
)
def test_two_beginnings_contradict_each_other(fields, said):
    with pytest.raises(RecipeError, match=said):
        LoRA(**fields)


def test_quantization_says_what_it_lacks(tiny_bert, monkeypatch):
    missing = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "bitsandbytes" else missing(name, *a)
    )
    with pytest.raises(RecipeError, match=r"needs the library bitsandbytes: .*leave quantize out\. Methods that fit"):
        built(LoRA(quantize=4), tiny_bert)


def test_quantization_needs_a_gpu(tiny_bert, monkeypatch):
    right = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: right("json") if name == "bitsandbytes" else right(name, *a)
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RecipeError, match="quantize needs a GPU"):
        built(LoRA(quantize=8), tiny_bert)


def test_quantization_leaves_heads_whole():
    config = LoRA(quantize=4).loading()["quantization_config"]
    assert config.load_in_4bit and "classifier" in config.llm_int8_skip_modules
    assert LoRA(quantize=8).loading()["quantization_config"].load_in_8bit and LoRA().loading() == {}
    assert "4 bits" in LoRA(quantize=4).unmergeable


def test_merging_pissa_gives_the_checkpoints_own_class_and_answers(tiny_bert, tmp_path):
    made = recipe("classification", "bert", tiny_bert, LoRA(start="pissa", learning_rate=0.1))
    directory = run(made, tmp_path, certified=False).directory
    inputs = {"input_ids": torch.arange(5, 15).view(2, 5)}
    with torch.inference_mode():
        expected = load(directory).module(**inputs).logits
        merged = made.tuning.merge(load(directory).module)
        assert torch.allclose(merged(**inputs).logits, expected, atol=1e-5)
    assert type(merged).__name__ == "BertForSequenceClassification"
    assert not any("lora" in name for name, _ in merged.named_parameters())
