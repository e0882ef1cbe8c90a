"""Low-rank updates whose ranks are distributed over the layers by importance (Zhang et al. 2023), through PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from finetune.tuning.through_peft import Targets, ThroughPeft, target_layers

if TYPE_CHECKING:
    from pathlib import Path

    from peft import PeftConfig
    from torch import Tensor, nn

SMOOTHED = ("exp_avg_ipt", "exp_avg_unc")
"""What PEFT's allocator remembers of each parameter: smoothed importance and smoothed uncertainty of it."""
KEPT = "kept"


class AdaLoRA(ThroughPeft):
    """Train low-rank updates of linear layers, prune the least important ranks on the way, and train the head."""

    note: ClassVar[str] = (
        "Call it without labels, or load it with is_trainable=True: with labels PEFT adds a penalty of the training to "
        "the loss, which fails on an adapter that is not trainable."
    )

    learning_rate: PositiveFloat = 8e-4
    """Peak learning rate; 8e-4 is what AdaLoRA's authors use with these ranks (QingruZhang/AdaLoRA, SQuAD 2.0); their
    rates for GLUE lie between 5e-4 and 2.2e-3."""
    r: PositiveInt = 12
    """Rank of every update at the beginning."""
    target_r: PositiveInt = 8
    """Rank at the end, on average over the updated layers."""
    alpha: PositiveFloat = 16
    """The update is scaled by alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the inputs of the updates that is dropped in training."""
    targets: Targets = "all"
    """Layers to update: `all`, every linear layer but the head, as in the paper; `attention`, query and value, by
    architecture; or the ends of module names."""
    tinit: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps before pruning begins; 8,000 of 86,000 in the authors' script for MNLI."""
    tfinal: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the steps after pruning has ended; 50,000 of 86,000 in that script."""
    interval: PositiveInt = 10
    """Steps from one pruning to the next."""
    orthogonality: NonNegativeFloat = 0.1
    """Weight of the penalty that keeps the singular vectors of an update orthogonal; 0.1 in that script."""

    @model_validator(mode="after")
    def _something_is_pruned(self) -> Self:
        if self.target_r >= self.r:
            raise ValueError(f"target_r={self.target_r} must be below r={self.r}, else nothing is pruned: use lora")
        if self.tinit + self.tfinal >= 1:
            raise ValueError(f"tinit={self.tinit} and tfinal={self.tfinal} leave no steps to prune in")
        return self

    def adapter(self, model: nn.Module, peft_task: str | None, heads: list[str], steps: int) -> PeftConfig:
        """Updates of the chosen layers."""
        from peft import AdaLoraConfig

        return AdaLoraConfig(
            task_type=peft_task,
            init_r=self.r,
            target_r=self.target_r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=target_layers(model, heads, self.targets),
            modules_to_save=heads or None,
            total_step=steps,
            tinit=int(self.tinit * steps),
            tfinal=min(int(self.tfinal * steps), max(0, steps - 2)),  # the first step can only measure importance
            deltaT=self.interval,
            orth_reg_weight=self.orthogonality,
        )

    def penalty(self, model: nn.Module) -> Tensor | None:
        """How far the singular vectors are from orthogonal: the mean Frobenius norm of P P^T - I."""
        import torch

        if self.orthogonality == 0:
            return None
        vectors = [p.T if "lora_B" in name else p for name, p in _updates(model) if "lora_E" not in name]
        with torch.autocast(vectors[0].device.type, enabled=False):  # the differences are small
            norms = [torch.linalg.matrix_norm(p @ p.T - torch.eye(len(p), device=p.device)) for p in vectors]
            return self.orthogonality * torch.stack(norms).mean()

    def after_step(self, model: Any, step: int) -> None:
        """Measure importance, and prune where it is time."""
        import torch

        for _, parameter in _updates(model):
            if parameter.grad is None:  # of a layer that this task never asks, as a pooler
                parameter.grad = torch.zeros_like(parameter)
        if model.peft_config["default"].total_step > 1:  # of one step nothing could be pruned by importance
            model.base_model.update_and_allocate(step)

    def state(self, model: Any) -> dict[str, Tensor]:
        """The importance of each parameter, and which ranks are kept."""
        import torch

        allocator, config = model.base_model.rankallocator, model.peft_config["default"]
        found = {f"{kind}:{name}": t.cpu() for kind in SMOOTHED for name, t in getattr(allocator, kind).items()}
        kept = {f"{KEPT}:{name}": torch.tensor(ranks) for name, ranks in (config.rank_pattern or {}).items()}
        return {**found, **kept}

    def restore(self, model: Any, state: dict[str, Tensor]) -> None:
        """Undo `state`."""
        import torch

        allocator, pattern = model.base_model.rankallocator, {}
        parameters = dict(_updates(model))
        for key, tensor in state.items():
            kind, _, name = key.partition(":")
            if kind == KEPT:
                pattern[name] = tensor.tolist()
            else:
                getattr(allocator, kind)[name] = tensor.to(parameters[name].device)
                allocator.ipt[name] = torch.zeros_like(parameters[name])  # made anew at each step
        model.peft_config["default"].rank_pattern = pattern or None

    def save(self, model: Any, folder: Path) -> None:
        """Only the ranks that are not pruned; those of the saved parameters, which may be of an earlier step."""
        singular = {name: p for name, p in _updates(model) if "lora_E" in name}
        kept = {name: (p != 0).view(-1).tolist() for name, p in singular.items()}
        pruned = not all(all(ranks) for ranks in kept.values())
        model.peft_config["default"].rank_pattern = kept if pruned else None
        super().save(model, folder)

    def load(self, folder: Path, auto: Any) -> nn.Module:
        """As always, without PEFT's warning that it ignores the ranks, which it gives and then heeds them."""
        import warnings

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The following rank_pattern keys", RuntimeWarning)
            return super().load(folder, auto)


def _updates(model: Any) -> list[tuple[str, Any]]:
    """The parameters of the updates, by the names that PEFT's allocator uses."""
    return [(name, p) for name, p in model.base_model.model.named_parameters() if ".lora_" in name]
