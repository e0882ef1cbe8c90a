"""The checks within the notebook of the Transformer: a mistake in a piece must stop it."""

import random
from pathlib import Path

import matplotlib
import nbformat
import pytest
import torch

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_the_transformer.ipynb"
LAST_CHECK = "transformer-check"

MISTAKES = {
    "undivided scores": ("/ math.sqrt(query.size(-1))", "", "attention:"),
    "mask ignored": ("if visible is not None:", "if False:", "attention, masked"),
    "softmax over queries": ("softmax(dim=-1)  #", "softmax(dim=-2)  #", "attention:"),
    "heads mixed up": (
        "unflatten(-1, (self.heads, -1)).transpose(1, 2)",
        "unflatten(-1, (-1, self.heads)).permute(0, 3, 1, 2)",
        "multi-head",
    ),
    "a wave that is no sine": ("angle.sin(), angle.cos()]", "angle.tanh(), angle.cos()]", "rotation"),
    "no addition": ("self.norm(x + self.dropout(change))", "self.norm(self.dropout(change))", "encoder layer"),
    "memory not asked": (
        "self.cross_attention(x, memory, memory_visible)",
        "self.cross_attention(x, x)",
        "decoder layer",
    ),
    "a word of the future": (".tril()", ".tril(1)", "the future is unseen"),
    "padding seen": ("(tokens != PADDING)[", "(tokens >= PADDING)[", "encoder and decoder"),
}


@pytest.fixture
def left_as_it_was(monkeypatch):
    """Cells set seeds, and how pictures look."""
    monkeypatch.setenv("NOTEBOOK_SIZE", "small")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    state = random.getstate()
    with matplotlib.rc_context(), torch.random.fork_rng():
        yield
    random.setstate(state)


def run_up_to_the_last_check(right="", wrong=""):
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    wanted = cells[: [cell.id for cell in cells].index(LAST_CHECK) + 1]
    assert any(right in cell.source for cell in wanted), f"no cell has {right!r}"
    names = {}
    for cell in wanted:
        exec(cell.source.replace(right, wrong) if right else cell.source, names)


def test_every_piece_agrees_with_the_library(left_as_it_was, capsys):
    run_up_to_the_last_check()
    assert capsys.readouterr().out.count("largest difference") == 12


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_noticed(left_as_it_was, mistake):
    right, wrong, check = MISTAKES[mistake]
    with pytest.raises(AssertionError, match=check):
        run_up_to_the_last_check(right, wrong)
