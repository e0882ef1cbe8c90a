"""Bottleneck adapters (Houlsby et al. 2019; Pfeiffer et al. 2021)."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from finetune.config import build
from finetune.errors import ModelError, RecipeError
from finetune.tuning import layers
from finetune.tuning.base import Tuning, freeze_all_but
from finetune.tuning.stored_base import load_base
from finetune.warm_start import COMPOSITE

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig

BERT = (("attention.output.dense", "crossattention.output.dense"), ("output.dense",))
T5 = (("SelfAttention.o", "EncDecAttention.o"), ("DenseReluDense.wo",))
BART = (("self_attn.out_proj", "encoder_attn.out_proj"), ("fc2",))
LLAMA = (("self_attn.o_proj",), ("mlp.down_proj",))
PROJECTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **dict.fromkeys(("bert", "roberta", "electra", "deberta", "deberta-v2", "xlm-roberta", "camembert"), BERT),
    **dict.fromkeys(("ernie", "data2vec-text", "xlm-roberta-xl", "rembert", "big_bird", "megatron-bert"), BERT),
    **dict.fromkeys(("roberta-prelayernorm", "roc_bert", "roformer", "xmod"), BERT),
    "distilbert": (("attention.out_lin",), ("ffn.lin2",)),
    "mpnet": (("attention.attn.o",), ("output.dense",)),
    "modernbert": (("attn.Wo",), ("mlp.Wo",)),
    "albert": (("attention.dense",), ("ffn_output",)),
    "xlnet": ((), ("ff.layer_2",)),
    "gpt2": (("attn.c_proj", "crossattention.c_proj"), ("mlp.c_proj",)),
    **dict.fromkeys(
        ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "olmo2", "smollm3"), LLAMA
    ),
    **dict.fromkeys(("t5", "mt5", "umt5"), T5),
    **dict.fromkeys(("bart", "mbart", "marian", "pegasus", "blenderbot", "m2m_100", "plbart"), BART),
}
"""Model type -> how the names of the linear layers end that attention and feed-forward network end in. XLNet's
attention has none."""
FORMAT = 1
WEIGHTS, SETTINGS = "adapter.safetensors", "adapter.json"
ATTACHED = "adapter"
"""Name of the adapter in the linear layer that it follows."""


class Adapter(Tuning):
    """Train a narrow network after the feed-forward network of each layer, or after attention too, and the head.

    It adds to what the last linear layer gives, before dropout, residual and norm, and at first adds nothing. A layer
    that ALBERT computes again and again has one adapter.
    """

    loader: ClassVar[str] = "finetune"
    note: ClassVar[str] = (
        "This is an adapter, which only finetune reads: it needs the run's recipe.json beside this folder, and the "
        "checkpoint that base in adapter.json names, on another machine perhaps at another place."
    )
    unmergeable: ClassVar[str] = "an adapter bends what it gets, and no matrix of the checkpoint can do that for it"

    learning_rate: PositiveFloat = 3e-4
    """Peak learning rate; 3e-4 is that of the authors' script (google-research/adapter-bert) and the middle of the
    three that they search (Houlsby et al. 2019)."""
    placement: Literal["pfeiffer", "houlsby"] = "pfeiffer"
    """`pfeiffer`: after the feed-forward network, about as good with half the parameters (Pfeiffer et al. 2021);
    `houlsby`: after every attention too, that to an encoder among them."""
    reduction: PositiveInt = 16
    """Width of the model over that of the adapter (Pfeiffer et al. 2021: 16)."""
    activation: Literal["gelu", "relu"] = "gelu"
    """Between the two matrices; gelu as in the authors' script."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the adapter's inner values that is dropped in training."""

    def refuse(
        self, auto: str, peft_task: str | None, config: PretrainedConfig, gradient_checkpointing: bool
    ) -> str | None:
        """An architecture whose linear layers are not known, or whose attention has none."""
        for kind in _kinds(config):
            if kind not in PROJECTIONS:
                return f"where the attention and the feed-forward network of {kind!r} end is not known"
            if self.placement == "houlsby" and not PROJECTIONS[kind][0]:
                return f"the attention of {kind} has no linear layer to follow; placement=pfeiffer fits"
        return None

    def apply(self, model: nn.Module, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Attach adapters; freeze all but them and the fresh parameters.

        Raises:
            RecipeError: No layer to follow was found.
        """
        attached = self._attach(model)
        added = {name for name, _ in model.named_parameters() if name.startswith(tuple(attached))}
        freeze_all_but(model, added | fresh)
        return model

    def save(self, model: Any, folder: Path) -> None:
        """What was trained, how it is attached, to what, and the configuration with the label names."""
        from safetensors.torch import save_file

        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        buffers = {name for name, _ in model.named_buffers()}  # of which only the persistent ones are in the state
        kept = {**trained, **{name: value for name, value in model.state_dict().items() if name in buffers}}
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.detach().cpu().contiguous() for name, value in kept.items()}, folder / WEIGHTS)
        place, revision = model.name_or_path, getattr(model.config, "_commit_hash", None)
        method = self.model_dump(mode="json", include={"placement", "reduction", "activation", "dropout"})
        base = {"path": str(Path(place).resolve()) if Path(place).is_dir() else place, "revision": revision}
        content = {"format": FORMAT, "method": method, "base": base}
        (folder / SETTINGS).write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        model.config.save_pretrained(folder)

    def load(self, folder: Path, auto: Any) -> nn.Module:
        """The base from where the adapter says it is, then what was trained.

        Raises:
            ModelError: The checkpoint is gone, or is not the one that the adapter was made for.
        """
        import torch
        from safetensors.torch import load_file

        content = json.loads((folder / SETTINGS).read_text("utf-8"))
        place, revision = content["base"]["path"], content["base"]["revision"]
        model = load_base(folder, auto, place, revision, f"base.path in {SETTINGS}")
        build(type(self), content["method"], "method.")._attach(model)
        stored = load_file(folder / WEIGHTS)
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        for name, value in stored.items():
            if name not in tensors or tensors[name].shape != value.shape:
                raise ModelError(f"the adapter in {folder} does not fit {place}: {name} is not there as it was saved.")
            with torch.no_grad():
                tensors[name].copy_(value)
        freeze_all_but(model, set(stored))
        return model

    def _attach(self, model: nn.Module) -> list[str]:
        """Give the linear layers their adapters; returns how the names of those begin.

        Raises:
            RecipeError: No such layer was found.
        """
        stacks = tuple(f"{name}." for name in layers.stacks(model))
        config: Any = model.config
        known = [PROJECTIONS[kind] for kind in _kinds(config)]
        attention = tuple(f".{end}" for ends, _ in known for end in ends)
        either = (*attention, *(f".{end}" for _, ends in known for end in ends))
        attached = []
        for name, module in list(model.named_modules()):
            passed = self.placement == "pfeiffer" and name.endswith(attention)  # BERT's end as its other ones do
            if name.startswith(stacks) and name.endswith(either) and not passed:
                module.add_module(ATTACHED, self._network(module))
                module.register_forward_hook(_adapted)
                attached.append(f"{name}.{ATTACHED}.")
        if not attached:
            raise RecipeError(f"tuning=adapter: {type(model).__name__} has no layer that an adapter could follow.")
        return attached

    def _network(self, layer: Any) -> nn.Module:
        """Down to the narrow width and up again; the matrix up begins at 0."""
        from torch import nn

        width = layer.nf if hasattr(layer, "nf") else layer.out_features  # GPT-2's transposed layers
        narrow = max(1, width // self.reduction)
        up = nn.Linear(narrow, width)
        nn.init.zeros_(up.weight)
        nn.init.zeros_(up.bias)
        activation = nn.GELU() if self.activation == "gelu" else nn.ReLU()
        parts = {"down": nn.Linear(width, narrow), "activation": activation, "dropout": nn.Dropout(self.dropout)}
        return nn.Sequential(OrderedDict({**parts, "up": up})).train(layer.training)


def _adapted(layer: Any, _: Any, output: Tensor) -> Tensor:
    """What a linear layer gives, with what its adapter adds; a function of the module, so that copies of it work."""
    return output + layer.adapter(output)  # type: ignore[no-any-return]


def _kinds(config: Any) -> list[str]:
    """Model types of a configuration: its own, or those of its encoder and decoder."""
    halves = (config.encoder, config.decoder) if config.model_type == COMPOSITE else (config,)
    return sorted({half.model_type for half in halves})
