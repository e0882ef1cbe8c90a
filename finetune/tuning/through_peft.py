"""What the methods share that PEFT implements: its wrapper around the model, its files, its layers, its merging."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from finetune.errors import RecipeError, listing
from finetune.tuning.base import Tuning
from finetune.tuning.stored_base import load_base

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn


Targets = Literal["attention", "all"] | tuple[str, ...]
"""Layers of a model: the projections of its attention that LoRA's authors update, every linear layer but the head, or
those whose names end so."""

ATTENTION: dict[str, tuple[str, ...]] = {
    "distilbert": ("q_lin", "v_lin"),
    "modernbert": ("Wqkv",),
    "albert": ("query", "value"),
    "xlnet": ("ff.layer_1", "ff.layer_2"),  # its attention weights are no linear layers
}
"""Model type -> layers to update, where PEFT has no default of its own."""


class ThroughPeft(Tuning):
    """A method of PEFT. Fresh modules are trained whole and saved with the adapter."""

    loader: ClassVar[str] = "peft"
    answering: ClassVar[str | None] = None
    """What PEFT is told of a head that answers questions: its own class for them passes on neither token types, without
    which BERT does not know the question from the text, nor positions."""

    @abstractmethod
    def adapter(self, model: nn.Module, peft_task: str | None, heads: list[str], steps: int) -> PeftConfig:
        """PEFT's configuration of the method.

        Args:
            model: The loaded model with its head.
            peft_task: PEFT's name of the task, where it has one.
            heads: Names of the modules that are trained whole, for `modules_to_save`.
            steps: Optimizer steps of the run.

        Raises:
            RecipeError: The method finds nothing to train here.
        """

    def apply(self, model: Any, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Wrap the model in PEFT's; the fresh modules are trained whole and saved with the adapter."""
        from peft import get_peft_model

        known = self.answering if peft_task == "QUESTION_ANS" else peft_task
        config = self.adapter(model, known, covering_modules(model, fresh), steps)
        revision = getattr(model.config, "_commit_hash", None)  # so that the adapter finds this base, not a later one
        wrapped: nn.Module = get_peft_model(model, config, revision=revision)
        for name, parameter in wrapped.named_parameters() if fresh else ():
            before, copied, after = name.partition(".modules_to_save.default.")
            if copied and f"{before}.{after}".removeprefix("base_model.model.") not in fresh:
                parameter.requires_grad_(False)  # stands beside fresh ones, as an output matrix tied to the embeddings
        return wrapped

    def save(self, model: nn.Module, folder: Path) -> None:
        """PEFT's own layout, and the configuration with the label names, so that the base can be built to fit."""
        peft: Any = model
        peft.save_pretrained(folder)
        peft.config.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty template; the run writes its own card

    def load(self, folder: Path, auto: Any) -> nn.Module:
        """The base from where the adapter says it is, then the adapter."""
        from peft import PeftConfig, PeftModel

        adapter = PeftConfig.from_pretrained(folder)
        named_in = "base_model_name_or_path in adapter_config.json"
        place, revision = adapter.base_model_name_or_path, adapter.revision
        base = load_base(folder, auto, place, revision, named_in, **self.loading())
        model: nn.Module = PeftModel.from_pretrained(base, folder)
        return model

    def merge(self, model: nn.Module) -> nn.Module:
        """The base with what was learned added to its weights."""
        from peft.utils import ModulesToSaveWrapper

        super().merge(model)
        peft: Any = model
        copies = [(name, part) for name, part in peft.named_modules() if isinstance(part, ModulesToSaveWrapper)]
        for name, wrapper in copies:  # most methods' own merging fails at a head of several layers
            parent, _, child = name.rpartition(".")
            setattr(peft.get_submodule(parent), child, wrapper.modules_to_save["default"])
        merged: nn.Module = peft.merge_and_unload()
        return merged


def covering_modules(model: nn.Module, names: set[str]) -> list[str]:
    """The largest modules made of nothing but the parameters named; the owner of one that stands among others."""
    modules: list[str] = []
    for prefix, module in model.named_modules():  # parents first
        own = {f"{prefix}.{name}" if prefix else name for name, _ in module.named_parameters()}
        inside = any(f"{prefix}.".startswith(f"{outer}.") for outer in modules)
        direct = {f"{prefix}.{name}" for name, _ in module.named_parameters(recurse=False)}
        if prefix and own and not inside and (own <= names or direct & names):
            modules.append(prefix)
    return modules


def linear_layers(model: nn.Module) -> list[str]:
    """Names of the linear layers whose matrix belongs to them alone."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and id(module.weight) not in embeddings
    ]


def target_layers(model: nn.Module, heads: list[str], targets: Targets) -> list[str]:
    """Whole names of the linear layers that `targets` means: never the head, never a matrix tied to the embeddings.

    Raises:
        RecipeError: No layer has such a name, or the attention of this architecture is not known.
    """
    linear = [name for name in linear_layers(model) if not within(name, heads)]
    if targets == "all":
        return linear
    wanted = targets if isinstance(targets, tuple) else attention(model)
    found = [name for name in linear if any(f".{name}".endswith(f".{end}") for end in wanted)]
    missing = [end for end in wanted if not any(f".{name}".endswith(f".{end}") for name in linear)]
    if missing or not found:
        ends = sorted({name.rpartition(".")[2] for name in linear})
        absent = listing(map(repr, missing), 10)
        raise RecipeError(f"tuning.targets: no linear layer is named {absent}. Known: {listing(ends, 20)}.")
    return found


def within(name: str, modules: list[str]) -> bool:
    """Whether a module is one of these or lies inside one."""
    return any(f"{name}.".startswith(f"{module}.") for module in modules)


def model_type(model: Any) -> str:
    """Of the model, or of the decoder of a composite one."""
    kind: str = getattr(model.config, "decoder", model.config).model_type
    return kind


def attention(model: nn.Module) -> tuple[str, ...]:
    """Ends of the names of an architecture's attention projections that LoRA's authors update: query and value.

    Raises:
        RecipeError: They are not known.
    """
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as DEFAULTS

    kind = model_type(model)
    targets = ATTENTION.get(kind) or DEFAULTS.get(kind)
    if not targets or isinstance(targets, str):
        raise RecipeError(f"tuning.targets: the attention layers of {kind!r} are not known; use all, or name them.")
    return tuple(targets)
