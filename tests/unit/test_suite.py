"""Several recipes as one: what is run, what is read again, what a failure leaves, and what is written of it."""

import json
import zipfile
from functools import partial
from pathlib import Path

import pytest

from finetune import Classification, Data, Recipe, Training, finishing
from finetune.cli import main
from finetune.errors import RecipeError
from finetune.executor import OUT_OF_MEMORY, execute
from finetune.interruption import Stopped
from finetune.run_directory import RunDirectory
from finetune.statistics import resampling
from finetune.suite import open_suite
from tests.support.rows import reviews

SETTINGS = {"steps": 2, "batch_size": 8, "precision": "fp32"}


@pytest.fixture
def quick(monkeypatch):
    """Saved models are taken for confirmed and intervals drawn from few resamples: both are tested elsewhere."""
    found = {"format": 1, "holds": True, "reasons": [], "loader": "transformers", "rows": 0, "largest_difference": 0.0}

    def certify(directories, code=(), interrupted=lambda: False):
        return [found for _ in directories]

    monkeypatch.setattr(finishing, "certify", certify)
    monkeypatch.setattr(resampling, "bootstrap", partial(resampling.bootstrap, resamples=20))


def cell(model: str, **fields) -> Recipe:
    usual = {
        "name": "reviews",
        "task": Classification(score=("accuracy",)),
        "data": Data.rows(reviews(24), validation=reviews(12, seed=1)),
        "model": model,
        "training": Training(**SETTINGS),
    }
    return Recipe(**{**usual, **fields})


def cells(model: str) -> dict[str, Recipe]:
    """Two that work around one that fails."""
    return {
        "first": cell(model),
        "broken": cell(model, task=Classification(text="words")),
        "last": cell(model, name="others", training=Training(**SETTINGS, seed=1)),
    }


# The executor


def test_every_cell_gives_its_result_in_turn(tmp_path, tiny_bert, quick):
    made = {name: recipe for name, recipe in cells(tiny_bert).items() if name != "broken"}
    found = list(execute(made, tmp_path))
    assert [(outcome.name, outcome.status, outcome.reused) for outcome in found] == [
        ("first", "complete", False),
        ("last", "complete", False),
    ]
    assert [outcome.result.directory.parent.name for outcome in found] == ["reviews", "others"]


def test_a_cell_that_fails_keeps_its_problems_and_stops_no_other(tmp_path, tiny_bert, quick):
    found = list(execute(cells(tiny_bert), tmp_path))
    assert [outcome.status for outcome in found] == ["complete", "failed", "complete"]
    assert "has no column 'words'" in found[1].problems[0]
    assert found[1].result is None


def test_a_model_that_could_not_be_confirmed_is_not_complete(tmp_path, tiny_bert):
    (outcome,) = execute({"one": cell(tiny_bert)}, tmp_path, certified=False)
    assert outcome.status == "uncertified"


def test_a_finished_cell_is_only_read(tmp_path, tiny_bert, quick):
    (first,) = execute({"one": cell(tiny_bert)}, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.result.directory.rglob("*") if path.is_file()}
    (second,) = execute({"one": cell(tiny_bert)}, tmp_path)
    assert second.reused and not first.reused
    assert second.result.scores == first.result.scores
    assert {path: path.stat().st_mtime_ns for path in before} == before


def stopping(when: int):
    """Makes watchers that press Ctrl-C once so many steps were made in all."""
    import signal

    from finetune.driver import Watcher

    made = []

    class Pressing(Watcher):
        def stepped(self, step):
            made.append(step.number)
            if len(made) == when:
                signal.raise_signal(signal.SIGINT)

    return lambda name: Pressing()


def test_an_interruption_stops_all_and_the_same_call_goes_on(tmp_path, tiny_bert, quick):
    made = {name: cell(tiny_bert, name=name, training=Training(**{**SETTINGS, "steps": 4})) for name in "abc"}
    whole = [outcome.result.scores for outcome in execute(made, tmp_path / "whole")]
    found = []
    with pytest.raises(Stopped):
        found.extend(execute(made, tmp_path / "cut", stopping(6)))
    (stopped,) = (tmp_path / "cut" / "b").iterdir()
    assert RunDirectory(stopped).status == "stopped"
    assert not (tmp_path / "cut" / "c").exists()
    after = list(execute(made, tmp_path / "cut"))
    assert [outcome.reused for outcome in after] == [True, False, False]
    assert [outcome.result.scores for outcome in after] == whole
    lines = (stopped / "metrics.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]


@pytest.mark.parametrize(("text", "is_known"), [("CUDA out of memory. Tried", True), ("shapes differ", False)])
def test_only_a_lack_of_memory_is_a_problem_of_a_cell(tmp_path, tiny_bert, monkeypatch, text, is_known):
    def run(*_):
        raise RuntimeError(text)

    monkeypatch.setattr("finetune.executor.run", run)
    if is_known:
        (outcome,) = execute({"one": cell(tiny_bert)}, tmp_path)
        assert outcome.problems == (OUT_OF_MEMORY,)
    else:
        with pytest.raises(RuntimeError, match="shapes differ"):
            list(execute({"one": cell(tiny_bert)}, tmp_path))


@pytest.mark.parametrize("error", [RecipeError("no such file"), RuntimeError("CUDA out of memory. Tried")])
def test_among_several_processes_what_fails_in_one_ends_it(tmp_path, tiny_bert, monkeypatch, error):
    def run(*_):
        raise error

    monkeypatch.setattr("finetune.executor.run", run)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(type(error)) as raised:
        list(execute({"one": cell(tiny_bert)}, tmp_path))
    assert raised.value is error


def test_memory_of_a_run_is_given_back_before_the_next(tmp_path, tiny_bert, monkeypatch):
    import gc
    import weakref

    import torch

    left: list[weakref.ref] = []

    def run(*_):
        ring: list = [torch.nn.Parameter(torch.zeros(1))]
        ring.append(ring)  # what refers to itself goes only when somebody looks for it
        left.append(weakref.ref(ring[0]))
        raise RecipeError("this is all")

    monkeypatch.setattr("finetune.executor.run", run)
    gc.disable()  # nor by chance
    try:
        for _ in execute({name: cell(tiny_bert) for name in "ab"}, tmp_path):
            assert left[-1]() is None
    finally:
        gc.enable()
    assert len(left) == 2


# The command, on a file of recipes

FILE = '''"""Three recipes of reviews."""

from finetune import Classification, Data, Recipe, Training

def made(name, **task):
    return Recipe(
        name=name,
        task=Classification(score=("accuracy",), **task),
        data=Data.files(train="train.csv", validation="validation.csv"),
        model={model!r},
        training=Training(steps=2, batch_size=8, precision="fp32"),
    )

recipes = {{"first": made("first"), "broken": made("broken", text="words"), "last": made("last")}}
'''


@pytest.fixture
def file(tmp_path, tiny_bert) -> Path:
    """A file of two recipes that work around one that fails, with its rows."""
    from tests.support.rows import write_csv

    write_csv(tmp_path, train=reviews(24), validation=reviews(12, seed=1))
    path = tmp_path / "some.py"
    path.write_text(FILE.format(model=tiny_bert), "utf-8")
    return path


@pytest.fixture
def suite(tmp_path, capsys, monkeypatch):
    """Runs the command; gives its exit code, what it printed, and suite.json."""
    monkeypatch.setenv("COLUMNS", "160")
    out = tmp_path / "out"

    def given(*words: object):
        capsys.readouterr()
        code = main(["suite", "--out", str(out), *map(str, words)])
        said = capsys.readouterr()
        record = json.loads((out / "suite.json").read_text("utf-8")) if (out / "suite.json").exists() else None
        return code, said.out + said.err, record

    return given


def test_a_suite_runs_everything_and_fails_if_one_fails(suite, file, quick):
    code, said, record = suite(file)
    assert code == 1
    assert {name: kept["status"] for name, kept in record["cells"].items()} == {
        "first": "complete",
        "broken": "failed",
        "last": "complete",
    }
    assert "2 of 3 recipes are complete" in said
    assert "broken failed: train.csv has no column 'words'" in said


def test_a_suite_whose_recipes_are_all_complete_ends_well(suite, file, quick):
    code, _, record = suite(file, "--only", "first,last")
    assert code == 0
    assert list(record["cells"]) == ["first", "last"]


def test_the_table_has_every_score_with_interval_baseline_and_status(suite, file, quick):
    _, said, record = suite(file)
    (line,) = (line for line in said.splitlines() if line.startswith("│ first"))
    score = record["cells"]["first"]["scores"]["validation"]["accuracy"]
    values = [f"{score['value']:.4f}", f"{score['low']:.4f} to {score['high']:.4f}", f"{score['baseline']:.4f}"]
    assert [text.strip() for text in line.strip("│").split("│")] == ["first", "accuracy", *values, "complete"]


def test_the_record_has_scores_directories_and_problems(suite, file, quick, tmp_path):
    _, _, record = suite(file)
    assert record["format"] == 1
    kept = record["cells"]["last"]
    assert kept["directory"].startswith("runs/last/full-")
    report = RunDirectory(tmp_path / "out" / kept["directory"]).read_report()
    assert (kept["scores"], kept["baseline"]) == (report["scores"], "majority class")
    broken = record["cells"]["broken"]
    assert (broken["directory"], broken["scores"]) == (None, {})
    assert all("has no column 'words'" in problem for problem in broken["problems"])


def test_a_second_time_nothing_is_done_again_and_it_says_so(suite, file, quick):
    _, _, before = suite(file)
    _, said, record = suite(file)
    assert "first: complete, finished before: accuracy" in said
    assert "2 of them finished before, nothing was done again" in said
    assert "step 2" not in said
    assert record == before


@pytest.fixture
def saved(monkeypatch) -> list[dict]:
    """Every content that suite.json gets."""
    from finetune import suite as module

    kept = []
    save = module.Record.save
    monkeypatch.setattr(module.Record, "save", lambda record: (save(record), kept.append(read(record.path)))[0])
    return kept


def read(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def test_the_record_is_written_after_every_recipe(suite, file, quick, saved):
    suite(file)
    states = [[found["status"] for found in content["cells"].values()] for content in saved]
    assert states[:4] == [
        ["waiting", "waiting", "waiting"],
        ["complete", "waiting", "waiting"],
        ["complete", "failed", "waiting"],
        ["complete", "failed", "complete"],
    ]


def test_while_a_suite_runs_again_the_record_says_what_it_said(suite, file, quick, saved):
    _, _, before = suite(file)
    saved.clear()
    suite(file)
    assert len(saved) >= 4
    assert all(content == before for content in saved)


def test_recipes_chosen_later_leave_the_others_in_the_record(suite, file, quick):
    _, _, whole = suite(file)
    _, said, record = suite(file, "--only", "last")
    assert record == whole
    assert "1 of 1 recipes are complete" in said


def test_recipes_chosen_one_after_the_other_are_one_record_in_the_order_of_the_file(suite, file, quick):
    suite(file, "--only", "last")
    _, _, record = suite(file, "--only", "first")
    assert [(name, kept["status"]) for name, kept in record["cells"].items()] == [
        ("first", "complete"),
        ("last", "complete"),
    ]


def test_what_the_record_says_of_a_recipe_that_was_changed_since_is_forgotten(suite, file, quick):
    suite(file)
    text = file.read_text("utf-8").replace('"first": made("first")', '"first": made("first", label_smoothing=0.1)')
    file.write_text(text, "utf-8")
    _, _, record = suite(file, "--only", "last")
    assert list(record["cells"]) == ["broken", "last"]


def test_what_a_chosen_recipe_was_before_its_change_does_not_stay_in_the_record(suite, file, quick, saved):
    suite(file, "--only", "first,last")
    saved.clear()
    text = file.read_text("utf-8").replace('"first": made("first")', '"first": made("first", label_smoothing=0.1)')
    file.write_text(text, "utf-8")
    suite(file, "--only", "first,last")
    assert [kept["status"] for kept in saved[0]["cells"].values()] == ["waiting", "complete"]


@pytest.mark.parametrize("other", ["file", "changes"])
def test_the_folder_of_another_suite_is_refused(suite, file, quick, other):
    _, _, before = suite(file, "training.steps=1", "--only", "last")
    if other == "file":
        file = file.rename(file.with_name("another.py"))
    code, said, record = suite(file, f"training.steps={1 if other == 'file' else 3}", "--only", "last")
    assert (code, record) == (2, before)
    assert said.count("give another --out") == 1
    assert "some.py training.steps=1, which is not " in said


def test_a_file_is_the_same_from_whatever_folder_it_is_named(suite, file, quick, monkeypatch):
    _, _, before = suite(file, "--only", "last")
    monkeypatch.chdir(file.parent)
    _, _, record = suite(file.name, "--only", "last")
    assert record == before


def test_changes_hold_for_every_recipe(suite, file, quick, tmp_path):
    _, _, record = suite(file, "training.steps=3", "--only", "first,last")
    for kept in record["cells"].values():
        assert RunDirectory(tmp_path / "out" / kept["directory"]).read_report()["steps"] == 3
    assert record["changes"] == ["training.steps=3"]


def test_the_runs_may_lie_with_others(suite, file, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, _, record = suite(file, "--only", "first", "--directory", "runs")
    assert Path(record["cells"]["first"]["directory"]).parent == tmp_path / "runs" / "first"


def test_an_interrupted_suite_says_how_to_go_on_and_keeps_what_is_done(suite, file, quick, monkeypatch):
    watch = stopping(3)("any")
    monkeypatch.setattr("finetune.display.Display.stepped", lambda display, step: watch.stepped(step))
    code, said, record = suite(file)
    assert code == 130
    assert "2 of 3 recipes are done; the same `finetune suite` command goes on from here." in said
    assert [kept["status"] for kept in record["cells"].values()] == ["complete", "failed", "waiting"]


# What is refused before anything is loaded


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--only", "frist"], "unknown recipe 'frist'. Did you mean 'first'?"),
        (["tunning=lora"], "unknown field 'tunning'. Did you mean 'tuning'?"),
        (["training.epochs=many"], "training.epochs = 'many': a number is needed."),
    ],
)
def test_a_mistake_is_said_once_before_anything_runs(suite, file, words, problem):
    code, said, record = suite(file, *words)
    assert (code, record) == (2, None)
    assert said.count(problem) == 1


def test_a_change_that_only_some_recipes_take_names_the_others(file):
    text = file.read_text("utf-8").replace('"last": made("last")', '"last": made("last", labels=("good", "bad"))')
    file.write_text(text, "utf-8")
    with pytest.raises(RecipeError) as refused:
        open_suite(str(file), ["task.positive=fine"])
    (problem,) = refused.value.problems
    assert problem.startswith("last: ")


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("glu", r"glu: a \.py file with recipes = .* Did you mean 'glue'"),
        ("absent.py", r"absent\.py does not exist\. Shipped: .*glue"),
        ("some.yaml", r"some\.yaml: a \.py file with recipes"),
    ],
)
def test_a_file_that_is_none_is_told(target, problem):
    with pytest.raises(RecipeError, match=problem):
        open_suite(target)


def test_an_unknown_suite_names_the_nearest(file):
    file.write_text(file.read_text("utf-8") + '\nsuite = "gleu"\n', "utf-8")
    with pytest.raises(RecipeError, match=r"unknown suite 'gleu'\. Did you mean 'glue'"):
        open_suite(str(file))


@pytest.mark.parametrize("target", ["glue", "recipes/glue.py"])
def test_shipped_recipes_go_by_their_name(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = open_suite(target)
    assert len(opened.cells) == 9
    assert type(opened.suite).__name__ == "Glue"


def test_a_file_with_a_single_recipe_is_a_suite_of_one():
    assert list(open_suite("quickstart").cells) == ["quickstart"]


# GLUE, on files of a few rows


@pytest.fixture
def small_glue(tmp_path) -> Path:
    """RTE and MNLI with test rows, WNLI with rows of other indices, MRPC without test rows."""
    root = tmp_path / "glue"

    def write(name: str, header: str, count: int, labels: tuple[str, ...] = (), first: int = 0) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{first + n}\t{row['text']}\ta film" for n, row in enumerate(reviews(count, seed=len(name)))]
        labelled = [f"{line}\t{labels[n % len(labels)]}" for n, line in enumerate(lines)] if labels else lines
        path.write_text("\n".join([header, *labelled]) + "\n", "utf-8")

    pair, two = "index\tsentence1\tsentence2", ("entailment", "not_entailment")
    three = ("entailment", "neutral", "contradiction")
    for name in ("RTE", "WNLI"):
        write(f"{name}/train.tsv", f"{pair}\tlabel", 24, two)
        write(f"{name}/dev.tsv", f"{pair}\tlabel", 12, two)
    write("RTE/test.tsv", pair, 7)
    write("WNLI/test.tsv", pair, 146, first=1)
    for name in ("train", "dev_matched", "dev_mismatched"):
        write(f"MNLI/{name}.tsv", f"{pair}\tgold_label", 24, three)
    for name, count in {"test_matched": 5, "test_mismatched": 6, "diagnostic": 4}.items():
        write(f"MNLI/{name}.tsv", pair, count)
    for name in ("train", "dev"):
        write(f"MRPC/{name}.tsv", "Quality\t#1 String\t#2 String", 24, first=0)
        text = (root / f"MRPC/{name}.tsv").read_text("utf-8").splitlines()
        rows = [f"{number % 2}\t" + line.partition("\t")[2] for number, line in enumerate(text[1:])]
        (root / f"MRPC/{name}.tsv").write_text("\n".join([text[0], *rows]) + "\n", "utf-8")
    return root


@pytest.fixture
def glue(suite, small_glue, tiny_bert, quick):
    """`finetune suite glue` on those files."""
    changes = [f"model={tiny_bert}", f"data.path={small_glue}", "task.max_length=16"]
    changes += [f"training.{name}={value}" for name, value in SETTINGS.items()]
    return lambda *words: suite("glue", *changes, *words)


def test_a_submission_has_the_files_that_there_are_rows_for(glue, tmp_path):
    _, said, record = glue("--only", "rte,mnli,mrpc,wnli")
    with zipfile.ZipFile(tmp_path / "out" / "submission.zip") as file:
        texts = {name: file.read(name).decode().splitlines() for name in file.namelist()}
    assert {name: len(lines) - 1 for name, lines in texts.items()} == {
        "MNLI-m.tsv": 5,
        "MNLI-mm.tsv": 6,
        "RTE.tsv": 7,
        "WNLI.tsv": 146,
        "AX.tsv": 4,
    }
    assert [line.split("\t")[0] for line in texts["RTE.tsv"]] == ["index", "0", "1", "2", "3", "4", "5", "6"]
    assert {line.split("\t")[1] for line in texts["RTE.tsv"][1:]} <= {"entailment", "not_entailment"}
    assert {line.split("\t")[1] for line in texts["WNLI.tsv"][1:]} <= {"0", "1"}
    assert record["submission"]["files"] == list(texts)
    assert record["submission"]["missing"]["MRPC.tsv"] == "no test rows"
    assert record["submission"]["missing"]["QQP.tsv"] == "not run"
    assert "INCOMPLETE, without CoLA.tsv" in said


def test_unusual_files_are_said(glue):
    _, said, record = glue("--only", "rte,wnli")
    assert "RTE.tsv has 7 rows, the published split has 3,000" in said
    assert "the indices of WNLI.tsv are not 0 to 145, each once" in said
    assert len(record["submission"]["remarks"]) == 2


def test_the_predictions_handed_in_are_those_of_the_saved_model(glue, small_glue, tmp_path):
    from finetune.data.official import glue as files
    from finetune.predict import load

    _, _, record = glue("--only", "rte")
    rows = files.read(small_glue, "rte")["test"].records()
    predictor = load(tmp_path / "out" / record["cells"]["rte"]["directory"])
    made = predictor([{"sentence1": row["sentence1"], "sentence2": row["sentence2"]} for row in rows])
    lines = (tmp_path / "out" / "submission" / "RTE.tsv").read_text("utf-8").splitlines()[1:]
    assert [line.split("\t")[1] for line in lines] == [prediction["predicted"] for prediction in made]


def test_a_second_time_nothing_is_predicted_again(glue, tmp_path, monkeypatch):
    glue("--only", "rte,wnli")
    before = (tmp_path / "out" / "submission.zip").read_bytes()
    (tmp_path / "out" / "submission" / "WNLI.tsv").write_text("index\tprediction\n", "utf-8")  # this one is no longer
    _, said, _ = glue("--only", "rte,wnli")
    assert "wnli: predicting the rows of WNLI.tsv" in said
    assert "rte: predicting" not in said
    assert (tmp_path / "out" / "submission.zip").read_bytes() == before


def test_the_zip_file_has_what_was_chosen_before_too(glue, tmp_path):
    glue("--only", "rte")
    _, _, record = glue("--only", "wnli")
    with zipfile.ZipFile(tmp_path / "out" / "submission.zip") as file:
        assert file.namelist() == ["RTE.tsv", "WNLI.tsv"]
    assert record["submission"]["files"] == ["RTE.tsv", "WNLI.tsv"]
    assert set(record["summary"]["tasks"]) == {"rte", "wnli"}


def test_another_model_in_the_same_folder_predicts_again(glue, tmp_path):
    from safetensors.torch import load_file, save_file

    _, _, record = glue("--only", "rte,wnli")
    weights = tmp_path / "out" / record["cells"]["rte"]["directory"] / "model" / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: -tensor if name.startswith("classifier") else tensor for name, tensor in tensors.items()}, weights)
    before = (tmp_path / "out" / "submission" / "RTE.tsv").read_text("utf-8")
    _, said, _ = glue("--only", "rte,wnli")
    assert "rte: predicting the rows of RTE.tsv" in said
    assert "wnli: predicting" not in said
    assert (tmp_path / "out" / "submission" / "RTE.tsv").read_text("utf-8") != before


def test_a_moved_suite_is_not_predicted_again(glue, tmp_path):
    glue("--only", "rte")
    (tmp_path / "out").rename(tmp_path / "moved")
    _, said, _ = glue("--only", "rte", "--out", tmp_path / "moved")
    assert "rte: complete, finished before" in said
    assert "rte: predicting" not in said


SPELLING = """from finetune.suites.glue import Glue


class Own(Glue):
    def text(self, file, indices, predicted):
        return {text!r}
"""


def test_a_suite_that_spells_otherwise_is_predicted_again(glue, small_glue, tmp_path, monkeypatch):
    from finetune import catalog
    from finetune.suites.base import Suite

    found = catalog.find

    def own(package, name, base):
        if base is not Suite:
            return found(package, name, base)
        return catalog.execute(tmp_path / "own.py").Own

    monkeypatch.setattr(catalog, "find", own)
    for text in ("first", "second"):
        (tmp_path / "own.py").write_text(SPELLING.format(text=text), "utf-8")
        glue("--only", "rte")
        assert (tmp_path / "out" / "submission" / "RTE.tsv").read_text("utf-8") == text


def test_without_a_complete_run_there_is_no_submission(glue, tmp_path):
    code, said, record = glue("--only", "cola")
    assert code == 1
    assert "No submission: " in said
    assert record["summary"] is None
    assert not (tmp_path / "out" / "submission.zip").exists()


def test_the_average_of_some_is_not_called_that_of_glue(glue):
    _, said, record = glue("--only", "rte,wnli")
    value = sum(record["cells"][name]["scores"]["validation"]["accuracy"]["value"] for name in ("rte", "wnli")) / 2
    assert f"Average of the 2 present (rte, wnli), validation rows: {value:.4f}" in said
    assert record["summary"]["average"] == pytest.approx(value)
