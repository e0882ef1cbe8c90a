"""The methods of a comparison: what a person writes, `lora:r=16`, and the declaration it stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.config import build
from finetune.errors import RecipeError, listing
from finetune.recipe import Recipe
from finetune.tuning.base import Tuning

SPEC = re.compile(r"(?P<kind>[\w.-]+(:[A-Za-z_]\w*(?=:|$))?)(:(?P<fields>.+))?", re.DOTALL)
"""`lora`, `lora:r=16,targets=all`, and for a class of one's own `module:Name` or `module:Name:r=16`."""
RATE = "learning_rate"
COMMA = re.compile(r",(?![^\[{]*[\]}])")
"""A comma outside brackets."""


@dataclass(frozen=True)
class Method:
    """A tuning method with its settings.

    Attributes:
        name: As it was written but for its learning rate, which is searched; in all tables.
        tuning: The declaration; its learning rate is the middle of the method's grid.
    """

    name: str
    tuning: Tuning
    spec: str


def read_methods(recipe: Recipe, specs: Sequence[str | Tuning]) -> tuple[Method, ...]:
    """The methods, in the order given.

    Args:
        recipe: Its own settings hold for the method that it names itself.
        specs: `lora`, `lora:r=16,targets=all` (fields behind a colon, commas between them), or declarations.

    Raises:
        RecipeError: Everything that is wrong with them, and two that are the same.
    """
    methods: list[Method] = []
    problems: list[str] = []
    for spec in specs:
        try:
            method = _given(spec) if isinstance(spec, Tuning) else _read(recipe, spec.strip())
        except RecipeError as error:
            problems += [f"--tuning {spec}: {problem}" for problem in error.problems]
            continue
        same = next((other for other in methods if method.tuning == other.tuning or method.name == other.name), None)
        if same is not None:
            problems.append(f"--tuning {method.name} is the same as {same.name}; name each method once.")
        methods.append(method)
    if not methods and not problems:
        problems.append("no tuning method is named; as --tuning full lora")
    if problems:
        raise RecipeError(*problems)
    return tuple(methods)


def _read(recipe: Recipe, spec: str) -> Method:
    found = SPEC.fullmatch(spec)
    if found is None:
        raise RecipeError("a method, or a method with fields, is needed, as lora or lora:r=16,targets=all")
    assignments = COMMA.split(found["fields"]) if found["fields"] else []
    wrong = [text for text in assignments if "=" not in text]
    if wrong:
        raise RecipeError(f"{listing(map(repr, wrong))} is no assignment: write method:field=value,field=value.")
    if recipe.tuning.kind() == found["kind"]:
        start = recipe.tuning
    else:
        try:
            kind = Tuning.named(found["kind"])
        except ValueError as error:
            raise RecipeError(f"{error}") from None
        pairs = dict(text.split("=", 1) for text in assignments)
        needed = [name for name, field in kind.model_fields.items() if field.is_required() and name in pairs]
        start = build(kind, {name: pairs[name] for name in needed}, "tuning.")
    named = [text for text in assignments if text.partition("=")[0].strip() != RATE]
    return Method(_spec(found["kind"], named), start.override(*assignments).anchored(Path.cwd()), spec)


def _given(tuning: Tuning) -> Method:
    """A declaration, written as a person would: its kind, and the fields that are not as they usually are."""
    changed = {
        name: getattr(tuning, name)
        for name, field in type(tuning).model_fields.items()
        if getattr(tuning, name) != field.get_default(call_default_factory=True)
    }
    fields = {name: f"{name}={_text(value)}" for name, value in changed.items()}
    named = [text for name, text in fields.items() if name != RATE]
    return Method(_spec(tuning.kind(), named), tuning, _spec(tuning.kind(), list(fields.values())))


def _spec(kind: str, assignments: Sequence[str]) -> str:
    return f"{kind}:{','.join(assignments)}" if assignments else kind


def _text(value: object) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, (tuple, list)) else f"{value}"
