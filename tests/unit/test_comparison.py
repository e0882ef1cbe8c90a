"""A comparison carried out on a tiny model: what is run, what is read again, what a failure leaves, what is told."""

import json
import shlex
import shutil
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from finetune import Comparison, compare, executor, finishing
from finetune.cli import main
from finetune.comparison import measured as measuring
from finetune.comparison.compare import carry_out, opened
from finetune.comparison.watching import Following
from finetune.driver import Watcher
from finetune.errors import RecipeError, RunError
from finetune.executor import OUT_OF_MEMORY
from finetune.interruption import Stopped
from finetune.recipe import load_recipe
from finetune.run_directory import RunDirectory, read_json, write_json
from finetune.statistics import resampling
from tests.support import compared
from tests.support.rows import reviews, write_csv

FILE = '''"""Reviews."""

from finetune import Classification, Data, Recipe, Training

recipe = Recipe(
    name="reviews",
    task=Classification(score=("accuracy", "f1")),
    data=Data.files(train="train.csv", validation="validation.csv"),
    model={model!r},
    training=Training(steps=2, batch_size=8, precision="fp32", evaluate_every=1),
)
'''
CONFIRMED = {"format": 1, "holds": True, "reasons": [], "loader": "transformers", "rows": 0, "largest_difference": 0.0}
LATENCY = {"latency_seconds": 0.01, "merged_latency_seconds": None, "unmergeable": ""}
FORGETTING = {"forgetting": None, "forgetting_reason": "nothing was ever known"}
SMALL = ("--seeds", 2, "--learning-rates", 2, "--extensions", 0)
SMALLEST = ("--seeds", 1, "--learning-rates", 2, "--extensions", 0)


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Saved models are taken for confirmed, intervals of a run drawn from few resamples, and nothing is measured on
    models: all that is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finishing, "certify", lambda directories, *_: [CONFIRMED for _ in directories])
        patch.setattr(resampling, "bootstrap", partial(resampling.bootstrap, resamples=5))
        patch.setattr("finetune.costs.latency", lambda run: LATENCY)
        patch.setattr("finetune.costs.forgetting", lambda run: FORGETTING)
        yield


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """The record alone is written, without what is drawn from it; that is looked at once, in `whole`."""

    def save(found: Comparison) -> None:
        for name in ("comparison.html", "comparison.md", "plots"):
            (found.out / name).touch()
        write_json(found.out / "comparison.json", found.content)

    monkeypatch.setattr(Comparison, "save", save)


def written(folder: Path, model: str) -> Path:
    write_csv(folder, train=reviews(24), validation=reviews(12, seed=1))
    path = folder / "reviews.py"
    path.write_text(FILE.format(model=model), "utf-8")
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory, tiny_bert) -> Path:
    return written(tmp_path_factory.mktemp("recipe"), tiny_bert)


@pytest.fixture
def command(capsys, monkeypatch):
    """Runs `finetune compare`; gives its exit code and what it said."""
    monkeypatch.setenv("COLUMNS", "160")

    def given(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["compare", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return given


@pytest.fixture(scope="module")
def whole(tmp_path_factory, file) -> Path:
    """The folder of a comparison that the command line made."""
    out = tmp_path_factory.mktemp("whole")
    assert main(["compare", str(file), "--tuning", "full", "frozen", *map(str, SMALL), "--out", str(out)]) == 0
    return out


@pytest.fixture
def copied(tmp_path, whole) -> Path:
    """A copy of it."""
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def content(out: Path) -> dict:
    return json.loads((out / "comparison.json").read_text("utf-8"))


def method(out: Path, name: str) -> dict:
    return next(found for found in content(out)["methods"] if found["name"] == name)


def stamps(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != ".lock"}


def result(found: dict) -> dict:
    """What does not depend on the clock or on other methods."""
    cells = [(cell["seed"], cell["scores"], cell["losses"]) for cell in found["cells"]]
    tries = [(trial["learning_rate"], trial["score"]) for trial in found["search"]]
    return {"cells": cells, "search": tries, **{name: found[name] for name in ("learning_rate", "at_edge", "scores")}}


def shape(value):
    """Names of fields down to the leaves, of the first of a list."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value and isinstance(value[0], dict) else None


# What is told


def test_the_record_has_the_fields_that_tables_and_pages_are_made_of(whole):
    found, example = content(whole), compared.example()
    for either in (found, example):  # whose names are those of metrics, settings, libraries
        for one in either["methods"]:
            del one["scores"], one["tuning"], one["costs"]
            one["cells"] = [{**cell, "scores": {}, "problem": None} for cell in one["cells"]]
        del either["environment"]
    assert shape(found) == shape(example)
    assert shape(found["methods"][1]) == shape(example["methods"][1])


def test_terms_name_what_is_equal(whole, file):
    found = content(whole)
    assert (found["recipe"], found["target"], found["changes"]) == ("reviews", str(file), [])
    assert "/" not in found["model"], "a folder of this machine means nothing to others"
    assert found["terms"] == {
        "seeds": [0, 1],
        "learning_rates": 2,
        "extensions": 0,
        "development": 0.1,
        "development_rows": 2,
        "train_rows": 24,
        "steps": 2,
        "epochs": 0.6667,
        "batch_size": 8,
        "max_length": 32,
        "precision": "fp32",
        "device": "cpu",
        "processes": 1,
        "margin": 0.01,
        "reference": "full",
        "level": 0.95,
    }


def test_scores_are_the_mean_of_what_the_runs_report(whole):
    for found in content(whole)["methods"]:
        reports = [read_json(whole / cell["directory"] / "report.json") for cell in found["cells"]]
        for name, score in found["scores"].items():
            values = [report["scores"]["validation"][name]["value"] for report in reports]
            assert score["mean"] == pytest.approx(np.mean(values))
            assert [cell["scores"][name] for cell in found["cells"]] == values


def test_a_verdict_speaks_of_the_difference_from_the_reference(whole):
    full, frozen = content(whole)["methods"]
    assert full["against"] is None
    difference = frozen["scores"]["accuracy"]["mean"] - full["scores"]["accuracy"]["mean"]
    assert frozen["against"]["difference"] == pytest.approx(difference)
    assert [test["seed"] for test in frozen["against"]["per_seed"]] == [0, 1]
    assert {test["test"] for test in frozen["against"]["per_seed"]} == {"McNemar"}


def test_costs_are_those_of_the_runs_with_what_was_measured_on_their_models(whole):
    costs = method(whole, "frozen")["costs"]
    report = read_json(whole / method(whole, "frozen")["cells"][0]["directory"] / "report.json")
    assert costs["trainable"] == report["parameters"]["trainable"]
    assert {name: costs[name] for name in (*LATENCY, *FORGETTING)} == {**LATENCY, **FORGETTING}


def test_curves_have_every_scoring_and_the_losses(whole):
    cell = method(whole, "full")["cells"][0]
    assert [epoch for epoch, _ in cell["curve"]] == [epoch for epoch, _ in cell["losses"]] == [1 / 3, 2 / 3]
    assert cell["curve"][-1][1] == cell["scores"]["accuracy"]


def test_losses_are_thinned_to_what_a_picture_can_show(tmp_path):
    from finetune.comparison.curves import POINTS, curves

    run = RunDirectory(tmp_path)
    lines = [json.dumps({"step": n, "epoch": n / 100, "loss": float(n)}) for n in range(1, 601)]
    run.metrics.write_text("\n".join(lines), "utf-8")
    losses, scores = curves(run, "accuracy")
    assert (len(losses), losses[0], losses[-1], scores) == (POINTS, [0.1, 5.5], [6.0, 595.5], [])


def test_page_summary_and_plots_lie_beside_the_record(whole):
    assert "<html" in (whole / "comparison.html").read_text("utf-8")
    assert "frozen" in (whole / "comparison.md").read_text("utf-8")
    assert any((whole / "plots").glob("*.png"))


def test_search_runs_are_not_examined_and_final_ones_are(whole):
    for found in content(whole)["methods"]:
        assert {read_json(whole / trial["directory"] / "report.json")["status"] for trial in found["search"]} == {
            "uncertified"
        }
        assert {cell["status"] for cell in found["cells"]} == {"complete"}


def test_finished_runs_keep_no_checkpoints(whole):
    assert not any(whole.glob("runs/*/*/checkpoints"))


def test_a_comparison_is_a_value_with_a_text_and_a_table_for_notebooks(whole):
    found = Comparison.read(whole)
    assert found.complete
    assert "frozen" in found.table()
    assert "<table" in found._repr_html_()


def test_a_folder_without_a_comparison_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"has no comparison\.json"):
        Comparison.read(tmp_path)


# The same command again


def test_a_finished_comparison_is_only_read(command, file, whole):
    before = stamps(whole)
    code, said = command(file, "--tuning", "full", "frozen", *SMALL, "--out", whole)
    assert code == 0
    assert "This comparison was finished before; nothing was done again." in said
    assert stamps(whole) == before


def test_more_seeds_and_methods_add_to_what_is_there(command, file, copied):
    before = stamps(copied / "runs")
    words = ("--seeds", 3, "--learning-rates", 2, "--extensions", 0)
    code, said = command(file, "--tuning", "frozen", "bitfit", *words, "--out", copied)
    assert code == 0
    assert [len(found["cells"]) for found in content(copied)["methods"]] == [3, 3]
    assert {path: stamp for path, stamp in stamps(copied / "runs").items() if path in before} == before
    assert "Search for learning rates: 2 runs, 2 of 4 are done" in said
    assert "Runs to report: 4 runs, 2 of 6 are done" in said
    assert "bitfit, seed 2: " in said


def test_printed_commands_lead_to_the_same_comparison(command, file, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = (file, "--tuning", "frozen", *SMALL, "--out", "out")
    for count in (2, 2):
        code, said = command(*words, "--print-commands")
        lines = [shlex.split(line) for line in said.splitlines()]
        assert (code, len(lines)) == (0, count)
        for line in lines:
            assert main(line[1:]) == 0
    assert command(*words, "--print-commands") == (0, "")
    code, said = command(*words)
    assert code == 0
    assert "Runs to report" not in said
    assert result(method(Path("out"), "frozen")) == result(method(whole, "frozen"))


def test_changes_of_the_recipe_may_stand_behind_the_methods(command, file, tmp_path):
    code, said = command(
        file, "--tuning", "full", "tuning=lora", "training.steps=1", "--out", tmp_path, "--print-commands"
    )
    assert (code, len(said.splitlines())) == (0, 3)
    assert read_json(tmp_path / "record.json")["changes"] == ["tuning=lora", "training.steps=1"]


def test_a_method_that_does_not_fit_is_said_before_anything_runs(command, file, tmp_path):
    change = "training.gradient_checkpointing=true"
    code, said = command(file, change, "--tuning", "full", "prefix", "--out", tmp_path)
    assert code == 2
    assert "--tuning prefix: tuning=prefix: " in said
    assert not (tmp_path / "runs").exists()


# Failures


def test_a_method_that_diverges_stops_no_other_and_is_not_tried_again(command, file, tmp_path):
    words = (
        file,
        "--tuning",
        "frozen",
        "full:learning_rate=1e30",
        *SMALLEST,
        "--reference",
        "frozen",
        "--out",
        tmp_path,
    )
    code, said = command(*words)
    full = method(tmp_path, "full")
    assert code == 1
    assert "training has diverged" in full["search"][0]["problem"]
    assert {cell["problem"] for cell in full["cells"]} == {"training diverged at every learning rate"}
    assert (full["learning_rate"], full["scores"], full["against"]) == (None, {}, None)
    assert {cell["status"] for cell in method(tmp_path, "frozen")["cells"]} == {"complete"}
    _, said = command(*words)
    assert "nothing was done again" in said


def fail(monkeypatch, when, error) -> list[str]:
    """Let runs of some recipes raise; returns the methods of those that were tried."""
    tried, real = [], executor.run

    def run(recipe, *rest):
        tried.append(recipe.tuning.kind())
        if when(recipe):
            raise error
        return real(recipe, *rest)

    monkeypatch.setattr(executor, "run", run)
    return tried


def test_a_method_that_runs_out_of_memory_stops_no_other_and_is_tried_again(command, file, tmp_path, monkeypatch):
    words = (file, "--tuning", "frozen", "full", *SMALLEST, "--reference", "frozen", "--out", tmp_path)
    with monkeypatch.context() as patch:
        fail(patch, lambda recipe: recipe.tuning.kind() == "full", RuntimeError("CUDA out of memory. Tried"))
        code, said = command(*words)
    assert code == 1
    assert f"full, rate 2e-05: failed: {OUT_OF_MEMORY}" in said
    assert {cell["problem"] for cell in method(tmp_path, "full")["cells"]} == {OUT_OF_MEMORY}
    tried = fail(monkeypatch, lambda recipe: False, None)
    assert command(*words)[0] == 0
    assert tried == ["full"] * 3


def test_a_method_that_lacks_a_seed_gets_no_verdict(command, file, copied, monkeypatch):
    words = ("--seeds", 3, "--learning-rates", 2, "--extensions", 0)
    fail(monkeypatch, lambda r: r.tuning.kind() == "frozen" and r.training.seed == 2, RunError("the disk is full"))
    code, _ = command(file, "--tuning", "full", "frozen", *words, "--out", copied)
    frozen = method(copied, "frozen")
    assert code == 1
    assert (frozen["cells"][2]["status"], frozen["cells"][2]["problem"]) == ("failed", "the disk is full")
    assert frozen["scores"]["accuracy"]["mean"] == pytest.approx(
        np.mean([cell["scores"]["accuracy"] for cell in frozen["cells"][:2]])
    )
    assert frozen["against"] is None


def test_where_nothing_has_a_result_the_reasons_are_said(command, file, tmp_path, monkeypatch):
    fail(monkeypatch, lambda recipe: True, RunError("the disk is full"))
    code, said = command(file, "--tuning", "full", *SMALL, "--out", tmp_path)
    assert code == 2
    assert "no run of this comparison has a result: the disk is full." in said


def test_among_several_processes_a_divergence_ends_all_but_is_remembered(file, tmp_path, monkeypatch):
    plan = opened(load_recipe(str(file)), ["full"], 1, 2, tmp_path, None, None, None, 0, 0.1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    fail(monkeypatch, lambda recipe: True, RunError("training has diverged"))
    with pytest.raises(RunError, match=r"training has diverged\n.*The same command goes on without this run\."):
        carry_out(plan, Following())
    assert len(read_json(tmp_path / "record.json")["diverged"]) == 1


# Runs that may not stand in one table


def changed(path: Path, change) -> None:
    found = read_json(path)
    change(found)
    write_json(path, found)


@pytest.mark.parametrize(
    ("file_name", "change", "said"),
    [
        (
            "report.json",
            lambda r: r["environment"]["versions"].update(torch="1.0"),
            r"versions\.torch was '.*' and is '1\.0'",
        ),
        ("report.json", lambda r: r.update(device="NVIDIA H200"), "device was 'cpu' and is 'NVIDIA H200'"),
        ("report.json", lambda r: r.update(processes=2), "processes was 1 and is 2"),
        ("report.json", lambda r: r.update(steps=1), "steps was 2 and is 1"),
        ("identity.json", lambda i: i["training"].update(batch_size=16), "training.batch_size was 8 and is 16"),
        ("identity.json", lambda i: i["data"].update(train="0"), "data.train was '.*' and is '0'"),
    ],
)
def test_runs_that_were_not_made_alike_are_not_compared(file, copied, file_name, change, said):
    run = copied / method(copied, "frozen")["cells"][1]["directory"]
    changed(run / file_name, change)
    with pytest.raises(RunError, match=rf"\(frozen, seed 1\) and .* were not made alike: {said}\. Delete the one"):
        compare(load_recipe(str(file)), ["full", "frozen"], 2, 2, copied, extensions=0, target=str(file))


def test_searches_that_were_not_made_alike_are_not_compared_either(file, copied):
    changed(copied / method(copied, "full")["search"][1]["directory"] / "report.json", lambda r: r.update(processes=2))
    with pytest.raises(RunError, match="were not made alike: processes was 1 and is 2"):
        compare(load_recipe(str(file)), ["full", "frozen"], 2, 2, copied, extensions=0, target=str(file))


def test_predictions_that_are_not_those_of_the_report_are_refused(file, copied):
    path = copied / method(copied, "frozen")["cells"][0]["directory"] / "predictions.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in lines:
        line["predicted"] = line["gold"]
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    with pytest.raises(RunError, match=r"predictions\.jsonl gives accuracy 1, its report says 0\."):
        compare(load_recipe(str(file)), ["full", "frozen"], 2, 2, copied, extensions=0, target=str(file))


# Interruptions


class Pressing(Following):
    """Presses Ctrl-C in the step of a run."""

    def __init__(self, name: str):
        self.name = name

    def began(self, cell) -> Watcher:
        class AtAStep(Watcher):
            def stepped(self, step):
                signal.raise_signal(signal.SIGINT)

        return AtAStep() if cell.name == self.name else Watcher()


@pytest.mark.parametrize("where", ["frozen, rate 0.0032", "frozen, seed 1"])
def test_a_comparison_that_was_interrupted_ends_like_a_whole_one(file, whole, tmp_path, where):
    words = (load_recipe(str(file)), ["frozen"], 2, 2, tmp_path)
    with pytest.raises(Stopped):
        compare(*words, extensions=0, watch=Pressing(where), target=str(file))
    assert not (tmp_path / "comparison.json").exists()
    assert compare(*words, extensions=0, target=str(file)).complete
    assert result(method(tmp_path, "frozen")) == result(method(whole, "frozen"))


def test_an_interruption_is_one_message_with_how_to_go_on(command, file, tmp_path, monkeypatch):
    fail(monkeypatch, lambda recipe: recipe.tuning.kind() == "frozen", Stopped("Stopped after step 1 of 2.", 2))
    code, said = command(file, "--tuning", "full", "frozen", *SMALL, "--out", tmp_path)
    assert code == 130
    assert said.endswith(
        "Stopped after step 1 of 2.\n2 runs are done; the same `finetune compare` command goes on from here.\n"
    )


def test_an_interruption_of_the_examination_leaves_it_to_the_next_call(command, file, copied, monkeypatch):
    for path in copied.glob("runs/*/*/report.json"):
        changed(path, lambda report: report.update(status="uncertified", certificate=None))

    def certify(directories, code, interrupted):
        raise KeyboardInterrupt

    words = (file, "--tuning", "full", "frozen", *SMALL, "--out", copied)
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "certify", certify)
        code, said = command(*words)
    assert (code, "while the saved models were examined" in said) == (130, True)
    assert command(*words)[0] == 0


def test_a_model_that_could_not_be_confirmed_is_said(command, file, copied, monkeypatch):
    run = copied / method(copied, "frozen")["cells"][0]["directory"]
    changed(run / "report.json", lambda report: report.update(status="uncertified", certificate=None))
    denied = {**CONFIRMED, "holds": False, "reasons": ["the logits differ by up to 3"]}
    monkeypatch.setattr(finishing, "certify", lambda directories, *_: [denied for _ in directories])
    code, _ = command(file, "--tuning", "full", "frozen", *SMALL, "--out", copied)
    assert code == 1
    cell = method(copied, "frozen")["cells"][0]
    assert cell["problem"] == "the saved model could not be confirmed: the logits differ by up to 3"


# What is measured on models


class Run:
    """Stands for a cell."""

    def __init__(self, digest: str):
        self.digest = digest
        self.directory = RunDirectory(Path(digest))


@pytest.fixture
def calls(monkeypatch) -> list[tuple[str, str]]:
    """What is measured on which run."""
    made: list[tuple[str, str]] = []
    monkeypatch.setattr("finetune.costs.latency", lambda run: made.append(("latency", str(run))) or LATENCY)
    monkeypatch.setattr("finetune.costs.forgetting", lambda run: made.append(("forgetting", str(run))) or FORGETTING)
    return made


def test_models_are_measured_once(tmp_path, calls):
    first = measuring.measure(tmp_path, {"full": Run("a"), "lora": Run("b")})
    assert len(calls) == 4
    assert measuring.measure(tmp_path, {"full": Run("a"), "lora": Run("b")}) == first
    assert len(calls) == 4


def test_seconds_are_measured_in_one_process_for_all_methods(tmp_path, calls):
    measuring.measure(tmp_path, {"full": Run("a")})
    measuring.measure(tmp_path, {"full": Run("a"), "lora": Run("b")})
    assert calls[2:] == [("latency", "a"), ("latency", "b"), ("forgetting", "b")]


def test_what_cannot_be_measured_costs_nothing_else(tmp_path, calls, monkeypatch):
    def forgetting(run):
        raise RecipeError("the checkpoint is gone")

    monkeypatch.setattr("finetune.costs.forgetting", forgetting)
    found = measuring.measure(tmp_path, {"full": Run("a")})["full"]
    assert found["latency_seconds"] == 0.01
    assert (found["forgetting"], found["forgetting_reason"]) == (
        None,
        "it could not be measured: the checkpoint is gone",
    )
