"""Rows that a tiny model can learn from: short reviews of words it knows."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support.tiny import WORDS

NUMBERS = set(WORDS[-10:])
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


def topics(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Texts with the kinds of words that stand in them, often none or several."""
    kinds = {"bad": BAD, "good": GOOD, "numbers": NUMBERS}
    return [
        {"text": text, "label": [kind for kind, words in kinds.items() if words & set(text.split())]}
        for text in _texts(count, seed)
    ]


def ratings(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Texts with the share of good words less that of bad ones, on a scale around 3."""
    texts = [text.split() for text in _texts(count, seed)]
    shares = [(sum(w in GOOD for w in words) - sum(w in BAD for w in words)) / len(words) for words in texts]
    return [{"text": " ".join(words), "label": 3 + 2 * share} for words, share in zip(texts, shares, strict=True)]


def quizzes(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Short texts with two to four choices, of which the last word of the text begins the right one."""
    generator = random.Random(seed)
    rows = []
    for text in _texts(count, seed, 3):
        firsts = [text.split()[-1], *generator.sample(WORDS, generator.choice([1, 1, 2, 3]))]
        choices = [" ".join([first, *generator.choices(WORDS, k=generator.choice([0, 0, 1]))]) for first in firsts]
        right = choices[0]
        generator.shuffle(choices)
        rows.append({"text": text, "choices": choices, "label": choices.index(right)})
    return rows


def questions(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Texts of up to 40 words and a word to look for; the answer is the one or two words after it, or there is none."""
    generator = random.Random(seed)
    rows = []
    for _ in range(count):
        words = generator.choices(WORDS, k=generator.randint(3, 40))
        place = generator.randrange(len(words) - 1)
        answer = words[place + 1 : place + 1 + generator.randint(1, 2)]
        start = len(" ".join(words[: place + 1])) + 1
        answers = {"text": [" ".join(answer)], "answer_start": [start]}
        if generator.random() < 0.3:
            answers = {"text": [], "answer_start": []}
        rows.append({"question": f"what {words[place]}", "context": " ".join(words), "answers": answers})
    return rows


def tagged(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Words with entities: a run of good words is a GOOD one, of bad words a BAD one, in IOB1."""
    generator = random.Random(seed)
    rows = []
    for _ in range(count):
        words = generator.choices(WORDS, k=generator.randint(1, 30))
        kinds = ["GOOD" if word in GOOD else "BAD" if word in BAD else "" for word in words]
        rows.append({"words": words, "tags": [f"I-{kind}" if kind else "O" for kind in kinds]})
    return rows


def stories(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Texts of up to 40 words that follow one another: each with the one before it."""
    generator = random.Random(seed)
    texts = [" ".join(generator.choices(WORDS, k=generator.randint(1, 40))) for _ in range(count)]
    return [{"text": text, "before": before} for text, before in zip(texts, ["", *texts], strict=False)]


def papers(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Documents of one to six sentences, and one or two of these as the summary."""
    generator = random.Random(seed)
    rows = []
    for _ in range(count):
        sentences = [
            " ".join(generator.choices(WORDS, k=generator.randint(1, 9))) for _ in range(generator.randint(1, 6))
        ]
        rows.append({"document": sentences, "summary": generator.sample(sentences, min(2, len(sentences)))})
    return rows


def _texts(count: int, seed: int, longest: int = 12) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(1, longest))) for _ in range(count)]
