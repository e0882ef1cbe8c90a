"""What each command does. It prints; the library logs and raises."""

from __future__ import annotations

import argparse
import ast
import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from finetune import catalog
from finetune.errors import DataError, RecipeError
from finetune.recipe import RECIPE_FILE, Recipe, load_recipe

if TYPE_CHECKING:
    from finetune.executor import Outcome


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


def run(options: argparse.Namespace) -> int:
    """Run a recipe, or go on with a run."""
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

    from finetune.display import Display, print_classes, result_lines, scores_table
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
    print_classes(console, result.report)
    for line in result_lines(result.report, str(result.directory)):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return 0 if result.complete else 1


def suite(options: argparse.Namespace) -> int:
    """Run every recipe of a file."""
    from finetune.suite import Record, open_suite, run_suite, speaks, summarize

    only = [name.strip() for name in options.only.split(",") if name.strip()]
    opened = open_suite(options.recipes, options.assignments, only)
    record = Record.of(opened, options.out)
    from rich.console import Console

    from finetune.display import Display
    from finetune.interruption import Stopped
    from finetune.submission import submit
    from finetune.suite_display import outcome_line, print_submission, print_suite

    console = Console(quiet=not speaks(), soft_wrap=True, highlight=False)
    displays: list[Display] = []
    outcomes: list[Outcome] = []

    def watch(name: str) -> Display:
        console.print(f"\n[bold]{name}[/bold] ({len(displays) + 1} of {len(opened.cells)})")
        displays.append(Display(console))
        return displays[-1]

    try:
        for outcome in run_suite(opened, record, options.directory or options.out / "runs", watch):
            displays[-1].close()
            outcomes.append(outcome)
            console.print(outcome_line(outcome), markup=False)
        print_suite(console, outcomes)
        summary = summarize(opened, record)
        if summary is not None:
            console.print(summary.text)
        submission = submit(opened, record, console.print)
    except KeyboardInterrupt as stop:
        for display in displays:
            display.close()
        said = f"{str(stop) or 'Interrupted.'}\n{len(outcomes)} of {len(opened.cells)} recipes are done"
        number = getattr(stop, "exit_code", 130) - 128
        raise Stopped(f"{said}; the same `finetune suite` command goes on from here.", number) from None
    if submission is not None:
        print_submission(console, submission)
    console.print(f"Record: {record.path}", markup=False)
    return 0 if all(outcome.status == "complete" for outcome in outcomes) else 1


def check(options: argparse.Namespace) -> int:
    """Show what a run will do."""
    if _is_run(options.recipe):
        _load_own_code(options.recipe, options.code)
    recipe = _recipe(options)
    from rich.console import Console

    from finetune.check import check
    from finetune.display import print_check

    print_check(Console(), check(recipe))
    return 0


def evaluate(options: argparse.Namespace) -> int:
    """Score the saved model of a run."""
    _load_own_code(options.run, options.code)
    from rich.console import Console

    from finetune.display import print_classes, scores_table
    from finetune.experiment import evaluate
    from finetune.run_directory import RunDirectory

    scores = evaluate(options.run, options.split)
    run = RunDirectory(Path(options.run))
    console = Console()
    report = run.read_report()
    console.print(scores_table({options.split: scores}, report["baseline"]))
    print_classes(console, report, options.split)
    for name, text in report.get("signatures", {}).get(options.split, {}).items():
        console.print(f"{name}: {text}", highlight=False, soft_wrap=True, markup=False)
    console.print(f"Predictions: {run.predictions(options.split)}", highlight=False, soft_wrap=True)
    return 0


def predict(options: argparse.Namespace) -> int:
    """Predict texts, or the rows of a file."""
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
        layout: Literal["lines"] | None = "lines" if formats.suffix(options.file) == ".txt" else None
        rows = [values for _, values in formats.read(options.file, formats.Options(layout=layout))]
    predictor = load(options.run)
    if options.generation or options.seed is not None:
        predictor = predictor.writing(*options.generation, seed=options.seed)
    names = [column.name for column in predictor.recipe.task.inputs()]
    if options.file and formats.suffix(options.file) == ".txt":
        if len(names) > 1:
            raise DataError(
                f"a line of a .txt file is one text, and this model reads {len(names)} ({', '.join(names)}): "
                "give a csv or jsonl file."
            )
        rows = [{names[0]: row["text"]} for row in rows]
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


def _cell(value: Any) -> Any:
    """A value as one field of a table: lists of names joined by semicolons, other lists as JSON."""
    if not isinstance(value, list):
        return value
    return ";".join(value) if all(isinstance(item, str) for item in value) else json.dumps(value, ensure_ascii=False)


def _write_table(path: Path, lines: list[dict[str, Any]]) -> None:
    from finetune.run_directory import write_lines

    if path.suffix == ".jsonl":
        write_lines(path, lines)
        return
    plain = [{name: _cell(value) for name, value in line.items() if not isinstance(value, dict)} for line in lines]
    names = list(dict.fromkeys(name for line in plain for name in line))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(plain)


def certify(options: argparse.Namespace) -> int:
    """Examine saved models again."""
    from finetune.errors import RunError
    from finetune.finishing import confirm
    from finetune.run_directory import RunDirectory, load_own_code

    runs = [RunDirectory(Path(path)) for path in options.runs]
    for run in runs:
        if not run.certificate.is_dir() or "scores" not in run.read_report():  # stopped while it was examined
            raise RunError(f"{run.path} has no finished report to add to; finish it with: finetune run {run.path}")
    for run in runs:
        load_own_code(run, options.code)
    reports = confirm(runs, options.code)
    for run, report in zip(runs, reports, strict=True):
        print(f"{run.path}: {report['status']} {'; '.join(report['certificate']['reasons'])}".rstrip())
    return 0 if all(report["status"] == "complete" for report in reports) else 1


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of recipe files."""
    from finetune.schema import recipe_schema

    print(json.dumps(recipe_schema(), indent=2))
    return 0
