"""What a run costs: memory and speed of its steps whatever came before, disk, speed of answers, what is forgotten."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from finetune import Model, run
from finetune.compute import compute
from finetune.costs import costs_of, forgetting, latency
from finetune.costs import latency as latency_module
from finetune.costs.forgetting import TAKEN_AWAY
from finetune.driver import Watcher
from finetune.interruption import Stopped
from finetune.run_directory import RunDirectory, write_json
from finetune.statistics import resampling
from finetune.training import checkpoint as checkpoints
from finetune.training import meter as meters
from finetune.training.loop import Step
from finetune.training.meter import Meter
from tests.support import tiny
from tests.support.cases import recipe

MEGABYTE = 2**20
SLACK = 24 * MEGABYTE
STEPS = 4
resident = pytest.mark.skipif(not meters.CLEAR.exists(), reason="this system has no peak of memory that can be reset")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Nothing here looks at the ends of an interval."""
    monkeypatch.setattr(resampling.bootstrap, "__defaults__", (20, *resampling.bootstrap.__defaults__[1:]))


def step(number: int, features: int = 8) -> Step:
    return Step(number, 0.0, 0.0, 0.0, 0.0, features, features, False, False)


def working(works):
    """Steps that do something each."""
    for number, work in enumerate(works, start=1):
        work()
        yield step(number)


def taking(megabytes: int):
    """Work that holds so much for a moment."""
    return lambda: torch.ones(megabytes * MEGABYTE // 4).sum()


def meter(module: nn.Module | None = None) -> Meter:
    return Meter(module or nn.Linear(2, 2), compute("fp32"))


@resident
def test_the_memory_is_the_most_that_a_step_held_over_the_model():
    found = meter()
    list(found.watch(working([taking(16), taking(128), taking(32)])))
    assert 127 * MEGABYTE < found.memory < 128 * MEGABYTE + SLACK


@resident
def test_memory_that_earlier_work_left_behind_counts_as_free():
    small = [torch.ones(16 * 1024) for _ in range(4096)]  # too small to be given back one by one
    last = torch.ones(16 * 1024)  # nor can they be as a whole, below this
    del small
    found = meter()
    pieces = []
    list(found.watch(working([lambda: pieces.extend(torch.ones(16 * 1024) for _ in range(1024))])))
    assert found.memory > 64 * MEGABYTE - SLACK
    assert last.sum() > 0


@resident
def test_what_scoring_holds_or_keeps_between_steps_is_no_memory_of_training():
    found, kept = meter(), []
    for _ in found.watch(working([taking(32)] * 3)):
        taking(256)()
        kept.append(torch.ones(128 * MEGABYTE // 4))
    assert found.memory < 32 * MEGABYTE + SLACK
    assert found.peak() > 256 * MEGABYTE


@resident
def test_trained_weights_that_lie_in_a_file_are_none_of_the_memory_of_training(tmp_path):
    (tmp_path / "weights").write_bytes(bytes(64 * MEGABYTE))
    module = nn.Module()
    module.weight = nn.Parameter(torch.from_numpy(np.memmap(tmp_path / "weights", np.float32, mode="c")))
    found = meter(module)

    def learn():
        with torch.no_grad():
            module.weight.add_(1)

    list(found.watch(working([learn])))
    assert found.memory < SLACK


def test_without_a_peak_that_can_be_reset_the_report_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(meters, "CLEAR", tmp_path / "no" / "clear_refs")
    found = meter()
    list(found.watch(working([taking(1)])))
    assert found.memory >= 0
    assert "too little after anything larger" in found.line()["memory_source"]


def test_the_first_step_does_not_count_for_the_speed(monkeypatch):
    clock = iter([0.0, 100.0, 200.0, 202.0, 300.0, 303.0, 400.0, 400.0])
    monkeypatch.setattr(meters.time, "perf_counter", lambda: next(clock))
    found = meter()
    list(found.watch(step(number, features) for number, features in enumerate((8, 10, 20), start=1)))
    assert (found.line()["features"], found.line()["step_seconds"]) == (30, 5.0)


def test_a_single_step_counts_for_the_speed(monkeypatch):
    clock = iter([0.0, 4.0, 5.0, 5.0])
    monkeypatch.setattr(meters.time, "perf_counter", lambda: next(clock))
    found = meter()
    list(found.watch(step(number) for number in (1,)))
    assert (found.line()["features"], found.line()["step_seconds"]) == (8, 4.0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, checkpoint):
    """Directories of finished runs by architecture, task and method, made when first asked for."""
    folder, made = tmp_path_factory.mktemp("runs"), {}

    def find(architecture: str, tuning: str = "full", case: str = "classification") -> RunDirectory:
        key = (architecture, tuning, case)
        if key not in made:
            chosen = recipe(case, architecture, checkpoint(architecture), tuning, steps=STEPS)
            chosen = chosen.override("tuning.learning_rate=0.02")
            made[key] = RunDirectory(run(chosen, folder, certified=False).directory)
        return made[key]

    return find


def costs(directory: RunDirectory) -> dict:
    return directory.read_report()["costs"]


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_the_optimizer_holds_two_numbers_of_each_trained_parameter_and_a_count_of_each_tensor(runs, tuning):
    directory = runs("bert", tuning)
    tensors = load_file(checkpoints.at(directory.checkpoints, STEPS) / checkpoints.OPTIMIZER)
    counts = sum(name.startswith("step:") for name in tensors)
    trainable = directory.read_report()["parameters"]["trainable"]
    assert costs(directory)["optimizer_bytes"] == 2 * 4 * trainable + 4 * counts


def test_stored_bytes_are_those_of_the_weights_of_the_model(runs):
    for tuning, name in (("full", "model.safetensors"), ("lora", "adapter_model.safetensors")):
        directory = runs("bert", tuning)
        assert costs(directory)["stored_bytes"] == (directory.model / name).stat().st_size


def test_trained_bytes_are_those_of_what_was_trained(runs):
    for tuning in ("full", "lora"):
        directory = runs("bert", tuning)
        data = 4 * directory.read_report()["parameters"]["trainable"]
        assert data < costs(directory)["trained_bytes"] < data + 8192


def test_a_run_says_which_steps_were_measured(runs):
    assert costs(runs("bert"))["measured"] == [[0, STEPS]]
    assert costs(runs("bert"))["rows_per_second"] > 0


class Stopping(Watcher):
    def stepped(self, step: Step) -> None:
        if step.number == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_went_on_has_the_measures_of_both_stretches(tiny_bert, tmp_path):
    made = recipe("classification", "bert", tiny_bert, steps=STEPS)
    with pytest.raises(Stopped):
        run(made, tmp_path, Stopping(), certified=False)
    found = run(made, tmp_path, certified=False).report["costs"]
    assert found["measured"] == [[0, 3], [3, STEPS]]
    assert found["optimizer_bytes"] > 0


def test_a_run_whose_training_was_killed_at_its_end_has_no_measures_and_says_so(tiny_bert, tmp_path):
    made = recipe("classification", "bert", tiny_bert, steps=STEPS)
    directory = RunDirectory(run(made, tmp_path, certified=False).directory)
    before = costs(directory)
    directory.timings.unlink()
    write_json(directory.report, {"format": 1, "status": "running"})
    after = run(made, tmp_path, certified=False).report["costs"]
    assert (after["measured"], after["memory_bytes"], after["rows_per_second"]) == ([], None, None)
    assert after["optimizer_bytes"] == before["optimizer_bytes"]


def test_metrics_have_no_clock_times(runs):
    lines = [json.loads(line) for line in runs("bert").metrics.read_text("utf-8").splitlines()]
    assert not {name for line in lines for name in line} & {"seconds", "step_seconds", "memory_bytes"}


def report(seconds: float, memory: int | None, measured: list, speed: float | None = 5.0) -> dict:
    figures = {"optimizer_bytes": 80, "stored_bytes": 40, "trained_bytes": 12}
    return {
        "steps": 10,
        "parameters": {"trainable": 10, "total": 40},
        "seconds": {"training": seconds},
        "costs": {**figures, "memory_bytes": memory, "rows_per_second": speed, "measured": measured},
    }


def test_costs_of_several_runs_are_their_medians():
    found = costs_of([report(3.0, 30, [[0, 10]]), report(1.0, 10, [[0, 10]]), report(2.0, 90, [[0, 4], [4, 10]])])
    assert found["seconds"] == 2.0
    assert found["memory_bytes"] == 30
    assert (found["trainable"], found["total"], found["percent"]) == (10, 40, 25.0)
    assert (found["optimizer_bytes"], found["stored_bytes"], found["trained_bytes"]) == (80, 40, 12)


def test_seconds_of_a_run_that_was_killed_on_the_way_do_not_count():
    found = costs_of([report(3.0, 30, [[0, 10]]), report(1.0, 10, [[7, 10]])])
    assert (found["seconds"], found["memory_bytes"]) == (3.0, 20)


def test_what_no_run_measured_is_none():
    found = costs_of([report(3.0, None, [], None)])
    assert (found["seconds"], found["memory_bytes"], found["rows_per_second"]) == (None, None, None)


@pytest.fixture
def passes(monkeypatch):
    """What latency asks the model for, pass by pass."""
    asked = []
    original = latency_module.__globals__["outputs"]

    def spy(module, encoder, features, mode, here, batch_tokens):
        asked.append((type(module).__name__, len(features), batch_tokens, encoder.task))
        return original(module, encoder, features, mode, here, batch_tokens)

    monkeypatch.setitem(latency_module.__globals__, "outputs", spy)
    return asked


def test_latency_is_measured_before_and_after_merging_one_row_at_a_time(runs, passes):
    found = latency(runs("bert", "lora").path, rows=5, repeats=2)
    assert [name for name, *_ in passes] == ["PeftModelForSequenceClassification"] * 3 + [
        "BertForSequenceClassification"
    ] * 3
    assert {(rows, tokens) for _, rows, tokens, _ in passes} == {(5, 1)}
    assert found["latency_seconds"] > 0 and found["merged_latency_seconds"] > 0
    assert found["unmergeable"] == ""


def test_latency_of_a_plain_model_has_nothing_to_merge(runs, passes):
    found = latency(runs("bert").path, rows=2, repeats=1)
    assert len(passes) == 2
    assert (found["merged_latency_seconds"], found["unmergeable"]) == (None, "")


def test_latency_says_why_a_model_cannot_be_merged(runs):
    found = latency(runs("bert", "prefix").path, rows=2, repeats=1)
    assert found["latency_seconds"] > 0
    assert found["merged_latency_seconds"] is None
    assert "cannot become part of them" in found["unmergeable"]


def test_all_answers_are_of_one_length_where_a_model_writes(runs, passes):
    latency(runs("t5", "full", "summarization").path, rows=2, repeats=1)
    written = [task.generation for *_, task in passes]
    assert {settings.max_new_tokens == settings.min_new_tokens for settings in written} == {True}


def test_a_fully_tuned_backbone_takes_the_place_of_the_checkpoints(runs, checkpoint):
    """The same by hand: the tuned weights in a language model whose head is tied to them."""
    from transformers import AutoModelForCausalLM

    found = forgetting(runs("gpt2").path)["forgetting"]
    assert found["kind"] == "causal"
    assert abs(found["after"] - found["before"]) > 1e-3
    plain = AutoModelForCausalLM.from_pretrained(checkpoint("gpt2"))
    tuned = load_file(runs("gpt2").model / "model.safetensors")
    plain.load_state_dict(
        {name: value for name, value in tuned.items() if name.startswith("transformer.")}, strict=False
    )
    folder = runs("gpt2").path / "by-hand"
    plain.save_pretrained(folder)
    tiny.tokenizer("gpt2").save_pretrained(folder)
    other = recipe("classification", "gpt2", str(folder), "frozen", steps=1)
    frozen = forgetting(run(other, folder / "runs", certified=False).directory)["forgetting"]
    assert found["after"] == pytest.approx(frozen["before"], rel=1e-6)


def test_a_frozen_backbone_forgets_nothing(runs):
    found = forgetting(runs("gpt2", "frozen").path)["forgetting"]
    assert found["after"] == found["before"]


def test_adapters_inside_the_backbone_count(runs):
    found = forgetting(runs("gpt2", "lora").path)["forgetting"]
    assert abs(found["after"] - found["before"]) > 1e-3


def test_a_tuned_language_model_is_taken_as_it_is(runs):
    found = forgetting(runs("gpt2", "lora", "language_modeling").path)["forgetting"]
    assert abs(found["after"] - found["before"]) > 1e-3


def test_what_prompts_leave_behind_is_the_checkpoint(runs):
    found = forgetting(runs("gpt2", "prefix").path)
    assert found["forgetting"]["after"] == found["forgetting"]["before"]
    assert found["forgetting_reason"] == TAKEN_AWAY


def test_a_checkpoint_without_a_head_for_tokens_has_no_measure_of_forgetting(runs):
    found = forgetting(runs("bert").path)
    assert found["forgetting"] is None
    assert "no language-modelling head: cls.predictions" in found["forgetting_reason"]


def test_an_encoder_decoder_has_no_measure_of_forgetting(runs):
    found = forgetting(runs("t5", "full", "summarization").path)
    assert found["forgetting"] is None
    assert "t5" in found["forgetting_reason"]


def test_a_model_from_nothing_has_nothing_to_forget(tiny_bert, tmp_path):
    made = recipe("classification", "bert", tiny_bert, steps=1)
    made = made.model_copy(update={"model": Model(path=tiny_bert, initialize="random")})
    found = forgetting(run(made, tmp_path, certified=False).directory)
    assert found == {"forgetting": None, "forgetting_reason": "the run started from random weights"}


@pytest.fixture(scope="module")
def masked(tmp_path_factory) -> Path:
    """A masked language model, with its head."""
    from transformers import AutoModelForMaskedLM

    folder = tmp_path_factory.mktemp("masked")
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(tiny.config("bert")).save_pretrained(folder)
    tiny.tokenizer("bert").save_pretrained(folder)
    return folder


def test_masked_models_are_asked_for_the_same_masks_each_time(masked, tmp_path):
    made = recipe("classification", "bert", str(masked), "lora", steps=STEPS).override("tuning.learning_rate=0.02")
    directory = run(made, tmp_path, certified=False).directory
    first, second = forgetting(directory), forgetting(directory)
    assert first == second
    assert first["forgetting"]["kind"] == "masked"
    assert first["forgetting"]["after"] != first["forgetting"]["before"]
