"""Signals, damage, a full disk, changed files: a run ends in words, and goes on to the very same result."""

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file, save_file

import finetune
from finetune import Recipe, catalog, certificate, run
from finetune.cli import COMPLAINT, main
from finetune.driver import Watcher
from finetune.errors import RunError
from finetune.experiment import resume
from finetune.interruption import Stopped
from finetune.recipe import load_recipe
from finetune.run_directory import RunDirectory
from finetune.statistics import resampling
from finetune.training import checkpoint
from tests.support.killed import fingerprint
from tests.support.rows import reviews, write_csv

STEPS, LONG = 12, 200
PATIENCE = 60.0
"""Seconds after which a process that should have got somewhere has failed."""
TELLING = '''"""Classification that tells of every batch it scores."""

import os
from pathlib import Path

from finetune import Classification


class Telling(Classification):
    def predict(self, model, batch):
        with Path(os.environ["TOLD"]).open("a") as file:
            file.write(".")
        return super().predict(model, batch)
'''


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Nothing that a test of this file runs by itself looks at the ends of an interval."""
    monkeypatch.setattr(resampling.bootstrap, "__defaults__", (20, *resampling.bootstrap.__defaults__[1:]))


def write_recipe(folder: Path, model: str, validation: int = 12, **fields) -> Path:
    """Rows and a recipe of them in a folder; returns the recipe's file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder, train=reviews(64), validation=reviews(validation, seed=1))
    usual = {
        "name": "reviews",
        "task": {"type": "classification", "score": ["accuracy"]},
        "data": {"type": "files", "train": "train.csv", "validation": "validation.csv"},
        "model": model,
        "tuning": {"type": "full", "learning_rate": 1e-3},
        "training": {"steps": STEPS, "batch_size": 8, "precision": "fp32"},
    }
    usual["training"] |= {"evaluate_every": 6, "save_every": 2, "keep": 3, **fields.pop("training", {})}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**usual, **fields}), "utf-8")
    return path


def start(*words: str, **more) -> subprocess.Popen[str]:
    """`python -m finetune WORDS` in a process of its own."""
    package = str(Path(finetune.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": package, **more.pop("environment", {})}
    command = [sys.executable, "-m", "finetune", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def freeze_when(process: subprocess.Popen[str], due: Callable[[], bool]) -> None:
    """Let a process stand still as soon as something has come about."""
    end = time.monotonic() + PATIENCE
    while not due():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "nothing came about"
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)


def thaw(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to a process that stands still, and let it go on."""
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)


@dataclass(frozen=True)
class Interrupted:
    """What a run left behind that got a signal, and what became of it.

    Attributes:
        code: Exit code.
        error: What it said on stderr.
        directory: Of the run.
        status: After the signal.
        steps: Lines of steps in the log, after the signal.
        told: Batches scored, where the task tells of them.
        second: Exit code and message of a second start meanwhile.
        final: Fingerprint after it went on to its end.
        whole: Fingerprint of a run without a signal.
    """

    code: int
    error: str
    directory: Path
    status: str
    steps: int
    told: int
    second: tuple[int, str] | None
    final: dict[str, str]
    whole: dict[str, str]


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, error = process.communicate(timeout=PATIENCE)
    return process.returncode, error


def quietly(*words: str) -> tuple[int, str]:
    """Exit code and message of a command within this process."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main(words)
    return code, said.getvalue()


def run_directory(folder: Path) -> RunDirectory:
    (report,) = folder.glob("*/*/report.json")
    return RunDirectory(report.parent)


def steps_logged(directory: RunDirectory) -> list[int]:
    lines = map(json.loads, directory.metrics.read_text("utf-8").splitlines())
    return [line["step"] for line in lines if "loss" in line]


def whole(recipe: Recipe, folder: Path) -> dict[str, str]:
    """The fingerprint of a run that nothing interrupted."""
    return fingerprint(RunDirectory(run(recipe, folder, certified=False).directory))


@pytest.fixture(scope="module")
def long(tmp_path_factory, tiny_bert) -> tuple[Path, dict[str, str]]:
    """The file of a longer recipe, and the fingerprint of its run without any interruption."""
    folder = tmp_path_factory.mktemp("long")
    settings = {"steps": LONG, "save_every": 10, "evaluate_every": LONG // 2}
    path = write_recipe(folder, tiny_bert, training=settings)
    return path, whole(load_recipe(str(path)), folder / "whole")


@pytest.fixture(scope="module", params=[signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def in_training(request, tmp_path_factory, long) -> tuple[Interrupted, int]:
    """Interrupted in training, while a second start was refused; then gone on with. And the signal."""
    path, expected = long
    runs = tmp_path_factory.mktemp("training")
    process = start("run", str(path), "--directory", str(runs))
    freeze_when(process, lambda: any(int(found.name[5:13]) >= 20 for found in runs.glob("*/*/checkpoints/step-*")))
    second = quietly("run", str(path), "--directory", str(runs))
    thaw(process, request.param)
    code, error = ended(process)
    directory = run_directory(runs)
    status, steps = directory.status, len(steps_logged(directory))
    resume(directory.path, certified=False)
    final = fingerprint(directory)
    return Interrupted(code, error, directory.path, status, steps, 0, second, final, expected), request.param


def test_a_signal_in_training_gives_the_exit_code_a_shell_expects(in_training):
    stopped, number = in_training
    assert stopped.code == 128 + number


def test_a_signal_in_training_says_how_to_go_on(in_training):
    stopped, _ = in_training
    assert f"Stopped after step {stopped.steps} of {LONG}; everything is saved." in stopped.error
    assert f"Go on with: finetune run {stopped.directory}" in stopped.error
    assert "Traceback" not in stopped.error


def test_a_signal_in_training_leaves_a_stopped_run(in_training):
    stopped, _ = in_training
    assert stopped.status == "stopped"
    assert 20 <= stopped.steps < LONG


def test_a_run_stopped_in_training_goes_on_to_the_same_end(in_training):
    stopped, _ = in_training
    assert stopped.final == stopped.whole


def test_a_second_start_is_refused_in_words(in_training):
    stopped, _ = in_training
    code, error = stopped.second
    assert code == COMPLAINT
    assert f"{stopped.directory} is in use by another process" in error


@pytest.fixture(scope="module")
def in_scoring(tmp_path_factory, tiny_bert) -> Interrupted:
    """Ctrl-C in the middle of the first scoring; then gone on with."""
    folder = tmp_path_factory.mktemp("scoring")
    task = {"type": "telling:Telling", "score": ["accuracy"]}
    settings = {"steps": 4, "evaluate_every": 2, "batch_tokens": 64}
    path = write_recipe(folder, tiny_bert, validation=300, task=task, training=settings)
    code_file, told, runs = folder / "telling.py", folder / "told", folder / "runs"
    code_file.write_text(TELLING, "utf-8")
    process = start(
        "run", str(path), "--code", str(code_file), "--directory", str(runs), environment={"TOLD": str(told)}
    )
    freeze_when(process, lambda: told.exists() and told.stat().st_size >= 10)
    thaw(process, signal.SIGINT)
    code, error = ended(process)
    directory, count = run_directory(runs), told.stat().st_size
    status, steps = directory.status, len(steps_logged(directory))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOLD", str(folder / "told later"))
        catalog.execute(code_file)
        resume(directory.path, certified=False)
        expected = whole(load_recipe(str(path)), folder / "whole")
    return Interrupted(code, error, directory.path, status, steps, count, None, fingerprint(directory), expected)


def test_a_signal_in_scoring_does_not_wait_for_its_end(in_scoring):
    assert 10 <= in_scoring.told < 50  # of more than 50 batches
    assert in_scoring.steps == 2


def test_a_signal_in_scoring_says_how_to_go_on(in_scoring):
    assert in_scoring.code == 130
    assert f"Go on with: finetune run {in_scoring.directory}" in in_scoring.error
    assert in_scoring.status == "stopped"


def test_a_run_stopped_in_scoring_goes_on_to_the_same_end(in_scoring):
    assert in_scoring.final == in_scoring.whole


class PressCtrlC(Watcher):
    """Sends SIGINT to this process at a step, or at a note that begins with some words."""

    def __init__(self, step: int = -1, note: str = "no such note"):
        self.step = step
        self.words = note

    def stepped(self, step):
        if step.number == self.step:
            os.kill(os.getpid(), signal.SIGINT)

    def note(self, text):
        if text.startswith(self.words):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)  # Python handles it between two instructions


@pytest.fixture(scope="module")
def usual(tmp_path_factory, tiny_bert) -> tuple[Path, dict[str, str]]:
    """The file of a short recipe, and the fingerprint of its run without any interruption."""
    folder = tmp_path_factory.mktemp("usual")
    path = write_recipe(folder, tiny_bert)
    return path, whole(load_recipe(str(path)), folder / "whole")


def stopped_at(path: Path, runs: Path, step: int) -> RunDirectory:
    """A run that noticed Ctrl-C one step after this one."""
    with pytest.raises(Stopped):
        run(load_recipe(str(path)), runs, PressCtrlC(step), certified=False)
    return run_directory(runs)


def begun_at(directory: RunDirectory) -> list[int]:
    """The step after which each stretch of work began."""
    return [json.loads(line)["from_step"] for line in directory.timings.read_text("utf-8").splitlines()]


def test_ctrl_c_in_the_last_scoring_says_how_to_go_on(tmp_path, usual):
    path, _ = usual
    with pytest.raises(KeyboardInterrupt) as caught:
        run(load_recipe(str(path)), tmp_path, PressCtrlC(note="Scoring"), certified=False)
    assert f"finetune run {run_directory(tmp_path).path}" in str(caught.value)


def test_a_run_stopped_in_the_last_scoring_goes_on_to_the_same_end(tmp_path, usual):
    path, expected = usual
    with pytest.raises(KeyboardInterrupt):
        run(load_recipe(str(path)), tmp_path, PressCtrlC(note="Scoring"), certified=False)
    directory = run_directory(tmp_path)
    assert not directory.model.exists()
    resume(directory.path, certified=False)
    assert fingerprint(directory) == expected


@pytest.mark.parametrize("step", [1, 7, STEPS - 1, STEPS])
def test_a_run_stopped_at_any_step_goes_on_to_the_same_end(tmp_path, usual, step):
    path, expected = usual
    directory = stopped_at(path, tmp_path, step)
    resume(directory.path, certified=False)
    assert fingerprint(directory) == expected


# Damaged checkpoints


def cut(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-7])


def flip(folder: Path, name: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def delete(folder: Path, name: str) -> None:
    (folder / name).unlink()


FILES = (checkpoint.PARAMETERS, checkpoint.OPTIMIZER, checkpoint.STATE, checkpoint.CHECKSUMS)
DAMAGES = [
    *((cut, name) for name in FILES),
    (flip, checkpoint.PARAMETERS),
    (flip, checkpoint.OPTIMIZER),
    (delete, checkpoint.OPTIMIZER),
    (delete, checkpoint.CHECKSUMS),
]


@pytest.fixture(scope="module")
def half(tmp_path_factory, usual) -> RunDirectory:
    """A run stopped after step 8, with checkpoints of steps 4, 6 and 8."""
    directory = stopped_at(usual[0], tmp_path_factory.mktemp("half"), 7)
    names = sorted(path.name for path in directory.checkpoints.iterdir())
    assert names == ["step-00000004", "step-00000006", "step-00000008"]
    return directory


def copy_of(directory: RunDirectory, folder: Path) -> RunDirectory:
    return RunDirectory(Path(shutil.copytree(directory.path, folder / "copy")))


@pytest.mark.parametrize(("damage", "name"), DAMAGES, ids=[f"{d.__name__} {name}" for d, name in DAMAGES])
def test_a_damaged_checkpoint_is_passed_over_to_the_same_end(tmp_path, usual, half, damage, name):
    directory = copy_of(half, tmp_path)
    damage(directory.checkpoints / "step-00000008", name)
    resume(directory.path, certified=False)
    assert begun_at(directory) == [0, 6]
    assert steps_logged(directory) == list(range(1, STEPS + 1))
    assert fingerprint(directory) == usual[1]


def test_an_unfinished_checkpoint_is_never_picked_up(tmp_path, usual, half):
    directory = copy_of(half, tmp_path)
    newest = directory.checkpoints / "step-00000008"
    newest.rename(newest.with_name(newest.name + checkpoint.UNFINISHED))
    resume(directory.path, certified=False)
    assert begun_at(directory) == [0, 6]
    assert fingerprint(directory) == usual[1]


def test_with_every_checkpoint_damaged_it_starts_again_to_the_same_end(tmp_path, usual, half):
    directory = copy_of(half, tmp_path)
    for path in directory.checkpoints.iterdir():
        cut(path, checkpoint.PARAMETERS)
    resume(directory.path, certified=False)
    assert begun_at(directory) == [0, 0]
    assert fingerprint(directory) == usual[1]


def test_what_is_written_after_a_damaged_checkpoint_survives(tmp_path, tiny_bert):
    """The damaged one stands for no place among those that are kept."""
    path = write_recipe(tmp_path, tiny_bert, training={"keep": 1, "save_every": 1, "evaluate_every": 4})
    directory = stopped_at(path, tmp_path / "runs", 6)
    cut(directory.checkpoints / "step-00000007", checkpoint.PARAMETERS)
    with pytest.raises(Stopped):
        resume(directory.path, PressCtrlC(5), certified=False)
    assert checkpoint.latest(directory.checkpoints) == directory.checkpoints / "step-00000006"


def test_a_damaged_best_checkpoint_is_named(tmp_path, tiny_bert):
    path = write_recipe(tmp_path, tiny_bert, training={"steps": 6, "keep": 1, "evaluate_every": 2})
    made = load_recipe(str(path)).override("tuning.learning_rate=1e-9")  # no scoring is better than the first
    with pytest.raises(KeyboardInterrupt):
        run(made, tmp_path / "runs", PressCtrlC(note="Scoring"), certified=False)
    directory = run_directory(tmp_path / "runs")
    cut(directory.checkpoints / "step-00000002", checkpoint.PARAMETERS)
    with pytest.raises(RunError, match=r"step-00000002 is missing or damaged; delete .*checkpoints to train again"):
        resume(directory.path, certified=False)
    shutil.rmtree(directory.checkpoints)
    assert resume(directory.path, certified=False).report["best_step"] == 2


# What a run depends on has changed


@pytest.fixture
def waiting(tmp_path, tiny_bert) -> RunDirectory:
    """A stopped run with files and a checkpoint of its own beside it, which a test may change."""
    model = shutil.copytree(tiny_bert, tmp_path / "model")
    path = write_recipe(tmp_path, str(model))
    return stopped_at(path, tmp_path / "runs", 2)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_changed_file_is_named(waiting, tmp_path, split):
    path = tmp_path / f"{split}.csv"
    path.write_text(path.read_text("utf-8").replace("label\n", "label\na", 1), "utf-8")
    code, error = quietly("run", str(waiting.path))
    assert code == COMPLAINT
    assert f"cannot go on, because what it depends on has changed: data.{split} was" in error


def test_a_changed_checkpoint_is_named(waiting, tmp_path):
    weights = load_file(tmp_path / "model" / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, tmp_path / "model" / "model.safetensors", {"format": "pt"})
    code, error = quietly("run", str(waiting.path))
    assert code == COMPLAINT
    assert "what it depends on has changed: model.checkpoint was" in error


def test_a_refused_run_is_left_as_it_was(waiting, tmp_path):
    before = {path: path.read_bytes() for path in waiting.path.rglob("*") if path.is_file()}
    path = tmp_path / "train.csv"
    path.write_text(path.read_text("utf-8") + "a good film,good\n", "utf-8")
    assert quietly("run", str(waiting.path))[0] == COMPLAINT
    assert {path: path.read_bytes() for path in waiting.path.rglob("*") if path.is_file()} == before


def test_the_recipe_on_a_changed_file_is_a_new_run(waiting, tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(path.read_text("utf-8") + "a good film,good\n", "utf-8")
    other = run(load_recipe(str(tmp_path / "recipe.yaml")), tmp_path / "runs", certified=False)
    assert other.directory != waiting.path
    assert waiting.status == "stopped"


# A full disk


def one_byte_less_than(folder: Path, name: str) -> int:
    """Bytes that a file may have at most, so that this one cannot be written again and smaller ones can."""
    return (folder / name).stat().st_size - 1


def on_a_full_disk(directory: RunDirectory, most: int) -> tuple[int, str]:
    """Go on where no file can grow beyond so many bytes; Python ignores SIGXFSZ, so that the write fails."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    return ended(start("run", str(directory.path), preexec_fn=limit))


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory, half) -> tuple[RunDirectory, int, str]:
    """A run that went on until the disk was full, its exit code and message."""
    directory = copy_of(half, tmp_path_factory.mktemp("full"))
    most = one_byte_less_than(directory.checkpoints / "step-00000008", checkpoint.OPTIMIZER)
    return directory, *on_a_full_disk(directory, most)


def test_a_full_disk_ends_in_one_clear_message(full_disk):
    _, code, error = full_disk
    assert code == COMPLAINT
    heading, problem = error.strip().splitlines()
    assert heading == RunError.heading
    assert "step-00000010" in problem and "cannot be written" in problem
    assert "make room" in problem


def test_a_full_disk_leaves_earlier_checkpoints_whole(full_disk):
    directory, _, _ = full_disk
    assert checkpoint.latest(directory.checkpoints) == directory.checkpoints / "step-00000008"
    assert not list(directory.checkpoints.glob(f"*{checkpoint.UNFINISHED}"))


def test_after_room_was_made_it_goes_on_to_the_same_end(tmp_path, full_disk, usual):
    directory = copy_of(full_disk[0], tmp_path)
    resume(directory.path, certified=False)
    assert begun_at(directory) == [0, 8, 8]
    assert fingerprint(directory) == usual[1]


@pytest.fixture(scope="module")
def full_at_the_end(tmp_path_factory, half) -> tuple[RunDirectory, int, str]:
    """A trained run that could not write its model again, its exit code and message; within this process."""
    directory = copy_of(half, tmp_path_factory.mktemp("end"))
    resume(directory.path, certified=False)
    shutil.copytree(directory.model, directory.path / "model before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (one_byte_less_than(directory.model, "model.safetensors"), before[1]))
    try:
        return directory, *quietly("run", str(directory.path))
    except Exception as error:  # what no command should let through
        return directory, 1, f"Traceback: {type(error).__name__}: {error}"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_too_full_for_the_model_ends_in_one_clear_message(full_at_the_end):
    _, code, error = full_at_the_end
    assert "Traceback" not in error
    assert code == COMPLAINT


def test_a_disk_too_full_for_the_model_leaves_the_one_before(full_at_the_end):
    directory, _, _ = full_at_the_end
    before = {path.name: path.read_bytes() for path in (directory.path / "model before").iterdir()}
    assert {path.name: path.read_bytes() for path in directory.model.iterdir()} == before


# No number


def test_a_loss_that_is_no_number_ends_in_words(tmp_path, usual):
    code, error = quietly("run", str(usual[0]), "tuning.learning_rate=1e30", "--directory", str(tmp_path))
    assert code == COMPLAINT
    assert "training has diverged. Lower tuning.learning_rate" in error


def test_a_model_without_numbers_after_its_last_step_is_not_scored(tmp_path, usual):
    """Its predictions would all be the first class, which may well be the right one."""
    made = load_recipe(str(usual[0])).override("tuning.learning_rate=1e30", "training.steps=1")
    with pytest.raises(RunError, match="diverged"):
        run(made, tmp_path, certified=False)


# A saved model that is not the one that was trained


def change_one_weight(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    weights["classifier.weight"][0, 0] += 1
    save_file(weights, model / "model.safetensors", {"format": "pt"})


def change_config(model: Path, change: Callable[[dict], None]) -> None:
    path = model / "config.json"
    config = json.loads(path.read_text("utf-8"))
    change(config)
    path.write_text(json.dumps(config), "utf-8")


def delete_a_label(model: Path) -> None:
    change_config(model, lambda config: config["id2label"].pop("1"))


def exchange_labels(model: Path) -> None:
    change_config(model, lambda config: config.update(id2label={"0": "good", "1": "bad"}))


def change_the_vocabulary(model: Path) -> None:
    path = model / "tokenizer.json"
    known = reviews(12, seed=1)[0]["text"].split()[0]
    path.write_text(path.read_text("utf-8").replace(f'"{known}"', '"other"'), "utf-8")


def delete_the_tokenizer(model: Path) -> None:
    (model / "tokenizer.json").unlink()


def cut_the_weights(model: Path) -> None:
    cut(model, "model.safetensors")


def leave(model: Path) -> None:
    """Change nothing."""


TAMPERINGS = [change_one_weight, exchange_labels, change_the_vocabulary, delete_the_tokenizer]
"""The fresh process can load these, or says why it does not."""
RUINS = [cut_the_weights, delete_a_label]
"""At these the library that loads the model gives up."""


@pytest.fixture(scope="module")
def certified(tmp_path_factory, half) -> RunDirectory:
    """A complete run."""
    directory = copy_of(half, tmp_path_factory.mktemp("certified"))
    assert resume(directory.path).complete
    return directory


@dataclass(frozen=True)
class Examined:
    """What `finetune certify` made of a run.

    Attributes:
        code: Exit code of the command.
        line: What it printed of this run.
        report: The run's report afterwards.
        card: The model's card afterwards.
    """

    code: int
    line: str
    report: dict
    card: str


def examined(certified: RunDirectory, folder: Path, tamperings: list) -> dict[str, Examined]:
    """Copies of a complete run, each tampered with in its own way, examined by one command."""
    copies = {}
    for tampering in tamperings:
        copies[tampering.__name__] = copy_of(certified, folder / tampering.__name__)
        tampering(copies[tampering.__name__].model)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        code = main(["certify", *(str(directory.path) for directory in copies.values())])
    lines = said.getvalue().splitlines()
    return {
        name: Examined(
            code,
            next(line for line in lines if line.startswith(f"{copy.path}:")),
            copy.read_report(),
            (copy.model / "README.md").read_text("utf-8"),
        )
        for name, copy in copies.items()
    }


@pytest.fixture(scope="module")
def tampered(tmp_path_factory, certified) -> dict[str, Examined]:
    return examined(certified, tmp_path_factory.mktemp("tampered"), [*TAMPERINGS, *RUINS, leave])


def check_refusal(found: Examined) -> None:
    assert found.code == 1
    assert found.report["status"] == "uncertified"
    assert found.report["certificate"]["holds"] is False
    assert found.report["certificate"]["reasons"]
    assert "uncertified" in found.line
    assert all(reason in found.line for reason in found.report["certificate"]["reasons"])


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_a_model_that_was_tampered_with_is_not_confirmed(tampered, tampering):
    check_refusal(tampered[tampering.__name__])


@pytest.mark.parametrize("tampering", RUINS)
def test_a_model_that_cannot_be_loaded_is_not_confirmed(tampered, tampering):
    check_refusal(tampered[tampering.__name__])


@pytest.mark.parametrize(
    ("tampering", "reason"),
    [
        (change_one_weight, "the logits differ by up to"),
        (change_the_vocabulary, "the saved tokenizer gives other input_ids"),
    ],
)
def test_the_reason_says_what_is_not_the_same(tampered, tampering, reason):
    assert any(reason in text for text in tampered[tampering.__name__].report["certificate"]["reasons"])


def test_an_untouched_model_after_all_of_them_is_confirmed(tampered):
    assert tampered["leave"].report["status"] == "complete"
    assert tampered["leave"].report["certificate"]["holds"] is True
    assert tampered["leave"].line.endswith(": complete")


def test_a_fresh_process_that_dies_confirms_nothing(tmp_path, certified, monkeypatch):
    """Whatever an earlier one confirmed."""
    directory = copy_of(certified, tmp_path)
    monkeypatch.setattr(certificate.sys, "executable", shutil.which("false"))
    assert quietly("certify", str(directory.path))[0] == 1
    assert directory.status == "uncertified"
    assert directory.read_report()["certificate"]["reasons"] == ["the fresh process failed: exit code 1"]


def test_a_model_that_is_no_longer_confirmed_has_a_card_that_says_so(tampered):
    assert "NOT CONFIRMED by a fresh process: the logits differ" in tampered["change_one_weight"].card
