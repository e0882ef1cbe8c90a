"""Sentences of a document as its summary: which would be best, and which the scores of a model choose."""

from __future__ import annotations

from bisect import bisect, insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from finetune.text.sentences import sentences

Words = Sequence[str]
Pairs = list[tuple[str, str]]


def document(value: Any) -> list[str]:
    """The sentences of a text; those of a list as they are, empty ones too, so that they keep their numbers."""
    if isinstance(value, (list, tuple)):
        return ["" if sentence is None else str(sentence).strip() for sentence in value]
    return [] if value is None else sentences(str(value))


def packed(lengths: Sequence[int], limit: int, context: int) -> list[range]:
    """Consecutive sentences, as many together as fit; of no sentence one empty range.

    Args:
        lengths: Tokens of each sentence, at most `limit`.
        limit: Most tokens together.
        context: How many of them all but the first leave free, where a sentence is not so long that it needs them.
    """
    starts, room = [0], limit
    for number, length in enumerate(lengths):
        if length > room:
            starts.append(number)
            room = max(limit - context, length)
        room -= length
    return [range(start, stop) for start, stop in pairwise([*starts, len(lengths)])]


def leading(document: Sequence[str], count: int) -> list[int]:
    """The first `count` sentences that are not empty."""
    return [number for number, text in enumerate(document) if text][:count]


def select(
    scores: Sequence[float], document: Sequence[str], count: int, words: Callable[[str], Words] | None = None
) -> list[int]:
    """The `count` sentences with the highest scores, the first of equals, in their order; empty ones never.

    Args:
        scores: Of each sentence.
        document: The sentences.
        count: How many to select; there may be fewer.
        words: Says the words of a sentence. Given, none is selected of which three words in a row stand in one that
            already is (trigram blocking, Paulus et al. 2018).
    """
    chosen: list[int] = []
    seen: set[tuple[str, ...]] = set()
    for number in sorted(leading(document, len(document)), key=lambda number: -scores[number]):
        if len(chosen) == count:
            break
        if words is not None:
            said = words(document[number])
            trigrams = set(zip(said, said[1:], said[2:], strict=False))
            if not seen.isdisjoint(trigrams):
                continue
            seen |= trigrams
        insort(chosen, number)
    return chosen


def oracle(document: Sequence[Words], references: Sequence[Words]) -> list[int]:
    """The sentences that a greedy search takes for the summary, in their order (Nallapati et al. 2017).

    It adds the sentence that most raises the sum of the F-measures of ROUGE-1 and ROUGE-2, the first of equals, until
    none does. Two words across the border of taken sentences are a pair too, as in the text that these become. Of
    several references that counts to which it comes nearest.

    Args:
        document: The words of each sentence, as ROUGE compares them.
        references: The words of each right summary.
    """
    return max((_search(document, reference) for reference in references), key=lambda found: found[0])[1]


def _search(document: Sequence[Words], reference: Words) -> tuple[float, list[int]]:
    """The sum of the F-measures that is reached, and the sentences."""
    words, pairs = _Overlap(reference), _Overlap(list(pairwise(reference)))
    single = {number: words.known(said) for number, said in enumerate(document)}
    left = [number for number, known in single.items() if known]  # others can only lower both scores
    inner = {number: pairs.known(pairwise(document[number])) for number in left}
    chosen: list[int] = []
    length, best = 0, 0.0
    while left:
        double = {number: inner[number].copy() for number in left}
        values = []
        for number in left:
            made, parted = _borders(document, chosen, number)
            double[number].update(pairs.known(made))
            double[number].subtract(pairs.known(parted))
            size = length + len(document[number])
            values.append(words.f(single[number], size) + pairs.f(double[number], size - 1))
        if max(values) <= best:
            break
        best = max(values)
        taken = left.pop(values.index(best))
        words.add(single[taken])
        pairs.add(double[taken])
        length += len(document[taken])
        insort(chosen, taken)
    return best, chosen


def _borders(document: Sequence[Words], chosen: Sequence[int], number: int) -> tuple[Pairs, Pairs]:
    """The pairs of words that a sentence makes with its neighbours among the chosen, and the pair that it parts."""
    place = bisect(chosen, number)
    before = [document[other][-1] for other in chosen[:place][-1:]]
    after = [document[other][0] for other in chosen[place:][:1]]
    said = document[number]
    made = [*((word, said[0]) for word in before), *((said[-1], word) for word in after)]
    return made, list(zip(before, after, strict=False))


class _Overlap:
    """What a growing summary shares with its reference, every item at most as often as it stands there."""

    def __init__(self, reference: Sequence[Any]):
        self.target, self.total = Counter(reference), len(reference)
        self.held: Counter[Any] = Counter()
        self.shared = 0

    def known(self, items: Iterable[Any]) -> Counter[Any]:
        """Those of the items that the reference has, counted."""
        return Counter(item for item in items if item in self.target)

    def f(self, change: Counter[Any], size: int) -> float:
        """The F-measure after a change, of a summary of then `size` items."""
        shared = self.shared + self._more(change)
        if not shared:
            return 0.0
        precision, recall = shared / size, shared / self.total
        return 2 * precision * recall / (precision + recall)

    def add(self, change: Counter[Any]) -> None:
        """Make a change."""
        self.shared += self._more(change)
        self.held.update(change)

    def _more(self, change: Counter[Any]) -> int:
        """How many items more would be shared; fewer than 0 where some are taken away."""
        counts = ((self.target[item], self.held[item], more) for item, more in change.items())
        return sum(min(most, held + more) - min(most, held) for most, held, more in counts)
