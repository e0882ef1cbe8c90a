"""The base of every declaration: frozen, validated, written to and read from plain data, changed by `a.b=value`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_serializer, model_validator

from finetune import catalog
from finetune.complaints import leaves, problems_of
from finetune.errors import RecipeError, unknown

COLUMNS = (".conll", ".iob", ".bio", ".bioes")
FILE_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt", *COLUMNS, ".gz", ".py")
"""What ends in one of these is the name of a file, whether it exists or not."""
FILE = "file"
"""Marks a field that may hold a path of a file or folder on this machine."""

FilePath = Annotated[str, FILE]
"""A path; relative to the folder of the recipe file, and on the command line to the current one."""


class Config(BaseModel):
    """A frozen value; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    def __init__(self, /, **fields: Any) -> None:
        """Every problem at once.

        Raises:
            RecipeError: A field is unknown or its value is not valid.
        """
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise RecipeError(*problems_of(type(self), fields, error)) from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # else nested validation would call this __init__

    def override(self, *assignments: str) -> Self:
        """A copy with `a.b=value` applied; whole objects are swapped before their fields are set, whatever the order.

        Raises:
            RecipeError: Unknown fields, values of the wrong type: all of them at once.
        """
        problems = [f"{text!r} is no assignment: write field=value." for text in assignments if "=" not in text]
        pairs = [text.partition("=")[::2] for text in assignments if "=" in text]
        value, more = self._with([(path.strip().split("."), text) for path, text in pairs], "")
        if problems + more:
            raise RecipeError(*problems, *more)
        return value

    def _with(self, pairs: Sequence[tuple[list[str], str]], prefix: str) -> tuple[Self, list[str]]:
        """Apply assignments below this value; what went wrong comes back in words."""
        problems: list[str] = []
        fields: dict[str, Any] = dict(self)
        by_field: dict[str, list[tuple[list[str], str]]] = {}
        for (head, *rest), text in pairs:
            by_field.setdefault(head, []).append((rest, text))
        for head, changes in by_field.items():
            where = f"{prefix}{head}"
            if head not in type(self).model_fields:
                problems.append(unknown("field", where, (f"{prefix}{name}" for name in type(self).model_fields)))
                continue
            for text in (text for rest, text in changes if not rest):
                fields[head] = _read(text, type(self).model_fields[head].annotation, fields[head])
            deeper = [(rest, text) for rest, text in changes if rest]
            if isinstance(getattr(self, head), Config) and not isinstance(fields[head], Config):
                field = TypeAdapter(type(self).model_fields[head].rebuild_annotation())
                try:
                    fields[head] = field.validate_python(
                        _with_required(type(self).model_fields[head].annotation, fields[head], deeper)
                    )
                except ValidationError as error:
                    problems += problems_of(type(self), fields, error, prefix, (head,))
                    fields[head] = getattr(self, head)
                    continue
            if isinstance(fields[head], Config):
                fields[head], found = fields[head]._with(deeper, f"{where}.")
                problems += found
            elif deeper and isinstance(fields[head], dict) and all(len(rest) == 1 for rest, _ in deeper):
                fields[head] = {**fields[head], **{name: text for (name,), text in deeper}}
            elif deeper:
                problems.append(f"{where} is a plain value; it has no field {deeper[0][0][0]!r}.")
        try:
            changed = type(self).model_validate(fields)
        except ValidationError as error:
            return self, problems + problems_of(type(self), fields, error, prefix)
        return (self, problems) if problems else (changed, [])

    def anchored(self, folder: Path) -> Self:
        """A copy whose relative file paths start from `folder`; a name that is no file there stays as it is."""
        changes: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, Config):
                changes[name] = value.anchored(folder)
            elif value is not None and (FILE in field.metadata or _holds_paths(field.annotation)):
                changes[name] = _anchor(value, folder)
        changes = {name: value for name, value in changes.items() if value != getattr(self, name)}
        return self.model_copy(update=changes) if changes else self


class Choice(Config):
    """A declaration chosen by name (`lora`), by mapping (`{type: lora, r: 16}`) or by value (`LoRA(r=16)`)."""

    package: ClassVar[str]
    """The catalog folder, as a module name."""

    @model_validator(mode="wrap")
    @classmethod
    def _choose(cls, value: Any, handler: Any) -> Any:
        if isinstance(value, Choice):
            if not isinstance(value, cls):
                raise ValueError(f"a {type(value).__name__} stands where a {cls.__name__} belongs")
            return value
        if isinstance(value, str):
            value = {"type": value}
        kind = value.get("type") if isinstance(value, Mapping) else None
        if kind is None:
            if inspect.isabstract(cls):
                choices = ", ".join(catalog.names(cls.package))
                raise ValueError(f"`type` is missing: one of {choices}")
            return handler(value)
        fields = {key: item for key, item in value.items() if key != "type"}
        named = cls.named(str(kind))
        return handler(fields) if named is cls else named.model_validate(fields)

    @classmethod
    def named(cls, kind: str) -> type[Self]:
        """The class that a file means by `kind`: a catalog name, or a class of a file given with `--code`.

        Raises:
            ValueError: A name that the catalog does not hold, or a class whose file was not given.
        """
        if ":" not in kind and "." not in kind:
            member: type[Self] = catalog.find(cls.package, kind, cls)
            return member
        found: type[Self] | None = catalog.find_user_class(kind, cls)
        if found is None:
            known = ", ".join(catalog.names(cls.package))
            raise ValueError(
                f"a file can name catalog types only, not the class {kind!r}. Known: {known}. "
                "If the class is your own, name its source with --code FILE"
            )
        return found

    @model_serializer(mode="wrap")
    def _named(self, handler: Any) -> dict[str, Any]:
        return {"type": self.kind(), **handler(self)}

    @classmethod
    def kind(cls) -> str:
        """The catalog name; `module:Name` for a user's own class."""
        if cls.__module__.startswith(cls.package + "."):
            return cls.__module__.rpartition(".")[2]
        return f"{cls.__module__}:{cls.__qualname__}"

    def own_classes(self) -> list[type]:
        """This value's class, where it is a user's own."""
        return [type(self)] if ":" in self.kind() else []


def build(kind: type[Config], fields: Any, prefix: str = "") -> Any:
    """Build `kind` from plain data; every problem becomes one line, its path behind `prefix`.

    Raises:
        RecipeError: The data does not describe a `kind`.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise RecipeError(*problems_of(kind, fields, error, prefix)) from None


def _holds_paths(annotation: Any) -> bool:
    """Whether a field's type mentions FilePath anywhere, as in `FilePath | None`."""
    return FILE in getattr(annotation, "__metadata__", ()) or any(_holds_paths(part) for part in get_args(annotation))


def _anchor(value: Any, folder: Path) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(_anchor(item, folder) for item in value)
    path = Path(value).expanduser()
    if path.is_absolute():
        return str(path)
    is_file = value.endswith(FILE_SUFFIXES)
    named_as_path = value.startswith((".", "~")) or is_file or (folder / path).exists()
    return str((folder / path).resolve()) if named_as_path and ":" not in value else value


def _read(text: str, annotation: Any, current: Any) -> Any:
    """`text` as its field's type wants it: a string stays one, brackets are lists, the rest pydantic converts."""
    parts = leaves(annotation)
    if type(None) in parts and text.lower() in ("none", "null"):
        return None
    takes_list = any(part in (tuple, list, dict) for part in parts) or isinstance(current, Config)
    if text[:1] in "[{" and takes_list:
        try:
            return _without_null(yaml.load(text, Loader=yaml.BaseLoader))  # every value stays text: `no` is a label
        except yaml.YAMLError:
            return text
    if str not in parts and bool not in parts and any(part in (int, float) for part in parts):
        for convert in (int, float):
            try:
                return convert(text)
            except ValueError:
                continue
    return text


def _with_required(annotation: Any, chosen: Any, changes: Sequence[tuple[list[str], str]]) -> Any:
    """A choice by name with those of its fields that it cannot be made without, as `peft` with its `method`."""
    bases = [part for part in leaves(annotation) if isinstance(part, type) and issubclass(part, Choice)]
    if not isinstance(chosen, str) or not bases:
        return chosen
    try:
        fields = bases[0].named(chosen).model_fields
    except ValueError:
        return chosen  # whose validation says what is wrong
    given = {path[0]: text for path, text in changes if len(path) == 1}
    needed = {name: given[name] for name, field in fields.items() if field.is_required() and name in given}
    return {"type": chosen, **needed}


def typed(value: Any) -> Any:
    """Free settings with numbers and truth values in place of their texts, as all values come from the command line."""
    if isinstance(value, dict):
        return {name: typed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    try:
        found = json.loads(value.lower())
    except (AttributeError, ValueError):
        return value
    return found if isinstance(found, (int, float)) else value


def _without_null(value: Any) -> Any:
    """Mappings with None where `null` is written; lists as they are, for `null` may be a label."""
    return (
        {k: None if v == "null" else _without_null(v) for k, v in value.items()} if isinstance(value, dict) else value
    )
