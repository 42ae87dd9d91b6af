"""Which trace a run belongs to and what its spans are called: W3C trace context, derived and never drawn.

Rule: an id is a hash of what it names. So engine, worker and exporter agree on it without asking each other, and
whoever exports a run a second time says the same again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

_FORM = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_NOTHING = re.compile("0+")


class Place(NamedTuple):
    """A span in a trace, as hexadecimal digits."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def traceparent(self) -> str:
        """As services hand it on."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse(traceparent: str) -> Place | None:
    """None: it is none, or names nothing."""
    found = _FORM.fullmatch(traceparent)
    if found is None or _NOTHING.fullmatch(found["trace"]) or _NOTHING.fullmatch(found["span"]):
        return None
    return Place(found["trace"], found["span"], bool(int(found["flags"], 16) & 1))


def run_span(run_id: str, given: str = "") -> Place:
    """The span of a run as a whole. `given`: the traceparent of whoever started it, whose trace it is part of."""
    return _place(run_id, given, f"run:{run_id}")


def attempt_span(run_id: str, given: str, path: str, phase: str, attempt: int, at_ms: int, *, fresh: bool) -> Place:
    """The span in which a worker runs an attempt. at_ms: when it was dispatched, for numbers begin anew at a resume.

    `fresh`, as the event says: the first of its phase. When that of an action is dispatched need not be known before.
    """
    when = "" if fresh and phase == "action" else f"@{at_ms}"
    return _place(run_id, given, f"process:{run_id}/{path}:{phase}:{attempt}{when}")


def send_span(run_id: str, given: str, path: str, phase: str, attempt: int, at_ms: int) -> Place:
    """The span of its way to the queue."""
    return _place(run_id, given, f"send:{run_id}/{path}:{phase}:{attempt}@{at_ms}")


def _place(run_id: str, given: str, name: str) -> Place:
    span_id = sha256(name.encode()).hexdigest()[:16]
    if given and (starter := parse(given)) is not None:
        return Place(starter.trace_id, span_id, starter.sampled)
    return Place(_trace_id(run_id), span_id)


@lru_cache(maxsize=4096)
def _trace_id(run_id: str) -> str:
    return sha256(f"trace:{run_id}".encode()).hexdigest()[:32]
