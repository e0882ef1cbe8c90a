"""What a report says besides the scores of the validation split: further splits, classes, losses, doubts, modules."""

import json

import pytest
import torch

from finetune import Classification, Data, Model, QuestionAnswering, Recipe, Training, check, run
from finetune.cli import main
from finetune.errors import DataError, RecipeError
from finetune.experiment import evaluate
from finetune.model import build
from finetune.preparation import prepare
from finetune.recipe import load_recipe
from tests.support.cases import recipe
from tests.support.rows import reviews, write_csv

MODULE = '''import evaluate
import datasets


class Lengths(evaluate.Metric):
    """Share of rows whose class is right, as a module of one's own."""

    def _info(self):
        kinds = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=kinds)

    def _compute(self, predictions, references):
        return {"right": sum(p == r for p, r in zip(predictions, references)) / len(references)}
'''


def made(tiny_bert, **fields) -> Recipe:
    usual = {
        "name": "report",
        "task": Classification(),
        "data": Data.rows(reviews(30), validation=reviews(20, seed=1)),
        "model": tiny_bert,
        "training": Training(steps=2, batch_size=8, precision="fp32"),
    }
    return Recipe(**{**usual, **fields})


@pytest.fixture
def folder(tmp_path):
    splits = {"train": reviews(30), "validation": reviews(12, seed=1), "mismatched": reviews(9, seed=2)}
    write_csv(tmp_path, **splits)
    return tmp_path


def of_folder(folder, **more) -> Data:
    return Data.hub("someone/reviews", path=str(folder), test=None, more=more)


def test_a_further_split_is_scored_at_the_end(tiny_bert, folder):
    result = run(made(tiny_bert, data=of_folder(folder, other="mismatched")), folder / "runs", certified=False)
    assert set(result.scores) == {"validation", "other"}
    assert len((result.directory / "predictions-other.jsonl").read_text().splitlines()) == 9
    assert evaluate(result.directory, "other") == result.scores["other"]


def test_a_further_split_without_labels_is_left_to_be_predicted(tiny_bert, folder):
    (folder / "mismatched.csv").write_text("text\na good film\n", "utf-8")
    result = run(made(tiny_bert, data=of_folder(folder, other="mismatched")), folder / "runs", certified=False)
    assert set(result.scores) == {"validation"}


def test_labels_of_a_further_split_are_checked_before_training(tiny_bert, folder):
    (folder / "mismatched.csv").write_text("text,label\na good film,god\n", "utf-8")
    with pytest.raises(DataError, match=r"'god' in column 'label' is no class.*Did you mean 'good'"):
        run(made(tiny_bert, data=of_folder(folder, other="mismatched")), folder / "runs", certified=False)


def test_every_class_has_its_scores(tiny_bert, tmp_path):
    result = run(made(tiny_bert), tmp_path, certified=False)
    classes = result.report["per_class"]["validation"]
    assert set(classes) == {"bad", "good"}
    assert sum(score["support"] for score in classes.values()) == 20


def test_rows_that_are_cut_are_counted_and_the_limit_that_cuts_none_is_named(tiny_bert, tmp_path):
    short = made(tiny_bert, task=Classification(max_length=6))
    report = run(short, tmp_path, certified=False).report
    lengths = [len(row["text"].split()) + 2 for row in reviews(30)]
    assert report["rows"]["train"]["truncated"] == sum(length > 6 for length in lengths) > 0
    assert report["rows"]["train"]["max_length"] == max(lengths)
    assert any(f"task.max_length={max(lengths)} would keep all" in text for text in report["losses"])
    whole = made(tiny_bert, task=Classification(max_length=max(lengths)))
    assert check.check(whole).losses == []


def test_windows_lose_no_words_and_say_so(checkpoint, tmp_path):
    report = run(recipe("token_classification", "bert", checkpoint("bert")), tmp_path, certified=False).report
    counts = report["rows"]["train"]
    assert counts["windowed"] > 0 and counts["targets"] > 0 and counts["lost"] == 0
    assert report["losses"] == []


def test_a_module_of_evaluate_is_scored_beside_the_own_scores(tiny_bert, tmp_path):
    path = tmp_path / "lengths" / "lengths.py"
    path.parent.mkdir()
    path.write_text(MODULE, "utf-8")
    task = Classification(evaluate_modules=(str(path.parent),))
    scores = run(made(tiny_bert, task=task), tmp_path / "runs", certified=False).scores["validation"]
    assert scores["lengths.right"]["value"] == pytest.approx(scores["accuracy"]["value"])
    assert scores["lengths.right"]["baseline"] == pytest.approx(scores["accuracy"]["baseline"])
    assert scores["lengths.right"]["low"] <= scores["lengths.right"]["value"] <= scores["lengths.right"]["high"]


def test_labels_that_look_swapped_are_named(tiny_bert, tmp_path, capsys, monkeypatch):
    """The words of one class stand for the other in the validation rows: a model that learns is worse than chance."""
    other = {"good": "bad", "bad": "good"}
    rows = [{"text": "good", "label": "good"}, {"text": "bad", "label": "bad"}] * 60
    write_csv(tmp_path, train=rows, validation=[{**row, "label": other[row["label"]]} for row in rows])
    fields = {
        "name": "swapped",
        "task": {"type": "classification"},
        "data": {"type": "files", "train": "train.csv", "validation": "validation.csv"},
        "model": tiny_bert,
        "tuning": {"type": "full", "learning_rate": 1e-2},
        "training": {"steps": 20, "batch_size": 20, "precision": "fp32", "evaluate_every": 20},
    }
    (tmp_path / "recipe.json").write_text(json.dumps(fields), "utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "recipe.json"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "LOOK AT THIS" in said and "'good'" in said and "'bad'" in said


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "gpt2", "t5", "bart", "deberta-v2"])
def test_dropout_of_the_recipe_replaces_every_dropout_of_the_checkpoint(checkpoint, architecture):
    with_it = made(checkpoint(architecture), model=Model(path=checkpoint(architecture), dropout=0.25))
    prepared = prepare(with_it, "cpu")
    built = build(with_it.model, prepared.checkpoint, prepared.head, with_it.tuning, 0, 2, False)
    places = [module.p for module in built.module.modules() if isinstance(module, torch.nn.Dropout)]
    assert places and set(places) == {0.25}


def test_a_validation_split_without_any_label_is_refused_before_training(tiny_bert, tmp_path):
    unlabelled = [{**row, "label": ""} for row in reviews(9, seed=1)]
    with pytest.raises(DataError, match=r"column 'label' is no class"):
        run(made(tiny_bert, data=Data.rows(reviews(30), validation=unlabelled)), tmp_path, certified=False)


def test_a_test_file_that_comes_later_names_no_other_run(tiny_bert):
    without = prepare(made(tiny_bert), "cpu")
    data = Data.rows(reviews(30), validation=reviews(20, seed=1), test=reviews(5, seed=2))
    assert prepare(made(tiny_bert, data=data), "cpu").digest == without.digest


def test_a_limit_that_the_model_does_not_have_is_not_recommended(tiny_bert):
    rows = [{"text": " ".join(["good film"] * 40), "label": "good"}, {"text": "bad", "label": "bad"}] * 5
    (said,) = set(check.check(made(tiny_bert, data=Data.rows(rows, validation=reviews(5)))).losses)
    assert "this model takes 32, 82 would be needed" in said


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "lengths.py"
    path.write_text(MODULE, "utf-8")
    return path


def test_a_changed_module_names_another_run(tiny_bert, module):
    task = Classification(evaluate_modules=(str(module),))
    before = prepare(made(tiny_bert, task=task), "cpu").digest
    module.write_text(MODULE.replace("right", "wrong"), "utf-8")
    assert prepare(made(tiny_bert, task=task), "cpu").digest != before


def test_a_module_is_found_from_the_folder_of_the_recipe_and_runs_only_if_allowed(
    tiny_bert, module, monkeypatch, capsys
):
    write_csv(module.parent, train=reviews(30), validation=reviews(12, seed=1))
    fields = {
        "name": "own",
        "task": {"type": "classification", "evaluate_modules": ["lengths.py"]},
        "data": {"type": "files", "train": "train.csv", "validation": "validation.csv"},
        "model": tiny_bert,
        "training": {"steps": 2, "batch_size": 8, "precision": "fp32"},
    }
    recipe_file = module.parent / "recipe.yaml"
    recipe_file.write_text(json.dumps(fields), "utf-8")
    elsewhere = module.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["run", str(recipe_file)]) == 2
    assert f"allow it with --code {module}" in capsys.readouterr().err
    assert main(["run", str(recipe_file), "--code", str(module)]) == 0
    assert "lengths.right" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["validation", "x/y", ""])
def test_a_further_split_has_a_name_of_its_own(name):
    with pytest.raises(RecipeError, match=r"is no name of a further split"):
        Data.hub("someone/reviews", more={name: "mismatched"})


def test_a_shipped_recipe_is_found_beside_a_folder_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "glue").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_recipe("glue:mrpc").name == "glue-mrpc"


def test_longer_questions_at_validation_than_in_training_are_certified(tiny_bert, tmp_path):
    words = "the plot is slow but the cast is great and so is the music"
    rows = [{"question": "what is", "context": words, "answers": {"text": ["slow"], "answer_start": [12]}}] * 8
    longer = [{**row, "question": " ".join(["what is the film"] * 4)} for row in rows]
    task = QuestionAnswering(max_length=30, stride=14)
    result = run(made(tiny_bert, task=task, data=Data.rows(rows, validation=longer)), tmp_path)
    assert result.complete
