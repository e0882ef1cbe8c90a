"""Translation: the same text in another language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from finetune.data.table import Rows
from finetune.metrics import bleu
from finetune.tasks.base import Metric
from finetune.tasks.text_to_text import TextToText
from finetune.text.references import text_of

BLEU_COLUMNS = 10


class Translation(TextToText):
    """Write a text in another language, scored by sacreBLEU and chrF."""

    baseline_name: ClassVar[str] = "copy of the source"
    decoder_prompt: ClassVar[str] = "{source} ="
    """GPT-2's own (Radford et al. 2019, section 3.7)."""

    source: str = "source"
    """Column of the text that is read; `a.b` names a field within one, as `translation.de`."""
    target: str = "target"
    """Column of its translation."""
    tokenize: Literal["13a", "zh", "intl", "char", "none"] = "13a"
    """How sacreBLEU finds words: 13a, the official one of WMT; zh for Chinese targets, char for Japanese or Thai."""
    lowercase: bool = False
    """Whether BLEU takes upper and lower case for the same."""

    @property
    def own_prefix(self) -> str:
        """T5's name of a pair of languages."""
        return f"translation_{self.source_language}_to_{self.target_language}"

    def metrics(self) -> tuple[Metric, ...]:
        """BLEU first, from 0 to 100 as sacreBLEU gives it; chrF likewise."""
        return (Metric("bleu", point=1.0), Metric("chrf", point=1.0))

    def baseline(self, train: Rows, rows: Rows) -> list[dict[str, Any]]:
        """Each source as it is."""
        return [{"predicted": text_of(value)} for value in rows.column(self.source)]

    def scored(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
        """What BLEU and chrF sum up over rows: `(rows, k)`."""
        return np.hstack(
            [
                bleu.bleu_statistics(predictions, references, self.tokenize, self.lowercase),
                bleu.chrf_statistics(predictions, references),
            ]
        )

    def aggregate(self, statistics: np.ndarray, weights: np.ndarray) -> dict[str, float]:
        """Of the sums over all rows, not means over rows."""
        sums = weights @ statistics[:, :-1]
        return {"bleu": bleu.bleu(sums[:BLEU_COLUMNS]), "chrf": bleu.chrf(sums[BLEU_COLUMNS:])}

    def signatures(self, rows: Rows) -> dict[str, str]:
        """SacreBLEU's."""
        return bleu.signatures(self.right(rows), self.tokenize, self.lowercase)
