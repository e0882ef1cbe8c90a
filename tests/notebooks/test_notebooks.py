"""Every notebook: it runs from top to bottom, and what is stored of it is whole and names no machine."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_LINES = 29
MOST_BYTES = 1_000_000
ABSOLUTE_PATH = re.compile(r"(?:(?<![\w.:/<])/[\w.-]+/[\w.-]+|\b[A-Za-z]:\\\w)")

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def outputs(path):
    return [output for cell in code_cells(path) for output in cell.outputs]


def words_of(output):
    """Everything of an output that is read as text; pictures are not."""
    if output.output_type == "stream":
        return output.text
    return "\n".join(str(content) for kind, content in output.get("data", {}).items() if not kind.startswith("image/"))


def test_number_of_notebooks():
    assert len(NOTEBOOKS) == 2


@each
def test_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    own = {"NOTEBOOK_SIZE": "small", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "FINETUNE_CACHE": str(tmp_path)}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=folder).execute()
    made = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in made)


@each
def test_stored_notebook_is_valid(path):
    nbformat.validate(nbformat.read(path, as_version=4))


@each
def test_stored_outputs_come_from_one_run_in_order(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@each
def test_stored_notebook_shows_texts_and_pictures(path):
    kinds = {output.output_type for output in outputs(path)}
    assert "stream" in kinds
    assert any("image/png" in output.get("data", {}) for output in outputs(path))


@each
def test_stored_notebook_has_no_errors_or_warnings(path):
    assert not [o for o in outputs(path) if o.output_type == "error" or o.get("name") == "stderr"]


@each
def test_stored_notebook_names_no_machine(path):
    notebook = nbformat.read(path, as_version=4)
    texts = [*map(words_of, outputs(path)), *(cell.source for cell in notebook.cells), str(notebook.metadata)]
    texts += [str(cell.metadata) for cell in notebook.cells]
    assert not [found.group() for text in texts for found in ABSOLUTE_PATH.finditer(text)]


@each
def test_stored_notebook_is_small(path):
    assert path.stat().st_size < MOST_BYTES


@each
def test_cells_are_short(path):
    assert [cell.source for cell in code_cells(path) if len(cell.source.splitlines()) > MOST_LINES] == []


@pytest.mark.parametrize("command", [("format", "--check"), ("check",)], ids=["format", "lint"])
@each
def test_cells_are_written_as_the_rest_of_the_code(path, command):
    result = subprocess.run([sys.executable, "-m", "ruff", *command, str(path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
