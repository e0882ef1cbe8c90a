"""One run from recipe to result: what it is named by, what it writes, what it chooses, and how it goes on."""

import json
import math
import os
import shutil
import signal
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import finetune
from finetune import Classification, Data, Full, LoRA, Model, Recipe, Training, driver, run
from finetune.cli import main
from finetune.driver import Watcher
from finetune.environment import LIBRARIES, environment
from finetune.errors import RecipeError
from finetune.experiment import resume
from finetune.finishing import confirm
from finetune.interruption import Stopped
from finetune.model import build
from finetune.predict import load
from finetune.preparation import prepare
from finetune.recipe import load_recipe
from finetune.run_directory import RunDirectory
from finetune.statistics import resampling
from finetune.tasks.base import Batch, Metric
from finetune.training import checkpoint as checkpoints
from finetune.training.loop import total_steps
from tests.support.rows import reviews

ROWS, VALIDATION, STEPS, BATCH = 24, 12, 4, 8
HIDDEN, LAYERS, LABELS = 16, 2, ("bad", "good")
TOLERANCE = 1e-5


class Errors(Classification):
    """The same scores, better when lower."""

    def metrics(self):
        return tuple(Metric(name, higher_is_better=False) for name in self.score)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Nothing that a test of this file runs by itself looks at the ends of an interval."""
    monkeypatch.setattr(resampling.bootstrap, "__defaults__", (20, *resampling.bootstrap.__defaults__[1:]))


def made(path: str, tuning=None, task=None, rows=None, model=None, **training) -> Recipe:
    settings = {"steps": STEPS, "batch_size": BATCH, "precision": "fp32", **training}
    return Recipe(
        name="reviews",
        task=task or Classification(score=("accuracy",)),
        data=rows or Data.rows(reviews(ROWS), validation=reviews(VALIDATION, seed=1)),
        model=model or path,
        tuning=tuning or Full(learning_rate=1e-2),
        training=Training(**settings),
    )


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def steps_of(directory: Path) -> list[dict]:
    return [line for line in lines(directory / "metrics.jsonl") if "loss" in line]


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory, tiny_bert):
    """Runs of several kinds, examined by one fresh process."""
    folder = tmp_path_factory.mktemp("confirmed")
    limited = Data.rows(reviews(60), limit=16, holdout=0.25, seed=3)
    recipes = {
        "full": made(tiny_bert),
        "lora": made(tiny_bert, LoRA(learning_rate=1e-2)),
        "bf16": made(tiny_bert, precision="bf16"),
        "random": made(tiny_bert, model=Model(path=tiny_bert, initialize="random")),
        "limited": made(tiny_bert, rows=limited),
    }
    done = {name: run(recipe, folder, certified=False).directory for name, recipe in recipes.items()}
    confirm([RunDirectory(path) for path in done.values()])
    return done


@pytest.fixture(scope="module")
def report(confirmed) -> dict:
    """Of the usual run."""
    return json.loads((confirmed["full"] / "report.json").read_text("utf-8"))


def report_of(directory: Path) -> dict:
    return json.loads((directory / "report.json").read_text("utf-8"))


# The report


def test_the_report_has_everything_that_the_design_names(report):
    assert set(report) >= {
        "format",
        "status",
        "scores",
        "baseline",
        "recipe",
        "best_step",
        "steps",
        "parameters",
        "rows",
        "seconds",
        "peak_memory_bytes",
        "bytes_on_disk",
        "revisions",
        "processes",
        "device",
        "environment",
        "certificate",
    }
    assert set(report["environment"]) >= {"finetune", "python", "platform", "versions", "git", "command"}
    assert report["format"] == 1


@pytest.mark.parametrize("kind", ["full", "lora", "bf16", "random", "limited"])
def test_a_confirmed_run_is_complete(confirmed, kind):
    report = report_of(confirmed[kind])
    assert report["certificate"]["reasons"] == []
    assert (report["status"], report["certificate"]["holds"]) == ("complete", True)


def test_the_recipe_of_the_report_is_resolved(tmp_path, tiny_bert, monkeypatch):
    from finetune import preparation

    monkeypatch.setattr(preparation, "resolve_precision", lambda precision, device: "bf16")
    recipe = prepare(made(tiny_bert, precision="auto"), "cpu").recipe
    assert recipe.training.precision == "bf16"
    assert recipe.task.labels == LABELS
    assert recipe.task.max_length == 32


def test_auto_becomes_a_precision_in_the_report(tmp_path, tiny_bert):
    directory = run(made(tiny_bert, steps=1, precision="auto"), tmp_path, certified=False).directory
    assert report_of(directory)["recipe"]["training"]["precision"] in ("fp32", "bf16")


def test_a_score_follows_from_the_predictions_and_has_an_interval_and_a_baseline(confirmed, report):
    predictions = lines(confirmed["full"] / "predictions.jsonl")
    score = report["scores"]["validation"]["accuracy"]
    assert score["value"] == pytest.approx(np.mean([line["gold"] == line["predicted"] for line in predictions]))
    assert score["low"] <= score["value"] <= score["high"]
    golds = [row["label"] for row in reviews(ROWS)]
    majority = max(LABELS, key=golds.count)
    assert score["baseline"] == pytest.approx(np.mean([line["gold"] == majority for line in predictions]))
    assert report["baseline"] == "majority class"


def test_full_tuning_trains_all_parameters_of_the_saved_model(confirmed, report):
    saved = load_file(confirmed["full"] / "model" / "model.safetensors")
    count = sum(tensor.numel() for tensor in saved.values())
    assert report["parameters"] == {"trainable": count, "total": count}


def test_lora_trains_its_matrices_and_the_head(confirmed, report):
    found = report_of(confirmed["lora"])["parameters"]
    matrices = LAYERS * 2 * (8 * HIDDEN + HIDDEN * 8)
    head = HIDDEN * len(LABELS) + len(LABELS)
    assert found == {"trainable": matrices + head, "total": report["parameters"]["total"]}


def test_the_seconds_are_those_of_training_and_scoring(confirmed, report):
    assert set(report["seconds"]) == {"training", "scoring"}
    (stretch,) = lines(confirmed["full"] / "timings.jsonl")
    assert (stretch["from_step"], stretch["to_step"]) == (0, STEPS)
    assert report["seconds"]["training"] == pytest.approx(stretch["seconds"], abs=0.01)


def test_the_peak_memory_holds_at_least_the_model(report):
    assert report["peak_memory_bytes"] > 4 * report["parameters"]["total"]


def test_the_bytes_on_disk_are_those_of_the_files(confirmed, report):
    files = [path for path in (confirmed["full"] / "model").iterdir() if path.name != "README.md"]
    assert report["bytes_on_disk"]["model"] == sum(path.stat().st_size for path in files)
    files = [path for path in (confirmed["full"] / "checkpoints").rglob("*") if path.is_file()]
    assert report["bytes_on_disk"]["checkpoints"] == sum(path.stat().st_size for path in files)


def test_the_revisions_name_the_checkpoint(confirmed, report):
    identity = json.loads((confirmed["full"] / "identity.json").read_text("utf-8"))
    assert report["revisions"]["digest"] == identity["model"]["checkpoint"]
    assert report["revisions"]["model"] is None


def test_the_versions_are_those_installed(report):
    assert report["environment"]["versions"] == {name: version(name) for name in LIBRARIES}
    assert report["environment"]["finetune"] == finetune.__version__


def test_rows_features_and_cut_rows_are_counted(report):
    assert report["rows"] == {
        "train": {"rows": ROWS, "features": ROWS, "truncated": 0},
        "validation": {"rows": VALIDATION, "features": VALIDATION, "truncated": 0},
    }


def test_cut_rows_are_counted(tmp_path, tiny_bert):
    task = Classification(score=("accuracy",), max_length=5)
    directory = run(made(tiny_bert, task=task, steps=1), tmp_path, certified=False).directory
    longer = sum(len(row["text"].split()) > 3 for row in reviews(ROWS))
    assert 0 < longer < ROWS
    assert report_of(directory)["rows"]["train"]["truncated"] == longer


def _git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "empty")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_git_state_is_the_commit(repository):
    assert environment()["git"] == {"commit": _git(repository, "rev-parse", "HEAD"), "changed": False}


def test_the_git_state_says_that_files_differ_from_the_commit(repository):
    (repository / "new.txt").write_text("new", "utf-8")
    assert environment()["git"]["changed"] is True


def test_outside_a_repository_there_is_no_git_state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment()["git"] is None


# What else is written


def test_predictions_have_id_inputs_gold_and_prediction_of_every_row(confirmed):
    found = lines(confirmed["full"] / "predictions.jsonl")
    assert all(list(line) == ["id", "inputs", "gold", "predicted", "probability", "probabilities"] for line in found)
    assert [line["inputs"] for line in found] == [{"text": row["text"]} for row in reviews(VALIDATION, seed=1)]
    assert [line["gold"] for line in found] == [row["label"] for row in reviews(VALIDATION, seed=1)]
    assert len({line["id"] for line in found}) == VALIDATION


def test_the_probabilities_of_a_prediction_belong_to_it(confirmed):
    for line in lines(confirmed["full"] / "predictions.jsonl"):
        assert sum(line["probabilities"].values()) == pytest.approx(1)
        assert line["probability"] == max(line["probabilities"].values()) == line["probabilities"][line["predicted"]]


def test_the_log_has_every_step_and_scoring_and_no_clock_times(confirmed):
    found = lines(confirmed["full"] / "metrics.jsonl")
    names = {"step", "epoch", "loss", "learning_rate", "gradient_norm", "features", "tokens"}
    assert [set(line) for line in found if "loss" in line] == [names] * STEPS
    assert [line["step"] for line in found if "validation" in line] == [3, 4]  # the end of the epoch, and of the run
    assert all(set(line) == {"step", "validation"} for line in found if "validation" in line)


def test_the_card_has_the_scores_the_interval_and_the_labels(confirmed, report):
    card = (confirmed["full"] / "model" / "README.md").read_text("utf-8")
    score = report["scores"]["validation"]["accuracy"]
    numbers = f"{score['value']:.4f} | {score['low']:.4f} to {score['high']:.4f} | {score['baseline']:.4f}"
    assert f"| validation | accuracy | {numbers} |" in card
    assert "Labels: bad, good." in card


def test_the_card_says_that_the_model_was_confirmed_and_by_which_library(confirmed):
    card = (confirmed["lora"] / "model" / "README.md").read_text("utf-8")
    assert "A fresh process loaded this folder with peft" in card
    assert "library_name: peft" in card


def test_limit_and_holdout_are_recorded(confirmed):
    report = report_of(confirmed["limited"])
    data = report["recipe"]["data"]
    assert (data["limit"], data["holdout"], data["seed"]) == (16, 0.25, 3)
    assert report["rows"]["train"]["rows"] == 16
    assert report["rows"]["validation"]["rows"] == 15


def test_bf16_runs_on_any_processor_and_is_reported(confirmed):
    assert report_of(confirmed["bf16"])["recipe"]["training"]["precision"] == "bf16"
    one, other = steps_of(confirmed["bf16"])[0]["loss"], steps_of(confirmed["full"])[0]["loss"]
    assert one != other
    assert one == pytest.approx(other, rel=0.05)


def test_random_weights_are_not_those_of_the_checkpoint(confirmed, tiny_bert):
    saved = load_file(confirmed["random"] / "model" / "model.safetensors")
    checkpoint = load_file(Path(tiny_bert) / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    distance = (saved[f"bert.{name}"] - checkpoint[name]).abs().mean()
    near = (
        (load_file(confirmed["full"] / "model" / "model.safetensors")[f"bert.{name}"] - checkpoint[name]).abs().mean()
    )
    assert distance > 2 * near > 0


def test_random_weights_with_adapters_only_are_refused(tiny_bert):
    with pytest.raises(RecipeError, match=r"initialize=random needs tuning=full: lora would leave random weights"):
        made(tiny_bert, LoRA(), model=Model(path=tiny_bert, initialize="random"))


# The saved model in other hands


def test_plain_transformers_load_the_model_and_give_the_same_probabilities(confirmed):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder, texts = confirmed["full"] / "model", [row["text"] for row in reviews(6, seed=2)]
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        probabilities = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(-1)
    found = [dict(zip(model.config.id2label.values(), row.tolist(), strict=True)) for row in probabilities]
    for one, other in zip(found, load(confirmed["full"])(texts), strict=True):
        assert one == pytest.approx(other["probabilities"], abs=TOLERANCE)


def test_plain_peft_loads_the_adapter_and_gives_the_same_probabilities(confirmed, tiny_bert):
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    folder, texts = confirmed["lora"] / "model", [row["text"] for row in reviews(6, seed=2)]
    config = AutoConfig.from_pretrained(folder)
    base = AutoModelForSequenceClassification.from_pretrained(tiny_bert, config=config)
    model = PeftModel.from_pretrained(base, folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        probabilities = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(-1)
    found = [dict(zip(config.id2label.values(), row.tolist(), strict=True)) for row in probabilities]
    for one, other in zip(found, load(confirmed["lora"])(texts), strict=True):
        assert one == pytest.approx(other["probabilities"], abs=TOLERANCE)


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_the_saved_configuration_names_the_labels(confirmed, kind):
    config = json.loads((confirmed[kind] / "model" / "config.json").read_text("utf-8"))
    assert config["id2label"] == {"0": "bad", "1": "good"}


# A run directory is a recipe


def test_a_finished_run_is_only_read(confirmed, capsys):
    before = {path: path.stat().st_mtime_ns for path in confirmed["full"].rglob("*")}
    assert main(["run", str(confirmed["full"])]) == 0
    assert "This run is finished; its result:" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in confirmed["full"].rglob("*")} == before


@pytest.mark.parametrize("kind", ["full", "lora", "limited"])
def test_the_recipe_of_a_run_prepares_the_same_run(confirmed, kind):
    directory = confirmed[kind]
    again = prepare(load_recipe(str(directory / "recipe.json")), "cpu")
    assert again.identity == json.loads((directory / "identity.json").read_text("utf-8"))
    assert again.directory_name == f"{directory.parent.name}/{directory.name}"


def test_the_same_recipe_finds_its_finished_run(confirmed, tiny_bert):
    folder = confirmed["full"].parents[1]
    count = len(list(folder.glob("*/*")))
    again = run(made(tiny_bert), folder)
    assert again.directory == confirmed["full"]
    assert again.complete
    assert len(list(folder.glob("*/*"))) == count


# What names a run


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with training and validation rows."""
    folder = tmp_path_factory.mktemp("files")
    for name, rows in {"train": reviews(ROWS), "validation": reviews(VALIDATION, seed=1)}.items():
        table = "".join(f"{row['text']},{row['label']}\n" for row in rows)
        (folder / f"{name}.csv").write_text("text,label\n" + table, "utf-8")
    return folder


def from_files(folder: Path, path: str, **settings) -> Recipe:
    data = Data.files(str(folder / "train.csv"), validation=str(folder / "validation.csv"))
    return made(path, rows=data, **settings)


def name_of(recipe: Recipe) -> str:
    return prepare(recipe, "cpu").directory_name


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


def test_the_same_recipe_names_the_same_directory(files, tiny_bert):
    assert name_of(from_files(files, tiny_bert)) == name_of(from_files(files, tiny_bert))


def test_files_copied_elsewhere_name_the_same_directory(tmp_path, files, tiny_bert):
    elsewhere = copied(files, tmp_path / "elsewhere")
    assert name_of(from_files(elsewhere, tiny_bert)) == name_of(from_files(files, tiny_bert))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_one_changed_letter_in_a_file_names_another_directory(tmp_path, files, tiny_bert, split):
    elsewhere = copied(files, tmp_path / "elsewhere")
    path = elsewhere / f"{split}.csv"
    path.write_text(path.read_text("utf-8").replace("label\n", "label\na", 1), "utf-8")
    assert name_of(from_files(elsewhere, tiny_bert)) != name_of(from_files(files, tiny_bert))


@pytest.mark.parametrize(
    "change",
    [
        "tuning.learning_rate=0.02",
        "tuning=lora",
        "training.seed=1",
        "training.batch_size=4",
        "training.steps=5",
        "training.precision=bf16",
        "task.label_smoothing=0.1",
        "data.limit=20",
        "data.holdout=0.2",
        "model.initialize=random",
    ],
)
def test_a_change_of_what_is_computed_names_another_directory(files, tiny_bert, change):
    recipe = from_files(files, tiny_bert)
    assert name_of(recipe.override(change)) != name_of(recipe)


@pytest.mark.parametrize("change", ["training.batch_tokens=64", "training.save_every=1", "training.keep=3"])
def test_memory_and_disk_do_not_name_a_run(files, tiny_bert, change):
    recipe = from_files(files, tiny_bert)
    assert recipe.override(change) != recipe
    assert name_of(recipe.override(change)) == name_of(recipe)


def test_a_checkpoint_copied_elsewhere_names_the_same_directory(tmp_path, files, tiny_bert):
    elsewhere = copied(Path(tiny_bert), tmp_path / "elsewhere")
    assert name_of(from_files(files, str(elsewhere))) == name_of(from_files(files, tiny_bert))


def test_one_changed_weight_names_another_directory(tmp_path, files, tiny_bert):
    elsewhere = copied(Path(tiny_bert), tmp_path / "elsewhere")
    weights = load_file(elsewhere / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, elsewhere / "model.safetensors", {"format": "pt"})
    assert name_of(from_files(files, str(elsewhere))) != name_of(from_files(files, tiny_bert))


def test_another_vocabulary_names_another_directory(tmp_path, files, tiny_bert):
    elsewhere = copied(Path(tiny_bert), tmp_path / "elsewhere")
    path = elsewhere / "tokenizer.json"
    path.write_text(path.read_text("utf-8").replace('"film"', '"movie"'), "utf-8")
    assert name_of(from_files(files, str(elsewhere))) != name_of(from_files(files, tiny_bert))


# How long a run is, and what it keeps


@pytest.fixture
def scripted(monkeypatch):
    """A function that sets the scores of the validation split, one after the other."""

    def script(*values: float) -> None:
        left = iter(values)
        monkeypatch.setattr(driver, "scores", lambda task, measured: {"accuracy": next(left)})

    return script


def kept(directory: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (directory / "checkpoints").iterdir())


def test_patience_stops_after_so_many_scorings_without_a_better_one(tmp_path, tiny_bert, scripted):
    scripted(0.5, 0.8, 0.7, 0.8)
    directory = run(made(tiny_bert, steps=20, evaluate_every=2, patience=2), tmp_path, certified=False).directory
    report = report_of(directory)
    assert (report["steps"], report["best_step"]) == (8, 4)
    assert len(steps_of(directory)) == 8


def test_a_better_score_renews_the_patience(tmp_path, tiny_bert, scripted):
    scripted(0.5, 0.4, 0.6, 0.5, 0.7)
    made_with_patience = made(tiny_bert, steps=5, evaluate_every=1, patience=2)
    assert run(made_with_patience, tmp_path, certified=False).report["steps"] == 5


@pytest.mark.parametrize(
    ("task", "values", "best"),
    [(Classification, (0.5, 0.8, 0.7, 0.6), 2), (Errors, (0.5, 0.8, 0.3, 0.6), 3)],
    ids=["higher is better", "lower is better"],
)
def test_the_best_checkpoint_is_saved_when_a_later_one_is_worse(tmp_path, tiny_bert, scripted, task, values, best):
    scripted(*values)
    recipe = made(tiny_bert, task=task(score=("accuracy",)), evaluate_every=1)
    directory = run(recipe, tmp_path, certified=False).directory
    report = report_of(directory)
    assert (report["steps"], report["best_step"]) == (STEPS, best)
    chosen = load_file(checkpoints.at(directory / "checkpoints", best) / checkpoints.PARAMETERS)
    last = load_file(checkpoints.at(directory / "checkpoints", STEPS) / checkpoints.PARAMETERS)
    saved = load_file(directory / "model" / "model.safetensors")
    assert all(torch.equal(saved[name], chosen[name]) for name in chosen)
    assert not all(torch.equal(saved[name], last[name]) for name in last)


def test_the_reported_score_is_that_of_the_best_checkpoint(tmp_path, tiny_bert, scripted):
    scripted(0.5, 0.9, 0.1)
    directory = run(made(tiny_bert, steps=3, evaluate_every=1), tmp_path, certified=False).directory
    texts = [row["text"] for row in reviews(VALIDATION, seed=1)]
    for line, again in zip(lines(directory / "predictions.jsonl"), load(directory)(texts), strict=True):
        assert line["probability"] == pytest.approx(again["probability"], abs=TOLERANCE)


def test_the_first_of_equal_scores_is_the_best(tmp_path, tiny_bert, scripted):
    scripted(0.5, 0.8, 0.8)
    report = run(made(tiny_bert, steps=3, evaluate_every=1), tmp_path, certified=False).report
    assert report["best_step"] == 2


def test_the_newest_checkpoints_and_the_best_are_kept(tmp_path, tiny_bert, scripted):
    scripted(0.9, 0.8)
    recipe = made(tiny_bert, steps=8, evaluate_every=4, save_every=1, keep=3)
    assert kept(run(recipe, tmp_path, certified=False).directory) == [4, 6, 7, 8]


def test_a_best_checkpoint_that_is_beaten_is_not_kept(tmp_path, tiny_bert, scripted):
    scripted(0.5, 0.9, 0.6)
    recipe = made(tiny_bert, steps=6, evaluate_every=2, save_every=1)
    assert kept(run(recipe, tmp_path, certified=False).directory) == [4, 6]


def test_a_fraction_of_an_epoch_ends_within_it(tmp_path, tiny_bert):
    directory = run(made(tiny_bert, steps=None, epochs=1.5), tmp_path, certified=False).directory
    found = steps_of(directory)
    assert len(found) == 5  # three steps an epoch, and a half of three rounded up
    assert found[-1]["epoch"] == pytest.approx(5 / 3)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [({"epochs": 2}, 6), ({"epochs": 2.5}, 8), ({"epochs": 0.01}, 1), ({"epochs": 2, "steps": 4}, 4)],
)
def test_steps_are_those_of_the_epochs_unless_given(settings, steps):
    assert total_steps(Training(batch_size=8, **settings), 20) == steps


def test_every_feature_is_in_one_step_of_an_epoch(confirmed):
    assert sum(line["features"] for line in steps_of(confirmed["full"])[:3]) == ROWS


# What is learned


def test_balanced_weights_are_rows_by_classes_and_rows_of_the_class(tiny_bert):
    task = Classification(score=("accuracy",), class_weights="balanced")
    found = prepare(made(tiny_bert, task=task), "cpu").recipe.task.class_weights
    golds = [row["label"] for row in reviews(ROWS)]
    assert golds.count("bad") > golds.count("good")
    assert found == pytest.approx({name: ROWS / (2 * golds.count(name)) for name in LABELS})


def test_the_loss_of_a_step_is_the_weighted_mean_of_torch(tmp_path, tiny_bert):
    weights = {"bad": 0.5, "good": 3.0}
    task = Classification(score=("accuracy",), class_weights=weights, label_smoothing=0.2)
    recipe = made(tiny_bert, task=task, steps=1, batch_size=ROWS)
    prepared = prepare(recipe, "cpu")
    built = build(recipe.model, prepared.checkpoint, prepared.head, recipe.tuning, 0, 1, False)
    batch = prepared.encoder.batch(prepared.features, range(ROWS), "train")
    with torch.inference_mode():
        output = built.module.eval()(**batch.inputs)
    loss, weight = prepared.recipe.task.loss(output, batch)
    golds = torch.tensor([LABELS.index(row["label"]) for row in reviews(ROWS)])
    losses = torch.nn.functional.cross_entropy(output.logits, golds, reduction="none", label_smoothing=0.2)
    each = torch.tensor([weights[row["label"]] for row in reviews(ROWS)])
    assert float(weight) == pytest.approx(float(each.sum()))
    assert float(loss) == pytest.approx(float((losses * each).sum()), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing_is_that_of_torch(smoothing):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, generator=generator)
    golds = torch.randint(3, (7,), generator=generator)
    batch = Batch({}, {"labels": golds}, torch.ones(7, dtype=torch.float64))
    output = type("Output", (), {"logits": logits})
    task = Classification(labels=("a", "b", "c"), label_smoothing=smoothing)
    loss, weight = task.loss(output, batch)
    expected = torch.nn.functional.cross_entropy(logits, golds, label_smoothing=smoothing)
    assert float(loss / weight) == pytest.approx(float(expected))


def test_label_smoothing_is_felt_by_a_run(tmp_path, tiny_bert, confirmed):
    task = Classification(score=("accuracy",), label_smoothing=0.5)
    directory = run(made(tiny_bert, task=task, steps=1), tmp_path, certified=False).directory
    assert steps_of(directory)[0]["loss"] != pytest.approx(steps_of(confirmed["full"])[0]["loss"], rel=1e-4)


@pytest.mark.parametrize("tuning", [Full(learning_rate=1e-2), LoRA(learning_rate=1e-2)], ids=["full", "lora"])
def test_computing_activations_again_changes_no_gradient(tmp_path, tiny_bert, tuning, monkeypatch):
    """Losses, gradients and so the parameters, with dropout on; and the activations really are computed again."""
    from transformers.models.bert.modeling_bert import BertSelfOutput

    calls, forward = [], BertSelfOutput.forward

    def counted(self, *words, **named):
        calls.append(torch.is_grad_enabled())
        return forward(self, *words, **named)

    monkeypatch.setattr(BertSelfOutput, "forward", counted)
    found, counts = [], []
    for again in (False, True):
        calls.clear()
        recipe = made(tiny_bert, tuning, steps=3, gradient_checkpointing=again)
        directory = run(recipe, tmp_path, certified=False).directory
        found.append(steps_of(directory))
        counts.append(len(calls))
    assert counts[1] == counts[0] + 3 * LAYERS
    for plain, computed_again in zip(*found, strict=True):
        assert computed_again == pytest.approx(plain, rel=1e-5)
        assert plain["gradient_norm"] > 0


# Rows in memory, and going on


class StopAt(Watcher):
    """Presses Ctrl-C at a step."""

    def __init__(self, number: int):
        self.number = number

    def stepped(self, step):
        if step.number == self.number:
            os.kill(os.getpid(), signal.SIGINT)


def stopped(recipe: Recipe, folder: Path, step: int = 2) -> Path:
    """The directory of a run that was stopped."""
    with pytest.raises(Stopped):
        run(recipe, folder, StopAt(step), certified=False)
    (directory,) = (path.parent for path in folder.glob("*/*/report.json"))
    assert report_of(directory) == {"format": 1, "status": "stopped"}
    assert len(steps_of(directory)) == step + 1
    return directory


def as_list() -> object:
    return reviews(ROWS)


def as_columns() -> object:
    rows = reviews(ROWS)
    return {name: [row[name] for row in rows] for name in ("text", "label")}


def as_dataset() -> object:
    from datasets import Dataset

    return Dataset.from_list(reviews(ROWS))


def as_dataset_with_declared_classes() -> object:
    from datasets import ClassLabel, Dataset, Features, Value

    names = ["good", "bad"]  # not in the alphabetical order
    rows = [{**row, "label": names.index(row["label"])} for row in reviews(ROWS)]
    return Dataset.from_list(rows, features=Features({"text": Value("string"), "label": ClassLabel(names=names)}))


def with_columns_that_some_rows_lack() -> object:
    return [{**row, **({"note": "seen"} if number % 2 else {})} for number, row in enumerate(reviews(ROWS))]


def with_whole_and_other_numbers() -> object:
    return [{**row, "price": number if number % 2 else number + 0.5} for number, row in enumerate(reviews(ROWS))]


def with_numbers_of_numpy() -> object:
    return [{**row, "number": number} for number, row in zip(np.arange(ROWS), reviews(ROWS), strict=True)]


@pytest.mark.parametrize(
    "rows",
    [
        as_list,
        as_columns,
        as_dataset,
        as_dataset_with_declared_classes,
        with_columns_that_some_rows_lack,
        with_whole_and_other_numbers,
        with_numbers_of_numpy,
    ],
)
def test_rows_in_memory_are_stored_and_a_stopped_run_goes_on_with_them(tmp_path, tiny_bert, rows):
    recipe = made(tiny_bert, rows=Data.rows(rows(), validation=reviews(VALIDATION, seed=1)))
    directory = stopped(recipe, tmp_path)
    assert {path.name for path in (directory / "data").iterdir()} == {"train.parquet", "validation.parquet"}
    report = resume(directory, certified=False).report
    assert report["steps"] == STEPS
    assert [line["step"] for line in steps_of(directory)] == [1, 2, 3, 4]


def test_declared_classes_keep_their_order(tmp_path, tiny_bert):
    rows = as_dataset_with_declared_classes()
    directory = stopped(made(tiny_bert, rows=Data.rows(rows, holdout=0.25)), tmp_path)
    assert resume(directory, certified=False).report["recipe"]["task"]["labels"] == ["good", "bad"]


def test_a_run_of_python_goes_on_by_running_it_again(tmp_path, tiny_bert):
    recipe = made(tiny_bert)
    directory = stopped(recipe, tmp_path / "stopped")
    again = run(recipe, tmp_path / "stopped", certified=False)
    whole = run(recipe, tmp_path / "whole", certified=False)
    assert again.directory == directory
    assert (directory / "metrics.jsonl").read_bytes() == (whole.directory / "metrics.jsonl").read_bytes()
    assert again.scores == whole.scores


def test_a_run_that_went_on_adds_up_its_seconds(tmp_path, tiny_bert):
    directory = stopped(made(tiny_bert), tmp_path)
    report = resume(directory, certified=False).report
    stretches = lines(directory / "timings.jsonl")
    assert [(line["from_step"], line["to_step"]) for line in stretches] == [(0, 3), (3, STEPS)]
    assert report["seconds"]["training"] == pytest.approx(sum(line["seconds"] for line in stretches), abs=0.01)


def test_a_run_without_a_certificate_is_not_complete(tmp_path, tiny_bert):
    done = run(made(tiny_bert, steps=1), tmp_path, certified=False)
    assert not done.complete
    assert done.report["status"] == "uncertified"
    assert done.report["certificate"] is None


def test_a_result_predicts(tmp_path, tiny_bert):
    done = run(made(tiny_bert, steps=1), tmp_path, certified=False)
    (prediction,) = done.predict(["a good film"])
    assert prediction["predicted"] in LABELS
    assert math.isfinite(prediction["probability"])
