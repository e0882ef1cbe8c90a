"""The command line in this process: what each command prints, writes and refuses."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from finetune import Classification, Data, Full, Recipe, Training, catalog, run
from finetune.cli import COMPLAINT, main
from finetune.predict import load
from finetune.recipe import shipped
from finetune.run_directory import RunDirectory
from finetune.tasks.base import Task
from finetune.tuning.base import Tuning
from tests.support.rows import reviews

SETTINGS = {"steps": 2, "batch_size": 8, "precision": "fp32"}
LINE = {"predicted", "probability", "probabilities"}
OWN = '''"""Classification of reviews in capital letters."""

from pathlib import Path

from finetune import Classification

Path(__file__).with_suffix(".executed").touch()


class Loud(Classification):
    """Writes its predictions in capital letters."""

    def decide(self, raw, decisions):
        return [{**found, "loud": found["predicted"].upper()} for found in super().decide(raw, decisions)]
'''


def write_csv(path: Path, rows: list[dict]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_csv(path: Path, delimiter: str = ",") -> list[dict]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def write_recipe(folder: Path, model: str, **fields) -> Path:
    """Rows of three splits and a recipe of them; returns the recipe's file."""
    for name, rows in {"train": reviews(24), "validation": reviews(12, seed=1), "test": reviews(10, seed=2)}.items():
        write_csv(folder / f"{name}.csv", rows)
    usual = {
        "name": "reviews",
        "task": {"type": "classification", "score": ["accuracy"]},
        "data": {"type": "files", **{name: f"{name}.csv" for name in ("train", "validation", "test")}},
        "model": model,
        "training": SETTINGS,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**usual, **fields}), "utf-8")
    return path


def only(runs: Path) -> Path:
    (report,) = runs.glob("*/*/report.json")
    return report.parent


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_bert) -> Path:
    """A folder with rows, a recipe, and its run without a certificate."""
    from finetune.recipe import load_recipe

    folder = tmp_path_factory.mktemp("place")
    run(load_recipe(str(write_recipe(folder, tiny_bert))), folder / "runs", certified=False)
    return folder


@pytest.fixture(scope="module")
def trained(place) -> Path:
    """The directory of that run."""
    return only(place / "runs")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, tiny_bert) -> Path:
    """The directory of a run on pairs of texts."""
    recipe = Recipe(
        name="pairs",
        task=Classification(text=("premise", "claim"), score=("accuracy",)),
        data=Data.rows([{"premise": r["text"], "claim": "a film", "label": r["label"]} for r in reviews(24)]),
        model=tiny_bert,
        tuning=Full(),
        training=Training(**SETTINGS),
    )
    return run(recipe, tmp_path_factory.mktemp("pairs"), certified=False).directory


@dataclass(frozen=True)
class Said:
    """Exit code, stdout and stderr of a command."""

    code: int
    out: str
    error: str

    @property
    def lines(self) -> list[dict]:
        """Of the JSON lines on stdout."""
        assert self.code == 0, self.error
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def complaint(self) -> str:
        """What it said when it refused."""
        assert self.code == COMPLAINT, self.out + self.error
        assert "Traceback" not in self.error
        return self.error


@pytest.fixture
def command(capsys, monkeypatch) -> Callable[..., Said]:
    """Runs a command and gives what it said."""
    monkeypatch.setenv("COLUMNS", "200")

    def given(*words: object) -> Said:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:  # the parser of arguments
            code = int(ended.code or 0)
        return Said(code, *capsys.readouterr())

    return given


# predict


def test_texts_are_predicted_one_line_each(command, trained):
    found = command("predict", trained, "a good film", "a bad film").lines
    assert [line["text"] for line in found] == ["a good film", "a bad film"]
    assert all(set(line) == {"text"} | LINE for line in found)


def test_the_command_predicts_what_the_library_predicts(command, trained):
    texts = [row["text"] for row in reviews(5, seed=3)]
    found = command("predict", trained, *texts).lines
    assert found == [{"text": text, **made} for text, made in zip(texts, load(trained)(texts), strict=True)]


def test_texts_of_pairs_are_taken_two_by_two(command, pairs):
    found = command("predict", pairs, "one", "two", "three", "four").lines
    assert [(line["premise"], line["claim"]) for line in found] == [("one", "two"), ("three", "four")]


def test_a_number_of_texts_that_gives_no_pairs(command, pairs):
    said = command("predict", pairs, "one", "two", "three").complaint
    assert "this model reads 2 texts a row (premise, claim); 3 are given." in said


def test_a_file_is_predicted_into_a_csv_file(command, trained, place, tmp_path):
    output = tmp_path / "predictions.csv"
    said = command("predict", trained, "--file", place / "test.csv", "--output", output)
    assert (said.code, said.out) == (0, f"10 predictions: {output}\n")
    found = read_csv(output)
    assert [row["text"] for row in found] == [row["text"] for row in reviews(10, seed=2)]
    assert all(list(row) == ["text", "label", "predicted", "probability"] for row in found)


def test_a_file_is_predicted_into_a_tsv_file(command, trained, place, tmp_path):
    output = tmp_path / "predictions.tsv"
    assert command("predict", trained, "--file", place / "test.csv", "--output", output).code == 0
    assert list(read_csv(output, "\t")[0]) == ["text", "label", "predicted", "probability"]


def test_a_file_is_predicted_into_a_jsonl_file_with_all_probabilities(command, trained, place, tmp_path):
    output = tmp_path / "predictions.jsonl"
    assert command("predict", trained, "--file", place / "test.csv", "--output", output).code == 0
    found = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert len(found) == 10
    assert all(set(line) == {"text", "label"} | LINE for line in found)


def test_all_formats_hold_the_same_predictions(command, trained, place, tmp_path):
    for name in ("a.csv", "a.jsonl"):
        assert command("predict", trained, "--file", place / "test.csv", "--output", tmp_path / name).code == 0
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    for row, line in zip(read_csv(tmp_path / "a.csv"), lines, strict=True):
        assert (row["predicted"], float(row["probability"])) == (line["predicted"], line["probability"])


def test_the_order_of_the_file_is_kept(command, trained, tmp_path):
    rows = [{"text": " ".join(["film"] * count)} for count in (9, 1, 20, 3, 15)]
    said = command("predict", trained, "--file", write_csv(tmp_path / "rows.csv", rows))
    assert [line["text"] for line in said.lines] == [row["text"] for row in rows]


def test_labels_are_not_needed_to_predict(command, trained, tmp_path):
    path = write_csv(tmp_path / "rows.csv", [{"text": "a good film", "number": "7"}])
    (line,) = command("predict", trained, "--file", path).lines
    assert (line["number"], line["text"]) == ("7", "a good film")


def test_an_output_that_would_overwrite_its_input(command, trained, tmp_path):
    path = write_csv(tmp_path / "rows.csv", [{"text": "a good film"}])
    before = path.read_bytes()
    said = command("predict", trained, "--file", path, "--output", tmp_path / "." / "rows.csv").complaint
    assert "--output would overwrite the input" in said
    assert path.read_bytes() == before


def test_a_file_without_the_input_column(command, trained, tmp_path):
    path = write_csv(tmp_path / "rows.csv", [{"texts": "a good film"}])
    assert "row 1 has no 'text'. Did you mean 'texts'?" in command("predict", trained, "--file", path).complaint


def test_texts_and_a_file_at_once(command, trained, place):
    said = command("predict", trained, "a film", "--file", place / "test.csv").complaint
    assert "give either texts or --file" in said


def test_texts_may_stand_behind_options(command, own):
    code, directory, _ = own
    found = command("predict", directory, "--code", code, "a good film").lines
    assert [line["text"] for line in found] == ["a good film"]


# evaluate


@pytest.fixture
def copy(trained, tmp_path) -> Path:
    """A copy of the run, which a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def test_a_test_split_is_scored_and_reported(command, copy):
    said = command("evaluate", copy, "--split", "test")
    assert said.code == 0
    scores = RunDirectory(copy).read_report()["scores"]
    assert set(scores) == {"validation", "test"}
    assert set(scores["test"]["accuracy"]) == {"value", "low", "high", "baseline"}
    assert f"{scores['test']['accuracy']['value']:.4f}" in said.out
    assert "majority class" in said.out


def test_the_predictions_of_a_test_split_are_written_and_give_its_score(command, copy):
    command("evaluate", copy, "--split", "test")
    found = [json.loads(line) for line in (copy / "predictions-test.jsonl").read_text("utf-8").splitlines()]
    assert [line["gold"] for line in found] == [row["label"] for row in reviews(10, seed=2)]
    share = sum(line["gold"] == line["predicted"] for line in found) / 10
    assert RunDirectory(copy).read_report()["scores"]["test"]["accuracy"]["value"] == pytest.approx(share)


def test_scoring_the_test_split_leaves_the_validation_split(command, copy):
    before = RunDirectory(copy).read_report()["scores"]["validation"]
    predictions = (copy / "predictions.jsonl").read_bytes()
    command("evaluate", copy, "--split", "test")
    assert RunDirectory(copy).read_report()["scores"]["validation"] == before
    assert (copy / "predictions.jsonl").read_bytes() == predictions


def test_scoring_the_validation_split_again_gives_its_score_again(command, copy):
    before = RunDirectory(copy).read_report()["scores"]
    assert command("evaluate", copy, "--split", "validation").code == 0
    assert RunDirectory(copy).read_report()["scores"] == before


@pytest.mark.parametrize("labels", [None, ""], ids=["no column", "an empty column"])
def test_a_test_split_without_labels_is_refused_with_what_to_do(command, place, copy, tmp_path, labels):
    rows = [{"text": row["text"], **({} if labels is None else {"label": labels})} for row in reviews(4, seed=2)]
    path = write_csv(tmp_path / "unlabelled.csv", rows)
    recipe = json.loads((copy / "recipe.json").read_text("utf-8"))
    recipe["data"]["test"] = [str(path)]
    (copy / "recipe.json").write_text(json.dumps(recipe), "utf-8")
    said = command("evaluate", copy, "--split", "test").complaint
    assert "the test split has no label, so it cannot be scored" in said
    assert f"finetune predict {copy} --file" in said


def test_a_split_that_does_not_exist(command, trained):
    assert (
        "there is no split 'tests'. Did you mean 'test'?" in command("evaluate", trained, "--split", "tests").complaint
    )


# check


@pytest.fixture(scope="module")
def checked(place, tmp_path_factory):
    """What `finetune check` printed, and the folder it ran in."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("checked")
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.chdir(folder)
        patch.setenv("COLUMNS", "200")
        assert main(["check", str(place / "recipe.yaml"), "task.max_length=6"]) == 0
    return said.getvalue(), folder


def test_check_shows_examples_as_the_model_sees_them(checked):
    first, label = reviews(24)[0]["text"], reviews(24)[0]["label"]
    words = first.split()[:4]
    assert f"[CLS] {' '.join(words)}" in checked[0]
    assert f"tokens) -> {label}" in checked[0]


def test_check_counts_rows_and_labels(checked):
    golds = [row["label"] for row in reviews(24)]
    assert "Rows: train 24, validation 12, test 10" in checked[0]
    for name in ("good", "bad"):
        (line,) = (line for line in checked[0].splitlines() if line.split()[:1] == [name])
        assert int(line.split()[-1]) == golds.count(name)


def test_check_counts_rows_that_are_cut(checked):
    longer = sum(len(row["text"].split()) > 4 for row in reviews(24))
    assert 0 < longer < 24
    assert "(limit 6)" in checked[0]
    assert f"train: {longer} of 24 rows are cut at 6 tokens" in checked[0]


def test_check_shows_parameters_loss_and_estimate(checked, trained):
    parameters = RunDirectory(trained).read_report()["parameters"]
    assert f"{parameters['trainable']:,} of {parameters['total']:,} parameters trained (100.00 %)" in checked[0]
    assert "one step works, its loss is 0." in checked[0]
    assert "2 steps on" in checked[0]
    assert "in fp32: training and scoring about" in checked[0]
    assert "peak memory about" in checked[0]


def test_check_names_the_directory_and_does_not_make_it(checked, place, tmp_path):
    said, folder = checked
    assert "Will lie in: reviews/full-" in said
    assert list(folder.iterdir()) == []
    assert not (place / "reviews").exists()


def test_changes_may_stand_behind_options(command, place, own):
    said = command("check", place / "recipe.yaml", "--code", own[0], "training.steps=7")
    assert "7 steps on" in said.out


def test_check_names_the_directory_that_run_makes(command, place, trained):
    said = command("check", place / "recipe.yaml")
    assert f"Will lie in: reviews/{trained.name}" in said.out


def test_the_loss_of_check_is_that_of_the_first_step(command, place, trained):
    first = json.loads((trained / "metrics.jsonl").read_text("utf-8").splitlines()[0])
    assert f"its loss is {first['loss']:.4f}" in command("check", place / "recipe.yaml").out


# ls, schema, certify


def test_ls_lists_recipes_tasks_and_methods_with_a_line_each(command):
    said = command("ls")
    assert said.code == 0
    sections = {text.partition(":\n")[0]: text.partition(":\n")[2] for text in _sections(said.out)}
    assert list(sections) == ["Recipes", "Tasks", "Tuning methods"]
    assert "quickstart " in sections["Recipes"]
    assert {"glue:sst2", "glue:mrpc"} <= {line.split()[0] for line in sections["Recipes"].splitlines()}
    assert "classification " in sections["Tasks"]
    names = [line.split()[0] for line in sections["Tuning methods"].splitlines()]
    assert {"full", "lora", "frozen"} <= set(names)
    described = [line for text in sections.values() for line in text.splitlines() if len(line.split()) > 2]
    # the recipes of one file share the first one's line
    assert len(described) == len(shipped()) + len(catalog.names(Task.package)) + len(catalog.names(Tuning.package))


def _sections(text: str) -> list[str]:
    found: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith(" "):
            found[-1] += line
        else:
            found.append(line)
    return found


def test_schema_is_json_that_knows_every_field_and_method(command):
    said = command("schema")
    schema = json.loads(said.out)
    assert set(schema["properties"]) == {"format", *Recipe.model_fields}
    assert {"Full", "LoRA", "Frozen", "Classification", "Files", "Training"} <= set(schema["$defs"])
    assert set(schema["$defs"]["Training"]["properties"]) == set(Training.model_fields)


@pytest.fixture(scope="module")
def own(tmp_path_factory, tiny_bert) -> tuple[Path, Path, int]:
    """File of a class, directory of the run that `finetune run` made with it, and the command's exit code."""
    folder = tmp_path_factory.mktemp("own")
    code = folder / "loud.py"
    code.write_text(OWN, "utf-8")
    path = write_recipe(folder, tiny_bert, task={"type": "loud:Loud", "score": ["accuracy"]})
    exit_code = main(["run", str(path), "--code", str(code), "--directory", str(folder / "runs")])
    return code, only(folder / "runs"), exit_code


def test_certify_examines_a_run_again(command, copy):
    said = command("certify", copy)
    assert said.code == 0
    assert said.out.strip() == f"{copy}: complete"
    assert RunDirectory(copy).read_report()["status"] == "complete"


def test_certify_refuses_what_has_no_model(command, tmp_path):
    assert "has no finished report to add to" in command("certify", tmp_path).complaint


def test_certify_refuses_a_run_that_was_stopped_while_it_was_examined(command, copy):
    (copy / "report.json").write_text(json.dumps({"format": 1, "status": "stopped"}))
    said = command("certify", copy).complaint
    assert "has no finished report to add to; finish it with: finetune run" in said


# A class of one's own


def test_a_run_with_a_class_of_ones_own_is_complete(own):
    _, directory, exit_code = own
    assert exit_code == 0
    report = RunDirectory(directory).read_report()
    assert (report["status"], report["certificate"]["reasons"]) == ("complete", [])


def test_such_a_run_records_path_and_hash_of_the_class(own):
    import hashlib

    code, directory, _ = own
    identity = json.loads((directory / "identity.json").read_text("utf-8"))
    assert identity["code"] == {str(code.resolve()): hashlib.sha256(code.read_bytes()).hexdigest()}


@pytest.mark.parametrize(
    "words", [("predict", "a film"), ("evaluate",), ("run",), ("check",)], ids=lambda words: words[0]
)
def test_without_code_the_path_is_named_and_nothing_is_executed(command, own, words):
    code, directory, _ = own
    executed = code.with_suffix(".executed")
    executed.unlink(missing_ok=True)
    name, *rest = words
    said = command(name, directory, *rest).complaint
    assert f"was made with code of {code}; allow that file to run with --code {code}" in said
    assert not executed.exists()


def test_with_code_the_class_predicts(command, own):
    code, directory, _ = own
    (line,) = command("predict", directory, "a good film", "--code", code).lines
    assert line["loud"] == line["predicted"].upper()


def test_with_a_copy_of_the_file_the_class_predicts(command, own, tmp_path):
    code, directory, _ = own
    moved = Path(shutil.copy(code, tmp_path / "elsewhere.py"))
    (line,) = command("predict", directory, "a good film", "--code", moved).lines
    assert line["loud"] == line["predicted"].upper()


def test_a_changed_file_is_refused_and_not_executed(command, own, tmp_path):
    _, directory, _ = own
    changed = tmp_path / "loud.py"
    changed.write_text(OWN.replace(".upper()", ".lower()"), "utf-8")
    said = command("predict", directory, "a good film", "--code", changed).complaint
    assert f"{changed} is missing or not the file this run was made with" in said
    assert not changed.with_suffix(".executed").exists()


def test_certify_never_executes_a_file_that_has_changed(command, own, tmp_path):
    """A run directory may come from somebody else: what it names is executed only if it is what it was."""
    code, directory, _ = own
    changed = tmp_path / "loud.py"
    changed.write_text(OWN.replace(".upper()", ".lower()"), "utf-8")
    stranger = Path(shutil.copytree(directory, tmp_path / "stranger"))
    identity = json.loads((stranger / "identity.json").read_text("utf-8"))
    identity["code"] = {str(changed): identity["code"][str(code.resolve())]}
    (stranger / "identity.json").write_text(json.dumps(identity), "utf-8")
    said = command("certify", stranger)
    assert not changed.with_suffix(".executed").exists()
    assert said.code != 0


# run


def test_changes_to_a_finished_run_are_refused_with_the_command_for_a_new_one(command, trained):
    said = command("run", trained, "tuning=lora", "tuning.r=4").complaint
    assert "its recipe stays as it is" in said
    assert f"finetune run {trained / 'recipe.json'} tuning=lora tuning.r=4" in said


def test_such_a_run_is_left_as_it_was(command, trained):
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    command("run", trained, "training.steps=3")
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before
