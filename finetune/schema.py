"""The JSON Schema of a recipe file, for editors: every field, its meaning, and the catalog's names."""

from __future__ import annotations

from typing import Any

from finetune import catalog
from finetune.config import Choice
from finetune.data.base import Data
from finetune.recipe import Recipe
from finetune.tasks.base import Task
from finetune.tuning.base import Tuning

CHOICES: dict[str, type[Choice]] = {"task": Task, "data": Data, "tuning": Tuning}
"""Fields of a recipe that name a member of a catalog."""


def recipe_schema() -> dict[str, Any]:
    """The schema; `data: rows` is left out, because a file cannot hold it."""
    schema = Recipe.model_json_schema()
    definitions = schema["$defs"]
    for field, base in CHOICES.items():
        members = {name: catalog.find(base.package, name, base) for name in catalog.names(base.package)}
        members.pop("rows", None)
        mappings = []
        for name, member in members.items():
            own = member.model_json_schema()
            definitions |= own.pop("$defs", {})
            own["properties"] = {"type": {"const": name, "description": f"Always {name}."}, **own["properties"]}
            own["required"] = ["type", *own.get("required", [])]
            definitions[member.__name__] = own
            mappings.append({"$ref": f"#/$defs/{member.__name__}"})
        plain = [name for name, member in members.items() if not _required(member)]
        schema["properties"][field] = {"anyOf": [*([{"enum": plain}] if plain else []), *mappings]}
        definitions.pop(base.__name__, None)
    schema["properties"]["model"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Model"}]}
    for name in CHOICES.keys() | {"model", "training"}:
        schema["properties"][name]["description"] = Recipe.model_fields[name].description
    schema["properties"]["format"] = {"const": 1, "description": "Version of this layout."}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def _required(member: type[Choice]) -> bool:
    return any(field.is_required() for field in member.model_fields.values())
