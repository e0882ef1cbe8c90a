"""The methods that stand on PEFT, besides LoRA: what they train, what they refuse, and that nothing is lost on disk."""

from functools import partial

import pytest
import torch

from finetune import run
from finetune.driver import Watcher
from finetune.errors import RecipeError
from finetune.experiment import resume
from finetune.interruption import Stopped
from finetune.predict import load
from finetune.preparation import prepare
from finetune.run_directory import RunDirectory
from finetune.statistics import resampling
from finetune.training import checkpoint as checkpoints
from finetune.training import optim
from finetune.tuning.adalora import AdaLoRA
from finetune.tuning.ia3 import IA3
from finetune.tuning.lora import LoRA
from finetune.tuning.peft import PEFT
from tests.support.cases import recipe

INPUTS = {"input_ids": torch.arange(5, 15).view(2, 5)}
PRUNED_EARLY = AdaLoRA(r=4, target_r=2, interval=1, tinit=0.0, tfinal=0.25, learning_rate=0.05)


@pytest.fixture(autouse=True, scope="module")
def few_resamples():
    """Intervals are no matter of these tests, and drawing a thousand resamples takes longer than the rest of a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "bootstrap", partial(resampling.bootstrap, resamples=2))
        yield


class StopAfter(Watcher):
    """Asks for a stop after a step."""

    def __init__(self, step):
        self.step = step

    def stepped(self, step):
        if step.number == self.step:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


def built(tuning, path, architecture="bert", steps=2):
    """The model of a run before its first step."""
    return prepare(recipe("classification", architecture, path, tuning, steps=steps), "cpu").build().module


def finished(tuning, path, folder, architecture="bert", watcher=None, **training):
    """The directory of a run."""
    made = recipe("classification", architecture, path, tuning, **{"steps": 4, **training})
    return RunDirectory(run(made, folder, watcher, certified=False).directory)


def newest(directory) -> dict[str, torch.Tensor]:
    """Everything in the newest checkpoint."""
    found = checkpoints.latest(directory.checkpoints)
    names = (checkpoints.PARAMETERS, checkpoints.OPTIMIZER, checkpoints.METHOD)
    return {f"{file}/{name}": t for file in names for name, t in checkpoints.load_file(found / file).items()}


def layers(module, mark: str) -> set[str]:
    """Layers that have parameters of this name, by their own."""
    names = {name.partition(f".{mark}")[0] for name, _ in module.named_parameters() if f".{mark}" in name}
    return {".".join(name.rsplit(".", 2)[-2:]) for name in names}


IA3_LAYERS = {
    "bert": {"self.key", "self.value", "output.dense"},
    "roberta": {"self.key", "self.value", "output.dense"},
    "distilbert": {"attention.k_lin", "attention.v_lin", "ffn.lin2"},
    "modernbert": {"attn.Wqkv", "mlp.Wo"},
    "albert": {"attention.key", "attention.value", "0.ffn_output"},
    "xlnet": {"ff.layer_2"},
    "gpt2": {"attn.c_attn", "mlp.c_proj"},
    "llama": {"self_attn.k_proj", "self_attn.v_proj", "mlp.down_proj"},
}


@pytest.mark.parametrize("architecture", IA3_LAYERS)
def test_ia3_scales_keys_values_and_what_enters_the_second_feed_forward_layer(checkpoint, architecture):
    module = built(IA3(), checkpoint(architecture), architecture)
    assert layers(module, "ia3_l") == IA3_LAYERS[architecture]
    fed = {name for name, part in module.named_modules() if getattr(part, "is_feedforward", False)}
    assert fed and all(
        name.endswith(("output.dense", "lin2", "Wo", "output", "layer_2", "c_proj", "down_proj")) for name in fed
    )
    assert not any("attention.output" in name for name in fed)


def test_ia3_scales_begin_at_one_and_are_not_decayed(tiny_bert):
    module = built(IA3(), tiny_bert)
    names = {id(p): name for name, p in module.named_parameters() if p.requires_grad}
    decays = [(names[id(p)], g["weight_decay"]) for g in IA3().groups(module, 0.01) for p in g["params"]]
    assert sorted(name for name, _ in decays) == sorted(names.values())
    assert {decay for name, decay in decays if "ia3_l" in name} == {0.0}
    assert {decay for name, decay in decays if name.endswith("classifier.modules_to_save.default.weight")} == {0.01}
    assert all(bool((p == 1).all()) for name, p in module.named_parameters() if "ia3_l" in name)


def test_ia3_scales_the_named_layers(tiny_bert):
    module = built(IA3(targets=("query",), feedforward=()), tiny_bert)
    assert layers(module, "ia3_l") == {"self.query"}


def test_ia3_refuses_a_layer_on_both_sides_and_none_at_all(tiny_bert):
    with pytest.raises(RecipeError, match="stands in both"):
        built(IA3(targets=("intermediate.dense",), feedforward=("intermediate.dense",)), tiny_bert)
    with pytest.raises(RecipeError, match="name at least one layer"):
        built(IA3(targets=(), feedforward=()), tiny_bert)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"r": 8, "target_r": 8}, "must be below r=8, else nothing is pruned: use lora"),
        ({"tinit": 0.6, "tfinal": 0.4}, "leave no steps to prune in"),
    ],
)
def test_adalora_refuses_a_schedule_without_pruning(fields, said):
    with pytest.raises(RecipeError, match=said):
        AdaLoRA(**fields)


def test_adalora_ends_at_the_target_rank_on_average(tiny_bert, tmp_path):
    directory = finished(PRUNED_EARLY, tiny_bert, tmp_path, select="last")
    updates = {name: p for name, p in load(directory.path).module.named_parameters() if "lora_E" in name}
    ranks = [len(p) for p in updates.values()]
    assert sum(ranks) == 2 * len(ranks) and len(set(ranks)) > 1
    assert all(bool((p != 0).all()) for p in updates.values())


def test_adalora_saves_the_ranks_of_the_step_that_is_saved(tiny_bert, tmp_path):
    """The best step may lie before the pruning that the last step knows of."""
    directory = finished(PRUNED_EARLY, tiny_bert, tmp_path, evaluate_every=1, keep=4)
    module = built(PRUNED_EARLY, tiny_bert, steps=4)
    at = checkpoints.at(directory.checkpoints, 1)
    trainee = checkpoints.Trainee(
        module, module, optim.optimizer(module, PRUNED_EARLY, load_training(directory)), PRUNED_EARLY
    )
    checkpoints.restore(checkpoints.latest(directory.checkpoints), trainee)
    checkpoints.restore_parameters(at, trainee)
    with torch.inference_mode():
        expected = module.eval()(**INPUTS).logits
    PRUNED_EARLY.save(module, directory.model)
    with torch.inference_mode():
        assert torch.allclose(load(directory.path).module(**INPUTS).logits, expected, atol=1e-6)


def load_training(directory):
    from finetune.recipe import load_recipe

    return load_recipe(str(directory.path)).training


@pytest.mark.parametrize(
    ("tuning", "stopped_after", "kept"),
    [(PRUNED_EARLY, 1, True), (PRUNED_EARLY, 3, True), (LoRA(start="pissa"), 2, False)],
)
def test_a_run_goes_on_as_if_it_had_never_stopped(tiny_bert, tmp_path, tuning, stopped_after, kept):
    """After step 1 AdaLoRA's importance counts, after step 3 its ranks are fixed; PiSSA splits the weights again."""
    whole = finished(tuning, tiny_bert, tmp_path / "whole")
    with pytest.raises(Stopped):
        finished(tuning, tiny_bert, tmp_path / "stopped", watcher=StopAfter(stopped_after))
    (identity,) = (tmp_path / "stopped").glob("*/*/identity.json")
    resume(identity.parent, certified=False)
    first, second = newest(whole), newest(RunDirectory(identity.parent))
    assert first.keys() == second.keys() and any("kept:" in name for name in first) == kept
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_penalty_of_adalora_is_pefts_own(tiny_bert):
    module = built(PRUNED_EARLY, tiny_bert)
    labels = torch.tensor([0, 1])
    with_penalty = module(**INPUTS, labels=labels).loss
    plain = torch.nn.functional.cross_entropy(module(**INPUTS).logits, labels)
    assert torch.allclose(PRUNED_EARLY.penalty(module), with_penalty - plain, atol=1e-6)
    assert AdaLoRA(orthogonality=0).penalty(module) is None


def test_adalora_prunes_a_layer_that_is_never_asked(checkpoint, tmp_path):
    """The pooler of an encoder that a decoder reads takes part in nothing."""
    made = recipe("summarization", "bert", checkpoint("bert"), PRUNED_EARLY, steps=2)
    module = load(run(made, tmp_path, certified=False).directory).module
    unused = [len(p) for name, p in module.named_parameters() if "pooler.dense.lora_E" in name]
    assert unused == [0]


@pytest.mark.parametrize("tuning", [IA3(learning_rate=0.05), PRUNED_EARLY, PEFT(method="loha", learning_rate=0.05)])
@pytest.mark.parametrize("architecture", ["roberta", "t5"])
def test_the_merged_model_answers_as_the_loaded_one(checkpoint, tmp_path, architecture, tuning):
    directory = finished(tuning, checkpoint(architecture), tmp_path, architecture, steps=2)
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 8, 3], [9, 5, 6, 7, 3]])}
    with torch.inference_mode():
        expected = load(directory.path).module(**inputs).logits
        merged = tuning.merge(load(directory.path).module)
        assert torch.allclose(merged(**inputs).logits, expected, atol=1e-4)
    assert not any(type(part).__module__.startswith("peft") for part in merged.modules())


SETTINGS = {"oft": {"oft_block_size": 4}, "fourierft": {"n_frequency": 10}}


@pytest.mark.parametrize("method", ["loha", "oft", "vera", "fourierft"])
def test_a_method_of_peft_comes_back_bit_equal(tiny_bert, tmp_path, method):
    directory = finished(PEFT(method=method, settings=SETTINGS.get(method, {})), tiny_bert, tmp_path, steps=2)
    step = directory.read_report()["best_step"]
    stored = checkpoints.load_file(checkpoints.at(directory.checkpoints, step) / checkpoints.PARAMETERS)
    loaded = dict(load(directory.path).module.named_parameters())
    shared = stored.keys() & loaded.keys()
    assert len(shared) > 2 and all(torch.equal(stored[name], loaded[name]) for name in shared)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"method": "lora"}, "method=lora is a method of its own here: tuning=lora"),
        ({"method": "prefix_tuning"}, "tuning=prefix"),
        ({"method": "xlora"}, "does not go with a run: it mixes finished adapters"),
        ({"method": "loah"}, "unknown method of PEFT 'loah'. Did you mean 'loha'"),
        ({"method": "loha", "settings": {"rank": 4}}, "unknown field 'settings.rank'"),
        ({"method": "loha", "settings": {"aplha": 4}}, "Did you mean 'settings.alpha'"),
        ({"method": "loha", "settings": {"task_type": "SEQ_CLS"}}, "settings.task_type is set by the run"),
        ({}, "method is missing"),
    ],
)
def test_a_method_or_setting_that_cannot_be_is_named(fields, said):
    with pytest.raises(RecipeError, match=said):
        PEFT(**fields)


def test_settings_from_the_command_line_are_numbers(tiny_bert):
    made = recipe("classification", "bert", tiny_bert)
    changed = made.override(
        "tuning={type: peft, method: LoHa, settings: {r: 4, rank_dropout: 0.5, init_weights: true}}"
    )
    assert changed.tuning == PEFT(method="loha", settings={"r": 4, "rank_dropout": 0.5, "init_weights": True})


def test_what_peft_refuses_it_says_in_its_own_words(tiny_bert):
    with pytest.raises(
        RecipeError, match=r"tuning\.method=boft: PEFT cannot apply it here: in_features .16. must be divisible"
    ):
        built(PEFT(method="boft", settings={"boft_block_size": 7}), tiny_bert)


def test_a_method_for_linear_layers_is_refused_for_gpt2_before_weights_are_loaded(checkpoint):
    made = recipe("classification", "gpt2", checkpoint("gpt2"), PEFT(method="loha"))
    with pytest.raises(RecipeError, match=r"loha changes linear layers only.* Methods that fit here: .*lora"):
        prepare(made, "cpu")


def test_a_method_that_finds_only_the_head_is_refused(checkpoint):
    with pytest.raises(RecipeError, match="finds nothing to train here but the head"):
        built(PEFT(method="osf"), checkpoint("gpt2"), "gpt2")


def test_a_method_that_trains_no_head_is_refused_where_there_is_one(tiny_bert):
    with pytest.raises(RecipeError, match="PEFT trains no head beside it"):
        built(PEFT(method="trainable_tokens"), tiny_bert)


def test_targets_never_reach_into_the_head(checkpoint):
    module = built(PEFT(method="loha", settings={"target_modules": ["dense"]}), checkpoint("roberta"), "roberta")
    names = [name for name, _ in module.named_parameters() if "hada" in name]
    assert names and not any("classifier" in name for name in names)


def test_where_peft_names_no_layers_those_of_lora_are_taken(checkpoint):
    module = built(
        PEFT(method="vblora", settings={"vector_length": 4, "num_vectors": 8, "topk": 2}),
        checkpoint("distilbert"),
        "distilbert",
    )
    assert layers(module, "vblora_logits") == {"attention.q_lin", "attention.v_lin"}


def test_what_cannot_be_merged_says_why(tiny_bert):
    assert PEFT(method="loha").unmergeable == ""
    with pytest.raises(RecipeError, match="cannot be merged: PEFT has no merging of it"):
        PEFT(method="lily").merge(built(PEFT(method="lily"), tiny_bert))
