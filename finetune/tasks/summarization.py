"""Summarization: a short text that says what a long one says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import PositiveInt

from finetune.data.table import Rows
from finetune.metrics import rouge
from finetune.tasks.base import Metric
from finetune.tasks.text_to_text import TextToText
from finetune.text.references import text_of


class Summarization(TextToText):
    """Write a short text from a long one, scored by ROUGE."""

    baseline_name: ClassVar[str] = "first words"
    decoder_prompt: ClassVar[str] = "{source}\nTL;DR:"
    """GPT-2's own (Radford et al. 2019, section 3.6)."""

    source: str = "document"
    """Column of the text that is read; `a.b` names a field within one."""
    target: str = "summary"
    """Column of the summary."""
    words: Literal["english", "unicode"] | None = None
    """What ROUGE takes for words: `english`, the official a-z and 0-9, stemmed; `unicode`, those of any script, a
    Chinese character each, not stemmed. None: as the training targets are written."""
    first_words: PositiveInt | None = None
    """Words of the trivial summary; None: as many as half the training targets have at least."""

    @property
    def own_prefix(self) -> str:
        """T5's name of the task."""
        return "summarization"

    def metrics(self) -> tuple[Metric, ...]:
        """ROUGE-L first; all are F-measures from 0 to 1."""
        return tuple(Metric(name) for name in ("rougeL", "rouge1", "rouge2", "rougeLsum"))

    def resolve(self, train: Rows, tokenizer: Any) -> Self:
        """Find the special tokens, the longest target, what words are, and how many a summary has."""
        task = super().resolve(train, tokenizer)
        texts = [text_of(value) for value in train.column(self.target)]
        words = self.words or rouge.fits(texts)
        first = self.first_words or max(1, int(np.median([rouge.count(text, words) for text in texts])))
        return task.model_copy(update={"words": words, "first_words": first})

    def baseline(self, train: Rows, rows: Rows) -> list[dict[str, Any]]:
        """The first words of each source, as many as a summary has."""
        assert self.words is not None and self.first_words is not None, "resolve() comes first"
        texts = map(text_of, rows.column(self.source))
        return [{"predicted": rouge.beginning(text, self.first_words, self.words)} for text in texts]

    def scored(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """ROUGE-1, 2, L and Lsum of each row, `(rows, 4)`."""
        assert self.words is not None, "resolve() comes first"
        return rouge.rouge(predictions, references, self.words)

    def aggregate(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """Means over rows."""
        means = dict(
            zip(rouge.NAMES, np.average(statistics[:, : len(rouge.NAMES)], axis=0, weights=weights), strict=True)
        )
        return {metric.name: float(means[metric.name]) for metric in self.metrics()}

    def signatures(self, rows: Rows) -> dict[str, str]:
        """How ROUGE was computed."""
        assert self.words is not None, "resolve() comes first"
        most = max(map(len, self.right(rows)), default=1)
        return {
            "rouge": f"{rouge.rouge_signature(self.words, True)}, {most} reference{'s' if most > 1 else ''} at most"
        }
