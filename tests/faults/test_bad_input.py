"""Bad input through the real command line: one clear message, exit code 2, no traceback, nothing trained."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetune.cli import COMPLAINT, main
from finetune.errors import DataError, FinetuneError, ModelError, RecipeError, RunError

HEADINGS = [kind.heading for kind in (FinetuneError, RecipeError, DataError, ModelError, RunError)]
WORDS = ["good", "bad", "great", "dull"]


def rows(count: int = 40) -> list[tuple[str, str]]:
    return [(f"the film is {WORDS[number % 4]}", ["good", "bad"][number % 2]) for number in range(count)]


def write_csv(path: Path, lines: list[tuple[str, str]], header: str = "text,label") -> Path:
    path.write_text("\n".join([header, *(",".join(line) for line in lines)]) + "\n", "utf-8")
    return path


@pytest.fixture
def workplace(tmp_path: Path, tiny_bert: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rows and a recipe that could run; the current folder."""
    write_csv(tmp_path / "train.csv", rows())
    write_recipe(tmp_path, tiny_bert)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_recipe(folder: Path, model: str, **fields: Any) -> Path:
    usual = {
        "name": "tickets",
        "task": {"type": "classification"},
        "data": {"type": "files", "train": ["train.csv"], "holdout": 0.25},
        "model": {"path": model},
        "training": {"steps": 1, "batch_size": 4, "precision": "fp32"},
    }
    path = folder / "recipe.json"
    path.write_text(json.dumps({**usual, **fields}), "utf-8")
    return path


@pytest.fixture
def complaint(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must be refused and gives its message, which is all that was said on stderr."""

    def refused(*arguments: str) -> str:
        code = main(arguments)
        said = capfd.readouterr().err.strip()
        assert code == COMPLAINT, said
        check_message(said)
        return said

    return refused


def check_message(said: str) -> None:
    """A heading and its problems, and nothing else."""
    heading, *problems = said.splitlines()
    assert heading in HEADINGS
    assert problems and all(line.startswith("  - ") for line in problems), said


def test_the_recipe_that_is_spoilt_below_would_run(workplace: Path) -> None:
    assert main(["check", "recipe.json"]) == 0


# The recipe


def test_a_misspelt_field(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("run", "recipe.json", "training.batchsize=3")
    assert "unknown field 'training.batchsize'. Did you mean 'training.batch_size'?" in said


def test_a_misspelt_field_of_the_file(workplace: Path, tiny_bert: str, complaint: Callable[..., str]) -> None:
    write_recipe(workplace, tiny_bert, trainning={"steps": 1})
    assert "unknown field 'trainning'. Did you mean 'training'?" in complaint("run", "recipe.json")


def test_a_value_of_the_wrong_type(workplace: Path, complaint: Callable[..., str]) -> None:
    assert "training.epochs = 'many': a number is needed." in complaint("run", "recipe.json", "training.epochs=many")


def test_several_problems_at_once(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("run", "recipe.json", "tunning=lora", "training.epochs=many")
    assert len(said.splitlines()) == 3


def test_an_unknown_tuning_method(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("run", "recipe.json", "tuning=lore")
    assert "unknown tuning 'lore'. Did you mean 'lora'?" in said


@pytest.mark.parametrize("size", ["0", "-1"])
def test_a_batch_size_that_is_not_positive(workplace: Path, complaint: Callable[..., str], size: str) -> None:
    assert f"training.batch_size = {size}: should be greater than 0" in complaint(
        "run", "recipe.json", f"training.batch_size={size}"
    )


def test_an_empty_list_of_files(workplace: Path, complaint: Callable[..., str]) -> None:
    assert "data.train" in complaint("run", "recipe.json", "data.train=[]")


@pytest.mark.parametrize("delimiter", ["ab", ""])
def test_a_delimiter_that_is_not_one_character(workplace: Path, complaint: Callable[..., str], delimiter: str) -> None:
    assert "data.delimiter" in complaint("run", "recipe.json", f"data.delimiter={delimiter}")


def test_a_longer_text_than_the_model_takes(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("run", "recipe.json", "task.max_length=33")
    assert "task.max_length = 33: this model takes 32 tokens; at most 32." in said


def test_a_recipe_that_does_not_exist(workplace: Path, complaint: Callable[..., str]) -> None:
    assert "recipes.json does not exist. Did you mean 'recipe.json'?" in complaint("run", "recipes.json")


def test_a_yaml_recipe_that_names_a_class(workplace: Path, complaint: Callable[..., str]) -> None:
    marker = workplace / "marker"
    (workplace / "bad.yaml").write_text(f"name: !!python/object/apply:os.mkdir [{marker}]\n", "utf-8")
    said = complaint("run", "bad.yaml")
    assert "asks for Python objects, which a recipe file never may" in said
    assert not marker.exists()


def test_a_recipe_that_names_a_class_as_its_type(
    workplace: Path, tiny_bert: str, complaint: Callable[..., str]
) -> None:
    write_recipe(workplace, tiny_bert, tuning={"type": "subprocess:Popen"})
    said = complaint("run", "recipe.json")
    assert "a file can name catalog types only, not the class 'subprocess:Popen'" in said


def test_a_python_recipe_that_raises(workplace: Path, complaint: Callable[..., str]) -> None:
    (workplace / "broken.py").write_text("import finetune\n\nraise KeyError('oops')\n", "utf-8")
    said = complaint("run", "broken.py")
    assert "broken.py" in said and "line 3" in said and "KeyError: 'oops'" in said


def test_code_that_does_not_exist(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("run", "recipe.json", "--code", "missing.py")
    assert "--code: the file missing.py does not exist." in said


# The data


def test_a_missing_column(workplace: Path, complaint: Callable[..., str]) -> None:
    write_csv(workplace / "train.csv", rows(), header="text,lable")
    said = complaint("run", "recipe.json")
    assert "train.csv has no column 'label' (task.label). Did you mean 'lable'?" in said


def test_a_missing_file(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("run", "recipe.json", "data.train=trains.csv")
    assert "trains.csv does not exist. Did you mean 'train.csv'?" in said


def test_an_empty_file(workplace: Path, complaint: Callable[..., str]) -> None:
    (workplace / "train.csv").write_text("", "utf-8")
    assert "train.csv is empty." in complaint("run", "recipe.json")


def test_a_file_with_a_header_only(workplace: Path, complaint: Callable[..., str]) -> None:
    write_csv(workplace / "train.csv", [])
    said = complaint("run", "recipe.json")
    assert "train.csv holds no rows." in said and "has no column" not in said


def test_rows_with_too_few_fields(workplace: Path, complaint: Callable[..., str]) -> None:
    (workplace / "train.csv").write_text("text,label\none,good\ntwo\n", "utf-8")
    assert "train.csv line 3: 1 fields, but 2 columns (text, label)." in complaint("run", "recipe.json")


def test_a_file_that_is_not_utf_8(workplace: Path, complaint: Callable[..., str]) -> None:
    (workplace / "train.csv").write_bytes("text,label\ncafé,good\n".encode("latin-1"))
    assert "is not UTF-8" in complaint("run", "recipe.json")


def test_a_single_class(workplace: Path, complaint: Callable[..., str]) -> None:
    write_csv(workplace / "train.csv", [(text, "good") for text, _ in rows()])
    said = complaint("run", "recipe.json")
    assert "train.csv: every row has the same 'label', 'good'; two classes are needed to learn." in said


def test_a_label_that_only_the_validation_rows_have(workplace: Path, complaint: Callable[..., str]) -> None:
    write_csv(workplace / "valid.csv", [*rows(4), ("the film is fine", "godo")])
    said = complaint("run", "recipe.json", "data.validation=valid.csv", "data.holdout=none")
    assert "'godo' in column 'label' is no class of the training rows (1 rows: valid.csv line 6)" in said
    assert "Did you mean 'good'?" in said


def test_a_training_label_that_the_recipe_does_not_name(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("run", "recipe.json", "task.labels=[good, dull]")
    assert "'bad' in column 'label' is no class" in said and "train.csv line 3" in said


def test_training_rows_without_a_label(workplace: Path, complaint: Callable[..., str]) -> None:
    write_csv(workplace / "train.csv", [*rows(), ("the film is fine", "")])
    said = complaint("run", "recipe.json", "data.validation=train.csv", "data.holdout=none")
    assert "1 training rows have no 'label': train.csv line 42." in said


def test_validation_rows_without_a_label(workplace: Path, complaint: Callable[..., str]) -> None:
    write_csv(workplace / "valid.csv", [*rows(4), ("the film is fine", "")])
    said = complaint("run", "recipe.json", "data.validation=valid.csv", "data.holdout=none")
    assert "valid.csv line 6" in said


def test_training_rows_without_a_text(workplace: Path, complaint: Callable[..., str]) -> None:
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows()]
    lines.append('{"text": null, "label": "good"}')
    (workplace / "train.jsonl").write_text("\n".join(lines), "utf-8")
    said = complaint("run", "recipe.json", "data.train=train.jsonl")
    assert "'text'" in said and "train.jsonl line 41" in said


def test_a_score_of_an_unnamed_class(workplace: Path, complaint: Callable[..., str]) -> None:
    write_csv(workplace / "train.csv", [(text, f"class {number % 3}") for number, (text, _) in enumerate(rows())])
    said = complaint("run", "recipe.json", "task.score=[f1]")
    assert "task.score: f1 of which of the 3 classes? Set task.positive" in said


def test_a_positive_class_that_the_rows_lack(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("run", "recipe.json", "task.positive=godo")
    assert "'godo' is no class. Did you mean 'good'?" in said


def test_a_weight_of_a_class_that_the_rows_lack(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("run", "recipe.json", "task.class_weights={godo: 2.0}")
    assert "'godo' is no class. Did you mean 'good'?" in said


# The model


def copy_model(source: str, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def test_a_model_path_that_does_not_exist(workplace: Path, tiny_bert: str, complaint: Callable[..., str]) -> None:
    copy_model(tiny_bert, workplace / "encoder")
    said = complaint("run", "recipe.json", "model=./encodre")
    assert "encodre does not exist. Did you mean 'encoder'?" in said


def test_a_model_folder_without_a_configuration(workplace: Path, tiny_bert: str, complaint: Callable[..., str]) -> None:
    (copy_model(tiny_bert, workplace / "encoder") / "config.json").unlink()
    assert "has no config.json, so it is no checkpoint." in complaint("run", "recipe.json", "model=./encoder")


def test_a_model_folder_without_weights(workplace: Path, tiny_bert: str, complaint: Callable[..., str]) -> None:
    (copy_model(tiny_bert, workplace / "encoder") / "model.safetensors").unlink()
    assert "encoder cannot be loaded" in complaint("run", "recipe.json", "model=./encoder")


def test_a_model_folder_without_a_tokenizer(workplace: Path, tiny_bert: str, complaint: Callable[..., str]) -> None:
    folder = copy_model(tiny_bert, workplace / "encoder")
    for path in folder.glob("*token*"):
        path.unlink()
    assert "tokenizer" in complaint("run", "recipe.json", "model=./encoder")


def test_a_configuration_that_is_cut(workplace: Path, tiny_bert: str, complaint: Callable[..., str]) -> None:
    path = copy_model(tiny_bert, workplace / "encoder") / "config.json"
    path.write_text(path.read_text("utf-8")[:40], "utf-8")
    assert "encoder" in complaint("run", "recipe.json", "model=./encoder")


@pytest.mark.parametrize("damage", ["cut", "header", "empty"])
def test_damaged_weights(workplace: Path, tiny_bert: str, complaint: Callable[..., str], damage: str) -> None:
    path = copy_model(tiny_bert, workplace / "encoder") / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "header": b"\xff" * 16 + whole[16:], "empty": b""}[damage])
    said = complaint("run", "recipe.json", "model=./encoder")
    assert "encoder" in said and ("damaged" in said or "cannot be loaded" in said)


def test_a_package_that_is_not_installed(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("run", "recipe.json", "model=package:no_such_package_here/model")
    assert "the Python package 'no_such_package_here' is not installed" in said


def test_a_method_that_finds_no_layer_of_that_name(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("run", "recipe.json", "tuning=lora", "tuning.targets=[querry]")
    assert "tuning.targets: no linear layer is named 'querry'." in said and "query" in said


@pytest.mark.parametrize("what", ["model=some-organisation/some-model", "data={type: hub, id: some/rows}"])
def test_the_hub_out_of_reach(workplace: Path, tmp_path: Path, what: str) -> None:
    with socket.socket() as closed:  # bound and never listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "HF_ENDPOINT": f"http://127.0.0.1:{closed.getsockname()[1]}",
            "HF_HOME": str(tmp_path / "empty"),
        }
        environment.pop("HF_HUB_OFFLINE", None)
        done = subprocess.run(
            [sys.executable, "-m", "finetune", "run", "recipe.json", what],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
        )
    assert done.returncode == COMPLAINT, done.stderr
    check_message(done.stderr.strip())
    assert "is not in the local cache, and http://127.0.0.1" in done.stderr and "cannot be reached" in done.stderr


# The run directory


def test_a_half_written_run_directory(workplace: Path, complaint: Callable[..., str]) -> None:
    run = workplace / "runs" / "tickets"
    run.mkdir(parents=True)
    text = (workplace / "recipe.json").read_text("utf-8")
    (run / "recipe.json").write_text(text[: len(text) // 2], "utf-8")
    assert "recipe.json is damaged or unfinished and cannot be read" in complaint("run", str(run))


def test_a_run_directory_with_a_damaged_report(workplace: Path, complaint: Callable[..., str]) -> None:
    run = workplace / "runs" / "tickets"
    run.mkdir(parents=True)
    shutil.copy(workplace / "recipe.json", run)
    (run / "report.json").write_text('{"format": 1, "sta', "utf-8")
    assert "report.json cannot be read" in complaint("run", str(run))


def test_changes_to_a_run_directory(workplace: Path, complaint: Callable[..., str]) -> None:
    run = workplace / "runs" / "tickets"
    run.mkdir(parents=True)
    shutil.copy(workplace / "recipe.json", run)
    assert "is a run; its recipe stays as it is." in complaint("run", str(run), "training.epochs=1")


def test_a_directory_that_cannot_be_written(workplace: Path, complaint: Callable[..., str]) -> None:
    (workplace / "file").write_text("", "utf-8")
    said = complaint("run", "recipe.json", "--directory", "file/runs")
    assert "cannot be written" in said and "choose another place with --directory" in said


@pytest.mark.parametrize("command", ["predict", "evaluate", "certify"])
def test_a_folder_that_is_no_run(workplace: Path, complaint: Callable[..., str], command: str) -> None:
    (workplace / "empty").mkdir()
    texts = ["some text"] if command == "predict" else []
    said = complaint(command, "empty", *texts)
    assert "empty" in said


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_run_that_is_not_finished(workplace: Path, complaint: Callable[..., str], command: str) -> None:
    run = workplace / "runs" / "tickets"
    run.mkdir(parents=True)
    shutil.copy(workplace / "recipe.json", run)
    texts = ["some text"] if command == "predict" else []
    assert "has no trained model yet" in complaint(command, str(run), *texts)


def test_predicting_nothing(workplace: Path, complaint: Callable[..., str]) -> None:
    assert "give either texts or --file" in complaint("predict", "anywhere")


def test_predicting_a_file_that_does_not_exist(workplace: Path, complaint: Callable[..., str]) -> None:
    assert "missing.csv does not exist" in complaint("predict", "anywhere", "--file", "missing.csv")


def test_writing_predictions_over_their_input(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("predict", "anywhere", "--file", "train.csv", "--output", "./train.csv")
    assert "would overwrite the input" in said


def test_writing_predictions_in_an_unknown_format(workplace: Path, complaint: Callable[..., str]) -> None:
    said = complaint("predict", "anywhere", "--file", "train.csv", "--output", "out.xlsx")
    assert "a name ending in .csv, .tsv or .jsonl is needed" in said


def test_mistakes_of_every_kind_are_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["task.txet=a", "training.batch_size=x", "tuning=loar", "model.paht=z"]
    assert main(["check", "quickstart", *changes]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    for line, wrong in zip(
        lines[1:], ("task.txet", "training.batch_size", "tuning = 'loar'", "model.paht"), strict=True
    ):
        assert wrong in line
