"""What a checkpoint did not have is trained and saved, on every architecture and with every method."""

from functools import cache

import pytest

from finetune import catalog
from finetune.errors import ModelError, RecipeError
from finetune.model import build, head_parameters, load_weights
from finetune.pretrained import open_checkpoint
from finetune.recipe import Recipe
from finetune.tuning.base import Tuning
from tests.matrix import examination
from tests.support import tiny
from tests.support.cases import TUNINGS, recipe
from tests.support.rows import reviews

HEADS = {
    "bert": {"classifier", "bert.pooler"},
    "roberta": {"classifier"},
    "distilbert": {"pre_classifier", "classifier"},
    "deberta-v2": {"pooler", "classifier"},
    "modernbert": {"head", "classifier"},
    "electra": {"classifier"},
    "albert": {"classifier"},
    "xlnet": {"sequence_summary", "logits_proj"},
    "gpt2": {"score"},
    "llama": {"score"},
    "qwen3": {"score"},
    "t5": {"classification_head"},
    "bart": {"classification_head"},
}
"""Where each architecture keeps what is fresh; the tiny BERT's checkpoint is saved without its pooler."""


METHODS = list(TUNINGS)
COMBINATIONS = [
    (architecture, METHODS[(number + turn) % len(METHODS)])
    for number, architecture in enumerate(tiny.ARCHITECTURES)
    for turn in range(0, len(METHODS), 5)
]
"""Every architecture with three methods, every method on three architectures; `make matrix` tries them all."""
REFUSED = {
    ("albert", "prefix"),
    ("bart", "prompt"),
    ("gpt2", "p_tuning"),
    ("qwen3", "bitfit"),
    ("t5", "p_tuning"),
    ("t5", "prefix"),
    ("xlnet", "prompt"),
}
"""Those of them that a method refuses in words."""


def test_every_architecture_and_method_is_there():
    assert len(tiny.ARCHITECTURES) == len(HEADS) == 13
    assert set(METHODS) == set(catalog.names(Tuning.package)) and len(METHODS) == 13
    assert len(COMBINATIONS) == 39
    assert {architecture for architecture, _ in COMBINATIONS} == set(tiny.ARCHITECTURES)
    assert {method for _, method in COMBINATIONS} == set(METHODS)


@pytest.fixture(scope="module")
def path_of(checkpoint, tmp_path_factory):
    """Folder of a checkpoint; BERT's lacks the pooler, as many published ones do."""

    def make(architecture: str) -> str:
        if architecture != "bert":
            return checkpoint(architecture)
        folder = tmp_path_factory.getbasetemp() / "bert-without-pooler"
        if not folder.exists():
            from transformers import AutoModel

            AutoModel.from_pretrained(checkpoint("bert"), add_pooling_layer=False).save_pretrained(folder)
            tiny.tokenizer("bert").save_pretrained(folder)
        return str(folder)

    return make


def prepared(architecture: str, path: str, tuning: str):
    made: Recipe = recipe("classification", architecture, path, tuning)
    rows = made.data.load(made.task.inputs(), made.task.targets())["train"]
    found = open_checkpoint(made.model)
    task = made.task.resolve(rows, found.tokenizer)
    return made.model_copy(update={"task": task}), found, task.head(found.config), rows


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_fresh_parameters_are_found(path_of, architecture):
    made, found, head, _ = prepared(architecture, path_of(architecture), "full")
    module, fresh = load_weights(made.model, found, head, made.tuning, 0)
    modules = {name.rpartition(".")[0] for name in fresh}
    assert all(any(name.startswith(part) for part in HEADS[architecture]) for name in modules), fresh
    assert all(any(name.startswith(part) for name in modules) for part in HEADS[architecture]), fresh
    assert head_parameters(module) <= fresh


@pytest.fixture(scope="module")
def shared(path_of):
    """What examining an architecture needs to know of it without a method, found out once."""
    return cache(lambda architecture: examination.without_method(few_steps(architecture, path_of, "full")))


def few_steps(architecture: str, path_of, method: str) -> Recipe:
    return recipe(
        "classification", architecture, path_of(architecture), method, rows=12, steps=4, batch_size=6, warmup=0
    )


@pytest.mark.parametrize(("architecture", "method"), [c for c in COMBINATIONS if c not in REFUSED])
def test_what_is_fresh_is_trained_saved_and_reloaded_and_nothing_else_moves(
    path_of, shared, tmp_path, architecture, method
):
    examination.examine(few_steps(architecture, path_of, method), shared(architecture), tmp_path)


@pytest.mark.parametrize(("architecture", "method"), sorted(REFUSED))
def test_what_does_not_fit_is_refused_in_words(path_of, architecture, method):
    with pytest.raises(RecipeError, match=f"tuning={method}: "):
        examination.train(few_steps(architecture, path_of, method))


def test_a_head_left_frozen_is_refused(path_of, monkeypatch):
    """PEFT alone leaves BART's head frozen at random initialisation; then no run begins."""
    from finetune.tuning import through_peft

    made, found, head, _ = prepared("bart", path_of("bart"), "lora")
    monkeypatch.setattr(through_peft, "covering_modules", lambda model, names: [])
    with pytest.raises(ModelError, match=r"would leave classification_head\.\S+ at its random start"):
        build(made.model, found, head, made.tuning, 0, 2, False)


def test_reviews_hold_both_classes():
    assert {row["label"] for row in reviews(24)} == {"good", "bad"}
