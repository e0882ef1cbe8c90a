"""Fine-tune pretrained Transformers and get a result that can be believed.

A recipe is a value: `Recipe(name=..., task=..., data=..., model=..., tuning=..., training=...)`; `run` runs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "AdaLoRA": "finetune.tuning.adalora",
    "Adapter": "finetune.tuning.adapter",
    "BitFit": "finetune.tuning.bitfit",
    "Classification": "finetune.tasks.classification",
    "Comparison": "finetune.comparison.result",
    "Data": "finetune.data.base",
    "DataError": "finetune.errors",
    "ExtractiveSummarization": "finetune.tasks.extractive_summarization",
    "FinetuneError": "finetune.errors",
    "Frozen": "finetune.tuning.frozen",
    "Full": "finetune.tuning.full",
    "Generation": "finetune.generation.settings",
    "IA3": "finetune.tuning.ia3",
    "LanguageModeling": "finetune.tasks.language_modeling",
    "LayerNorm": "finetune.tuning.layer_norm",
    "LoRA": "finetune.tuning.lora",
    "Model": "finetune.recipe",
    "ModelError": "finetune.errors",
    "MultiLabel": "finetune.tasks.multi_label",
    "MultipleChoice": "finetune.tasks.multiple_choice",
    "PEFT": "finetune.tuning.peft",
    "PTuning": "finetune.tuning.p_tuning",
    "Partial": "finetune.tuning.partial",
    "Prefix": "finetune.tuning.prefix",
    "Prompt": "finetune.tuning.prompt",
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
    "compare": "finetune.comparison.compare",
    "load": "finetune.predict",
    "run": "finetune.experiment",
}
"""Public name -> where it is defined; imported when first used, so that declaring a recipe loads no torch."""

__all__ = [
    "IA3",
    "PEFT",
    "AdaLoRA",
    "Adapter",
    "BitFit",
    "Classification",
    "Comparison",
    "Data",
    "DataError",
    "ExtractiveSummarization",
    "FinetuneError",
    "Frozen",
    "Full",
    "Generation",
    "LanguageModeling",
    "LayerNorm",
    "LoRA",
    "Model",
    "ModelError",
    "MultiLabel",
    "MultipleChoice",
    "PTuning",
    "Partial",
    "Prefix",
    "Prompt",
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
    "compare",
    "load",
    "run",
]

if TYPE_CHECKING:
    from finetune.comparison.compare import compare
    from finetune.comparison.result import Comparison
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
    from finetune.tuning.adalora import AdaLoRA
    from finetune.tuning.adapter import Adapter
    from finetune.tuning.bitfit import BitFit
    from finetune.tuning.frozen import Frozen
    from finetune.tuning.full import Full
    from finetune.tuning.ia3 import IA3
    from finetune.tuning.layer_norm import LayerNorm
    from finetune.tuning.lora import LoRA
    from finetune.tuning.p_tuning import PTuning
    from finetune.tuning.partial import Partial
    from finetune.tuning.peft import PEFT
    from finetune.tuning.prefix import Prefix
    from finetune.tuning.prompt import Prompt


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'finetune' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
