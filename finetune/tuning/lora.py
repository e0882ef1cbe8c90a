"""Low-rank updates (Hu et al. 2021), through PEFT."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from finetune.config import FilePath, build
from finetune.data import cache
from finetune.errors import RecipeError
from finetune.tuning.through_peft import Targets, ThroughPeft, target_layers

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PretrainedConfig

log = logging.getLogger(__name__)

RUN_RECIPE, ADAPTER, ADAPTER_CONFIG, LABELS = (
    "recipe.json",
    "model/adapter_model.safetensors",
    "model/adapter_config.json",
    "model/config.json",
)
"""Files of a finished run."""
SHAPE = ("r", "alpha", "targets", "rslora", "dora", "start", "quantize")
"""Fields that must be equal for one adapter to go on as another."""
HEADS = [
    "classifier",
    "pre_classifier",
    "classification_head",
    "score",
    "qa_outputs",
    "pooler",
    "head",
    "logits_proj",
    "sequence_summary",
    "lm_head",
    "cls",
    "predictions",
]
"""Names of modules that no architecture's base has: heads, which are trained and so must not be quantized."""
PISSA_NOTE = (
    "The base must be loaded in full precision: loading splits its updated layers again by their singular values."
)
QUANTIZE_NOTE = (
    "It was trained on the checkpoint in {bits} bits; loaded on it in full precision, its answers differ a little."
)


class LoRA(ThroughPeft):
    """Train low-rank updates of linear layers, and the head."""

    learning_rate: PositiveFloat = 4e-4
    """Peak learning rate; 4e-4 is what LoRA's authors use for most of GLUE with RoBERTa-base
    (microsoft/LoRA, examples/NLU)."""
    r: PositiveInt = 8
    """Rank of the updates."""
    alpha: PositiveFloat = 16
    """The update is scaled by alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the inputs of the updates that is dropped in training."""
    targets: Targets = "attention"
    """Layers to update: `attention`, the projections that the paper updates (query and value, by architecture);
    `all`, every linear layer but the head; or the ends of module names."""
    rslora: bool = False
    """Scale by alpha / sqrt(r) instead (Kalajdzievski 2023)."""
    dora: bool = False
    """Split magnitude from direction (Liu et al. 2024)."""
    start: Literal["zero", "pissa"] = "zero"
    """Where the updates begin: at zero, or at the r largest singular values and vectors of each layer, which leave the
    frozen weights (PiSSA, Meng et al. 2024). PiSSA's authors train language models of 7 billion weights at 2e-5."""
    start_from: FilePath | None = None
    """Directory of a finished run with tuning=lora whose adapter is where training begins, as from MNLI to RTE in the
    LoRA paper; its head is taken where it has the same label names."""
    quantize: Literal[4, 8] | None = None
    """Bits of the frozen weights, 4 as in QLoRA (Dettmers et al. 2023); needs a GPU and bitsandbytes.
    None: as loaded."""

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        if self.start == "pissa" and self.start_from is not None:
            raise ValueError("start=pissa and start_from both say where the updates begin: leave one out")
        if self.start == "pissa" and self.quantize is not None:
            raise ValueError("start=pissa changes the frozen weights, quantize rounds them: leave one out")
        return self

    def digests(self) -> dict[str, str]:
        """The content of the adapter that training starts from, and its label names."""
        if self.start_from is None:
            return {}
        run = self._source()
        return {"start_from": cache.digest(cache.file_digest(run / ADAPTER), _labels(run))}

    def refuse(
        self, auto: str, peft_task: str | None, config: PretrainedConfig, gradient_checkpointing: bool
    ) -> str | None:
        """Quantization needs its library and a GPU.

        Raises:
            RecipeError: The adapter to start from does not fit; the message names every difference.
        """
        if self.start_from is not None:
            self._compare(self._source(), config)
        return _lacking() if self.quantize else None

    def loading(self) -> dict[str, Any]:
        """The frozen weights in 4 or 8 bits, heads whole."""
        if self.quantize is None:
            return {}
        import torch
        from transformers import BitsAndBytesConfig

        nested = {
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": torch.bfloat16,
        }
        bits: dict[str, Any] = {"load_in_8bit": True} if self.quantize == 8 else {"load_in_4bit": True, **nested}
        return {"quantization_config": BitsAndBytesConfig(llm_int8_skip_modules=HEADS, **bits)}

    def adapter(self, model: nn.Module, peft_task: str | None, heads: list[str], steps: int) -> PeftConfig:
        """Updates of the chosen layers."""
        from peft import LoraConfig

        return LoraConfig(
            task_type=peft_task,
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=target_layers(model, heads, self.targets),
            modules_to_save=heads or None,
            use_rslora=self.rslora,
            use_dora=self.dora,
            init_lora_weights="pissa" if self.start == "pissa" else True,
        )

    def apply(self, model: Any, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Wrap the model in PEFT's, and put in the adapter to start from."""
        if self.quantize is not None:
            from peft import prepare_model_for_kbit_training

            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        inner = f"{model.base_model_prefix}."
        head = {name for name in fresh if not name.startswith(inner)}
        wrapped = super().apply(model, peft_task, fresh, steps)
        if self.start_from is not None:
            self._go_on(wrapped, head)
        return wrapped

    @property
    def note(self) -> str:  # type: ignore[override]
        """What the base must be."""
        if self.quantize is not None:
            return QUANTIZE_NOTE.format(bits=self.quantize)
        return PISSA_NOTE if self.start == "pissa" else ""

    @property
    def unmergeable(self) -> str:  # type: ignore[override]
        """Rounded weights have no room for a small update."""
        if self.quantize is None:
            return ""
        return f"the checkpoint is held in {self.quantize} bits, into which the updates would be rounded"

    def _source(self) -> Path:
        """The run to start from.

        Raises:
            RecipeError: It is none, or not finished.
        """
        assert self.start_from is not None
        run = Path(self.start_from).expanduser()
        missing = next(
            (name for name in (RUN_RECIPE, ADAPTER, ADAPTER_CONFIG, LABELS) if not (run / name).is_file()), ""
        )
        if missing:
            raise RecipeError(
                f"tuning.start_from: {run} is no finished run with tuning=lora: it has no {missing}. "
                "Name its directory, as runs/mnli/lora-3f9a2c01."
            )
        return run

    def _compare(self, run: Path, config: Any) -> None:
        """Look that the adapter to start from is one of the same shape on the same checkpoint."""
        tuning = json.loads((run / RUN_RECIPE).read_text("utf-8"))["tuning"]
        if tuning["type"] != self.kind():
            raise RecipeError(f"tuning.start_from: {run} is a run with tuning={tuning['type']}; tuning=lora is needed.")
        other = build(LoRA, tuning, "tuning.")
        pairs = {f"tuning.{name}": (getattr(other, name), getattr(self, name)) for name in SHAPE}
        stored = json.loads((run / ADAPTER_CONFIG).read_text("utf-8"))
        there = (stored["base_model_name_or_path"], stored.get("revision"))
        here = (config.name_or_path, getattr(config, "_commit_hash", None))
        if there != here and _weights(*there) != _weights(*here):
            pairs["the checkpoint"] = (there[0], here[0])
        differing = [
            f"{name} is {first} there and {second} here" for name, (first, second) in pairs.items() if first != second
        ]
        if differing:
            raise RecipeError(f"tuning.start_from: the adapter of {run} does not fit: {'; '.join(differing)}.")

    def _go_on(self, model: Any, head: set[str]) -> None:
        """Put in the adapter to start from; the head only where the labels are the same."""
        from peft import get_peft_model_state_dict, set_peft_model_state_dict
        from safetensors.torch import load_file

        run, config = self._source(), model.config
        stored, own = load_file(run / ADAPTER), get_peft_model_state_dict(model)
        if _labels(run) != list(config.id2label.values()):
            stored = {key: value for key, value in stored.items() if key.removeprefix("base_model.model.") not in head}
        taken = {key: value for key, value in stored.items() if key in own and own[key].shape == value.shape}
        lacking = [key for key in own if ".lora_" in key and key not in taken]
        if lacking:
            raise RecipeError(f"tuning.start_from: the adapter of {run} has no update {lacking[0]} of this shape.")
        set_peft_model_state_dict(model, {**own, **taken})
        log.info("training starts from %d of the %d tensors of %s", len(taken), len(own), run)


def _labels(run: Path) -> list[str]:
    """Label names of a run's model, in their order."""
    names: dict[str, str] = json.loads((run / LABELS).read_text("utf-8")).get("id2label") or {}
    return [names[number] for number in sorted(names, key=int)]


def _weights(place: str, revision: str | None) -> list[str]:
    """What identifies the weights of a checkpoint: their content, or name and commit on the Hub."""
    folder = Path(place)
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]) if folder.is_dir() else []
    return [cache.file_digest(path) for path in files] or [f"{place}@{revision}"]


def _lacking() -> str | None:
    """What quantization lacks on this machine; None: nothing."""
    from importlib.util import find_spec

    import torch

    if find_spec("bitsandbytes") is None:
        return "quantize needs the library bitsandbytes: pip install bitsandbytes, or leave quantize out"
    return None if torch.cuda.is_available() else "quantize needs a GPU; leave it out"
