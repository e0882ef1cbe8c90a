"""Scoring a finished run again: on the rows it knows, or not at all."""

import csv

import pytest

from finetune import Classification, Data, Recipe, Training, run
from finetune.catalog import recipes_folder
from finetune.cli import main
from finetune.errors import RunError
from finetune.experiment import evaluate
from tests.support.rows import reviews


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def finished(tiny_bert, tmp_path):
    write(tmp_path / "train.csv", reviews(40))
    write(tmp_path / "test.csv", reviews(10, seed=3))
    made = Recipe(
        name="scored",
        task=Classification(),
        data=Data.files(train=str(tmp_path / "train.csv"), test=str(tmp_path / "test.csv"), holdout=0.25),
        model=tiny_bert,
        training=Training(steps=2, batch_size=8, precision="fp32"),
    )
    return run(made, tmp_path / "runs", certified=False)


def test_the_validation_score_is_found_again(finished):
    before = finished.scores["validation"]
    assert evaluate(finished.directory, "validation") == before


def test_rows_that_changed_since_are_not_scored(finished, tmp_path):
    """With other training rows the holdout falls elsewhere: on rows the model has learned from."""
    write(tmp_path / "train.csv", reviews(60))
    with pytest.raises(RunError, match=r"the rows of train, validation are not those of this run any more"):
        evaluate(finished.directory, "validation")
    assert "test" not in finished.scores


def test_a_test_file_may_come_later(finished, tmp_path):
    write(tmp_path / "test.csv", reviews(20, seed=4))
    assert evaluate(finished.directory, "test")["accuracy"]["value"] >= 0
    assert len((finished.directory / "predictions-test.jsonl").read_text().splitlines()) == 20


def test_the_recipe_to_copy_works_as_a_copy(tmp_path, monkeypatch, capsys, tiny_bert):
    copy = tmp_path / "my_recipe.py"
    copy.write_text((recipes_folder() / "custom_csv.py").read_text("utf-8"), "utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["check", "my_recipe.py", f"model={tiny_bert}"]) == 0
    assert "Targets of the training rows" in capsys.readouterr().out
