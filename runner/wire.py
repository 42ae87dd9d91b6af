"""What travels between engine and worker processes: the task and its outcome, as JSON.

Both sides import these structs and nothing else of each other. Unknown fields are ignored when
read, so that either side may be newer. Payloads (a task's input, an outcome's output) are JSON too.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

LOG_LINES, LOG_BYTES = 50, 8_192
Phase = Literal["action", "compensate", "verify", "confirm"]


class ErrorRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What went wrong, as it is shown, caught and recorded. `code` is what definitions match on."""

    code: str
    kind: Literal["business", "technical"] = "technical"
    message: str = ""
    details: Any = None
    step: str = ""
    attempt: int = 0
    cause: str = ""


class TaskMessage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One attempt of one phase of one operation. Its input travels beside it, in a field of its own."""

    worker: str
    run_id: str
    workflow: str
    version: str
    path: str  # the node's path in the run's tree: "reserve", "lines#3/ship"
    step: str  # the step's id
    phase: Phase
    attempt: int  # 1-based, within the phase
    max_attempts: int
    timeout_ms: int  # of this attempt, from its claim
    step_ref: str  # names the operation; the same in action, compensation and verification
    idempotency_key: str  # the same for every attempt of this phase
    raises: tuple[str, ...] = ()  # codes that the definition declares for this step
    fencing: bool = False  # the last verification: it must keep a late action from taking effect
    cause: ErrorRecord | None = None  # of a compensation: what made it necessary
    heartbeat_ms: int = 0  # 0: user code need not send heartbeats
    item_path: tuple[int, ...] = ()
    last_details: Any = None  # what the attempt before said with its last heartbeat
    traceparent: str = ""  # the span of this attempt, as W3C writes it
    alone: bool = False  # the child that ran the attempt before died: it may be why, and nobody else is to die of it


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """How an attempt ended, as its worker process reports it.

    `failed` is definite (no effect happened); `unknown` is anything that may have had an effect.
    `verdict`, `fenced` and `after_ms` belong to verifications; `after_ms` also to RetryLater.
    """

    outcome: Literal["completed", "failed", "unknown"]
    output: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorRecord | None = None
    verdict: Literal["", "landed", "not_landed", "pending"] = ""
    fenced: bool = False
    after_ms: int = 0
    started_at_ms: int = 0  # the worker's own clock: for people, never for decisions
    duration_ms: float = 0.0
    log: str = ""  # the last lines that it logged, see `last_lines`; of a lost attempt too, as far as they are known


def last_lines(text: str) -> str:
    """The end of a log that is kept with the run: at most LOG_LINES lines in LOG_BYTES bytes."""
    if text.count("\n") >= LOG_LINES:
        text = "\n".join(text.split("\n")[-LOG_LINES:])
    data = text.encode("utf-8", "replace")
    if len(data) <= LOG_BYTES:
        return text
    cut = data[-LOG_BYTES:].decode("utf-8", "ignore")
    return cut.partition("\n")[2] or cut  # a line of which the beginning is gone would mislead
