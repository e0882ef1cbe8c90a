"""What a cell must show: it trains what it should and nothing else, comes back from disk, merges, and pads in vain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from finetune.compute import compute
from finetune.evaluation import outputs
from finetune.model import PEFT_COPY, load_weights
from finetune.predict import load_artefact
from finetune.preparation import Prepared, prepare
from finetune.quiet import quiet_libraries
from finetune.recipe import Recipe
from finetune.tasks.base import Mode
from finetune.tasks.language_modeling import LanguageModeling
from finetune.training import loop, optim
from finetune.training.checkpoint import trained as trained_parameters
from finetune.tuning.frozen import Frozen
from tests.matrix.answers import ROUNDING, TOLERANCE, differing, distance, heeded, logits, loss, same


class Broken(Exception):
    """A cell does not hold what it must.

    Attributes:
        what: In words that are the same for all cells.
    """

    def __init__(self, what: str, where: str = ""):
        super().__init__(f"{what}: {where}" if where else what)
        self.what = what


@dataclass(frozen=True)
class Plain:
    """The model without any method.

    Attributes:
        kind: Its class.
        parameters, state: Names of its parameters, and of all that it saves.
        reached: Names of the parameters that have a gradient when everything is trained.
        heeded: Names of the inputs on which its logits depend.
    """

    kind: type
    parameters: frozenset[str]
    state: frozenset[str]
    reached: frozenset[str]
    heeded: frozenset[str]


@dataclass(frozen=True)
class Trained:
    """A model after a few steps.

    Attributes:
        prepared: What it was made from.
        module: The model.
        touched: Names of the trained parameters that once had a gradient other than 0.
        moved: Names of all tensors that are no longer what they were.
        fresh: Names, in the plain model, of what the checkpoint did not have.
    """

    prepared: Prepared
    module: nn.Module
    touched: frozenset[str]
    moved: frozenset[str]
    fresh: frozenset[str]


def plain_name(name: str) -> str:
    """The name that a parameter has in the plain model."""
    return (
        name.replace(PEFT_COPY, "")
        .replace(".base_layer.", ".")
        .removeprefix("base_model.model.")
        .removeprefix("base_model.")
    )


def without_method(recipe: Recipe) -> Plain:
    """The model of a recipe that trains everything."""
    done = train(recipe)
    with quiet_libraries():
        module, _ = load_weights(recipe.model, done.prepared.checkpoint, done.prepared.head, recipe.tuning, 0)
    names = frozenset(name for name, _ in module.named_parameters())
    return Plain(type(module), names, frozenset(module.state_dict()), done.touched, heeded(done.module, done.prepared))


def examine(recipe: Recipe, without: Plain, folder: Path) -> bool:
    """Train a few steps and check everything.

    Args:
        recipe: Of a few steps.
        without: The same model without a method.
        folder: Where to save.

    Returns:
        Whether the model was merged; otherwise its method says why not.

    Raises:
        Broken: What does not hold.
        FinetuneError: It is refused.
    """
    done = train(recipe)
    check_training(done, without)
    loaded = check_reload(done, folder)
    if deaf := without.heeded - heeded(loaded, done.prepared):
        raise Broken("an input of the model is not heeded", min(deaf))
    check_padding(loaded, done.prepared)
    if not recipe.tuning.unmergeable:
        check_merge(loaded, done, without)
    return not recipe.tuning.unmergeable


def train(recipe: Recipe) -> Trained:
    """The steps of a recipe, by the loop that every run takes."""
    with quiet_libraries():
        prepared = prepare(recipe, "cpu")
        built = prepared.build()
    here, training = compute("fp32"), prepared.recipe.training
    optimizer = optim.optimizer(built.module, recipe.tuning, training)
    trainee = loop.Trainee(built.module, built.module, optimizer, recipe.tuning)
    touched: set[str] = set()
    for name, parameter in built.module.named_parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(_noting(name, touched))
    before = {name: value.clone() for name, value in built.module.state_dict().items()}
    for _ in loop.steps(trainee, prepared.encoder, prepared.features, training, here):
        pass
    after = built.module.state_dict()
    moved = frozenset(name for name, value in after.items() if not torch.equal(value, before[name]))
    return Trained(prepared, built.module.eval(), frozenset(touched), moved, frozenset(built.fresh))


def _noting(name: str, touched: set[str]) -> Any:
    def note(parameter: torch.Tensor) -> None:
        if parameter.grad is not None and bool(parameter.grad.any()):
            touched.add(name)

    return note


def check_training(done: Trained, without: Plain) -> None:
    """Only trained parameters moved, all fresh ones did, and everything trained had a gradient if it ever has one.

    Raises:
        Broken: What stood still, or moved.
    """
    named = dict(done.module.named_parameters(remove_duplicate=False))
    trainable = {name for name, parameter in done.module.named_parameters() if parameter.requires_grad}
    if not trainable:
        raise Broken("nothing is trained")
    strayed = sorted(name for name in done.moved & named.keys() if not named[name].requires_grad)
    if strayed:
        raise Broken("something frozen moved", strayed[0])
    still = sorted(
        name for name in done.fresh if not any(plain_name(other) == name for other in done.moved & named.keys())
    )
    if still:
        raise Broken("something fresh never moved", still[0])
    if all(plain_name(name) in done.fresh for name in trainable) and not isinstance(
        done.prepared.recipe.tuning, Frozen
    ):
        raise Broken("nothing besides the head is trained")
    unused = without.parameters - without.reached
    idle = tuple(f"{name.rpartition('.')[0]}." for name in unused)  # a layer that a head never asks, as a pooler
    wanted = {name for name in trainable if plain_name(name) not in unused and not plain_name(name).startswith(idle)}
    without_gradient = sorted(wanted - done.touched)
    if without_gradient:
        raise Broken("something trained never had a gradient", without_gradient[0])


def check_reload(done: Trained, folder: Path) -> nn.Module:
    """Save, load from disk, and compare the trained parameters and the logits.

    Returns:
        The loaded model.

    Raises:
        Broken: They are not the same.
    """
    recipe, stored = done.prepared.recipe, trained_parameters(done.module)
    with quiet_libraries():
        recipe.tuning.save(done.module, folder)
        done.prepared.checkpoint.tokenizer.save_pretrained(folder)
        loaded, _ = load_artefact(recipe, folder)
    if name := differing(stored, loaded):
        raise Broken("something trained is not the same once it is loaded", name)
    difference = distance(logits(done.module, done.prepared), logits(loaded.eval(), done.prepared))
    if not difference <= ROUNDING:
        raise Broken("the loaded model has other logits", f"by {difference:.1g}")
    return loaded


def check_padding(module: nn.Module, prepared: Prepared) -> None:
    """No row's loss and no row's answer depends on what stands beside it in the batch.

    Raises:
        Broken: One does.
    """
    encoder, here = prepared.encoder, compute("fp32")
    longest = int(prepared.features.lengths.argmax())
    other = loss(module, encoder, prepared, [longest])
    for number in range(len(prepared.features)):
        alone, both = (loss(module, encoder, prepared, rows) for rows in ([number], [number, longest]))
        difference = abs(both - other - alone) / max(1.0, abs(both))
        if not difference <= ROUNDING:
            raise Broken("padding changes a loss", f"by {difference:.1g}")
    modes: tuple[Mode, ...] = ("score", "predict") if isinstance(encoder.task, LanguageModeling) else ("score",)
    for mode in modes:  # a language model writes only when it is not scored
        features = encoder.features(prepared.splits["validation"], mode, keep=False)
        alone, beside = (outputs(module, encoder, features, mode, here, tokens) for tokens in (1, 10**6))
        if not all(same(alone[key], beside[key]) for key in alone):
            raise Broken("padding changes a prediction", mode)


def check_merge(loaded: nn.Module, done: Trained, without: Plain) -> None:
    """The merged model is of the plain class, with nothing besides, and answers as the loaded one.

    Raises:
        Broken: It is not, or does not.
    """
    before = logits(loaded, done.prepared)
    with quiet_libraries():
        merged = done.prepared.recipe.tuning.merge(loaded).eval()
    if type(merged) is not without.kind:
        raise Broken("the merged model is of another class", type(merged).__name__)
    if besides := sorted(set(merged.state_dict()) ^ without.state):
        raise Broken("the merged model and the plain one have not the same parts", besides[0])
    difference = distance(before, logits(merged, done.prepared))
    if not difference <= TOLERANCE:
        raise Broken("the merged model has other logits", f"by {difference:.1g}")
