"""Looking through the tags or spans of a split before it is learned or scored."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, cast

from finetune.errors import DataError, listing, nearest
from finetune.metrics import entities
from finetune.text.tagging import Written, tags_of
from finetune.text.words import marked

log = logging.getLogger(__name__)


OTHER_END = "where the end of a span is its last character, set task.span_end=inclusive, else exclusive"


def check(
    written: Written,
    types: Sequence[str],
    columns: tuple[Sequence[Any], Sequence[Any]],
    origin: str,
    where: Callable[[int], str],
    where_word: Callable[[int, int], str],
) -> None:
    """Refuse tags that cannot be learned or scored; say where sequences break the rules of their scheme.

    Args:
        written: How the rows say what is to be found.
        types: What the training rows hold: types of entities, or plain tags.
        columns: Words or texts, and tags or spans.
        origin: Name of the rows, for a person.
        where: Place of a row, for a person.
        where_word: Place of a word, from row and word.

    Raises:
        DataError: A tag stands in no training row, or does not fit its words.
    """
    scheme = cast(entities.Scheme, written.scheme or "iob2")
    unknown: dict[str, list[str]] = defaultdict(list)
    broken: list[str] = []
    unsaid: list[str] = []
    for row, (source, value) in enumerate(zip(*columns, strict=True)):
        given = written.given(source, value, where(row))
        if written.text:
            kinds = {span.type for span in given}
            unsaid += [where(row)] if tags_of(given, marked(source))[1] else []
        elif written.scheme == "plain":
            kinds = set(given)
        else:
            kinds = {entity.type for entity in entities.read(given)}
            for position, problem in entities.problems(given, scheme):
                broken.append(f"{where_word(row, position)}: {problem}")
        for kind in kinds - set(types):
            unknown[kind].append(where(row))
    if unknown:
        name, rows = next(iter(unknown.items()))
        raise DataError(
            f"{origin}: {listing(map(repr, sorted(unknown)))} in column {written.columns[1]!r} stands in no training "
            f"row ({listing(rows, 3)}). {nearest(name, types)} Correct it, or name all tags in task.labels."
        )
    for what, found in (
        (f"tags break the rules of {written.scheme}, they are read as conlleval does", broken),
        (f"rows have spans that overlap or cut through words, so that not all can be predicted; {OTHER_END}", unsaid),
    ):
        if found:
            log.warning("%s: %d %s: %s", origin, len(found), what, listing(found, 3))
