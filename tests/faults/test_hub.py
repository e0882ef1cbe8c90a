"""The Hub as a run meets it: there, gone, never there, asked for what it does not have, and not to be asked at all."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load, save

import finetune
from tests.support.hub_server import HubServer, Repository

NAMES = ("poor", "fine")
"""Of the classes, in the order of their ids: not the alphabetical one."""
OPINIONS = ("a dull film and a bad end", "a lively film and a good end")
ROWS = {"train": 16, "validation": 8, "test": 4}
CARD = {
    "configs": [
        {
            "config_name": "default",
            "data_files": [{"split": split, "path": f"data/{split}.csv"} for split in ROWS],
        }
    ],
    "dataset_info": {
        "features": [
            {"name": "text", "dtype": "string"},
            {"name": "label", "dtype": {"class_label": {"names": {str(i): name for i, name in enumerate(NAMES)}}}},
        ]
    },
}
RECIPE = {
    "name": "reviews",
    "task": {"type": "classification"},
    "data": {"type": "hub", "id": "tiny/reviews"},
    "model": "tiny/bert",
    "training": {"steps": 2, "batch_size": 4},
}
OTHER_COMMIT = "0123456789" * 4


def table(split: str, labels: Sequence[object]) -> str:
    """A CSV file in which rows of both classes take turns; `labels` is how the file writes the two classes."""
    rows = (f"{OPINIONS[row % 2]} {row},{labels[row % 2]}\n" for row in range(ROWS[split]))
    return "text,label\n" + "".join(rows)


def reviews() -> Repository:
    """The data set as the Hub has it: ids of classes, whose names stand in the card, and hidden test labels."""
    card = f"---\n{yaml.safe_dump(CARD)}---\n# Reviews\n"
    files = {f"data/{split}.csv": table(split, (-1, -1) if split == "test" else (0, 1)) for split in ROWS}
    return Repository(
        "datasets", "tiny/reviews", {name: text.encode() for name, text in [("README.md", card), *files.items()]}
    )


def checkpoint_repository(name: str, folder: str, factor: float = 1) -> Repository:
    """A checkpoint's folder as a repository, its weights multiplied."""
    files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    weights = load(files["model.safetensors"])
    files["model.safetensors"] = save({key: value * factor for key, value in weights.items()}, {"format": "pt"})
    return Repository("models", name, files)


@dataclass(frozen=True)
class Outcome:
    """What one `finetune run` left behind."""

    code: int
    errors: str
    directories: list[Path]

    @property
    def directory(self) -> Path:
        """The run directory."""
        assert self.code == 0, self.errors
        (directory,) = self.directories
        return directory

    @property
    def report(self) -> dict:
        return json.loads((self.directory / "report.json").read_text("utf-8"))

    @property
    def identity(self) -> dict:
        return json.loads((self.directory / "identity.json").read_text("utf-8"))

    @property
    def complaint(self) -> str:
        """The one line below the heading."""
        assert self.code == 2, (self.code, self.errors)
        heading, *lines = self.errors.strip().splitlines()
        assert heading.endswith(":")
        (line,) = lines
        return line.strip()


def run(folder: Path, endpoint: str, home: Path, *assignments: str) -> Outcome:
    """`finetune run` of the recipe in a process of its own, which knows the Hub by `endpoint` only.

    Args:
        folder: Of recipe and results.
        endpoint: The Hub's address.
        home: Where the libraries keep what they downloaded.
        assignments: Changes to the recipe.
    """
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE), "utf-8")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment = {name: value for name, value in ours.items() if not name.lower().endswith("_proxy")}
    environment |= {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "FINETUNE_CACHE": str(home / "finetune"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(Path(finetune.__file__).parents[1]), ours.get("PYTHONPATH")))),
    }
    done = subprocess.run(
        [sys.executable, "-m", "finetune", "run", str(recipe), *assignments, "--directory", str(folder / "runs")],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Outcome(done.returncode, done.stderr, list((folder / "runs").glob("*/*/")))


@pytest.fixture(scope="module")
def bert(tiny_bert) -> Repository:
    return checkpoint_repository("tiny/bert", tiny_bert)


@pytest.fixture(scope="module")
def hub(bert, tiny_bert):
    """A Hub that stays up."""
    with HubServer([bert, checkpoint_repository("tiny/other", tiny_bert, factor=2), reviews()]) as server:
        yield server


@pytest.fixture(scope="module")
def gone(bert):
    """A Hub that `served` ran from, and that is no longer there for anyone who asks afterwards."""
    return HubServer([bert, reviews()])


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The local cache that `served` filled."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def served(tmp_path_factory, gone, home) -> Outcome:
    """A run with everything from the Hub, which then stops."""
    with gone:
        return run(tmp_path_factory.mktemp("served"), gone.endpoint, home)


@pytest.fixture(scope="module")
def unserved(tmp_path_factory, served, gone, home) -> Outcome:
    """The same run in another directory, after the Hub was stopped."""
    return run(tmp_path_factory.mktemp("unserved"), gone.endpoint, home)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """The labelled files of the data set in a folder, classes by name."""
    folder = tmp_path_factory.mktemp("files")
    for split in ("train", "validation"):
        (folder / f"{split}.csv").write_text(table(split, NAMES), "utf-8")
    return folder


@pytest.fixture(scope="module")
def half_local(tmp_path_factory, hub, files) -> tuple[Outcome, list[str]]:
    """A run with rows from a folder and another checkpoint of the Hub, and what the Hub was asked for."""
    before = len(hub.requests)
    folder = tmp_path_factory.mktemp("half_local")
    outcome = run(folder, hub.endpoint, folder / "home", f"data.path={files}", "model=tiny/other")
    return outcome, hub.requests[before:]


def test_a_run_from_the_hub_is_completed_and_certified(served):
    report = served.report
    assert (report["status"], report["steps"], report["certificate"]["holds"]) == ("complete", 2, True)


def test_the_report_has_the_commit_of_the_data_set(served):
    assert served.report["revisions"]["tiny/reviews"] == reviews().commit


def test_the_report_has_the_commit_of_the_checkpoint(served, bert):
    assert served.report["revisions"]["model"] == bert.commit


def test_names_of_classes_come_from_the_card_of_the_data_set(served):
    assert set(served.report["recipe"]["task"]["labels"]) == set(NAMES)


def test_hidden_labels_leave_the_test_split_without_labels(served):
    rows = served.report["rows"]
    assert {name: counts["rows"] for name, counts in rows.items()} == ROWS
    assert {name for name, counts in rows.items() if "features" in counts} == {"train", "validation"}


def test_without_the_hub_the_local_cache_gives_the_same_run(served, unserved):
    assert unserved.report["status"] == "complete"
    assert unserved.identity == served.identity
    assert unserved.report["scores"] == served.report["scores"]


def test_without_the_hub_the_report_has_the_same_commits(served, unserved):
    assert unserved.report["revisions"] == served.report["revisions"]


def test_without_the_hub_the_libraries_say_nothing_of_their_own(unserved):
    assert unserved.code == 0
    assert unserved.errors == ""


def test_without_the_hub_another_revision_of_a_cached_data_set_is_refused(tmp_path, served, gone, home):
    complaint = run(tmp_path, gone.endpoint, home, f"data.revision={OTHER_COMMIT}").complaint
    assert "'tiny/reviews'" in complaint
    assert gone.endpoint in complaint


def test_without_the_hub_and_without_a_cache_the_data_set_and_the_address_are_named(tmp_path, served, gone):
    complaint = run(tmp_path, gone.endpoint, tmp_path / "home").complaint
    assert "'tiny/reviews'" in complaint
    assert f"{gone.endpoint} cannot be reached" in complaint


def test_without_the_hub_and_without_a_cache_the_checkpoint_and_the_address_are_named(tmp_path, served, gone, files):
    complaint = run(tmp_path, gone.endpoint, tmp_path / "home", f"data.path={files}").complaint
    assert "'tiny/bert'" in complaint
    assert f"{gone.endpoint} cannot be reached" in complaint


def test_a_data_set_that_the_hub_does_not_have_is_named(tmp_path, hub, tiny_bert):
    outcome = run(tmp_path, hub.endpoint, tmp_path / "home", "data.id=tiny/unheard", f"model={tiny_bert}")
    assert "'tiny/unheard'" in outcome.complaint


def test_a_checkpoint_that_the_hub_does_not_have_is_named_with_the_address_asked(tmp_path, hub, files):
    outcome = run(tmp_path, hub.endpoint, tmp_path / "home", f"data.path={files}", "model=tiny/unheard")
    assert "'tiny/unheard'" in outcome.complaint
    assert "https://huggingface.co" not in outcome.complaint


def test_a_revision_that_the_data_set_does_not_have_is_named(tmp_path, hub, tiny_bert):
    outcome = run(tmp_path, hub.endpoint, tmp_path / "home", "data.revision=unheard", f"model={tiny_bert}")
    assert "'unheard'" in outcome.complaint
    assert "'tiny/reviews'" in outcome.complaint


def test_a_revision_that_the_checkpoint_does_not_have_is_named(tmp_path, hub, files):
    assignments = (f"data.path={files}", "model.revision=unheard")
    complaint = run(tmp_path, hub.endpoint, tmp_path / "home", *assignments).complaint
    assert "unheard" in complaint
    assert "'tiny/bert'" in complaint


def test_local_rows_and_a_local_checkpoint_ask_the_hub_nothing(tmp_path, hub, files, tiny_bert):
    before = len(hub.requests)
    data = f"data={{type: files, train: {files}/train.csv, validation: {files}/validation.csv}}"
    outcome = run(tmp_path, hub.endpoint, tmp_path / "home", data, f"model={tiny_bert}")
    assert outcome.report["status"] == "complete"
    assert hub.requests[before:] == []


def test_a_folder_stands_in_for_the_data_set_of_the_hub(half_local):
    outcome, requests = half_local
    assert outcome.report["status"] == "complete"
    assert outcome.report["rows"]["train"]["rows"] == ROWS["train"]
    assert any("tiny/other" in request for request in requests)
    assert [request for request in requests if "reviews" in request] == []


def test_the_same_rows_have_the_same_digest_from_the_hub_and_from_a_folder(served, half_local):
    outcome, _ = half_local
    assert outcome.identity["data"].keys() == {"train", "validation"}
    assert outcome.identity["data"].items() <= served.identity["data"].items()  # which has test rows besides


def test_another_checkpoint_of_the_hub_makes_another_run(served, half_local):
    outcome, _ = half_local
    assert outcome.identity["model"]["checkpoint"] != served.identity["model"]["checkpoint"]
    assert outcome.directory.name != served.directory.name
