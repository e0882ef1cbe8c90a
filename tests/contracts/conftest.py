"""What the contracts share: intervals of few resamples, for thousands would take most of their time."""

import pytest

from finetune.statistics import resampling

RESAMPLES = 50


@pytest.fixture(autouse=True, scope="session")
def few_resamples():
    """Every run's scores have intervals, of fewer resamples than a user's."""
    usual = resampling.bootstrap.__defaults__
    resampling.bootstrap.__defaults__ = (RESAMPLES, *usual[1:])
    yield
    resampling.bootstrap.__defaults__ = usual
