"""The cells: methods, heads and architectures, and which architecture has no such head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from finetune.errors import ModelError, RecipeError
from finetune.model import auto_class, head_config
from finetune.preparation import prepare
from finetune.recipe import Recipe
from finetune.tuning.base import Tuning
from tests.support.cases import TUNINGS, method, recipe


@dataclass(frozen=True)
class Head:
    """A head, with the case that trains it.

    Attributes:
        case: Name in tests.support.cases.
        autos: Auto classes of transformers that count as this head.
    """

    case: str
    autos: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """A method with a head on an architecture."""

    head: str
    architecture: str
    method: str

    def __str__(self) -> str:
        return f"{self.head}-{self.architecture}-{self.method}"


HEADS = {
    "sequence classification": Head("classification", ("AutoModelForSequenceClassification",)),
    "multiple choice": Head("multiple_choice", ("AutoModelForSequenceClassification",)),
    "token classification": Head("token_classification", ("AutoModelForTokenClassification",)),
    "question answering": Head("question_answering", ("AutoModelForQuestionAnswering",)),
    "masked language model": Head("language_modeling: masked", ("AutoModelForMaskedLM",)),
    "causal language model": Head("language_modeling", ("AutoModelForCausalLM",)),
    "text to text": Head("summarization", ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM")),
}
ARCHITECTURES = (
    "bert",
    "roberta",
    "distilbert",
    "deberta-v2",
    "modernbert",
    "xlnet",
    "gpt2",
    "llama",
    "qwen3",
    "t5",
    "bart",
)
OF_PEFT = ("loha", "vera")
"""What stands for all that PEFT has besides: one that needs linear layers, and one that takes GPT-2's too."""
METHODS = (*(name for name in TUNINGS if name != "peft"), *(f"peft: {name}" for name in OF_PEFT))
CELLS = [Cell(head, architecture, method) for head in HEADS for architecture in ARCHITECTURES for method in METHODS]
STEPS = 4


def instance(name: str) -> Tuning:
    """A method with settings that fit tiny models, and steps large enough to be seen."""
    kind, _, named = name.partition(": ")
    made = TUNINGS[kind](method=named) if named else method(kind)
    return made.model_copy(update={"learning_rate": 0.02})


def recipe_of(cell: Cell, path: str) -> Recipe:
    """A run of a few steps."""
    settings = {"rows": 12, "steps": STEPS, "batch_size": 6, "warmup": 0}
    return recipe(HEADS[cell.head].case, cell.architecture, path, instance(cell.method), **settings)


@cache
def absence(head: str, architecture: str, path: str) -> str | None:
    """Why an architecture has no such head, as the task or transformers says; None: it has."""
    try:
        prepared = prepare(recipe_of(Cell(head, architecture, "full"), path), "cpu")
    except (ModelError, RecipeError) as error:
        return str(error)
    found = prepared.head
    if found.auto not in HEADS[head].autos:
        return f"its head is {found.auto}"
    # the mapping is private, but to load the weights instead would take any error for an answer
    known = auto_class(found)._model_mapping
    kind = type(head_config(prepared.checkpoint, found))
    return None if kind in known else f"transformers has no {found.auto} for {architecture}"
