"""The Hugging Face Hub: a name becomes a commit at once, or it is said at once why not."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Literal

from finetune.errors import DataError, ModelError

TIMEOUT = 3.0
"""Seconds to wait for the Hub to answer anything at all."""
TRUE = ("1", "ON", "YES", "TRUE")


@dataclass(frozen=True)
class Revision:
    """What a name on the Hub means.

    Attributes:
        commit: The commit, which everything of that name is then read from.
        offline: None where the Hub answers; else the sentence to show if something is missing in the local cache.
    """

    commit: str
    offline: str | None


def endpoint() -> str:
    """The Hub's address: `$HF_ENDPOINT`, else the public one."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def reachable() -> bool:
    """Whether the Hub answers, whatever it says; a server error is no answer."""
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint(), method="HEAD"), timeout=TIMEOUT).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False
    return True


def find(kind: Literal["dataset", "checkpoint"], name: str, revision: str | None, remedy: str) -> Revision:
    """The commit that a revision means: now, or where the Hub is out of reach, when it was last asked for.

    The Hub is asked once, with a short patience. Where it is out of reach, the libraries are told so: else they would
    retry for many seconds, and take another version than the one asked for.

    Args:
        kind: What is wanted.
        name: Its id.
        revision: Branch, tag or commit; None: the default branch.
        remedy: What else the user can do.

    Raises:
        DataError: A dataset that is not there, may not be read, or cannot be reached.
        ModelError: The same of a checkpoint.
    """
    complaint = DataError if kind == "dataset" else ModelError
    offline = _offline(f"the {kind} {name!r}", remedy)
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        found = HfApi(endpoint=endpoint()).resolve_revision(
            name,
            repo_type="dataset" if kind == "dataset" else "model",
            revision=revision,
            local_files_only=offline is not None,
        )
    except GatedRepoError:
        raise complaint(
            f"the {kind} {name!r} is gated: ask for access at {endpoint()}, then log in with: hf auth login"
        ) from None
    except RepositoryNotFoundError:
        raise complaint(
            f"{endpoint()} has no {kind} {name!r} that you may read; check the name, "
            "and if it is private log in with: hf auth login"
        ) from None
    except RevisionNotFoundError:
        raise complaint(f"the {kind} {name!r} has no revision {revision!r} at {endpoint()}.") from None
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise complaint(offline or f"the {kind} {name!r} cannot be found: {reason}") from error
    return Revision(str(found.resolved), offline)


def _offline(what: str, remedy: str) -> str | None:
    """Ask the Hub, tell the libraries whether it answers, and return the sentence for what is missing if not."""
    asked = os.environ.get("HF_HUB_OFFLINE", "").upper() in TRUE
    offline = asked or not reachable()
    import datasets.config
    import huggingface_hub.constants

    huggingface_hub.constants.HF_HUB_OFFLINE = offline
    datasets.config.HF_HUB_OFFLINE = offline
    if not offline:
        return None
    reason = "HF_HUB_OFFLINE is set" if asked else f"{endpoint()} cannot be reached"
    return f"{what} is not in the local cache, and {reason}; {remedy}."
