"""How long to wait before the next attempt: pure, so the jitter comes from the run, the step and the attempt."""

from __future__ import annotations

from hashlib import blake2b

from runner.definition.model import Retry


def delay_ms(retry: Retry, attempt: int, *, seed: str) -> int:
    """The pause in milliseconds after the attempt with this number (from 1)."""
    if retry.backoff == "fixed":
        base = float(retry.initial_ms)
    elif retry.backoff == "linear":
        base = float(retry.initial_ms * attempt)
    else:
        # The exponent is capped: 2 ** 5,000 is a float overflow long after max_ms stopped it mattering.
        base = retry.initial_ms * retry.multiplier ** min(attempt - 1, 64)
    capped = min(base, float(retry.max_ms))
    if retry.jitter == "full":
        capped *= _fraction(f"{seed}#{attempt}")
    return max(1, round(capped))


def _fraction(seed: str) -> float:
    """A number in [0, 1) that is always the same for the same text."""
    return int.from_bytes(blake2b(seed.encode(), digest_size=6).digest()) / (1 << 48)
