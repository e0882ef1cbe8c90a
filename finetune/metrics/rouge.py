"""ROUGE of written texts (Lin 2004), as rouge_score counts it, Google's rewriting of ROUGE-1.5.5.

`rougeL` takes a text for one sequence of words, `rougeLsum` compares sentences and takes each line for one. Texts
without a line break, predicted or reference, are therefore cut into sentences first, by sentencex.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, Literal
from unicodedata import normalize

import numpy as np
import regex

Words = Literal["english", "unicode"]

NAMES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
"""The scores, in the order of the columns."""

_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_LETTERS = regex.compile(r"[\p{L}\p{M}]+")
_DROPPED = regex.compile(r"(?V1)[\p{L}\p{M}--[a-z]]+")
_MOST_DROPPED = 0.005
_WORD = regex.compile(rf"(?V1)[{_UNSPACED}&&[\p{{L}}\p{{M}}\p{{N}}]]\p{{M}}*|[\p{{L}}\p{{M}}\p{{N}}--{_UNSPACED}]+")


def rouge(
    predictions: Sequence[str], references: Sequence[Sequence[str]], words: Words = "english", stem: bool = True
) -> np.ndarray:
    """F-measures of each row, 0 to 1, each of the reference that gives most.

    Args:
        predictions: A text for each row; a blank one scores 0.
        references: The accepted texts of each row; where there are none, or blank ones only, the row scores 0.
        words: "english": what is no letter from a to z and no digit separates words, as in the original. "unicode":
            letters, accents and digits of every script; where a script puts no spaces between words (Chinese,
            Japanese, Thai, Lao, Khmer, Burmese), each character is a word. Both in lower case.
        stem: Whether words are compared without their English endings (Porter 1980), as in most published scores of
            summaries; of no effect on "unicode".

    Returns:
        `(rows, 4)`, columns as `NAMES`.
    """
    scorer = _scorer(words, stem)
    scores = np.zeros((len(predictions), len(NAMES)))
    for row, (prediction, accepted) in enumerate(zip(predictions, references, strict=True)):
        if accepted:
            best = scorer.score_multi([_lines(reference) for reference in accepted], _lines(prediction))
            scores[row] = [best[name].fmeasure for name in NAMES]
    return scores


def fits(texts: Iterable[str]) -> Words:
    """Which words suit texts: "unicode" where "english" would see none of more than 0.5 % of their letters.

    In English texts of several kinds foreign names made up less than 0.1 % of the letters, in German texts umlauts
    1.7 % or more. A language that is written without accents, such as Indonesian, is not told from English.
    """
    letters = dropped = 0
    for text in texts:
        lower = text.lower()
        letters += sum(map(len, _LETTERS.findall(lower)))
        dropped += sum(map(len, _DROPPED.findall(lower)))
    return "unicode" if dropped > _MOST_DROPPED * letters else "english"


def rouge_signature(words: Words, stem: bool) -> str:
    """How ROUGE was counted and by which versions, for whoever compares scores."""
    endings = "Porter stemmer" if stem else "no stemmer"
    cut = endings if words == "english" else "Unicode words, no stemmer"
    return f"rouge_score {version('rouge_score')}, F1, {cut}, sentences by line or sentencex {version('sentencex')}"


def sentences_of_line(line: str) -> list[str]:
    """The parts of a text without line breaks that are its sentences, in order; other white space becomes spaces.

    Sentences end where sentencex says so, which knows English abbreviations ("Dr.", "U.S.") and the full stops of other
    scripts.
    """
    import sentencex

    # sentencex 1.0.32 panics, past `except Exception`, at a full stop after a capital letter and a no-break space
    parts: list[str] = sentencex.segment("en", regex.sub(r"\s", " ", line))
    return parts


def _lines(text: str) -> str:
    """A text with each sentence on a line of its own."""
    return text if "\n" in text.strip() else "\n".join(sentences_of_line(text))


@cache
def cutter(words: Words, stem: bool) -> Callable[[str], list[str]]:
    """What cuts a text into the words that are compared."""
    from rouge_score.tokenizers import DefaultTokenizer

    if words == "unicode":
        return _unicode_words
    # stemming the same words again would take two thirds of the time of short texts
    tokens = lru_cache(2**17)(DefaultTokenizer(use_stemmer=stem).tokenize)
    return lambda text: [token for part in text.split() for token in tokens(part)]


@cache
def _scorer(words: Words, stem: bool) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    # a prediction meets several references, and a text of one sentence is asked for as text and as sentence
    return RougeScorer(NAMES, tokenizer=SimpleNamespace(tokenize=lru_cache(256)(cutter(words, stem))))


def count(text: str, words: Words) -> int:
    """How many words a text has: between white space, or of any script."""
    return len(text.split()) if words == "english" else len(_WORD.findall(text))


def beginning(text: str, most: int, words: Words) -> str:
    """A text's first words, with what stands between them."""
    found = regex.finditer(r"\S+", text) if words == "english" else _WORD.finditer(text)
    ends = [match.end() for match, _ in zip(found, range(most), strict=False)]
    return text[: ends[-1]].strip() if ends else ""


def _unicode_words(text: str) -> list[str]:
    """Words of any script, lower-cased; composed, for a letter with an accent may also be written as two."""
    found: list[str] = _WORD.findall(normalize("NFC", text.lower()))
    return found
