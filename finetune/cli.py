"""The command line. It prints; the library logs and raises."""

from __future__ import annotations

import argparse
import ast
import csv
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from finetune import __version__, catalog
from finetune.errors import DataError, FinetuneError, RecipeError
from finetune.recipe import RECIPE_FILE, Recipe, load_recipe

COMPLAINT = 2
"""Exit code when the user can mend what is wrong."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parse(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # hints of its distributed part that a user cannot act on
    try:
        return command(options)
    except FinetuneError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":  # of several processes on this machine one speaks
            print(error, file=sys.stderr)
        return COMPLAINT
    except KeyboardInterrupt as error:
        print(str(error) or "Interrupted.", file=sys.stderr)
        return int(getattr(error, "exit_code", 130))
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    except OSError as error:
        print(f"{error.filename or 'A file'}: {error.strerror or error}.", file=sys.stderr)
        return COMPLAINT
    except RuntimeError as error:  # torch.OutOfMemoryError is one; anything else is ours to mend
        if "out of memory" not in str(error) and "can't allocate memory" not in str(error):
            raise
        print(
            "Out of memory: lower training.batch_tokens, or set training.gradient_checkpointing=true.", file=sys.stderr
        )
        return COMPLAINT


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options, and the list at the end of a command wherever its parts stand among them."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    many = next((name for name in ("assignments", "texts") if hasattr(options, name)), None)
    unknown = [word for word in rest if word.startswith("-") or many is None]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if many is not None:
        getattr(options, many).extend(rest)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="finetune", description="Fine-tune pretrained Transformers and get a result that can be believed."
    )
    parser.add_argument("--version", action="version", version=f"finetune {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        return command

    add("ls", _ls, "list recipes, tasks and tuning methods")
    named = "Python file with classes of your own that the recipe names"
    for name, function, text in (
        ("run", _run, "run a recipe, or go on with the run of a directory"),
        ("check", _check, "look at the data and make one step, in seconds, before a run"),
    ):
        command = add(name, function, text)
        command.add_argument(
            "recipe", help="FILE.py, FILE.py:NAME, FILE.yaml, FILE.json, a run directory, or a name of `ls`"
        )
        command.add_argument(
            "assignments", nargs="*", metavar="FIELD=VALUE", help="changes, as tuning=lora tuning.r=16"
        )
        command.add_argument("--code", metavar="FILE", action="append", default=[], help=named)
        if name == "run":
            command.add_argument("--directory", default="runs", help="folder of all runs (default: runs)")
    made_with = "Python file with classes of your own that the run was made with"
    command = add("evaluate", _evaluate, "score the saved model of a run")
    command.add_argument("run", help="run directory")
    command.add_argument("--split", default="test", help="validation or test (default: test)")
    command.add_argument("--code", metavar="FILE", action="append", default=[], help=made_with)
    command = add("predict", _predict, "predict texts, or the rows of a file")
    command.add_argument("run", help="run directory")
    command.add_argument(
        "texts", nargs="*", metavar="TEXT", help="a text; for pairs, both texts of the first, then the next"
    )
    command.add_argument("--file", type=Path, help="csv, tsv, json, jsonl or parquet file with the input columns")
    command.add_argument(
        "--output",
        type=Path,
        help="csv, tsv (class and probability) or jsonl (those of all classes) file; default: print JSON lines",
    )
    command.add_argument("--code", metavar="FILE", action="append", default=[], help=made_with)
    command = add("certify", _certify, "examine saved models again, in one fresh process")
    command.add_argument("runs", nargs="+", metavar="RUN", help="run directories")
    command.add_argument("--code", metavar="FILE", action="append", default=[], help=made_with)
    add("schema", _schema, "print the JSON Schema of recipe files, for editors")
    return parser


def _ls(options: argparse.Namespace) -> int:
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


def _recipe(options: argparse.Namespace) -> Recipe:
    for code in options.code:
        _execute(code)
    recipe = load_recipe(options.recipe)
    return recipe.override(*options.assignments).anchored(Path.cwd()) if options.assignments else recipe


def _execute(code: str) -> None:
    if not Path(code).is_file():
        raise RecipeError(f"--code: the file {code} does not exist.")
    catalog.execute(Path(code))


def _is_run(target: str) -> bool:
    return (Path(target) / RECIPE_FILE).exists()


def _load_own_code(run: str, code: list[str]) -> None:
    from finetune.run_directory import RunDirectory, load_own_code

    load_own_code(RunDirectory(Path(run)), code)


def _run(options: argparse.Namespace) -> int:
    if _is_run(options.recipe):
        if options.assignments:
            raise RecipeError(
                f"{options.recipe} is a run; its recipe stays as it is. For a new run with changes: "
                f"finetune run {Path(options.recipe) / RECIPE_FILE} {' '.join(options.assignments)}"
            )
        _load_own_code(options.recipe, options.code)
    else:
        recipe = _recipe(options)  # before torch is loaded: what is wrong with it is said at once
    from rich.console import Console

    from finetune.display import Display, result_lines, scores_table
    from finetune.experiment import resume, run

    console = Console()
    display = Display(console)
    try:
        going_on = _is_run(options.recipe)
        result = resume(options.recipe, display) if going_on else run(recipe, options.directory, display)
    finally:
        display.close()
    if not result.first:
        return 0
    if display.total == 0:
        console.print("This run is finished; its result:")
    console.print(scores_table(result.scores, result.report["baseline"]))
    for line in result_lines(result.report, str(result.directory)):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return 0 if result.complete else 1


def _check(options: argparse.Namespace) -> int:
    if _is_run(options.recipe):
        _load_own_code(options.recipe, options.code)
    recipe = _recipe(options)
    from rich.console import Console

    from finetune.check import check
    from finetune.display import print_check

    print_check(Console(), check(recipe))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    _load_own_code(options.run, options.code)
    from rich.console import Console

    from finetune.display import scores_table
    from finetune.experiment import evaluate
    from finetune.run_directory import RunDirectory

    scores = evaluate(options.run, options.split)
    run = RunDirectory(Path(options.run))
    console = Console()
    console.print(scores_table({options.split: scores}, run.read_report()["baseline"]))
    console.print(f"Predictions: {run.predictions(options.split)}", highlight=False, soft_wrap=True)
    return 0


def _predict(options: argparse.Namespace) -> int:
    if bool(options.texts) == bool(options.file):
        raise DataError("give either texts or --file.")
    if options.output and options.file and options.output.resolve() == options.file.resolve():
        raise DataError(f"--output would overwrite the input {options.file}.")
    if options.output and options.output.suffix not in (".csv", ".tsv", ".jsonl"):
        raise DataError(f"--output {options.output}: a name ending in .csv, .tsv or .jsonl is needed.")
    _load_own_code(options.run, options.code)
    from finetune.data import formats
    from finetune.predict import load

    rows: list[Any] = []
    if options.file:  # read before the model is loaded: what is wrong with it is said at once
        rows = [values for _, values in formats.read(options.file, formats.Options())]
    predictor = load(options.run)
    names = [column.name for column in predictor.recipe.task.inputs()]
    if options.texts:
        if len(options.texts) % len(names):
            raise DataError(
                f"this model reads {len(names)} texts a row ({', '.join(names)}); {len(options.texts)} are given."
            )
        starts = range(0, len(options.texts), len(names))
        rows = [dict(zip(names, options.texts[start : start + len(names)], strict=True)) for start in starts]
    predictions = predictor(rows)
    lines = [{**_apart(row, prediction), **prediction} for row, prediction in zip(rows, predictions, strict=True)]
    if options.output is None:
        for line in lines:
            print(json.dumps(line, ensure_ascii=False, default=str))
    else:
        _write_table(options.output, lines)
        print(f"{len(lines)} predictions: {options.output}")
    return 0


def _apart(row: dict[str, Any], prediction: dict[str, Any]) -> dict[str, Any]:
    """The input columns; one that is called like a part of the prediction gets another name."""
    return {f"input.{name}" if name in prediction else name: value for name, value in row.items()}


def _write_table(path: Path, lines: list[dict[str, Any]]) -> None:
    from finetune.run_directory import write_lines

    if path.suffix == ".jsonl":
        write_lines(path, lines)
        return
    plain = [{name: value for name, value in line.items() if not isinstance(value, (dict, list))} for line in lines]
    names = list(dict.fromkeys(name for line in plain for name in line))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(plain)


def _certify(options: argparse.Namespace) -> int:
    from finetune.errors import RunError
    from finetune.finishing import confirm
    from finetune.run_directory import RunDirectory, load_own_code

    runs = [RunDirectory(Path(path)) for path in options.runs]
    for run in runs:
        if not run.certificate.is_dir():
            raise RunError(f"{run.path} has no saved model to examine; finish it with: finetune run {run.path}")
    for run in runs:
        load_own_code(run, options.code)
    reports = confirm(runs, options.code)
    for run, report in zip(runs, reports, strict=True):
        print(f"{run.path}: {report['status']} {'; '.join(report['certificate']['reasons'])}".rstrip())
    return 0 if all(report["status"] == "complete" for report in reports) else 1


def _schema(options: argparse.Namespace) -> int:
    from finetune.schema import recipe_schema

    print(json.dumps(recipe_schema(), indent=2))
    return 0
