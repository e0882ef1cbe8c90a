"""The truncation ledger: what a limit on tokens costs each split, and which limit would cost nothing."""

from __future__ import annotations

from finetune.data.features import Features
from finetune.evaluation import labelled
from finetune.preparation import Prepared
from finetune.pretrained import positions
from finetune.tasks.base import Task


def ledger(task: Task, features: Features, limit: int) -> dict[str, int]:
    """What `max_length` does to a split.

    Args:
        task: Resolved.
        features: Of the split, encoded with its targets.
        limit: Most tokens of a feature.

    Returns:
        `features`; where texts are written `targets_cut`, targets that lose their end, and `max_target_length`, at
        which none would; `truncated`, rows that lose tokens; `max_length`, the limit at which none would. Where rows
        become several windows, none loses tokens, and instead: `windowed`, rows of several windows; `targets`, the
        answers or entities there are; `lost`, those that no window holds whole; `stride` or `max_length`, at which
        none would be.
    """
    counts = {"features": len(features)}
    targets, most = features.column("target_whole"), task.target_limit
    if targets is not None and most is not None:
        short = int((targets > most).sum())
        counts |= {"targets_cut": short, **({"max_target_length": int(targets.max())} if short else {})}
    whole = features.column("whole")
    if whole is None:
        return counts
    beyond = int((whole > limit).sum())
    held, lost, longest = (features.column(name) for name in ("held", "lost", "longest"))
    if held is None or lost is None or longest is None:
        return {**counts, "truncated": beyond, **({"max_length": int(whole.max())} if beyond else {})}
    counts |= {"windowed": beyond, "targets": int((held + lost).sum()), "lost": int(lost.sum())}
    needed = int(longest[lost > 0].max(initial=0))
    if needed and not hasattr(task, "stride"):
        counts |= {"max_length": needed}  # its windows lie side by side
    elif needed:
        counts |= {"stride": needed} if needed < limit // 3 else {"max_length": int(whole.max())}
    return counts


def ledgers(prepared: Prepared) -> dict[str, dict[str, int]]:
    """The ledger of every labelled split but the test split, which `finetune evaluate` adds."""
    encoder, task = prepared.encoder, prepared.recipe.task
    found = {"train": ledger(task, prepared.features, encoder.limit)}
    for name, rows in prepared.splits.items():
        if name not in ("train", "test") and labelled(task, rows):
            found[name] = ledger(task, encoder.features(rows, "score"), encoder.limit)
    return found


def losses(prepared: Prepared) -> list[str]:
    """What the splits of a run lose, in sentences."""
    rows, task, most = prepared.splits, prepared.recipe.task, positions(prepared.checkpoint.config)
    most = most and most - prepared.recipe.tuning.virtual_tokens()
    found: list[str | None] = []
    for name, counts in ledgers(prepared).items():
        found += [sentence(task, name, len(rows[name]), counts, most), target_sentence(task, name, counts, most)]
    return [text for text in found if text is not None]


def target_sentence(task: Task, split: str, counts: dict[str, int], most: int | None = None) -> str | None:
    """How many written targets a split has cut, in words, and what would cut none; None: none is.

    Args:
        task: Resolved.
        split: Its name.
        counts: Its ledger.
        most: Tokens that the model takes; None: any number.
    """
    if not counts.get("targets_cut"):
        return None
    needed = counts["max_target_length"]
    remedy = f"task.max_target_length={needed} would keep all"
    if most is not None and needed > most:
        remedy = f"this model takes {most}, {needed} would be needed to keep all"
    cut = f"{counts['targets_cut']:,} of {counts['features']:,} targets are cut at {task.target_limit} tokens"
    return f"{split}: {cut}; {remedy}"


def sentence(task: Task, split: str, rows: int, counts: dict[str, int], most: int | None = None) -> str | None:
    """What a split loses and what would lose nothing, in words; None: nothing is lost.

    Args:
        task: Resolved.
        split: Its name.
        rows: How many it has.
        counts: Its ledger.
        most: Tokens that the model takes; None: any number.
    """
    remedies = [f"task.{name}={counts[name]} would keep all" for name in ("stride", "max_length") if name in counts]
    if most is not None and counts.get("max_length", 0) > most:
        remedies = [f"this model takes {most}, {counts['max_length']} would be needed to keep all"]
    remedy = f"; {remedies[0]}" if remedies else ""
    if counts.get("truncated"):
        return f"{split}: {counts['truncated']:,} of {rows:,} rows are cut at {task.max_length} tokens{remedy}"
    if counts.get("lost"):
        share = f"{counts['lost']:,} of {counts['targets']:,} {task.target_name}"
        why = "stand whole in no window" if remedies else "cannot be found: they overlap, or end within words or tokens"
        return f"{split}: {share} {why}{remedy}"
    return None
