"""Any other method of PEFT, by its name there."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, JsonValue, PositiveFloat, field_validator, model_validator

from finetune.config import typed
from finetune.errors import RecipeError, unknown
from finetune.tuning.through_peft import ThroughPeft, attention, model_type

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PretrainedConfig

OWN = {
    "adalora": "adalora",
    "ia3": "ia3",
    "ln_tuning": "layer_norm",
    "lora": "lora",
    "p_tuning": "p_tuning",
    "prefix_tuning": "prefix",
    "prompt_tuning": "prompt",
}
"""PEFT's name -> the method here that stands on it or does the same."""
UNFIT = {
    "cartridge": "it starts from a text of its own, not from a task",
    "cpt": "its loss is one of its own, and it knows language models only",
    "multitask_prompt_tuning": "it needs the number of a task with every row",
    "poly": "it needs the number of a task with every row",
    "shadow": "the model beside the model that it trains does not get a task's inputs",
    "xlora": "it mixes finished adapters, and PEFT cannot load what it saves",
}
"""PEFT's name -> why no run can train it."""
SET_BY_THE_RUN = {
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "revision",
    "task_type",
}
"""Fields of PEFT's configurations that are no settings."""
CONV1D = {"gpt2", "gpt_bigcode", "openai-gpt"}
"""Model types whose layers are the library's Conv1D."""
LINEAR_ONLY = {
    "adamss",
    "boft",
    "c3a",
    "delora",
    "glora",
    "hra",
    "lily",
    "loha",
    "lokr",
    "miss",
    "oft",
    "peanut",
    "psoft",
    "road",
    "shira",
    "supertuning",
}
"""PEFT's names of the methods that change `nn.Linear` only."""
UNMERGEABLE = {
    "adaption_prompt": "PEFT has no merging of it",
    "lily": "PEFT has no merging of it",
}
"""PEFT's name -> why what was learned cannot be added to the weights."""
COPY = ".modules_to_save."
"""Stands in the names of what is trained whole."""
ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    AssertionError,
    ImportError,
)
"""What PEFT raises where a method does not fit a model."""


class PEFT(ThroughPeft):
    """Train what a method of PEFT adds, and the head."""

    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate; 1e-3 is Adam's own default (Kingma and Ba 2015), for no rate fits all of these methods: what
    stands close to LoRA wants about 4e-4, and vectors, as VeRA's, ten times as much. Search."""
    method: str
    """PEFT's name of the method, as `loha`, `oft` or `vera`."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Fields of PEFT's configuration of it, as `{r: 8}`; all others as PEFT sets them. `target_modules` are, where
    neither this nor PEFT says any, those of tuning=lora."""

    @field_validator("method")
    @classmethod
    def _lower_case(cls, value: str) -> str:
        return value.lower()

    @field_validator("settings", mode="before")
    @classmethod
    def _typed(cls, value: Any) -> Any:
        """Numbers and truth values that come as text, as all values do from the command line."""
        return typed(value)

    @model_validator(mode="after")
    def _known(self) -> Self:
        """Look that PEFT has the method and the method these fields."""
        if self.method in OWN:
            raise ValueError(f"method={self.method} is a method of its own here: tuning={OWN[self.method]}")
        if self.method in UNFIT:
            raise ValueError(f"method={self.method} does not go with a run: {UNFIT[self.method]}")
        kinds = _kinds()
        if self.method not in kinds:
            raise ValueError(
                unknown("method of PEFT", self.method, kinds.keys() - UNFIT.keys() - OWN.keys()).rstrip(".")
            )
        fields = {field.name for field in dataclasses.fields(kinds[self.method]) if field.init} - SET_BY_THE_RUN
        for name in self.settings:
            if name in SET_BY_THE_RUN:
                raise ValueError(f"settings.{name} is set by the run: leave it out")
            if name not in fields:
                raise ValueError(unknown("field", f"settings.{name}", (f"settings.{f}" for f in fields)).rstrip("."))
        return self

    def refuse(
        self, auto: str, peft_task: str | None, config: PretrainedConfig, gradient_checkpointing: bool
    ) -> str | None:
        """Many methods of PEFT know `nn.Linear` only, and GPT-2 has none inside."""
        if config.model_type in CONV1D and self.method in LINEAR_ONLY:
            return (
                f"method={self.method} changes linear layers only, and those of {config.model_type} are of another kind"
            )
        return None

    def adapter(self, model: nn.Module, peft_task: str | None, heads: list[str], steps: int) -> PeftConfig:
        """PEFT's configuration with the settings."""
        kind = _kinds()[self.method]
        known = {field.name for field in dataclasses.fields(kind)}
        quiet = {"progressbar": False} if "progressbar" in known else {}
        settings: dict[str, Any] = {**quiet, **self.settings, "task_type": peft_task}
        if "modules_to_save" in known:
            settings["modules_to_save"] = heads or None
        elif heads:
            raise RecipeError(f"tuning.method={self.method}: PEFT trains no head beside it, and this task has one.")
        if "target_modules" in known:
            settings["target_modules"] = self._targets(model)
        try:
            return kind(**settings)
        except ERRORS as error:
            raise RecipeError(self._failed(error)) from error

    def apply(self, model: Any, peft_task: str | None, fresh: set[str], steps: int) -> nn.Module:
        """Wrap the model in PEFT's; what PEFT cannot do it says in its own words."""
        try:
            wrapped = super().apply(model, peft_task, fresh, steps)
        except RecipeError:
            raise
        except ERRORS as error:
            raise RecipeError(self._failed(error)) from error
        if not any(p.requires_grad and COPY not in name for name, p in wrapped.named_parameters()):
            raise RecipeError(f"tuning.method={self.method}: PEFT finds nothing to train here but the head.")
        return wrapped

    def merge(self, model: nn.Module) -> nn.Module:
        """The base with what was learned added to its weights; what PEFT cannot do it says in its own words."""
        try:
            return super().merge(model)
        except RecipeError:
            raise
        except ERRORS as error:
            raise RecipeError(self._failed(error).replace("apply", "merge")) from error

    @property
    def unmergeable(self) -> str:  # type: ignore[override]
        """PEFT's methods that have no weights to add up."""
        return UNMERGEABLE.get(self.method, "")

    def _targets(self, model: nn.Module) -> Any:
        """The layers named in the settings, by PEFT, or as for LoRA; PEFT leaves those of heads out."""
        from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

        tuner = PEFT_TYPE_TO_TUNER_MAPPING[self.method.upper()]
        defaults: dict[str, Any] = getattr(tuner, "target_module_mapping", None) or {}
        return self.settings.get("target_modules") or defaults.get(model_type(model)) or list(attention(model))

    def _failed(self, error: Exception) -> str:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = lines[0] if lines else type(error).__name__
        return f"tuning.method={self.method}: PEFT cannot apply it here: {said}"


def _kinds() -> dict[str, type[PeftConfig]]:
    """PEFT's name of each method -> its configuration."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    kinds: dict[str, type[PeftConfig]] = {
        kind.value.lower(): found for kind, found in PEFT_TYPE_TO_CONFIG_MAPPING.items()
    }
    return kinds
