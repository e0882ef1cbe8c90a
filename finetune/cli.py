"""The command line. It prints; the library logs and raises."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from finetune import __version__
from finetune.commands import comparing, listing, running, using
from finetune.errors import FinetuneError

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
        from finetune.executor import OUT_OF_MEMORY, ran_out_of_memory

        if not ran_out_of_memory(error):
            raise
        print(OUT_OF_MEMORY, file=sys.stderr)
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
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = subparsers.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        return command

    add("ls", listing.ls, "list recipes, tasks and tuning methods")
    named = "Python file with classes of your own that the recipe names"
    for name, function, text in (
        ("run", running.run, "run a recipe, or go on with the run of a directory"),
        ("check", running.check, "look at the data and make one step, in seconds, before a run"),
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
    command = add("suite", running.suite, "run every recipe of a file, and show all scores in one table")
    command.add_argument("recipes", help="FILE.py with recipes = {...}, or a name of `ls`, as glue")
    command.add_argument(
        "assignments", nargs="*", metavar="FIELD=VALUE", help="changes of every recipe, as model=PATH training.epochs=1"
    )
    command.add_argument("--out", type=Path, default=Path("suite"), help="folder of suite.json (default: suite)")
    command.add_argument("--directory", type=Path, help="folder of all runs (default: OUT/runs)")
    command.add_argument("--only", metavar="NAMES", default="", help="some of the recipes, as mrpc,rte")
    _add_compare(add("compare", comparing.compare, "compare tuning methods on equal terms, over seeds"))
    made_with = "Python file with classes of your own that the run was made with"
    command = add("diff", comparing.diff, "say what two runs differ in, and which predictions changed")
    command.add_argument("first", metavar="RUN_A", help="run directory")
    command.add_argument("second", metavar="RUN_B", help="run directory")
    command.add_argument("--code", metavar="FILE", action="append", default=[], help=made_with)
    command = add("evaluate", using.evaluate, "score the saved model of a run")
    command.add_argument("run", help="run directory")
    command.add_argument("--split", default="test", help="validation, test or a further one (default: test)")
    command.add_argument("--code", metavar="FILE", action="append", default=[], help=made_with)
    command = add("predict", using.predict, "predict texts, or the rows of a file")
    command.add_argument("run", help="run directory")
    command.add_argument(
        "texts", nargs="*", metavar="TEXT", help="a text; for pairs, both texts of the first, then the next"
    )
    command.add_argument(
        "--file", type=Path, help="csv, tsv, json, jsonl or parquet file with the input columns; txt, a text a line"
    )
    command.add_argument(
        "--output",
        type=Path,
        help="csv, tsv (class and probability) or jsonl (those of all classes) file; default: print JSON lines",
    )
    command.add_argument("--code", metavar="FILE", action="append", default=[], help=made_with)
    command.add_argument(
        "--generation",
        metavar="FIELD=VALUE",
        nargs="+",
        default=[],
        help="how texts are written, as do_sample=true temperature=0.8 max_new_tokens=40",
    )
    command.add_argument("--seed", type=int, help="of drawn tokens; the run's by default")
    command = add("certify", using.certify, "examine saved models again, in one fresh process")
    command.add_argument("runs", nargs="+", metavar="RUN", help="run directories")
    command.add_argument("--code", metavar="FILE", action="append", default=[], help=made_with)
    command = add(
        "merge", using.merge, "make a plain model of a run with an adapter, and have a fresh process confirm it"
    )
    command.add_argument("run", help="run directory")
    command.add_argument("--out", type=Path, help="folder of the plain model (default: RUN/merged)")
    command.add_argument("--code", metavar="FILE", action="append", default=[], help=made_with)
    add("schema", listing.schema, "print the JSON Schema of recipe files, for editors")
    return parser


def _add_compare(command: argparse.ArgumentParser) -> None:
    command.add_argument("recipe", help="FILE.py, FILE.py:NAME, FILE.yaml, FILE.json, or a name of `ls`")
    command.add_argument("assignments", nargs="*", metavar="FIELD=VALUE", help="changes of the recipe, for all methods")
    command.add_argument(
        "--tuning",
        metavar="SPEC",
        nargs="+",
        default=["full", "lora"],
        help="methods, as full lora:r=16,targets=all (default: full lora); a learning_rate is the middle of its grid",
    )
    command.add_argument("--seeds", type=int, default=3, help="runs of each method (default: 3)")
    command.add_argument(
        "--learning-rates",
        type=int,
        default=3,
        help="rates that each method is tried with, a factor of 3.16 apart; 1: its own, no search (default: 3)",
    )
    command.add_argument(
        "--extensions", type=int, default=2, help="most runs more of each method while a best rate lies at an edge"
    )
    command.add_argument(
        "--development", type=float, default=0.1, help="share of the training rows that chooses rates (default: 0.1)"
    )
    command.add_argument("--reference", metavar="SPEC", help="what the others are held against (default: full)")
    command.add_argument("--margin", type=float, help="difference that does not matter (default: a point)")
    command.add_argument("--out", type=Path, default=Path("comparison"), help="folder of it all (default: comparison)")
    command.add_argument("--directory", type=Path, help="folder of all runs (default: OUT/runs)")
    command.add_argument(
        "--print-commands", action="store_true", help="run nothing; print a command for each run that can be made now"
    )
    command.add_argument("--keep-checkpoints", action="store_true", help="also of runs that are finished")
    command.add_argument(
        "--code", metavar="FILE", action="append", default=[], help="Python file with classes that the recipe names"
    )
