"""What differs between two runs, in lines for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LONGEST = 100
"""Characters of a text that are shown."""


def describe(found: dict[str, Any]) -> list[str]:
    """Lines that say what `differences_between` found."""
    return list(_lines(found))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    before, after = found["runs"]
    yield f"From {before}"
    yield f"to {after}"
    for heading, name in (("Recipe", "recipe"), ("Made of", "made_of"), ("Machine and versions", "machine")):
        yield f"{heading}:" if found[name] else f"{heading}: the same"
        yield from (f"  {sentence}" for sentence in found[name])
    yield _train(found["train"])
    for split, flips in found["splits"].items():
        yield f"Rows of {split}: {_rows(flips['rows'])}"
        yield from (f"  {line}" for line in _scores(flips))
        yield from (f"  {line}" for line in _changes(flips))
        yield from (f"  {problem[0].upper()}{problem[1:]}" for problem in flips["problems"])
    yield from (f"{problem[0].upper()}{problem[1:]}" for problem in found["problems"])
    if any(flips["scores"] for flips in found["splits"].values()):
        yield "Intervals and p values are about these two models on other rows; another seed gives other models."


def _train(train: dict[str, Any]) -> str:
    if train["same"]:
        return "Training rows: the same"
    if "problem" in train:
        return f"Training rows: they differ; how cannot be said: {train['problem']}"
    return (
        f"Training rows: {train['before']:,} before, {train['after']:,} after; {train['relabelled']:,} with another "
        f"target, {train['removed']:,} removed, {train['added']:,} added"
    )


def _rows(rows: dict[str, int]) -> str:
    names = {"relabelled": "with another target", "removed": "only before", "added": "only after"}
    others = [f"{rows[name]:,} {words}" for name, words in names.items() if rows[name]]
    return ", ".join([f"{rows['same']:,} in both", *others]) + ("" if others else ", no others")


def _scores(flips: dict[str, Any]) -> Iterator[str]:
    for name, score in flips["scores"].items():
        between = "" if score["low"] is None else f" [{score['low']:+.4f}, {score['high']:+.4f}]"
        p = "" if score["p"] is None else f", p {score['p']:.2g} ({score['test']})"
        values = f"{score['before']:.4f} -> {score['after']:.4f}"
        yield f"{name}: {values}, difference {score['difference']:+.4f}{between}{p}"


def _changes(flips: dict[str, Any]) -> Iterator[str]:
    if flips["changed"] is not None:
        yield f"{flips['changed']:,} of {flips['rows']['same']:,} predictions changed" + (
            f"; by {flips['right_by']}, {flips['right_to_wrong']:,} from right to wrong and "
            f"{flips['wrong_to_right']:,} from wrong to right"
            if flips["right_by"]
            else ""
        )
    for example in flips["examples"]:
        texts = " | ".join(_short(value) for value in example["inputs"].values())
        gold = "" if example["gold"] is None else f"; right is {_short(example['gold'])}"
        yield f"{example['kind']}, {example['id']}: {texts}"
        yield f"    {_short(example['before'])} -> {_short(example['after'])}{gold}"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
