"""The Hugging Face Hub: reached at once, or said at once to be out of reach."""

import os
import socket
import sys
from urllib.parse import urlsplit

TIMEOUT = 3.0
"""Seconds to wait for the Hub's address to answer."""


def endpoint() -> str:
    """The Hub's address: `$HF_ENDPOINT`, else the public one."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def reachable() -> bool:
    """Whether the Hub's address takes a connection. Behind a proxy that is the proxy's business: True."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    parts = urlsplit(endpoint())
    if os.environ.get(f"{parts.scheme}_proxy") or os.environ.get(f"{parts.scheme.upper()}_PROXY"):
        return True
    try:
        with socket.create_connection(
            (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), TIMEOUT
        ):
            return True
    except OSError:
        return False


def connect(what: str, remedy: str) -> str | None:
    """Check the way to the Hub before a library tries it: without one, only what is in the local cache is used.

    Without this, a library retries for many seconds before it says that there is no network.

    Args:
        what: What is wanted, for the message.
        remedy: What else the user can do.

    Returns:
        None where the Hub answers, else the sentence to show if the local cache does not have it either.
    """
    if reachable():
        return None
    os.environ["HF_HUB_OFFLINE"] = "1"
    for module, name in (("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("datasets.config", "HF_HUB_OFFLINE")):
        if module in sys.modules:  # imported before this call: the environment was already read
            setattr(sys.modules[module], name, True)
    return f"{what} is not in the local cache, and {endpoint()} cannot be reached; {remedy}."
