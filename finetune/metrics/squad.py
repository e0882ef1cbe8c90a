"""Scores of answers to questions over a text, by the rules of SQuAD's own scorers.

The rules are those of evaluate-v2.0.py (Rajpurkar et al. 2018). The older evaluate-v1.1.py (Rajpurkar et al. 2016)
keeps gold answers that are empty once normalised ("The", "..."), and its F1 of two empty answers is 0 where the newer
one's is 1. The two differ only where nothing is left of a predicted answer once it is normalised. For a model that
answers every question, as v1.1 asks for, that is an answer such as "."; three questions of v1.1's dev set accept it
among others.
"""

import re
from collections import Counter
from collections.abc import Sequence
from string import punctuation

import numpy as np

_PUNCTUATION = str.maketrans("", "", punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, without English articles, words joined by single spaces.

    The order matters and is the official one: punctuation goes before articles, so "U.S. a" loses its "a" and "a-b"
    becomes "ab". Punctuation beyond ASCII stays, white space beyond ASCII separates words.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact(predicted: str, golds: Sequence[str]) -> float:
    """1 where the predicted answer equals one of the gold answers, both normalised, else 0.

    Args:
        predicted: The answer; empty: "there is none".
        golds: Every accepted answer; none: the question cannot be answered, and only an empty answer is right.
    """
    return float(normalize_answer(predicted) in _normalised(golds))


def f1(predicted: str, golds: Sequence[str]) -> float:
    """F1 of the words that the predicted and a gold answer share, of the gold answer where it is highest, 0 to 1.

    Args:
        predicted: The answer; empty: "there is none".
        golds: Every accepted answer; none: the question cannot be answered, and only an empty answer is right.
    """
    words = normalize_answer(predicted).split()
    return max(_overlap(words, gold.split()) for gold in _normalised(golds))


def best_threshold(
    margin: np.ndarray, answered: np.ndarray, empty: np.ndarray, weights: np.ndarray
) -> tuple[float, float]:
    """The best mean score that any threshold on the margin reaches, and the lowest threshold that reaches it.

    A row whose margin is above the threshold gets the empty answer, every other row its best answer. The search is
    `find_best_thresh_v2` of evaluate-v2.0.py but for three details:

    - Rows with equal margins are answered together, as the threshold must; the official search also counts the
      scores between them, which no threshold reaches.
    - Where the empty answer is best for every row, the official threshold is 0, which fits probabilities; here it is
      0 or just below the lowest margin, so that it also fits margins of logits, which may be negative.
    - Each row counts with its real score. The official search takes a non-empty answer to an unanswerable question
      for wrong, also where nothing of it is left once normalised ("the"), which the official score counts as right.

    Args:
        margin: `(rows,)`, score of no answer minus score of the best answer; higher is more surely no answer.
        answered: `(rows,)`, score of the best answer, 0 to 1: exact or F1.
        empty: `(rows,)`, score of the empty answer, 0 or 1.
        weights: `(rows,)`, how often each row counts; may be 0, but not for all.

    Returns:
        The score, 0 to 1, and the threshold.
    """
    order = np.argsort(margin, kind="stable")
    ascending = margin[order]
    gains = ((answered - empty) * weights)[order]
    totals = np.cumsum(np.concatenate([[empty @ weights], gains]))
    splits_equals = np.concatenate([[False], ascending[:-1] == ascending[1:], [False]])
    best = int(np.argmax(np.where(splits_equals, -np.inf, totals)))
    threshold = ascending[best - 1] if best else min(0.0, np.nextafter(ascending[0], -np.inf))
    return float(totals[best] / weights.sum()), float(threshold)


def scores(statistics: np.ndarray, weights: np.ndarray, thresholds: bool) -> dict[str, float]:
    """The official scores of answers, as shares of 1.

    Args:
        statistics: `(rows, 7)`: whether the row has an answer, the margin of "no answer", exact and F1 of the best
            answer, exact and F1 of the prediction, and whether the row is reported on for a threshold that was fitted
            on others.
        weights: `(rows,)`, how often each row counts.
        thresholds: Whether "no answer" may be predicted, which then is wherever its margin is above 0. Then also the
            scores of rows with and without an answer; `best_*`, with the threshold that is best on these very rows, as
            evaluate-v2.0.py reports them; and `heldout_*`, with the threshold of the prediction on the rows that did
            not fit it.
    """
    answerable, margin, exact, f1, said_exact, said_f1, reported = statistics.T
    plain = {name: np.where(margin > 0, 1 - answerable, score) for name, score in (("f1", f1), ("exact", exact))}
    found = {name: _mean(score, weights) for name, score in plain.items()}
    if not thresholds:
        return found
    for kind, chosen in (("HasAns", weights * answerable), ("NoAns", weights * (1 - answerable))):
        if chosen.any():
            found |= {f"{kind}_{name}": _mean(score, chosen) for name, score in plain.items()}
    for name, answered in (("f1", f1), ("exact", exact)):
        value, threshold = best_threshold(margin, answered, 1 - answerable, weights)
        found |= {f"best_{name}": value, f"best_{name}_threshold": threshold}
    chosen = weights * reported
    if chosen.any():
        found |= {"heldout_f1": _mean(said_f1, chosen), "heldout_exact": _mean(said_exact, chosen)}
    return found


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(values @ weights / weights.sum())


def _normalised(golds: Sequence[str]) -> list[str]:
    """The gold answers that are not empty once normalised; one empty answer where there are none."""
    return [text for text in map(normalize_answer, golds) if text] or [""]


def _overlap(predicted: list[str], gold: list[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    same = (Counter(predicted) & Counter(gold)).total()
    if not same:
        return 0.0
    precision, recall = same / len(predicted), same / len(gold)
    return 2 * precision * recall / (precision + recall)
