"""Words of a text and the tokens that stand for them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from finetune.text.windows import Cut

if TYPE_CHECKING:
    import re

Span = tuple[int, int]
"""Characters of a text, end exclusive."""


@dataclass(frozen=True)
class Marked:
    """A text and its words, in order, each as the characters it stands for."""

    text: str
    words: list[Span]

    def word(self, number: int) -> str:
        """A word as it is written."""
        start, end = self.words[number]
        return self.text[start:end]


def marked(value: Any) -> Marked:
    """A text with its words: as they are given, joined by spaces, or as `split` finds them in a plain text."""
    if not isinstance(value, (list, tuple)):
        return Marked(str(value), split(str(value)))
    words, found, start = ["" if word is None else str(word) for word in value], [], 0
    for word in words:
        found.append((start, start + len(word)))
        start += len(word) + 1
    return Marked(" ".join(words), found)


def split(text: str) -> list[Span]:
    """The words of a plain text: runs of letters, runs of digits, every other sign alone.

    Characters of Chinese and Japanese, which puts no spaces between words, are words of their own.
    """
    return [match.span() for match in _pattern().finditer(text)]


@cache
def _pattern() -> re.Pattern[str]:
    import regex

    east = r"\p{Han}|\p{Hiragana}|\p{Katakana}"
    pattern: re.Pattern[str] = regex.compile(rf"{east}|(?:(?!{east})\p{{L}}\p{{M}}*)+|\p{{N}}+|[^\s]")
    return pattern


def places(words: Sequence[Span], cut: Cut) -> dict[int, int]:
    """Word -> position in the window of the first token there that stands for a part of it.

    Two words may share a token. A word that no token stands for, as a sign that the tokenizer drops, is not there. A
    word that goes on from the window before is, at the first token: only `share` knows whether an earlier token of it
    stands there, for a tokenizer may drop its first sign.
    """
    if not cut.starts:
        return {}
    found = {}
    for number in range(bisect_right([end for _, end in words], cut.starts[0]), len(words)):
        start, end = words[number]
        token = bisect_right(cut.ends, start)
        if token == len(cut.ends):
            break
        if max(start, cut.starts[token]) < end:  # an empty word may lie within a token of its neighbour
            found[number] = cut.first + token
    return found


def share(found: Sequence[dict[int, int]], cuts: Sequence[Cut]) -> list[dict[int, int]]:
    """The same with each word only in the window where it stands farthest from a cut end; the first of equals.

    So no word that goes on from the window before is decided on at its middle: there it has no room at all.

    Args:
        found: For each window of a row, in order, what `places` says.
        cuts: The windows.
    """
    best: dict[int, tuple[int, int]] = {}
    for number, (window, cut) in enumerate(zip(found, cuts, strict=True)):
        for word, token in window.items():
            before, after = token - cut.first, cut.first + len(cut.starts) - 1 - token
            room = min(before if number else 1 << 30, after if number + 1 < len(cuts) else 1 << 30)
            if word not in best or room > best[word][0]:
                best[word] = (room, number)
    return [
        {word: token for word, token in window.items() if best[word][1] == number}
        for number, window in enumerate(found)
    ]
