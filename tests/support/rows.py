"""Rows that a tiny model can learn from: short reviews of words it knows."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support.tiny import WORDS

GOOD, BAD = {"good", "fine", "great", "warm", "light"}, {"bad", "poor", "dull", "cold", "dark"}


def reviews(count: int, seed: int = 0, longest: int = 12) -> list[dict[str, str]]:
    """Texts of 1 to `longest` words, labelled by which kind of word comes first."""
    generator = random.Random(seed)
    rows = []
    for _ in range(count):
        label = generator.choice(["good", "bad", "bad"])  # unequal classes
        words = generator.choices([w for w in WORDS if w not in GOOD | BAD], k=generator.randint(0, longest - 1))
        words.insert(generator.randint(0, len(words)), generator.choice(sorted(GOOD if label == "good" else BAD)))
        rows.append({"text": " ".join(words), "label": label})
    return rows


def write_csv(folder: Path, **splits: list[dict[str, str]]) -> None:
    """Reviews as NAME.csv files."""
    for name, rows in splits.items():
        table = "".join(f"{row['text']},{row['label']}\n" for row in rows)
        (folder / f"{name}.csv").write_text("text,label\n" + table, "utf-8")


def copies(count: int, seed: int = 0) -> list[dict[str, str]]:
    """A source of a few words, and its first one to three words as target."""
    generator = random.Random(seed)
    sources = [generator.choices(WORDS, k=generator.randint(2, 8)) for _ in range(count)]
    return [{"source": " ".join(words), "target": " ".join(words[: 1 + len(words) % 3])} for words in sources]
