"""Texts cut into their sentences."""

from finetune.metrics.rouge import sentences_of_line


def sentences(text: str) -> list[str]:
    """The sentences of a text in order, as ROUGE tells them apart; none where the text is blank.

    A line break always ends a sentence. They have no white space around them, and none but spaces within.
    """
    parts = (part.strip() for line in text.splitlines() for part in sentences_of_line(line))
    return [part for part in parts if part]
