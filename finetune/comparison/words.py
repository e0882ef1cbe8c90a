"""What a comparison says in sentences: its answer, its terms, what to be careful about, how to do it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from finetune.comparison.columns import digits, finished, problems, rate, share
from finetune.comparison.result import FOLDER, RUNS
from finetune.errors import listing

VERDICTS = ("better", "no worse", "worse but within the margin", "cannot tell", "worse")
"""From the best news to the worst."""


def standing(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Verdict -> the names of the methods of which it is said."""
    found: dict[str, list[str]] = {verdict: [] for verdict in VERDICTS}
    for method in content["methods"]:
        if method.get("against"):
            found[method["against"]["verdict"]].append(method["name"])
    return {verdict: names for verdict, names in found.items() if names}


def answer(content: Mapping[str, Any]) -> str:
    """The comparison in one sentence, without a full stop."""
    reference, metric = content["terms"]["reference"], content["metric"]["name"]
    verdicts = standing(content)
    methods = {method["name"]: method for method in content["methods"]}
    if not verdicts:
        return f"Nothing can be held against {reference} yet"
    said = []
    if names := verdicts.get("better"):
        best = max(names, key=lambda name: abs(methods[name]["against"]["difference"]))
        by = f"{abs(methods[best]['against']['difference']):.{digits(content)}f}"
        said.append(f"{best} is better than {reference} by {by} {metric}")
    if names := verdicts.get("no worse"):
        smallest = min(names, key=lambda name: _percent(methods[name]))
        trains = (
            f" and trains {share(_percent(methods[smallest]))} of the parameters" if methods[smallest]["costs"] else ""
        )
        said.append(f"{smallest} is no worse than {reference} (within {content['terms']['margin']:g}){trains}")
    if said:
        return "; ".join(said)
    open_ = verdicts.get("cannot tell", [])
    worse = [name for verdict in ("worse but within the margin", "worse") for name in verdicts.get(verdict, [])]
    if not worse:
        return f"These runs cannot tell {listing(open_)} from {reference}"
    told = f"{listing(worse)} {'is' if len(worse) == 1 else 'are'} worse than {reference}"
    return f"{told}; the runs cannot tell for {listing(open_)}" if open_ else told


def terms(content: Mapping[str, Any]) -> list[str]:
    """On what terms the methods met, one sentence each."""
    agreed, metric, baseline = content["terms"], content["metric"], content["baseline"]
    level = f"{100 * agreed['level']:g} %"
    count = len(agreed["seeds"])
    limit = f"at most {agreed['max_length']} tokens, " if agreed["max_length"] else ""
    processes = f"{agreed['processes']} process{'es' * (agreed['processes'] > 1)}"
    seeds = f"{count} seed{'s' if count > 1 else ''} ({', '.join(map(str, agreed['seeds']))})"
    direction = "higher" if metric["higher_is_better"] else "lower"
    tried = [len(method["search"]) for method in content["methods"] if method["search"]]
    each = f"{min(tried)} to {max(tried)}" if tried and min(tried) < max(tried) else str(max(tried, default=0))
    sentences = [
        f"Every method: {seeds}, the same {agreed['train_rows']:,} training rows, {agreed['steps']:,} steps of "
        f"{agreed['batch_size']} rows ({agreed['epochs']:g} epochs), {limit}"
        f"{agreed['precision']} on {agreed['device']}, {processes}. "
        f"The model after the last step is scored on the same {content['rows']:,} rows ({content['split']}).",
        f"Score: {metric['name']}, {direction} is better; {baseline['name']}: {baseline['value']:.{digits(content)}f}.",
    ]
    if max(tried, default=0) > 1:
        sentences.append(
            f"Each method's learning rate is the best of {each} tried on {agreed['development_rows']:,} training "
            "rows set aside; the reported rows chose nothing."
        )
    else:
        sentences.append("Learning rates are those of the command, or else each method's default: no search was made.")
    counted = "rows and seeds" if count > 1 else "rows alone"
    paired = (
        "; differences are paired by seed and row, their verdicts corrected for the number of methods (Holm); "
        f"no worse means by less than {agreed['margin']:g}"
    )
    sentences.append(f"{level} intervals count {counted}{paired if len(content['methods']) > 1 else ''}.")
    return sentences


def cautions(content: Mapping[str, Any]) -> list[str]:
    """What weakens the result, one sentence each."""
    found = []
    if len(content["terms"]["seeds"]) == 1:
        found.append("One seed only: the intervals count rows alone, and another seed may well turn the order around.")
    metric, baseline = content["metric"], content["baseline"]
    sign = 1 if metric["higher_is_better"] else -1
    for method in content["methods"]:
        name, of, done = method["name"], len(method["cells"]), len(list(finished(method)))
        if done < of:
            found.append(f"{name}: {done} of {of} seeds finished ({problems(method)}).")
        doubted = [cell for cell in finished(method) if cell.get("problem")]
        found += [f"{name}, seed {cell['seed']}: {cell['problem']}." for cell in doubted]
        if method.get("at_edge"):
            found.append(
                f"{name}: its best learning rate, {rate(method['learning_rate'])}, lies at the edge of those tried; "
                "a better one may lie beyond."
            )
        for lost in (trial for trial in method["search"] if trial.get("problem")):
            found.append(f"{name}: learning rate {rate(lost['learning_rate'])} gave no score ({lost['problem']}).")
        held = method.get("against")
        if held and held["verdict"] == "cannot tell" and (held["low"] or 0) * (held["high"] or 0) > 0:
            found.append(f"{name}: its interval leaves out 0, but not after the correction for the number of methods.")
        score = (method.get("scores") or {}).get(metric["name"])
        end = score and score["low" if metric["higher_is_better"] else "high"]
        if end is not None and score and sign * end <= sign * baseline["value"]:
            found.append(f"{name}: not shown to be better than {baseline['name']}; it may have learned nothing.")
    return found


def command(content: Mapping[str, Any]) -> str:
    """The command that does the comparison again."""
    agreed = content["terms"]
    words = [
        *("finetune", "compare", content["target"], *content["changes"]),
        *("--tuning", *(method.get("spec", method["name"]) for method in content["methods"])),
        *("--seeds", len(agreed["seeds"]), "--learning-rates", agreed["learning_rates"]),
        *("--extensions", agreed["extensions"], "--development", agreed["development"]),
        *("--margin", agreed["margin"], "--reference", agreed["reference"]),
        *_folders(content["folders"]),
    ]
    return shlex.join(map(str, words))


def _folders(folders: Mapping[str, str]) -> list[str]:
    """The options of the folders that are not the usual ones."""
    out, directory = PurePosixPath(folders["out"]), PurePosixPath(folders["directory"])
    said = [] if out == PurePosixPath(FOLDER) else ["--out", str(out)]
    return said if directory == out / RUNS else [*said, "--directory", str(directory)]


def _percent(method: Mapping[str, Any]) -> float:
    return float((method.get("costs") or {}).get("percent") or 100.0)
