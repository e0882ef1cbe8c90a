"""What the methods share that PEFT implements: its wrapper around the model, its files, its merging."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from finetune.tuning.base import Tuning
from finetune.tuning.stored_base import load_base

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn


class ThroughPeft(Tuning):
    """A method of PEFT. Fresh modules are trained whole and saved with the adapter."""

    loader: ClassVar[str] = "peft"

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

        config = self.adapter(model, peft_task, covering_modules(model, fresh), steps)
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
        super().merge(model)
        peft: Any = model
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
