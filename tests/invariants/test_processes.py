"""A run in two processes, started as a user does, is the run of one process; killed, it goes on to the same end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml
from safetensors.torch import load_file

from finetune import catalog, run
from finetune.cli import COMPLAINT, main
from finetune.compute import compute
from finetune.errors import RunError
from finetune.recipe import load_recipe
from finetune.run_directory import RunDirectory
from finetune.training import checkpoint
from tests.support.killed import fingerprint
from tests.support.launch import ROOT, two_processes
from tests.support.rows import reviews, write_csv

STEPS = 24
LIMIT = 1e-5
"""Largest difference of a parameter and of a loss in fp32: sums over processes are rounded in another order."""
WINDOWS = '''"""The windows task of the tests, as a file of a user's own."""

from tests.support.toy_tasks import WindowedClassification


class Windows(WindowedClassification):
    """A class of this very file."""
'''


def write_recipe(folder: Path, model: str, **fields) -> Path:
    """Rows, a checkpoint without dropout and a recipe of them; returns the recipe's file."""
    shutil.copytree(model, folder / "model")
    config = json.loads((folder / "model" / "config.json").read_text("utf-8"))
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "model" / "config.json").write_text(json.dumps(config), "utf-8")
    write_csv(folder, train=reviews(61), validation=reviews(21, seed=1))
    usual = {
        "name": "reviews",
        "task": {"type": "classification", "score": ["accuracy"]},
        "data": {"type": "files", "train": "train.csv", "validation": "validation.csv"},
        "model": "./model",
        "tuning": {"type": "full", "learning_rate": 1e-3},
        "training": {"steps": STEPS, "batch_size": 8, "batch_tokens": 32, "precision": "fp32", "save_every": 2},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**usual, **fields}), "utf-8")
    return path


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        directory: Where it lies.
        output: What the launcher and all its processes wrote on stdout; empty for a run of this process.
    """

    directory: RunDirectory
    output: str = ""

    @property
    def parameters(self) -> dict:
        """After the last step."""
        return load_file(checkpoint.at(self.directory.checkpoints, STEPS) / checkpoint.PARAMETERS)

    def lines(self, name: str) -> list[dict]:
        """Of a JSON-lines file."""
        return [json.loads(line) for line in (self.directory.path / name).read_text("utf-8").splitlines()]


def only(folder: Path) -> RunDirectory:
    (report,) = folder.glob("*/*/report.json")
    return RunDirectory(report.parent)


def of_two(path: Path, runs: Path, *words: str) -> Run:
    done = two_processes("finetune", "run", str(path), "--directory", str(runs), *words)
    assert done.returncode == 0, done.stderr[-3000:]
    return Run(only(runs), done.stdout)


@pytest.fixture(scope="module")
def path(tmp_path_factory, tiny_bert) -> Path:
    return write_recipe(tmp_path_factory.mktemp("plain"), tiny_bert)


@pytest.fixture(scope="module")
def two(path, tmp_path_factory) -> Run:
    return of_two(path, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def one(path, tmp_path_factory) -> Run:
    return Run(RunDirectory(run(load_recipe(str(path)), tmp_path_factory.mktemp("one"), certified=False).directory))


@pytest.fixture(scope="module")
def windows(tmp_path_factory, tiny_bert) -> tuple[Run, Run]:
    """Rows of several windows, by a task of a user's own file: in two processes and in one."""
    folder = tmp_path_factory.mktemp("windows")
    path = write_recipe(folder, tiny_bert, task={"type": "windows:Windows", "score": ["accuracy"]})
    code = folder / "windows.py"
    code.write_text(WINDOWS, "utf-8")
    both = of_two(path, folder / "two", "--code", str(code))
    catalog.execute(code)
    alone = run(load_recipe(str(path)), folder / "one", certified=False)
    return both, Run(RunDirectory(alone.directory))


def check_same_parameters(first: Run, second: Run) -> None:
    assert first.parameters.keys() == second.parameters.keys()
    for name, value in first.parameters.items():
        assert float((value - second.parameters[name]).abs().max()) <= LIMIT, name


def check_same_log(first: Run, second: Run) -> None:
    found = [run.lines("metrics.jsonl") for run in (first, second)]
    assert len(found[0]) == len(found[1]) > STEPS
    for line, other in zip(*found, strict=True):
        assert line == pytest.approx(other, abs=LIMIT) if "loss" in line else line == other


def check_same_predictions(first: Run, second: Run) -> None:
    found = [run.lines("predictions.jsonl") for run in (first, second)]
    assert len(found[0]) == 21
    for line, other in zip(*found, strict=True):
        assert line.pop("probabilities") == pytest.approx(other.pop("probabilities"), abs=LIMIT)
        assert line.pop("probability") == pytest.approx(other.pop("probability"), abs=LIMIT)
        assert line == other


def test_a_run_in_two_processes_is_complete(two):
    report = two.directory.read_report()
    assert (report["status"], report["processes"]) == ("complete", 2)
    assert report["certificate"]["reasons"] == []


def test_two_processes_leave_one_run_directory_with_one_report(two):
    assert len(list(two.directory.path.parents[1].glob("*/*"))) == 1
    assert [line["step"] for line in two.lines("metrics.jsonl") if "loss" in line] == list(range(1, STEPS + 1))
    assert len(two.lines("timings.jsonl")) == 1


def test_only_one_of_two_processes_speaks(two):
    assert two.output.count("Run directory:") == 1
    assert two.output.count("95 % interval") == 1
    assert "This run is finished" not in two.output


def test_the_directory_is_that_of_one_process(two, one):
    assert two.directory.path.name == one.directory.path.name


def test_parameters_after_two_processes_are_those_of_one(two, one):
    check_same_parameters(two, one)


def test_losses_and_scores_of_two_processes_are_those_of_one(two, one):
    check_same_log(two, one)


def test_predictions_of_two_processes_are_those_of_one(two, one):
    check_same_predictions(two, one)


def test_training_moved_the_parameters(one, path):
    """Else the comparisons above would see nothing."""
    before = load_file(path.parent / "model" / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    assert float((one.parameters[f"bert.{name}"] - before[name]).abs().max()) > 100 * LIMIT


def test_a_windows_task_of_a_file_is_complete_in_two_processes(windows):
    report = windows[0].directory.read_report()
    assert (report["status"], report["processes"]) == ("complete", 2)
    assert report["rows"]["validation"]["features"] > report["rows"]["validation"]["rows"]


def test_parameters_of_the_windows_task_are_those_of_one_process(windows):
    check_same_parameters(*windows)


def test_losses_and_scores_of_the_windows_task_are_those_of_one_process(windows):
    check_same_log(*windows)


def test_predictions_of_the_windows_task_are_those_of_one_process(windows):
    check_same_predictions(*windows)


def kill_after(path: Path, runs: Path, step: int) -> None:
    """Start the recipe in two processes, and kill -9 all of them as soon as a checkpoint of a step is there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", port]
    command = [*launcher, "-m", "finetune", "run", str(path), "--directory", str(runs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.monotonic() + 100

    def saved() -> Iterator[Path]:
        return runs.glob("*/*/checkpoints/step-*")

    while not any(path.name >= f"step-{step:08d}" and path.suffix != checkpoint.UNFINISHED for path in saved()):
        assert process.poll() is None, process.stderr.read().decode()[-3000:]
        assert time.monotonic() < end, "no checkpoint came"
        time.sleep(0.002)
    everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in everyone:
        member.send_signal(signal.SIGSTOP)  # so that none of them ends the run in the meantime
    for member in everyone:
        member.kill()
    process.wait()
    process.stderr.close()


@pytest.fixture(scope="module")
def killed(path, tmp_path_factory) -> tuple[Run, int]:
    """A run of two processes, killed and gone on with by two, and the step of the checkpoint that it went on from."""
    runs = tmp_path_factory.mktemp("killed")
    kill_after(path, runs, 6)
    directory = only(runs)
    assert directory.status == "running"
    begun = checkpoint.position(checkpoint.latest(directory.checkpoints)).step
    return of_two(path, runs), begun


def test_a_killed_run_of_two_processes_goes_on_after_its_checkpoint(killed):
    done, begun = killed
    assert 6 <= begun < STEPS
    assert [line["from_step"] for line in done.lines("timings.jsonl")] == [begun]
    assert f"Going on after step {begun} of {STEPS}" in done.output


def test_a_killed_run_of_two_processes_ends_bit_identical(killed, two):
    assert fingerprint(killed[0].directory) == fingerprint(two.directory)


def test_a_killed_run_of_two_processes_is_complete(killed):
    assert killed[0].directory.read_report()["status"] == "complete"


def test_processes_that_did_not_join_are_missed(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match=r"asked for 2 processes, but 1 joined.*torchrun --nproc_per_node N"):
        compute("fp32")


def test_processes_that_did_not_join_stop_the_command(monkeypatch, tmp_path, path, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["run", str(path), "--directory", str(tmp_path)]) == COMPLAINT
    assert "the launcher asked for 2 processes, but 1 joined" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
