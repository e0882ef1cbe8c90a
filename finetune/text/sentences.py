"""Texts cut into their sentences."""


def sentences(text: str) -> list[str]:
    """The sentences of a text in order, without white space around them; none where the text is blank.

    A line break always ends a sentence. Within a line sentences end where sentencex says so, which knows English
    abbreviations ("Dr.", "U.S.") and the full stops of other scripts.
    """
    import sentencex

    parts = (part.strip() for line in text.splitlines() for part in sentencex.segment("en", line))
    return [part for part in parts if part]
