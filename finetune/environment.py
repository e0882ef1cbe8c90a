"""What a result was made with: versions, machine, state of the code."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import finetune

LIBRARIES = ("torch", "transformers", "datasets", "accelerate", "peft", "scikit-learn", "numpy")


def environment() -> dict[str, Any]:
    """Versions, machine and state of the code, for the report."""
    return {
        "finetune": finetune.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "git": _git_state(Path.cwd()),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether files differ from it; None outside a repository."""
    try:
        commit = _git("rev-parse", "HEAD", folder=folder)
        return {"commit": commit, "changed": bool(_git("status", "--porcelain", folder=folder))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str, folder: Path) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=5)
    return done.stdout.strip()
