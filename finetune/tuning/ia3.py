"""(IA)3: learned scales of keys, values and feed-forward activations (Liu et al. 2022), through PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import PositiveFloat

from finetune.errors import RecipeError
from finetune.tuning.through_peft import ThroughPeft, linear_layers, model_type, target_layers, within

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

BERT = (("self.key", "self.value"), ("output.dense",))
LLAMA = (("k_proj", "v_proj"), ("down_proj",))
BART = (("k_proj", "v_proj"), ("fc2",))
T5 = (("k", "v"), ("wo",))

SCALED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra", "ernie", "rembert", "big_bird"), BERT),
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2"), LLAMA),
    **dict.fromkeys(("bart", "mbart", "marian", "pegasus", "opt"), BART),
    **dict.fromkeys(("t5", "mt5"), T5),
    "albert": (("attention.key", "attention.value"), ("ffn_output",)),
    "deberta-v2": (("key_proj", "value_proj"), ("output.dense",)),
    "distilbert": (("k_lin", "v_lin"), ("ffn.lin2",)),
    "gpt2": (("attn.c_attn",), ("mlp.c_proj",)),  # queries, keys and values are one layer
    "modernbert": (("attn.Wqkv",), ("mlp.Wo",)),
    "xlnet": ((), ("ff.layer_2",)),  # its attention weights are no linear layers
}
"""Model type -> ends of the names of the layers whose outputs are scaled (keys and values), and of those whose inputs
are (the second of the feed-forward layers)."""


class IA3(ThroughPeft):
    """Train scales of keys, values and feed-forward activations, and the head."""

    learning_rate: PositiveFloat = 3e-3
    """Peak learning rate; 3e-3 is what (IA)3's authors use for every data set (r-three/t-few, configs/ia3.json)."""
    targets: tuple[str, ...] | None = None
    """Ends of the names of linear layers whose outputs are scaled; None: keys and values, by architecture."""
    feedforward: tuple[str, ...] | None = None
    """Ends of the names of linear layers whose inputs are scaled; None: the second feed-forward layer."""

    def adapter(self, model: nn.Module, peft_task: str | None, heads: list[str], steps: int) -> PeftConfig:
        """Scales of the chosen layers, 1 at the beginning."""
        from peft import IA3Config

        outputs, inputs = self._layers(model, heads)
        return IA3Config(
            task_type=peft_task,
            target_modules=[*outputs, *inputs],
            feedforward_modules=inputs,
            modules_to_save=heads or None,
        )

    def groups(self, model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
        """As always, and the scales are not decayed: they would shrink from 1 towards 0, which is no rest."""
        scales = [p for name, p in model.named_parameters() if p.requires_grad and "ia3_l" in name]
        ids = {id(p) for p in scales}
        groups = super().groups(model, weight_decay)
        for group in groups:
            group["params"] = [p for p in group["params"] if id(p) not in ids]
        return [*groups, {"params": scales, "weight_decay": 0.0, "lr": self.learning_rate}]

    def _layers(self, model: nn.Module, heads: list[str]) -> tuple[list[str], list[str]]:
        """Whole names of the layers whose outputs are scaled, and of those whose inputs are.

        Raises:
            RecipeError: The architecture is not known, no layer has such a name, or one stands on both sides.
        """
        kind = model_type(model)
        if kind not in SCALED and (self.targets is None or self.feedforward is None):
            raise RecipeError(
                f"tuning=ia3: the layers of {kind!r} are not known; name them with tuning.targets, whose outputs are "
                "scaled, and tuning.feedforward, whose inputs are."
            )
        outputs, inputs = SCALED.get(kind, ((), ()))
        outputs = outputs if self.targets is None else self.targets
        scaled = target_layers(model, heads, outputs) if outputs else []
        if self.feedforward is not None:
            fed = target_layers(model, heads, self.feedforward) if self.feedforward else []
        else:  # BERT's attention has an output.dense of its own
            linear = [name for name in linear_layers(model) if not within(name, heads) and "attention" not in name]
            fed = [name for name in linear if f".{name}".endswith(tuple(f".{end}" for end in inputs))]
        if both := sorted(set(scaled) & set(fed)):
            raise RecipeError(f"tuning=ia3: {both[0]} stands in both tuning.targets and tuning.feedforward.")
        if not scaled and not fed:
            raise RecipeError("tuning=ia3: name at least one layer in tuning.targets or tuning.feedforward.")
        return scaled, fed
