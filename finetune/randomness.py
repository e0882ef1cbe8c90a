"""Randomness is derived, not stored: every random choice has a seed of its own, computed from what it is for."""

import hashlib


def derive(*parts: object) -> int:
    """A seed in [0, 2**63) from names and numbers, the same on every machine and in every process."""
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
