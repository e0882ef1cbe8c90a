"""Gathers what the cells report, from every worker, and writes the page once all of them hold."""

from functools import cache

import pytest

from tests.matrix.layout import CELLS, Cell
from tests.matrix.page import PAGE, page
from tests.support import tiny

TRAINED_SIZE = 0.2
"""Standard deviation of the weights of a checkpoint, so that its tokens mind each other."""

outcomes = {}


@pytest.fixture(scope="session")
def lively_checkpoint(tmp_path_factory):
    """A function from an architecture's name to the folder of a checkpoint of it."""
    folder = tmp_path_factory.mktemp("lively")

    @cache
    def make(architecture: str) -> str:
        tiny.save(architecture, folder / architecture, TRAINED_SIZE)
        return str(folder / architecture)

    return make


def pytest_runtest_logreport(report):
    """Called in the main process, with what the tests recorded wherever they ran."""
    for name, found in report.user_properties if report.when == "call" and report.passed else ():
        if name == "cell":
            outcomes[Cell(**found["cell"])] = found


def pytest_terminal_summary(terminalreporter):
    if not outcomes:  # the default suite, or a worker
        return
    missing = len(CELLS) - len(outcomes)
    if missing:
        terminalreporter.write_line(f"{missing} of {len(CELLS)} cells are missing or failed: {PAGE} stays as it is")
        return
    written = page({cell: outcomes[cell] for cell in CELLS})
    changed = not PAGE.exists() or PAGE.read_text("utf-8") != written
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(written, "utf-8")
    terminalreporter.write_line(f"{PAGE} {'has changed: commit it' if changed else 'is as it was'}")
