"""The wheel: what is inside, and that it works away from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def inside(wheel: Path) -> set[str]:
    """Names of the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


SHIPPED = sorted(
    str(path.relative_to(CHECKOUT))
    for path in (CHECKOUT / "recipes").rglob("*")
    if path.suffix in (".py", ".csv", ".json", ".jsonl")
)


def test_the_recipes_and_their_data_are_found() -> None:
    assert len(SHIPPED) == 18


def python(*arguments: str, package: Path, cwd: Path) -> str:
    """What Python prints with `package` before everything installed, the current folder not importable."""
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, "-P", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["py.typed", *SHIPPED])
def test_the_wheel_holds_a_file_beside_the_code(inside: set[str], name: str) -> None:
    assert f"finetune/{name}" in inside


def test_the_wheel_holds_all_code_of_the_package(inside: set[str]) -> None:
    code = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "finetune").rglob("*.py")}
    assert code - inside == set() and len(code) > 40


def test_the_wheel_has_no_top_level_folder_but_the_package(inside: set[str]) -> None:
    tops = {name.partition("/")[0] for name in inside}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"finetune"}


def test_the_wheel_holds_no_test_and_no_cache(inside: set[str]) -> None:
    assert [name for name in inside if "__pycache__" in name or "tests/" in name] == []


def test_the_wheel_installs_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "finetune = finetune.cli:main" in archive.read(name).decode()


def test_the_unpacked_package_is_the_one_imported(unpacked: Path, tmp_path: Path) -> None:
    found = python("-c", "import finetune; print(finetune.__file__)", package=unpacked, cwd=tmp_path)
    assert Path(found.strip()) == unpacked / "finetune" / "__init__.py"


@pytest.mark.parametrize("name", ["quickstart", "glue:sst2", "glue:mrpc", "classification", "full", "lora", "frozen"])
def test_the_unpacked_package_lists(listed: list[str], name: str) -> None:
    assert name in listed


@pytest.fixture(scope="module")
def listed(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """First words of the lines that `finetune ls` prints."""
    text = python("-m", "finetune", "ls", package=unpacked, cwd=tmp_path_factory.mktemp("elsewhere"))
    return [line.split()[0] for line in text.splitlines()]


@pytest.mark.parametrize("place", ["wheel", "checkout", "inside the checkout"])
@pytest.mark.parametrize(("target", "name"), [("quickstart", "quickstart"), ("recipes/glue.py:sst2", "glue-sst2")])
def test_a_shipped_recipe_is_loaded_by_its_name(
    unpacked: Path, tmp_path: Path, place: str, target: str, name: str
) -> None:
    code = f"from finetune.recipe import load_recipe; print(load_recipe({target!r}).name)"
    package = unpacked if place == "wheel" else CHECKOUT
    cwd = CHECKOUT if place == "inside the checkout" else tmp_path
    assert python("-c", code, package=package, cwd=cwd).strip() == name


@pytest.mark.parametrize("place", ["wheel", "checkout"])
def test_the_rows_of_the_quickstart_are_found_from_anywhere(unpacked: Path, tmp_path: Path, place: str) -> None:
    code = "from finetune.recipe import load_recipe; print(*load_recipe('quickstart').data.train)"
    package = unpacked if place == "wheel" else CHECKOUT
    path = Path(python("-c", code, package=package, cwd=tmp_path).strip())
    assert path.is_file() and path.is_relative_to(package)
