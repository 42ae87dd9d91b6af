"""What a commit says comes next, so that the store goes on by itself from one task to another."""

from __future__ import annotations

import msgspec

MAX_RELAYED_BYTES = 65_536  # body and output of an outcome behind which the store dispatches the successor by itself
RELAY_MS = 20_000  # so long after its last commit a run goes on by itself
LOOK_MS = 200  # so long after it first did, an engine looks at it, and people see how far it is


class Successor(msgspec.Struct, frozen=True, gc=False):
    """A task that the store dispatches by itself when that of the path `after` is handed in with an output.

    `parts` are joined and stored as its payload: text, the payload of a task whose output comes here, text, and so on.
    """

    after: str
    path: str
    queue: str
    message: bytes
    payload: str
    parts: tuple[str, ...]
    queue_timeout_ms: int = 0
