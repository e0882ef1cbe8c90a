"""What a finished run is good for: scored, used, examined again."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any, Literal

from finetune.commands.naming import load_own_code
from finetune.errors import DataError


def evaluate(options: argparse.Namespace) -> int:
    """Score the saved model of a run."""
    load_own_code(options.run, options.code)
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
    load_own_code(options.run, options.code)
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
    from finetune.run_directory import RunDirectory

    runs = [RunDirectory(Path(path)) for path in options.runs]
    for run in runs:
        if not run.certificate.is_dir() or "scores" not in run.read_report():  # stopped while it was examined
            raise RunError(f"{run.path} has no finished report to add to; finish it with: finetune run {run.path}")
    for run in runs:
        load_own_code(str(run.path), options.code)
    reports = confirm(runs, options.code)
    for run, report in zip(runs, reports, strict=True):
        print(f"{run.path}: {report['status']} {'; '.join(report['certificate']['reasons'])}".rstrip())
    return 0 if all(report["status"] == "complete" for report in reports) else 1


def merge(options: argparse.Namespace) -> int:
    """Make a plain model of a run with an adapter."""
    load_own_code(options.run, options.code)
    from finetune.interruption import Interruption
    from finetune.merging import merge

    with Interruption() as interruption:
        merged = merge(options.run, options.out, interruption)
    if not merged.holds:
        reasons = "; ".join(merged.certificate["reasons"])
        print(f"{merged.folder}: NOT CONFIRMED by a fresh process: {reasons}")
        return 1
    print(
        f"{merged.folder}: a fresh process loaded it with transformers and found the same predictions for "
        f"{merged.certificate['rows']} rows (largest difference of a logit "
        f"{merged.certificate['largest_difference']:.1e})\n"
        f"Load it with: transformers.{merged.auto}.from_pretrained({str(merged.folder)!r})"
    )
    return 0
