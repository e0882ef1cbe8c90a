"""A tuning method that uses every hook: its state survives a stop, its penalty counts once a step."""

import torch

from finetune import run
from finetune.driver import Watcher
from finetune.experiment import resume
from finetune.interruption import Stopped
from finetune.run_directory import RunDirectory
from finetune.tuning.full import Full
from tests.support.cases import recipe

WEIGHT = 0.01


class Counting(Full):
    """Full tuning that counts its steps in a tensor of its own and pulls the head towards zero."""

    learning_rate: float = 1e-3

    def apply(self, model, peft_task, fresh, steps):
        model.register_buffer("counted", torch.zeros(1), persistent=False)
        model.seen = []
        return model

    def penalty(self, model):
        return WEIGHT * model.classifier.weight.square().sum()

    def after_step(self, model, step):
        model.counted += 1
        model.seen.append(step)

    def state(self, model):
        return {"counted": model.counted.clone()}

    def restore(self, model, state):
        model.counted.copy_(state["counted"])


class Observer(Watcher):
    """Keeps the trained model, and asks for a stop after a step."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after

    def stepped(self, step):
        if step.number == self.stop_after:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


def finished_model(monkeypatch, action):
    """The model in memory at the end of an action."""
    from finetune import finishing

    kept = []
    right = finishing.artefact.save
    monkeypatch.setattr(
        finishing.artefact, "save", lambda p, trainee, d, x: (kept.append(trainee.module), right(p, trainee, d, x))
    )
    action()
    return kept[-1]


def test_the_state_of_a_method_survives_a_stop(tiny_bert, tmp_path, monkeypatch):
    made = recipe("classification", "bert", tiny_bert, Counting(), steps=6)
    try:
        run(made, tmp_path, Observer(stop_after=3), certified=False)
    except Stopped:
        pass
    else:
        raise AssertionError("the run was not stopped")
    (identity,) = tmp_path.glob("*/*/identity.json")
    model = finished_model(monkeypatch, lambda: resume(identity.parent, certified=False))
    assert float(model.counted) == 6
    assert model.seen[-1] == 6 and len(model.seen) < 6


def test_after_step_is_called_after_each_step(tiny_bert, tmp_path, monkeypatch):
    made = recipe("classification", "bert", tiny_bert, Counting(), steps=4)
    assert finished_model(monkeypatch, lambda: run(made, tmp_path, certified=False)).seen == [1, 2, 3, 4]


def test_the_penalty_counts_once_a_step_however_it_is_cut(tiny_bert):
    import numpy as np

    from finetune.compute import compute
    from tests.support import gradients

    made, here = gradients.setting("classification", "bert", tiny_bert), compute("fp32")
    members = gradients.MEMBERS["eight"]
    plain = gradients.of_step(made, here, members, gradients.EVERYTHING)
    made.trainee.tuning = Counting()
    for tokens in (gradients.EVERYTHING, 24, 1):
        pulled = gradients.of_step(made, here, members, tokens)
        added = (pulled["classifier.weight"] - plain["classifier.weight"]).numpy()
        expected = 2 * WEIGHT * made.trainee.module.classifier.weight.detach().numpy()
        assert np.allclose(added, expected, atol=1e-12)


def test_a_stopped_run_says_so(tiny_bert, tmp_path):
    made = recipe("classification", "bert", tiny_bert, Counting(), steps=6)
    try:
        run(made, tmp_path, Observer(stop_after=2), certified=False)
    except Stopped as stopped:
        assert stopped.exit_code == 130
    (identity,) = tmp_path.glob("*/*/identity.json")
    assert RunDirectory(identity.parent).status == "stopped"
