"""What a checkpoint did not have is trained and saved, on every architecture and with every method."""

import pytest
import torch

from finetune import catalog
from finetune.compute import compute
from finetune.errors import ModelError
from finetune.model import auto_class, build, head_parameters, load_weights
from finetune.predict import load_artefact
from finetune.pretrained import open_checkpoint
from finetune.recipe import Recipe
from finetune.training import optim
from finetune.training.checkpoint import trained
from finetune.training.loop import Trainee, gradients, weigh
from finetune.tuning.base import Tuning
from tests.support import tiny
from tests.support.cases import TUNINGS, recipe
from tests.support.rows import reviews

COMBINATIONS = [(architecture, tuning) for architecture in tiny.ARCHITECTURES for tuning in TUNINGS]
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


REFUSED: set[tuple[str, str]] = set()
"""Combinations that a method refuses in words, because it finds nothing to train there."""


def test_every_architecture_and_method_is_there():
    assert len(tiny.ARCHITECTURES) == len(HEADS) == 13
    assert set(TUNINGS) == set(catalog.names(Tuning.package)) and len(TUNINGS) == 3
    assert len(COMBINATIONS) == 39


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


@pytest.mark.parametrize(("architecture", "tuning"), COMBINATIONS)
def test_fresh_parameters_are_trained_saved_and_reloaded(path_of, tmp_path, architecture, tuning):
    made, found, head, rows = prepared(architecture, path_of(architecture), tuning)
    here = compute("fp32")
    built = build(made.model, found, head, made.tuning, 0, 2, False)
    trainee = Trainee(
        built.module, built.module, optim.optimizer(built.module, made.tuning, made.training), made.tuning
    )
    trainable = {name for name, parameter in built.module.named_parameters() if parameter.requires_grad}
    for name in built.fresh:
        assert any(full.replace(".modules_to_save.default", "").endswith(name) for full in trainable), (
            f"{name} is frozen"
        )
    before = {name: value.clone() for name, value in trained(built.module).items()}
    batch = encoded(made, found, rows)
    for number in range(3):
        weight, _ = weigh([(batch, True)], here, stop=False)
        gradients(trainee, Task(made.task), [(batch, True)], weight, here, (0, number))
        trainee.optimizer.step()
        trainee.optimizer.zero_grad()
    after = trained(built.module)
    fresh_in_model = {full for full in trainable if any(plain(full).endswith(name) for name in built.fresh)}
    still = {name for name in fresh_in_model if torch.equal(before[name], after[name])}
    assert not still, f"never moved: {still}"
    folder = tmp_path / "model"
    made.tuning.save(built.module, folder)
    found.tokenizer.save_pretrained(folder)
    loaded, _ = load_artefact(made, folder)
    names = dict(loaded.named_parameters())
    for name, value in after.items():
        assert torch.equal(names[name], value), f"{name} was not saved"
    with torch.inference_mode():
        one, other = built.module.eval()(**batch.inputs).logits, loaded.eval()(**batch.inputs).logits
    assert torch.equal(one, other)
    assert auto_class(head).__name__ == "AutoModelForSequenceClassification"


def plain(name: str) -> str:
    return name.replace(".modules_to_save.default", "")


def encoded(made: Recipe, found, rows):
    columns = {name: rows.column(name) for name in ("text", "label")}
    features = made.task.encode(columns, found.tokenizer, 32, "train")
    size = len(rows)
    listed = [{name: values[i] for name, values in features.items()} for i in range(size)]
    return made.task.collate(listed, found.tokenizer, "train", list(range(size)))


class Task:
    """As much of an encoder as the loop's gradients need."""

    def __init__(self, task):
        self.task = task


def test_a_head_left_frozen_is_refused(path_of, monkeypatch):
    """PEFT alone leaves BART's head frozen at random initialisation; then no run begins."""
    from finetune.tuning import through_peft

    made, found, head, _ = prepared("bart", path_of("bart"), "lora")
    monkeypatch.setattr(through_peft, "covering_modules", lambda model, names: [])
    with pytest.raises(ModelError, match=r"would leave classification_head\.\S+ at its random start"):
        build(made.model, found, head, made.tuning, 0, 2, False)


def test_reviews_hold_both_classes():
    assert {row["label"] for row in reviews(24)} == {"good", "bad"}
