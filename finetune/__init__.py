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
    "ExtractiveSummarization": "finetune.tasks.extractive_summarization",
    "FinetuneError": "finetune.errors",
    "Frozen": "finetune.tuning.frozen",
    "Full": "finetune.tuning.full",
    "Generation": "finetune.generation.settings",
    "LanguageModeling": "finetune.tasks.language_modeling",
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
    "Summarization": "finetune.tasks.summarization",
    "TokenClassification": "finetune.tasks.token_classification",
    "TrainedTokenizer": "finetune.recipe",
    "Training": "finetune.recipe",
    "Translation": "finetune.tasks.translation",
    "load": "finetune.predict",
    "run": "finetune.experiment",
}
"""Public name -> where it is defined; imported when first used, so that declaring a recipe loads no torch."""

__all__ = [
    "Classification",
    "Data",
    "DataError",
    "ExtractiveSummarization",
    "FinetuneError",
    "Frozen",
    "Full",
    "Generation",
    "LanguageModeling",
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
    "Summarization",
    "TokenClassification",
    "TrainedTokenizer",
    "Training",
    "Translation",
    "load",
    "run",
]

if TYPE_CHECKING:
    from finetune.data.base import Data
    from finetune.errors import DataError, FinetuneError, ModelError, RecipeError, RunError
    from finetune.experiment import Result, run
    from finetune.generation.settings import Generation
    from finetune.predict import load
    from finetune.recipe import Model, Recipe, TrainedTokenizer, Training
    from finetune.tasks.classification import Classification
    from finetune.tasks.extractive_summarization import ExtractiveSummarization
    from finetune.tasks.language_modeling import LanguageModeling
    from finetune.tasks.multi_label import MultiLabel
    from finetune.tasks.multiple_choice import MultipleChoice
    from finetune.tasks.question_answering import QuestionAnswering
    from finetune.tasks.regression import Regression
    from finetune.tasks.summarization import Summarization
    from finetune.tasks.token_classification import TokenClassification
    from finetune.tasks.translation import Translation
    from finetune.tuning.frozen import Frozen
    from finetune.tuning.full import Full
    from finetune.tuning.lora import LoRA


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'finetune' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
