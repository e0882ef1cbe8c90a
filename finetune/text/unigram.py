"""A unigram model of words, which needs no tokenizer: how well a text is guessed by how often its words occur."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from math import log

WORD = re.compile(r"\s*\S+|\s+\Z")
"""A word with the white space before it, or the white space that ends a text: all of them joined are the text."""
SYMBOLS = 257
"""Bytes, and the end of a word."""


class Unigram:
    """Probabilities of words by their number among training texts.

    Unseen words get the share T / (N + T), with N words of T kinds seen (Witten and Bell 1991), and are spelt in bytes,
    each as probable as it is among the kinds, after adding one to its number. So every text has a probability.
    """

    def __init__(self, texts: Iterable[str]):
        self.words = Counter(word for text in texts for word in WORD.findall(text))
        self.bytes = Counter(byte for word in self.words for byte in _bytes(word))
        self.seen = self.words.total() + len(self.words)
        self.spelt = self.bytes.total() + len(self.words) + SYMBOLS

    def surprise(self, text: str) -> float:
        """Nats of a text: minus the natural logarithm of its probability."""
        return sum(map(self._word, WORD.findall(text)))

    def _word(self, word: str) -> float:
        if word in self.words:
            return log(self.seen / self.words[word])
        new = log(self.seen / len(self.words)) if self.words else 0.0
        end = log(self.spelt / (len(self.words) + 1))
        return new + end + sum(log(self.spelt / (self.bytes[byte] + 1)) for byte in _bytes(word))


def size(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(_bytes(text))


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", "surrogatepass")
