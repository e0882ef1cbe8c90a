"""The submission of a suite: the rows to hand in, predicted by the saved models, packed as the suite says."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.data import cache
from finetune.data.table import Rows
from finetune.errors import DataError, FinetuneError, listing
from finetune.evaluation import evaluate
from finetune.predict import Predictor, load
from finetune.run_directory import FORMAT, RunDirectory, read_json, write_json, write_text
from finetune.suite import Opened, Record, speaks
from finetune.suites.base import File, Suite, archive, remarks

FOLDER, ARCHIVE = "submission", "submission.zip"


@dataclass(frozen=True)
class Submission:
    """The files of a submission, as far as there are models and rows for them.

    Attributes:
        path: The zip file; None where there is nothing to put into it.
        missing: File -> why it is not there.
        remarks: What is unusual about files that are there.
    """

    path: Path | None
    missing: dict[str, str]
    remarks: list[str]


def submit(opened: Opened, record: Record, note: Callable[[str], None]) -> Submission | None:
    """Predict the rows to hand in and pack the files; those made before by the same models are taken as they are.

    Args:
        opened: The recipes; None is returned where they form no suite.
        record: Says which runs are complete; gets what was made.
        note: Told what begins.

    Raises:
        KeyboardInterrupt: Ctrl-C; files that are finished stay.
    """
    if opened.suite is None:
        return None
    folder, cells = record.path.parent / FOLDER, record.complete()
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, list[str]] = {}
    missing: dict[str, str] = {}
    due: dict[str, list[File]] = {}
    wanted = {file.recipe for file in opened.suite.files if file.recipe in cells}
    made_of = {name: _made_of(opened.suite, RunDirectory(record.directory(name))) for name in wanted}
    for file in opened.suite.files:
        if file.recipe not in cells:
            missing[file.name] = record.content["cells"].get(file.recipe, {"status": "not run"})["status"]
        elif (known := _known(folder / file.name, made_of[file.recipe])) is not None:
            made[file.name] = known
        else:
            due.setdefault(file.recipe, []).append(file)
    for name, files in due.items():
        note(f"{name}: predicting the rows of {', '.join(file.name for file in files)}")
        for file, text, said in _predicted(opened.suite, record.directory(name), files):
            if text is None:
                missing[file.name] = said[0]
                continue
            made[file.name] = said
            if speaks():
                _write(folder / file.name, text, made_of[name], said)
    names = [file.name for file in opened.suite.files if file.name in made]
    path = record.path.with_name(ARCHIVE)
    if speaks():
        _pack(path, folder, names, list(missing))
    found = [text for name in names for text in made[name]]
    record.content["submission"] = {"complete": not missing, "files": names, "missing": missing, "remarks": found}
    record.save()
    return Submission(path if names else None, missing, found)


def _made_of(suite: Suite, run: RunDirectory) -> dict[str, str]:
    """Hashes of all that a file depends on: the code that spells it, and the model.

    The model are the files that are loaded, weights and all, and the identity of the run, which has the rows to predict
    and the checkpoint below an adapter. Where the run lies does not matter.
    """
    card = run.model / "README.md"  # written again by each examination, which changes no prediction
    files = sorted(path for path in (run.identity, *run.model.rglob("*")) if path.is_file() and path != card)
    parts = (part for path in files for part in (path.relative_to(run.path), cache.file_digest(path)))
    return {"suite": cache.file_digest(Path(inspect.getfile(type(suite)))), "model": cache.digest(*parts)}


def _write(path: Path, text: str, made_of: dict[str, str], said: list[str]) -> None:
    """A file, and beside it what it was made of, so that it need not be made again."""
    write_text(path, text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    write_json(_origin(path), {"format": FORMAT, "made_of": made_of, "sha256": digest, "remarks": said})


def _known(path: Path, made_of: dict[str, str]) -> list[str] | None:
    """The remarks on a file that was made of the same; None where it has to be made."""
    if not path.is_file() or not _origin(path).is_file():
        return None
    origin = read_json(_origin(path))
    same = origin.get("made_of") == made_of
    whole = origin["sha256"] == cache.file_digest(path)
    return list(origin["remarks"]) if same and whole else None


def _origin(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _predicted(suite: Suite, directory: Path, files: Sequence[File]) -> Iterator[tuple[File, str | None, list[str]]]:
    """Of each file its text and what is unusual about it; or None, and why it cannot be made."""
    try:
        predictor = load(directory)
        task = predictor.recipe.task
        splits = predictor.recipe.data.load(task.inputs(), task.targets(), task.optional())
    except FinetuneError as error:
        yield from ((file, None, [listing(error.problems)]) for file in files)
        return
    for file in files:
        try:
            rows = _rows(splits, file, suite.index)
            indices = rows.column(suite.index)
            text = suite.text(file, indices, _predict(predictor, rows))
        except FinetuneError as error:
            yield file, None, [listing(error.problems)]
        else:
            yield file, text, remarks(file, indices)


def _rows(splits: dict[str, Rows], file: File, index: str) -> Rows:
    if file.split not in splits:
        raise DataError(f"no {file.split} rows")
    if index not in splits[file.split].columns:
        raise DataError(f"{file.split} rows without a column {index!r}")
    return splits[file.split]


def _predict(predictor: Predictor, rows: Rows) -> list[Any]:
    """What a saved model says of each row, `(rows,)`."""
    done = evaluate(
        predictor.module,
        predictor.encoder,
        rows,
        predictor.compute,
        predictor.recipe.training.batch_tokens,
        labelled=False,
        decisions=predictor.decisions,
        keep=False,
    )
    return [prediction["predicted"] for prediction in done.predictions]


def _pack(path: Path, folder: Path, names: Sequence[str], missing: Sequence[str]) -> None:
    """Replace the zip file in one go; without a file, there is none."""
    if not names:
        path.unlink(missing_ok=True)
        return
    unfinished = path.with_name(f".{path.name}.partial")
    unfinished.write_bytes(archive({name: (folder / name).read_text("utf-8") for name in names}, missing))
    unfinished.replace(path)
