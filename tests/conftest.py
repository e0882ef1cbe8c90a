"""What every test shares: one thread, a cache of its own, tiny checkpoints."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two busy pools on few cores starve each other
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # a thread of the library would ask the network in the middle of a test

from pathlib import Path

import pytest

from tests.support import tiny


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """No test reads what another run of the tests, or the user, left in the cache."""
    os.environ["FINETUNE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A function from an architecture's name to the folder of a tiny random checkpoint of it."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def make(architecture: str) -> str:
        path = folder / architecture
        if not path.exists():
            tiny.save(architecture, path)
        return str(path)

    return make


@pytest.fixture(scope="session")
def tiny_bert(checkpoint) -> str:
    """The folder of a tiny random BERT with 32 positions."""
    return checkpoint("bert")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets."""
    folder = os.environ.get("FINETUNE_DATA")
    if not folder:
        pytest.skip("FINETUNE_DATA is not set: no real data here")
    return Path(folder)
