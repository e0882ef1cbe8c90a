"""Every cell of the matrix: it holds, or is refused and forcing it shows why; no file of the default suite's name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from finetune.errors import ModelError, RecipeError
from finetune.model import load_weights
from finetune.preparation import prepare
from finetune.quiet import quiet_libraries
from finetune.recipe import Recipe
from tests.matrix import examination, layout
from tests.matrix.examination import Broken, Plain
from tests.matrix.layout import CELLS, Cell

PARAMETERS = [
    pytest.param(cell, id=str(cell), marks=pytest.mark.xdist_group(f"{cell.head}-{cell.architecture}"))
    for cell in CELLS
]
"""Those of a head on an architecture are examined in one process, which finds out once what they share."""
NOTHING_THERE = {"frozen": lambda module, fresh: not fresh}
"""Methods that only the weights tell that there is nothing to train: how to see it."""


@pytest.fixture(scope="session")
def plain_of(lively_checkpoint):
    """A function from a head and an architecture to the model without a method, made once."""
    return cache(
        lambda head, architecture: examination.without_method(
            layout.recipe_of(Cell(head, architecture, "full"), lively_checkpoint(architecture))
        )
    )


@pytest.mark.parametrize("cell", PARAMETERS)
def test_cell_holds_or_is_refused_for_a_reason(
    cell, lively_checkpoint, plain_of, tmp_path, monkeypatch, record_property
):
    path = lively_checkpoint(cell.architecture)
    if layout.absence(cell.head, cell.architecture, path):
        record_property("cell", {"cell": vars(cell), "outcome": "no such head"})
        return
    made, without = layout.recipe_of(cell, path), plain_of(cell.head, cell.architecture)
    try:
        merged = examination.examine(made, without, tmp_path / "model")
        outcome = {"outcome": "merged" if merged else "trained", "reason": made.tuning.unmergeable}
    except (RecipeError, ModelError) as refusal:
        monkeypatch.setattr(type(made.tuning), "refuse", lambda *shape: None)
        said = " ".join(refusal.problems).removeprefix(f"tuning={made.tuning.kind()}: ")
        reason = said.partition(" Methods that fit here: ")[0].rstrip(".")
        outcome = {"outcome": "refused", "reason": reason, "evidence": forced(made, without, tmp_path / "forced")}
    record_property("cell", {"cell": vars(cell), **outcome})


def forced(made: Recipe, without: Plain, folder: Path) -> str:
    """What is wrong with a refused cell whose method no longer refuses."""
    try:
        examination.examine(made, without, folder)
    except Broken as broken:
        return broken.what
    except (RecipeError, ModelError) as error:
        if error.__cause__ is not None:  # the sentence is ours, the failure another library's
            return f"raises {type(error.__cause__).__name__}"
        kind = made.tuning.kind()
        assert kind in NOTHING_THERE, f"refused by its own word alone: {error.problems}"
        prepared = prepare(made, "cpu")
        with quiet_libraries():
            module, fresh = load_weights(made.model, prepared.checkpoint, prepared.head, made.tuning, 0)
        assert NOTHING_THERE[kind](module, fresh), f"refused, though there is something to train: {error}"
        return "there is nothing to train"
    except Exception as error:  # whatever another library raises
        return f"raises {type(error).__name__}"
    pytest.fail("refused, but works when it is forced")
