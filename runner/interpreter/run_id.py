"""Ids of runs: 80 bits as 16 characters of Crockford's base32. A derived one is the same for its source, for ever."""

from __future__ import annotations

import hashlib

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def run_id_of(source: bytes) -> str:
    """`source` has at least 10 bytes; the first 10 count."""
    number = int.from_bytes(source[:10])
    return "".join(ALPHABET[number >> shift & 31] for shift in range(75, -5, -5))


def child_run_id(step_ref: str, attempt: int) -> str:
    """Whoever decides the start of a child, and however often: it is the same run. A person may ask for another one."""
    source = step_ref if attempt == 1 else f"{step_ref}~{attempt}"
    return run_id_of(hashlib.sha256(source.encode()).digest())
