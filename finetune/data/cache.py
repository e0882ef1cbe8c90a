"""Files on disk named by a hash of all that they depend on, so that a stale one is never found."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path


def folder() -> Path:
    """`$FINETUNE_CACHE`, else `~/.cache/finetune`; a temporary folder where that cannot be written."""
    wanted = Path(os.environ.get("FINETUNE_CACHE") or Path.home() / ".cache" / "finetune")
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted if os.access(wanted, os.W_OK) else _own_temporary()
    except OSError:
        return _own_temporary()


@cache
def _own_temporary() -> Path:
    """A folder that nobody else can read or prepare; of this process."""
    return Path(tempfile.mkdtemp(prefix="finetune-"))


def digest(*parts: object) -> str:
    """SHA-256 of the parts' text, 16 hex digits."""
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _code() -> str:
    """Digest of the package's data folder."""
    return digest(*(file_digest(path) for path in sorted(Path(__file__).parent.rglob("*.py"))))


def cached(kind: str, key: tuple[object, ...], write: Callable[[Path], None]) -> Path:
    """The Arrow file of this kind and key; `write` makes it where it is missing, and several processes may race for it.

    The code that reads and writes data is part of the key: what other code wrote is never read.
    """
    path = folder() / f"{kind}-{digest(_code(), *key)}.arrow"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}.partial")
        try:
            write(unfinished)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return path
