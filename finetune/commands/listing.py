"""What there is: recipes, tasks, tuning methods, the schema of recipe files."""

from __future__ import annotations

import argparse
import ast
import json

from finetune import catalog


def ls(options: argparse.Namespace) -> int:
    """List recipes, tasks and tuning methods."""
    from finetune.recipe import recipes_of, shipped
    from finetune.tasks.base import Task
    from finetune.tuning.base import Tuning

    sections: dict[str, list[tuple[str, str]]] = {"Recipes": []}
    for path in shipped():
        text = _first_line(ast.get_docstring(ast.parse(path.read_text("utf-8"))))
        names = [f"{path.stem}:{name}" if name else path.stem for name in recipes_of(path)]
        sections["Recipes"] += [(name, text if name == names[0] else "") for name in names]
    for title, base in (("Tasks", Task), ("Tuning methods", Tuning)):
        members = [(name, catalog.find(base.package, name, base)) for name in catalog.names(base.package)]
        sections[title] = [(name, _first_line(member.__doc__)) for name, member in members]
    width = max(len(name) for rows in sections.values() for name, _ in rows)
    for title, rows in sections.items():
        print(f"{title}:")
        for name, text in rows:
            print(f"  {name:<{width}}  {text}".rstrip())
    return 0


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of recipe files."""
    from finetune.schema import recipe_schema

    print(json.dumps(recipe_schema(), indent=2))
    return 0
