"""The norms only (Qi et al. 2022; Zhao et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveFloat

from finetune.errors import RecipeError
from finetune.tuning.base import Tuning, freeze_all_but

if TYPE_CHECKING:
    from torch import nn


class LayerNorm(Tuning):
    """Train gains and biases of every norm, of layers as of queries and keys, and the head."""

    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate; no paper's: 1e-3 is what BitFit's authors use for parameters of the same kind and number
    (benzakenelad/BitFit)."""

    def apply(self, model: nn.Module, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Freeze all but norms and fresh parameters.

        Raises:
            RecipeError: No norm has parameters.
        """
        norms = {
            f"{prefix}.{name}"
            for prefix, module in model.named_modules()
            if "norm" in type(module).__name__.lower()  # every architecture writes a class of its own
            for name, _ in module.named_parameters(recurse=False)
        }
        if not norms - fresh:
            raise RecipeError(f"tuning=layer_norm: no norm of {type(model).__name__} has parameters.")
        freeze_all_but(model, norms | fresh)
        return model
