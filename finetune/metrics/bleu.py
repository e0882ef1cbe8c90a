"""BLEU (Papineni et al. 2002) and chrF (Popović 2015) as sacreBLEU counts them (Post 2018).

Both are scores of a corpus, not means over its rows: counts are summed first. So rows give counts, and any weighted sum
of them gives a score, 0 to 100.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

Tokenize = Literal["13a", "zh", "intl", "char", "none"]

_ORDERS = 4
_CHARACTER_ORDERS = 6


def bleu_statistics(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    tokenize: Tokenize = "13a",
    lowercase: bool = False,
) -> np.ndarray:
    """What BLEU counts in each row.

    Args:
        predictions: A text for each row.
        references: The accepted texts of each row, as many as it has; none count as an empty one.
        tokenize: How words are told apart, by sacreBLEU's name: "13a" for languages with spaces, "zh" for Chinese,
            "intl" with Unicode's punctuation, "char" for single characters, "none" for texts that are tokenized.
        lowercase: Whether case is ignored.

    Returns:
        `(rows, 10)`: n-grams of 1 to 4 words that are also in a reference; all n-grams of 1 to 4 words; words; words of
        the reference whose length is nearest.
    """
    from sacrebleu.metrics import BLEU

    # only the score of a single row depends on the effective order, which is not used here
    metric = BLEU(tokenize=tokenize, lowercase=lowercase, effective_order=True)
    rows = np.zeros((len(predictions), 2 * _ORDERS + 2))
    for row, (prediction, accepted) in enumerate(zip(predictions, references, strict=True)):
        found = metric.sentence_score(prediction, list(accepted) or [""])
        rows[row] = [*found.counts, *found.totals, found.sys_len, found.ref_len]
    return rows


def bleu(sums: np.ndarray) -> float:
    """BLEU with up to 4-grams and sacreBLEU's smoothing of orders without a match, 0 to 100.

    Args:
        sums: `(10,)` sums of the rows of `bleu_statistics`, each repeated a whole number of times.
    """
    from sacrebleu.metrics import BLEU

    *counts, length, reference_length = map(int, sums)
    score = BLEU.compute_bleu(counts[:_ORDERS], counts[_ORDERS:], length, reference_length, smooth_method="exp")
    return float(score.score)


def chrf_statistics(predictions: Sequence[str], references: Sequence[Sequence[str]], word_order: int = 0) -> np.ndarray:
    """What chrF counts in each row, with its case, without white space.

    Args:
        predictions: A text for each row.
        references: The accepted texts of each row, as many as it has; that which scores best counts; none count as an
            empty one.
        word_order: Longest n-grams of words that count beside those of characters; 0 for chrF, 2 for chrF++
            (Popović 2017).

    Returns:
        `(rows, 18 + 3 * word_order)`: for n-grams of 1 to 6 characters, then of words, how many are in the prediction,
        in the reference, and in both.
    """
    from sacrebleu.metrics import CHRF

    metric = CHRF(word_order=word_order)
    rows = np.zeros((len(predictions), 3 * (_CHARACTER_ORDERS + word_order)))
    for row, (prediction, accepted) in enumerate(zip(predictions, references, strict=True)):
        # sacreBLEU has no public name for this; the method is what all its metrics and significance tests share
        (rows[row],) = metric._extract_corpus_statistics([prediction], [[text] for text in accepted or [""]])
    return rows


def chrf(sums: np.ndarray) -> float:
    """chrF2, recall weighing twice as much as precision, or with counts of words chrF2++; 0 to 100.

    Args:
        sums: `(18 + 3 * word_order,)` weighted sums of the rows of `chrf_statistics`.
    """
    from sacrebleu.metrics import CHRF

    metric = CHRF(word_order=len(sums) // 3 - _CHARACTER_ORDERS)
    return float(metric._compute_score_from_stats(sums.tolist()).score)


def signatures(
    references: Sequence[Sequence[str]], tokenize: Tokenize = "13a", lowercase: bool = False, word_order: int = 0
) -> dict[str, str]:
    """How `bleu` and `chrf` were counted, in sacreBLEU's own words, for whoever compares scores.

    Args:
        references: The accepted texts of each row; "nrefs:var" where rows have different numbers of them.
        tokenize: As in `bleu_statistics`.
        lowercase: As in `bleu_statistics`.
        word_order: As in `chrf_statistics`.
    """
    from sacrebleu.metrics import BLEU, CHRF

    numbers = sorted({len(accepted) or 1 for accepted in references})
    # only how many there are is read
    standing = [["" if place < number else None for number in numbers] for place in range(max(numbers, default=0))]
    metrics = {
        "bleu": BLEU(tokenize=tokenize, lowercase=lowercase, references=standing),
        "chrf": CHRF(word_order=word_order, references=standing),
    }
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}
