"""Low-rank updates (Hu et al. 2021), through PEFT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from finetune import hub, warm_start
from finetune.errors import ModelError, RecipeError, listing
from finetune.tuning.base import Tuning

if TYPE_CHECKING:
    from torch import nn

ATTENTION: dict[str, tuple[str, ...]] = {
    "distilbert": ("q_lin", "v_lin"),
    "modernbert": ("Wqkv",),
    "albert": ("query", "value"),
    "xlnet": ("ff.layer_1", "ff.layer_2"),  # its attention weights are no linear layers
}
"""Model type -> layers to update, where PEFT has no default of its own."""


class LoRA(Tuning):
    """Train low-rank updates of linear layers, and the head."""

    loader: ClassVar[str] = "peft"

    learning_rate: PositiveFloat = 4e-4
    """Peak learning rate; 4e-4 is what LoRA's authors use for most of GLUE with RoBERTa-base
    (microsoft/LoRA, examples/NLU)."""
    r: PositiveInt = 8
    """Rank of the updates."""
    alpha: PositiveFloat = 16
    """The update is scaled by alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the inputs of the updates that is dropped in training."""
    targets: Literal["attention", "all"] | tuple[str, ...] = "attention"
    """Layers to update: `attention`, the projections that the paper updates (query and value, by architecture);
    `all`, every linear layer but the head; or the ends of module names."""
    rslora: bool = False
    """Scale by alpha / sqrt(r) instead (Kalajdzievski 2023)."""
    dora: bool = False
    """Split magnitude from direction (Liu et al. 2024)."""

    def apply(self, model: Any, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Wrap the model in PEFT's; the fresh modules are trained whole and saved with the adapter."""
        from peft import LoraConfig, get_peft_model

        heads = covering_modules(model, fresh)
        config = LoraConfig(
            task_type=peft_task,
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=self._targets(model, heads),
            modules_to_save=heads or None,
            use_rslora=self.rslora,
            use_dora=self.dora,
        )
        revision = getattr(model.config, "_commit_hash", None)  # so that the adapter finds this base, not a later one
        wrapped: nn.Module = get_peft_model(model, config, revision=revision)
        for name, parameter in wrapped.named_parameters() if fresh else ():
            before, copied, after = name.partition(".modules_to_save.default.")
            if copied and f"{before}.{after}".removeprefix("base_model.model.") not in fresh:
                parameter.requires_grad_(False)  # stands beside fresh ones, as an output matrix tied to the embeddings
        return wrapped

    def _targets(self, model: nn.Module, heads: list[str]) -> list[str]:
        """Whole names of the layers to update: never the head, never a matrix tied to the embeddings."""
        linear = [name for name in linear_layers(model) if not any(f"{name}.".startswith(f"{h}.") for h in heads)]
        if self.targets == "all":
            return linear
        wanted = self.targets if isinstance(self.targets, tuple) else _attention(model)
        found = [name for name in linear if any(f".{name}".endswith(f".{end}") for end in wanted)]
        missing = [end for end in wanted if not any(f".{name}".endswith(f".{end}") for name in linear)]
        if missing or not found:
            ends = sorted({name.rpartition(".")[2] for name in linear})
            absent = listing(map(repr, missing), 10)
            raise RecipeError(f"tuning.targets: no linear layer is named {absent}. Known: {listing(ends, 20)}.")
        return found

    def save(self, model: nn.Module, folder: Path) -> None:
        """PEFT's own layout, and the configuration with the label names, so that the base can be built to fit."""
        peft: Any = model
        peft.save_pretrained(folder)
        peft.config.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty template; the run writes its own card

    def load(self, folder: Path, auto: Any) -> nn.Module:
        """The base from where the adapter says it is, then the adapter."""
        import torch
        from peft import PeftConfig, PeftModel
        from transformers import AutoConfig

        adapter = PeftConfig.from_pretrained(folder)
        config = AutoConfig.from_pretrained(folder)
        place = adapter.base_model_name_or_path
        if Path(place).is_absolute() and not Path(place).is_dir():
            raise ModelError(
                f"the adapter in {folder} belongs to {place}, which is gone. Put it back, or change "
                "base_model_name_or_path in adapter_config.json."
            )
        if not Path(place).is_dir():
            hub.find("checkpoint", place, adapter.revision, f"{folder} is an adapter of it")
        try:
            base = warm_start.base_of(
                auto,
                adapter.base_model_name_or_path,
                config,
                revision=adapter.revision,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
            )
        except OSError as error:
            raise ModelError(
                f"the adapter in {folder} belongs to {adapter.base_model_name_or_path}, which cannot be loaded any "
                f"more ({str(error).splitlines()[0]}). Put it back, or change base_model_name_or_path in "
                "adapter_config.json."
            ) from error
        model: nn.Module = PeftModel.from_pretrained(base, folder)
        return model


def _attention(model: Any) -> tuple[str, ...]:
    """The attention projections of an architecture."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as DEFAULTS

    kind = getattr(model.config, "decoder", model.config).model_type
    targets = ATTENTION.get(kind) or DEFAULTS.get(kind)
    if not targets or isinstance(targets, str):
        raise RecipeError(f"tuning.targets: the attention layers of {kind!r} are not known; use all, or name them.")
    return tuple(targets)


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
