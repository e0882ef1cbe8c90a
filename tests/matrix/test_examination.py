"""The matrix's own checks can fail: each is shown a method that breaks what it looks at."""

from functools import cache

import pytest
import torch

from finetune.errors import RecipeError
from finetune.tuning.frozen import Frozen
from finetune.tuning.full import Full
from tests.matrix import examination, page
from tests.matrix.cells import forced
from tests.matrix.examination import Broken
from tests.matrix.layout import CELLS
from tests.support.cases import recipe


class Still(Full):
    def groups(self, model, weight_decay):
        return [{**group, "lr": 0.0} for group in super().groups(model, weight_decay)]


class Straying(Frozen):
    def after_step(self, model, step):
        with torch.no_grad():
            next(model.parameters()).add_(1)


class Idle(Full):
    def apply(self, model, peft_task, fresh, steps):
        model.register_parameter("idle", torch.nn.Parameter(torch.zeros(1)))
        return model


class Forgetful(Full):
    def load(self, folder, auto):
        model = super().load(folder, auto)
        with torch.no_grad():
            model.classifier.bias.add_(1)
        return model


class Changed(Full):
    def load(self, folder, auto):
        model = super().load(folder, auto)
        model.classifier.register_forward_hook(lambda module, inputs, output: output + 1)
        return model


class Leaking(Full):
    def apply(self, model, peft_task, fresh, steps):
        model.classifier.register_forward_hook(lambda module, inputs, output: output - output.mean(dim=0))
        return model

    def load(self, folder, auto):
        return self.apply(super().load(folder, auto), None, set(), 0)


class Deaf(Full):
    def apply(self, model, peft_task, fresh, steps):
        def seeing_all(module, arguments, named):
            return arguments, {**named, "attention_mask": None}

        model.register_forward_pre_hook(seeing_all, with_kwargs=True)
        return model

    def load(self, folder, auto):
        return self.apply(super().load(folder, auto), None, set(), 0)


class OtherwiseMerged(Full):
    def merge(self, model):
        with torch.no_grad():
            model.classifier.bias.add_(1)
        return model


class NotMerged(Full):
    def merge(self, model):
        return torch.nn.Sequential(model)


class Leftover(Full):
    def merge(self, model):
        model.register_parameter("adapter", torch.nn.Parameter(torch.zeros(1)))
        return model


class Unwilling(Full):
    def apply(self, model, peft_task, fresh, steps):
        raise RecipeError("not today")


BROKEN = {
    Still: "something fresh never moved",
    Straying: "something frozen moved",
    Idle: "something trained never had a gradient",
    Forgetful: "something trained is not the same once it is loaded",
    Changed: "the loaded model has other logits",
    Deaf: "an input of the model is not heeded",
    Leaking: "padding changes a loss",
    OtherwiseMerged: "the merged model has other logits",
    NotMerged: "the merged model is of another class",
    Leftover: "the merged model and the plain one have not the same parts",
}


@pytest.fixture(scope="module")
def made(lively_checkpoint):
    """A function from a method to a recipe of a few steps."""
    return lambda method: recipe(
        "classification", "bert", lively_checkpoint("bert"), method, rows=12, steps=4, batch_size=6, warmup=0
    )


@pytest.fixture(scope="module")
def plain(made):
    return cache(lambda: examination.without_method(made(Full())))


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_what_does_not_hold_is_found(made, plain, tmp_path, kind):
    with pytest.raises(Broken, match=BROKEN[kind]):
        examination.examine(made(kind(learning_rate=1e-2)), plain(), tmp_path)


def test_what_holds_is_merged(made, plain, tmp_path):
    assert examination.examine(made(Full(learning_rate=1e-2)), plain(), tmp_path)


def test_a_refusal_that_forcing_does_not_bear_out_fails(made, plain, tmp_path):
    with pytest.raises(pytest.fail.Exception, match="refused, but works when it is forced"):
        forced(made(Full()), plain(), tmp_path)


def test_a_method_is_not_believed_when_it_merely_says_so(made, plain, tmp_path):
    with pytest.raises(AssertionError, match="refused by its own word alone"):
        forced(made(Unwilling()), plain(), tmp_path)


def test_forcing_says_what_breaks(made, plain, tmp_path):
    assert forced(made(Leaking(learning_rate=1e-2)), plain(), tmp_path) == "padding changes a loss"


def test_the_page_says_what_was_refused_and_why(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "PAGE", tmp_path / "support.md")
    outcomes = {cell: {"outcome": "merged"} for cell in CELLS}
    outcomes |= {cell: {"outcome": "no such head"} for cell in CELLS if (cell.head, cell.architecture) == ABSENT}
    fitting = [cell for cell in CELLS if outcomes[cell]["outcome"] == "merged"]
    for cell, reason in ((fitting[0], "it is small"), (fitting[-1], "it is large"), (fitting[5], "it is small")):
        outcomes[cell] = {"outcome": "refused", "reason": reason, "evidence": "raises ValueError"}
    page.PAGE.write_text(page.page(outcomes), "utf-8")
    assert page.refusals() == {fitting[0]: "it is small", fitting[5]: "it is small", fitting[-1]: "it is large"}


ABSENT = ("token classification", "bart")
