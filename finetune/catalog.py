"""The folder is the registry: `finetune/tuning/lora.py` is the tuning method "lora"."""

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from finetune.errors import RecipeError, unknown

NOT_MEMBERS = {"base", "texts", "text_to_text", "through_peft", "prompt_learning", "stored_base", "layers"}
"""Modules of a catalog folder that hold what its members share."""

_user_code: dict[str, ModuleType] = {}


def names(package: str) -> list[str]:
    """The members of a catalog folder: its modules that define a concrete subclass are named like the module."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted(module.name for module in modules if module.name not in NOT_MEMBERS and not module.ispkg)


def find(package: str, name: str, base: type) -> Any:
    """The one subclass of `base` that the module `package.name` defines.

    Raises:
        ValueError: No module of that name; the message names the nearest.
    """
    if name not in names(package):
        raise ValueError(unknown(base.__name__.lower(), name, names(package)))
    module = importlib.import_module(f"{package}.{name}")
    members = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, base)]
    (found,) = (kind for kind in members if kind.__module__ == module.__name__)
    return found


def recipes_folder() -> Path:
    """Where the shipped recipes are: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def execute(path: Path) -> ModuleType:
    """Run a user's Python file as a module and remember it, so that its classes can be found again.

    Raises:
        RecipeError: The file cannot be imported; the message names the file, the line and the exception.
    """
    path = path.resolve()
    name = f"finetune_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickling and dataclasses look a class's module up by name
    try:
        spec.loader.exec_module(module)
    except RecipeError:
        raise
    except (Exception, SystemExit) as error:
        frames = reversed(traceback.extract_tb(error.__traceback__))
        line = next((f" line {frame.lineno}" for frame in frames if frame.filename == str(path)), "")
        raise RecipeError(f"{path}{line} raises {type(error).__name__}: {error}") from error
    _user_code[str(path)] = module
    return module


def executed(path: Path) -> bool:
    """Whether a file was executed, or one of a folder."""
    return any(path.resolve() in (Path(file), Path(file).parent) for file in _user_code)


def find_user_class(reference: str, base: type) -> Any:
    """The class that `module:Name` means; None where there is none.

    It is looked up among the files executed so far and the modules imported already: a name in a file never makes
    anything run.
    """
    module_name, _, name = reference.rpartition(":")
    imported = sys.modules.get(module_name)
    for module in (*([imported] if imported else []), *_user_code.values()):
        kind = getattr(module, name, None)
        if isinstance(kind, type) and issubclass(kind, base):
            return kind
    return None
