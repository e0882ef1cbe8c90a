"""What pydantic refuses, in words: the whole path, the value, what would be right, the nearest name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from finetune.errors import unknown


def problems_of(
    kind: type[BaseModel], fields: Any, error: ValidationError, prefix: str = "", below: tuple[str, ...] = ()
) -> list[str]:
    """One line for each field that pydantic refuses, with its whole path, the value and what would be right.

    Args:
        kind: What was to be built.
        fields: From what.
        error: What pydantic says.
        prefix: Path of `kind` itself, with a dot at its end.
        below: Field of `kind` that alone was looked at.
    """
    found: dict[str, str] = {}
    for detail in error.errors(include_url=False):
        location = [*below, *(str(part) for part in detail["loc"] if not _is_type_tag(str(part)))]
        where = prefix + ".".join(location)
        message = _sentence(detail["msg"].removeprefix("Value error, "))
        if detail["type"] == "extra_forbidden":
            owner, beside = _owner(kind, fields, location), where.rpartition(".")[0]
            known = (f"{beside}.{name}" if beside else name for name in owner.model_fields)
            found.setdefault(where, unknown("field", where, known))
        elif detail["type"] == "missing":
            found.setdefault(where, f"{where} is missing.")
        elif not where:
            found.setdefault(message, message)
        elif detail["type"] == "value_error" and not isinstance(detail["input"], (str, int, float)):
            found.setdefault(where, f"{where.rstrip('.')}: {message}")
        elif where in found:
            found[where] = found[where].rstrip(".") + f", or {message}"  # another member of a union refuses too
        else:
            found[where] = f"{where} = {_shown(detail['input'])}: {message}"
    deeper = {where.rpartition(".")[0] for where in found}  # a union complains itself and for each of its members
    return [text for where, text in found.items() if where not in deeper]


def _is_type_tag(part: str) -> bool:
    """Pydantic puts the member of a union it tried into the path (`int`, `literal['epoch']`, `TrainedTokenizer`)."""
    tags = ("literal[", "constrained-", "tuple[", "dict[", "function-")
    return part in ("int", "float", "str", "bool") or part.startswith(tags) or part[:1].isupper()


def _sentence(message: str) -> str:
    plain = {
        "valid integer": "a whole number is needed",
        "valid number": "a number is needed",
        "valid dictionary": "a mapping of names to values is needed",
        "valid tuple": "a list in brackets, as [a, b], is needed",
    }
    for mark, words in plain.items():
        if mark in message:
            return words + "."
    message = message.removeprefix("Input ").strip()
    return message[:1].lower() + message[1:] + ("" if message.endswith((".", "?")) else ".")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _owner(kind: type[BaseModel], fields: Any, location: Sequence[str]) -> type[BaseModel]:
    """The class of the value in which the last name of `location` stands."""
    for name in location[:-1]:
        field = kind.model_fields.get(name)
        value = fields.get(name) if isinstance(fields, Mapping) else getattr(fields, name, None)
        if field is None:
            break
        declared = next((part for part in leaves(field.annotation) if issubclass(part, BaseModel)), None)
        if isinstance(value, BaseModel):
            kind = type(value)
        elif declared is not None and hasattr(declared, "named") and isinstance(value, Mapping):
            kind = declared.named(str(value.get("type"))) if "type" in value else declared
        elif declared is not None:
            kind = declared
        fields = value
    return kind


def leaves(annotation: Any) -> set[Any]:
    """The plain types a declared type is made of: `tuple[str, ...] | None` -> {tuple, str, NoneType}."""
    found = {getattr(annotation, "__origin__", annotation)}
    for part in get_args(annotation):
        if isinstance(part, str):
            found.add(str)  # a member of a Literal
        elif part is not Ellipsis:
            found |= leaves(part)
    return {kind for kind in found if isinstance(kind, type)}
