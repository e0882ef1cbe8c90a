"""Every task with data and checkpoints it fits: those of the catalog, found by themselves, and the toy ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finetune import Classification, Data, Recipe, Training, catalog
from finetune.generation.settings import Generation
from finetune.tasks.base import Task
from finetune.tasks.extractive_summarization import ExtractiveSummarization
from finetune.tasks.language_modeling import LanguageModeling
from finetune.tasks.multi_label import MultiLabel
from finetune.tasks.multiple_choice import MultipleChoice
from finetune.tasks.question_answering import QuestionAnswering
from finetune.tasks.regression import Regression
from finetune.tasks.summarization import Summarization
from finetune.tasks.token_classification import TokenClassification
from finetune.tasks.translation import Translation
from finetune.tuning.base import Tuning
from tests.support.rows import copies, papers, questions, quizzes, ratings, reviews, stories, tagged, topics
from tests.support.toy_tasks import Copying, WindowedClassification


@dataclass(frozen=True)
class Case:
    """A task with what it needs to run.

    Attributes:
        task: Unresolved.
        rows: Makes `count` rows from a seed.
        architectures: Names in tests.support.tiny that the task fits.
        sample: One row of inputs to predict.
    """

    task: Task
    rows: Any
    architectures: tuple[str, ...]
    sample: dict[str, str]


CASES: dict[str, Case] = {
    "classification": Case(Classification(), reviews, ("bert", "gpt2"), {"text": "a good film"}),
    "extractive_summarization": Case(
        ExtractiveSummarization(max_length=16),
        papers,
        ("bert", "gpt2"),
        {"document": ["the film is good", "one two three four", "the plot is slow"]},
    ),
    "language_modeling": Case(
        LanguageModeling(max_length=12, stride=3, generation=Generation(max_new_tokens=4)),
        stories,
        ("gpt2", "llama"),
        {"text": "one two three"},
    ),
    "language_modeling: masked": Case(
        LanguageModeling(max_length=12, stride=3, whole_words=True),
        stories,
        ("bert", "roberta"),
        {"text": "one [MASK] three"},
    ),
    "multi_label": Case(MultiLabel(), topics, ("bert", "gpt2"), {"text": "a good film"}),
    "multiple_choice": Case(
        MultipleChoice(), quizzes, ("bert", "gpt2"), {"text": "the film is", "choices": ["good", "one two", "red"]}
    ),
    "question_answering": Case(
        QuestionAnswering(max_length=24, stride=4, max_answer_length=4),
        questions,
        ("bert", "gpt2", "llama"),
        {"question": "what is red", "context": "the plot is red and the film is not quite so good"},
    ),
    "regression": Case(Regression(), ratings, ("bert", "gpt2"), {"text": "a good film"}),
    "summarization": Case(
        Summarization(source="source", target="target"),
        copies,
        ("bert", "t5", "bart", "gpt2", "llama"),
        {"source": "one two three"},
    ),
    "summarization: beams": Case(
        Summarization(source="source", target="target", generation=Generation(num_beams=3, length_penalty=2.0)),
        copies,
        ("bart", "llama"),
        {"source": "one two three"},
    ),
    "token_classification": Case(
        TokenClassification(max_length=10, stride=3), tagged, ("bert", "gpt2"), {"words": "the plot is slow but good"}
    ),
    "translation": Case(
        Translation(label_smoothing=0.1), copies, ("bert", "t5", "bart", "gpt2"), {"source": "one two three"}
    ),
    "toy: windows": Case(
        WindowedClassification(), reviews, ("bert",), {"text": "the plot is slow but the cast is great"}
    ),
    "toy: writing": Case(Copying(), copies, ("gpt2", "llama"), {"source": "one two three"}),
}
TUNINGS: dict[str, type[Tuning]] = {
    name: catalog.find(Tuning.package, name, Tuning) for name in catalog.names(Tuning.package)
}
SETTINGS: dict[str, dict[str, object]] = {
    "adapter": {"reduction": 4},
    "p_tuning": {"tokens": 4},
    "partial": {"layers": 1},
    "peft": {"method": "vera"},
    "prefix": {"tokens": 4},
    "prompt": {"tokens": 4},
}
"""What a method needs to be told, or must be told for a model of two layers with 32 positions."""


def method(name: str) -> Tuning:
    """A method of the catalog with settings that fit tiny models."""
    return TUNINGS[name](**SETTINGS.get(name, {}))


def recipe(
    case: str, architecture: str, path: str, tuning: str | Tuning = "full", rows: int = 24, **training
) -> Recipe:
    """A run of a few steps."""
    settings = {"steps": 2, "batch_size": 8, "precision": "fp32", **training}
    chosen = CASES[case]
    return Recipe(
        name=f"{case}-{architecture}".replace(": ", "-"),
        task=chosen.task,
        data=Data.rows(chosen.rows(rows), validation=chosen.rows(rows // 2, seed=1)),
        model=path,
        tuning=tuning if isinstance(tuning, Tuning) else method(tuning),
        training=Training(**settings),
    )
