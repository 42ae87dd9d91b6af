"""How large a run may become. Whatever expressions make is measured before it is written, for nobody else would be.

Rule: one value is never larger than the store takes, and what grows with the rounds of a loop is bounded as a whole.
"""

from __future__ import annotations

from typing import Any

import msgspec

from runner.interpreter.state import Run
from runner.wire import ErrorRecord

MAX_VALUE = 1 << 20  # bytes of one input, output, variable or list of items
MAX_STATE = 4 << 20  # bytes that workers and signals give a run, in all
MAX_MADE = 64 << 20  # bytes that its own expressions make of them, in all
_MOST = 1024  # bytes of most values
_ENCODER = msgspec.json.Encoder()
MAX_NODES = 50_000  # steps and scopes of a run: loops in loops multiply


def size_of(value: Any) -> int:
    """In JSON. It is measured often, and half of what that costs would be the growth of a buffer that begins small."""
    buffer = bytearray(_MOST)
    _ENCODER.encode_into(value, buffer)
    return len(buffer)


def too_large(run: Run, what: str, size: int) -> ErrorRecord | None:
    """For one value of this size that is to be added to the run."""
    if size > MAX_VALUE:
        return ErrorRecord("state_limit", message=f"{what} has {size:,} bytes; at most {MAX_VALUE:,} are kept")
    return too_much(run, size)


def too_much(run: Run, size: int) -> ErrorRecord | None:
    """For as many bytes as are to be added to what the run's expressions made so far."""
    if run.header.made + size <= MAX_MADE:
        return None
    return ErrorRecord("state_limit", message=f"what the run's expressions make exceeds {MAX_MADE:,} bytes")


def too_many_nodes(run: Run, more: int) -> ErrorRecord | None:
    """Before a loop, or a round of one, adds so many nodes at most."""
    if len(run.nodes) + more <= MAX_NODES:
        return None
    message = f"with {more:,} more the run would have more than {MAX_NODES:,} steps; split it up"
    return ErrorRecord("state_limit", message=message)
