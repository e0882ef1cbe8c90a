"""What a report says besides the scores of the validation split: further splits, classes, losses, doubts, modules."""

import json

import pytest
import torch

from finetune import Classification, Data, Model, Recipe, Training, check, run
from finetune.cli import main
from finetune.errors import DataError
from finetune.experiment import evaluate
from finetune.model import build
from finetune.preparation import prepare
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
