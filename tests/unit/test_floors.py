"""The architecture: a file imports from lower floors, its own folder, or from what stands left of it on its floor."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import finetune

FLOORS = (
    ("errors",),
    (
        "randomness",
        "quiet",
        "hub",
        "interruption",
        "metrics",
        "statistics",
        "catalog",
        "environment",
        "complaints",
        "architectures",
        "text",
        "modules",
        "warm_start",
    ),
    ("config",),
    ("generation", "data", "tasks", "tuning", "batching"),
    ("recipe", "schema", "suites"),
    ("compute", "run_directory", "vocabulary", "pretrained", "model", "evaluation"),
    ("training",),
    ("preparation", "ledger", "predict", "certificate", "artefact", "merging", "costs", "driver", "finishing"),
    ("experiment", "check"),
    ("executor", "suite", "submission", "comparison", "differences"),
    ("display", "suite_display", "commands", "cli"),
)
"""Files and folders of the package, each floor from left to right."""
DECLARING_FLOORS = range(5)
HEAVY = {"torch", "transformers", "peft", "datasets", "sklearn", "scipy", "pandas"}
ASIDE = {"__init__", "__main__"}
LEAST_FILES = 40
"""Files of the package when this was written; far fewer mean that they are not found."""

PACKAGE = Path(finetune.__file__).parent
PLACES = {name: (floor, position) for floor, names in enumerate(FLOORS) for position, name in enumerate(names)}


def sources() -> list[Path]:
    """Every Python file of the package but the two at its top that stand aside, and the shipped recipes."""
    files = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "recipes")
    return [path for path in files if not (path.parent == PACKAGE and path.stem in ASIDE)]


def top(path: Path) -> str:
    """The file or folder at the top of the package to which a file belongs."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def is_for_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(node: ast.AST, inside_functions: bool = True) -> Iterator[str]:
    """Modules that running this code imports, as `finetune.data.table` or `torch.nn`; type checking is no running."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports name the whole path"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif is_for_type_checking(child):
            assert isinstance(child, ast.If)
            for statement in child.orelse:
                yield from imports(ast.Module([statement], []), inside_functions)
        elif inside_functions or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from imports(child, inside_functions)


def own_imports(path: Path) -> set[str]:
    """What a file imports of the package, by the name at its top; names that `__init__` itself defines are left out."""
    found = set()
    for module in imports(ast.parse(path.read_text("utf-8"))):
        first, *rest = module.split(".")
        if first == "finetune" and rest and ((PACKAGE / rest[0]).is_dir() or (PACKAGE / f"{rest[0]}.py").is_file()):
            found.add(rest[0])
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_the_files_of_the_package_are_found() -> None:
    assert len(sources()) >= LEAST_FILES


def test_imports_within_the_package_are_found() -> None:
    assert sum(len(own_imports(path)) for path in sources()) >= 3 * LEAST_FILES


def test_no_name_stands_on_two_floors() -> None:
    assert len(PLACES) == sum(map(len, FLOORS))


def test_every_file_and_folder_has_a_floor() -> None:
    assert {top(path) for path in sources()} - set(PLACES) == set()


def test_every_name_of_a_floor_exists() -> None:
    assert set(PLACES) - {top(path) for path in sources()} == set()


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_file_imports_only_from_below_from_its_folder_or_from_its_left(path: Path) -> None:
    here = PLACES[top(path)]
    wrong = {
        name for name in own_imports(path) if name != top(path) and (name not in PLACES or not PLACES[name] < here)
    }
    assert wrong == set()


@pytest.mark.parametrize(("folder", "other"), [("tasks", "tuning"), ("tuning", "tasks")])
def test_tasks_and_tuning_never_import_each_other(folder: str, other: str) -> None:
    assert [name_of(path) for path in sources() if top(path) == folder and other in own_imports(path)] == []


@pytest.mark.parametrize("path", [path for path in sources() if PLACES[top(path)][0] in DECLARING_FLOORS], ids=name_of)
def test_a_declaring_file_imports_no_heavy_library_when_it_is_imported(path: Path) -> None:
    modules = imports(ast.parse(path.read_text("utf-8")), inside_functions=False)
    assert {module.partition(".")[0] for module in modules} & HEAVY == set()


@pytest.mark.parametrize("name", sorted(ASIDE))
def test_the_files_aside_import_no_heavy_library_either(name: str) -> None:
    modules = imports(ast.parse((PACKAGE / f"{name}.py").read_text("utf-8")), inside_functions=False)
    assert {module.partition(".")[0] for module in modules} & HEAVY == set()
