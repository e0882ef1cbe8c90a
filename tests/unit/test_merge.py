"""A run with an adapter becomes a plain model that answers as the run's did, or it is said why not."""

import argparse
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from finetune import certificate, merging, run
from finetune.commands import using
from finetune.errors import RunError
from finetune.run_directory import RunDirectory, read_json, write_json
from finetune.statistics import resampling
from finetune.tuning.lora import LoRA
from tests.support.cases import recipe

MERGED = {  # every method whose updates can become part of the weights
    "lora": LoRA(learning_rate=0.02),
    "dora, every layer": LoRA(learning_rate=0.02, dora=True, targets="all"),
    "pissa": LoRA(learning_rate=0.002, start="pissa"),
    "ia3": "ia3",
    "adalora": "adalora",
}
WHERE = [
    *(("classification", "bert", method) for method in MERGED),
    ("classification", "gpt2", "lora"),
    ("classification", "gpt2", "dora, every layer"),
    ("language_modeling", "gpt2", "dora, every layer"),  # with a head tied to the embeddings
    ("question_answering", "bert", "lora"),  # whose tokens are of two types
    ("question_answering", "bert", "ia3"),
    ("summarization", "bert", "lora"),  # two encoders as one encoder-decoder
    ("summarization", "bert", "adalora"),
    ("summarization", "bert", "ia3"),
    ("summarization", "gpt2", "lora"),
]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Nothing here looks at the ends of an interval."""
    monkeypatch.setattr(resampling.bootstrap, "__defaults__", (20, *resampling.bootstrap.__defaults__[1:]))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, checkpoint):
    """Directories of finished runs, made when first asked for."""
    folder, made = tmp_path_factory.mktemp("runs"), {}

    def find(case: str, architecture: str, method: str) -> RunDirectory:
        if (case, architecture, method) not in made:
            tuning = MERGED.get(method, method)
            chosen = recipe(case, architecture, checkpoint(architecture), tuning, steps=3)
            made[case, architecture, method] = RunDirectory(run(chosen, folder, certified=False).directory)
        return made[case, architecture, method]

    return find


@pytest.fixture
def here(monkeypatch):
    """The examination, in this process: what another process starts with is tested once, below."""

    def certify(directories, code, interrupted, merged):
        (directory,) = directories
        return [certificate.examine(directory, merged)]

    monkeypatch.setattr(merging, "certify", certify)


@pytest.mark.parametrize(("case", "architecture", "method"), WHERE)
def test_a_merged_model_answers_as_the_runs_own(runs, here, case, architecture, method):
    found = merging.merge(runs(case, architecture, method).path)
    assert found.certificate["reasons"] == []
    assert found.holds
    assert found.certificate["loader"] == "transformers"
    assert found.certificate["largest_difference"] <= certificate.TOLERANCE


@pytest.mark.parametrize("method", ["lora", "ia3"])
def test_what_was_learned_is_in_the_weights(runs, here, checkpoint, method):
    """Where next to nothing was learned, a merge that leaves it out would be within the certificate's tolerance."""
    found = merging.merge(runs("classification", "bert", method).path)
    before = load_file(Path(checkpoint("bert")) / "model.safetensors")
    after = load_file(found.folder / "model.safetensors")
    changed = [name for name, value in before.items() if not torch.equal(value, after[f"bert.{name}"])]
    assert changed
    assert not any("lora" in name for name in after)


def test_a_merge_that_loses_the_updates_is_found_out(runs, here, monkeypatch):
    monkeypatch.setattr(LoRA, "merge", lambda self, model: model.unload())
    found = merging.merge(runs("classification", "gpt2", "dora, every layer").path)
    assert not found.holds
    assert "the logits differ" in found.certificate["reasons"][0]


def test_a_merged_folder_has_all_that_a_model_of_a_run_has(runs, here):
    directory = runs("summarization", "bert", "lora")
    found = merging.merge(directory.path)
    assert found.folder == directory.path / "merged"
    names = {path.name for path in found.folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "decisions.json", "certificate.json"}
    own = read_json(directory.model / "generation_config.json")
    assert read_json(found.folder / "generation_config.json") == own
    assert read_json(found.folder / "decisions.json") == read_json(directory.model / "decisions.json")


def test_a_stranger_loads_a_merged_model_with_its_label_names(runs, here):
    from transformers import AutoModelForSequenceClassification

    folder = merging.merge(runs("classification", "bert", "lora").path).folder
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert type(model).__name__ == "BertForSequenceClassification"
    assert model.config.id2label == {0: "bad", 1: "good"}


def test_the_card_says_what_the_model_was_merged_from(runs, here):
    directory = runs("classification", "bert", "lora")
    card = (merging.merge(directory.path).folder / "README.md").read_text("utf-8")
    assert f"Merged from the run `{directory.path.parent.name}/{directory.path.name}`" in card
    assert "library_name: transformers" in card
    assert "PeftModel" not in card and "This is an adapter" not in card


def test_another_place_is_taken_and_taken_again(runs, here, tmp_path):
    directory = runs("classification", "bert", "lora")
    for _ in range(2):
        assert merging.merge(directory.path, tmp_path / "there").folder == tmp_path / "there"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_folder_with_other_files_is_left_alone(runs, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(RunError, match=r"holds no merged model; choose another place with --out"):
        merging.merge(runs("classification", "bert", "lora").path, tmp_path)
    assert (tmp_path / "notes.txt").read_text("utf-8") == "mine"


def test_a_model_without_an_adapter_is_plain_already(runs):
    directory = runs("classification", "bert", "full")
    with pytest.raises(RunError, match="nothing to merge, its model is a plain one already") as refusal:
        merging.merge(directory.path)
    assert str(directory.model) in str(refusal.value)


def test_what_cannot_be_merged_says_why(runs):
    with pytest.raises(RunError, match="tuning=prefix cannot be merged: virtual tokens stand beside the weights"):
        merging.merge(runs("classification", "gpt2", "prefix").path)


def test_an_unfinished_run_cannot_be_merged_yet(runs, tmp_path):
    path = tmp_path / "unfinished"
    shutil.copytree(runs("classification", "bert", "lora").path, path)
    write_json(path / "report.json", {"format": 1, "status": "stopped"})
    with pytest.raises(RunError, match=f"unfinished.*go on with: finetune run {path}"):
        merging.merge(path)


def test_the_command_has_a_fresh_process_confirm_it(runs, capsys):
    directory = runs("classification", "bert", "lora")
    options = argparse.Namespace(run=str(directory.path), out=None, code=[])
    assert using.merge(options) == 0
    said = capsys.readouterr().out
    folder = directory.path / "merged"
    assert f"AutoModelForSequenceClassification.from_pretrained('{folder}')" in said
    assert "largest difference of a logit" in said
    assert read_json(folder / "certificate.json")["process"] != os.getpid()
    assert not (directory.certificate / "certificate.json").exists()


def test_the_command_says_that_a_merge_does_not_hold(runs, capsys, monkeypatch):
    directory = runs("classification", "gpt2", "lora")
    refused = [{"format": 1, "holds": False, "reasons": ["the logits differ by up to 3"]}]
    monkeypatch.setattr(merging, "certify", lambda *arguments: refused)
    assert using.merge(argparse.Namespace(run=str(directory.path), out=None, code=[])) == 1
    assert "NOT CONFIRMED by a fresh process: the logits differ by up to 3" in capsys.readouterr().out
