"""Entities as characters of a text and as tags of its words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.errors import DataError, RecipeError, listing
from finetune.metrics import entities
from finetune.metrics.entities import Entity
from finetune.text.words import Marked


@dataclass(frozen=True)
class Written:
    """How rows say which tags or entities they hold.

    Attributes:
        columns: Of the words or text, and of the tags or spans.
        text: Whether entities are spans of a plain text instead of tags of words.
        inclusive: Whether the end of a span is its last character.
        scheme: Of the tags; `plain` where they are no entities.
        names: Names of the tags, where they are numbers.
    """

    columns: tuple[str, str]
    text: bool
    inclusive: bool
    scheme: str | None
    names: tuple[str, ...] | None

    def given(self, source: Any, value: Any, where: str) -> list[Any]:
        """The tags of a row as they are written, by name; of a plain text its spans, as entities.

        Raises:
            DataError: They do not fit their words; the message says `where`.
        """
        if self.text:
            if isinstance(source, list):
                raise DataError(
                    f"{where}: {self.columns[0]!r} is a list, not a text. For lists of words set task.words."
                )
            try:
                return list(stated(value, str(source), self.inclusive))
            except ValueError as error:
                raise DataError(f"{where}: {error}.") from None
        if not isinstance(source, list) or not isinstance(value, list) or len(source) != len(value):
            if not isinstance(source, list):
                counts = "a text instead of a list of words"
            else:
                counts = f"{len(source)} words and {len(value)} tags" if isinstance(value, list) else "no tags"
            raise DataError(
                f"{where} has {counts}; {self.columns[0]!r} and {self.columns[1]!r} are lists of the same length. "
                "For plain texts with spans set task.text and task.spans."
            )
        for name, values in zip(self.columns, (source, value), strict=True):
            if None in values:
                raise DataError(f"{where}: item {values.index(None) + 1} of {name!r} is missing. Fill it in.")
        if not any(isinstance(tag, (int, float)) for tag in value):
            return [str(tag) for tag in value]
        if self.names is None:
            raise DataError(f"{where}: the tags are numbers; name them in task.tag_names, in the order of the numbers.")
        if not all(isinstance(tag, int) and 0 <= tag < len(self.names) for tag in value):
            raise DataError(f"{where}: a tag is not one of the numbers 0 to {len(self.names) - 1} (task.tag_names).")
        return [self.names[tag] for tag in value]

    def gold(self, source: Marked, value: Any) -> tuple[list[str], list[Entity]]:
        """The tags of the words that are learned, and what is counted, in characters."""
        given = self.given(source.text if self.text else source.words, value, "a row")
        if self.text:
            return tags_of(given, source)[0], given
        tags = given if self.scheme == "plain" else entities.to_iob2(given)
        return tags, (each if self.scheme == "plain" else characters)(tags, source)


def stated(value: Any, text: str, inclusive: bool) -> list[Entity]:
    """Entities in characters, end exclusive, as a row states them, in their order.

    Args:
        value: A list of `{start, end, type}`; None: none.
        text: What they stand in.
        inclusive: Whether `end` is the last character instead of the one after it.

    Raises:
        ValueError: What is wrong with one, in words.
    """
    if value is not None and not isinstance(value, list):
        raise ValueError(f"{value!r:.60} is no list of spans, each with 'start', 'end' and 'type'")
    found = []
    for span in value or []:
        missing = [name for name in ("start", "end", "type") if not isinstance(span, dict) or span.get(name) is None]
        if missing:
            shown = {key: one for key, one in span.items() if one is not None} if isinstance(span, dict) else span
            raise ValueError(f"the span {shown!r:.80} has no {missing[0]!r}; start, end and type are needed")
        if any(not isinstance(span[name], int) for name in ("start", "end")):
            raise ValueError(f"start and end of the span {span!r:.60} are no whole numbers")
        start, end = span["start"], span["end"] + inclusive
        if not 0 <= start < end <= len(text):
            raise ValueError(f"the span {start} to {end - inclusive} is not inside the text of {len(text)} characters")
        found.append(Entity(str(span["type"]), start, end))
    return sorted(found, key=lambda entity: (entity.start, -entity.end))


def tags_of(spans: Sequence[Entity], source: Marked) -> tuple[list[str], int]:
    """IOB2 tags of the words that stand in spans of characters, and how many spans they cannot say.

    A word that a span holds in part belongs to it. Of two spans that overlap the one that begins first is kept, of
    those that begin together the longest.
    """
    kept: list[Entity] = []
    unsaid = 0
    for span in spans:
        inside = [n for n, (start, end) in enumerate(source.words) if start < span.end and end > span.start]
        if not inside or (kept and inside[0] < kept[-1].end):
            unsaid += 1
            continue
        kept.append(Entity(span.type, inside[0], inside[-1] + 1))
        unsaid += (source.words[inside[0]][0], source.words[inside[-1]][1]) != (span.start, span.end)
    return entities.from_entities(kept, len(source.words)), unsaid


def characters(
    tags: Sequence[str], source: Marked, read: Callable[[Sequence[str]], list[Entity]] = entities.read
) -> list[Entity]:
    """The entities that tags of words say, in characters of the text."""
    return [Entity(e.type, source.words[e.start][0], source.words[e.end - 1][1]) for e in read(tags)]


def each(tags: Sequence[str], source: Marked) -> list[Entity]:
    """Every word as an entity of its own, whose type is its tag: how plain tags are counted."""
    return [Entity(tag, start, end) for tag, (start, end) in zip(tags, source.words, strict=True)]


def shared(tags: Sequence[str], tokens: Sequence[int], plain: bool) -> list[str]:
    """Tags of words as their tokens can say them: of words that share one, the others go on with the tag of the first.

    Args:
        tags: `(words,)`, in IOB2 or plain.
        tokens: `(words,)`, the token that decides on each, in order.
        plain: Whether no tag is an entity's.
    """
    found: list[str] = []
    for number, tag in enumerate(tags):
        if number and tokens[number] == tokens[number - 1]:
            tag = found[-1] if plain or found[-1] == "O" else f"I-{found[-1][2:]}"
        found.append(tag)
    return found


def spans(tags: Sequence[str], probabilities: Sequence[float], source: Marked) -> list[dict[str, Any]]:
    """The entities that tags say, for a person: characters, text, and as score the mean probability of their tags."""
    found = []
    for entity, place in zip(entities.read(tags), characters(tags, source), strict=True):
        inside = probabilities[entity.start : entity.end]
        found.append(
            {
                "type": entity.type,
                "start": place.start,
                "end": place.end,
                "text": source.text[place.start : place.end],
                "score": sum(inside) / len(inside),
            }
        )
    return found


def reachable(
    source: Marked,
    tags: Sequence[str],
    wanted: Sequence[Entity],
    decided: Sequence[dict[int, int]],
    unseen: str,
    plain: bool,
) -> int:
    """How many of a row's targets a model would find that is right at every token.

    Args:
        source: The words.
        tags: Of the words.
        wanted: What is counted, in characters.
        decided: For each window word -> token that decides on it.
        unseen: What a word gets that no token stands for.
        plain: Whether no tag is an entity's.
    """
    best = [unseen] * len(tags)
    for tokens in decided:
        told = shared([tags[word] for word in tokens], list(tokens.values()), plain)
        for word, tag in zip(tokens, told, strict=True):
            best[word] = tag
    return len(set(wanted) & set((each if plain else characters)(best, source)))


def usual_tags(known: Sequence[tuple[str, str]], unseen: str | None) -> defaultdict[str, str]:
    """The tag that each word has most often.

    Args:
        known: Words with their tags.
        unseen: Tag of any other word; None: the most frequent of all.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for word, tag in known:
        counts[word][tag] += 1
    rest = unseen or Counter(tag for _, tag in known).most_common(1)[0][0]
    return defaultdict(lambda: rest, {word: found.most_common(1)[0][0] for word, found in counts.items()})


def check_labels(labels: tuple[str, ...], found: set[str], plain: bool) -> None:
    """Look that the labels of a recipe name every tag of the training rows, and nothing that no word could get."""
    kinds = {name[2:] for name in (*labels, *found) if not plain and name[:2] in ("B-", "I-")}
    possible = set(labels) | found if plain else {"O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in kinds)}
    if sorted(labels) != sorted(possible):
        raise RecipeError(
            f"task.labels: {listing(map(repr, labels), 20)}, but the model learns "
            f"{'the tags of the rows' if plain else 'IOB2'}. Name each of {listing(sorted(possible), 20)} once."
        )
