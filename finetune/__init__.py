"""Fine-tune pretrained Transformers and get a result that can be believed.

A recipe is a value: `Recipe(name=..., task=..., data=..., model=..., tuning=..., training=...)`; `run` runs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Classification": "finetune.tasks.classification",
    "Data": "finetune.data.base",
    "DataError": "finetune.errors",
    "FinetuneError": "finetune.errors",
    "Frozen": "finetune.tuning.frozen",
    "Full": "finetune.tuning.full",
    "LoRA": "finetune.tuning.lora",
    "Model": "finetune.recipe",
    "ModelError": "finetune.errors",
    "MultiLabel": "finetune.tasks.multi_label",
    "MultipleChoice": "finetune.tasks.multiple_choice",
    "QuestionAnswering": "finetune.tasks.question_answering",
    "Recipe": "finetune.recipe",
    "RecipeError": "finetune.errors",
    "Regression": "finetune.tasks.regression",
    "Result": "finetune.experiment",
    "RunError": "finetune.errors",
    "TokenClassification": "finetune.tasks.token_classification",
    "Training": "finetune.recipe",
    "load": "finetune.predict",
    "run": "finetune.experiment",
}
"""Public name -> where it is defined; imported when first used, so that declaring a recipe loads no torch."""

__all__ = [
    "Classification",
    "Data",
    "DataError",
    "FinetuneError",
    "Frozen",
    "Full",
    "LoRA",
    "Model",
    "ModelError",
    "MultiLabel",
    "MultipleChoice",
    "QuestionAnswering",
    "Recipe",
    "RecipeError",
    "Regression",
    "Result",
    "RunError",
    "TokenClassification",
    "Training",
    "load",
    "run",
]

if TYPE_CHECKING:
    from finetune.data.base import Data
    from finetune.errors import DataError, FinetuneError, ModelError, RecipeError, RunError
    from finetune.experiment import Result, run
    from finetune.predict import load
    from finetune.recipe import Model, Recipe, Training
    from finetune.tasks.classification import Classification
    from finetune.tasks.multi_label import MultiLabel
    from finetune.tasks.multiple_choice import MultipleChoice
    from finetune.tasks.question_answering import QuestionAnswering
    from finetune.tasks.regression import Regression
    from finetune.tasks.token_classification import TokenClassification
    from finetune.tuning.frozen import Frozen
    from finetune.tuning.full import Full
    from finetune.tuning.lora import LoRA


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'finetune' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
