"""What is shown of how workers, processes, queues and workflows do: plain values. `performance` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.store.vitals import Vitals


@dataclass(frozen=True, slots=True)
class Times:
    """In ms; None where nothing was counted."""

    count: int = 0
    mean_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class LastError:
    """A pattern of errors that a worker had in the window."""

    group: str
    kind: str  # business, technical
    type: str
    message: str  # without the type in front of it
    last_at_ms: int
    run_id: str


@dataclass(frozen=True, slots=True)
class WorkerStats:
    worker: str
    queue: str
    health: str  # healthy, degraded, failing, inactive
    why: str
    attempts: int  # that ended in the window
    completed: int
    failed: int
    unknown: int
    technical: int  # of those that did not complete: not counting declared business errors
    retries: int
    per_minute: float
    queue_time: Times
    processing: Times
    errors: Mapping[str, int]  # by type, the most frequent first
    last_errors: tuple[LastError, ...]
    processes: int  # that live and serve its queue
    last_ended_at_ms: int  # ever
    last_error_at_ms: int


@dataclass(frozen=True, slots=True)
class ProcessStats:
    process: str
    kind: str
    host: str
    pid: int
    queues: tuple[str, ...]
    alive: bool
    started_at_ms: int
    seen_at_ms: int
    in_flight: int
    attempts: int
    completed: int
    failed: int
    unknown: int
    per_minute: float
    queue_time: Times
    processing: Times
    vitals: Vitals | None


@dataclass(frozen=True, slots=True)
class QueueStats:
    queue: str
    depth: int
    oldest_ms: int  # how long the first has waited
    in_flight: int
    processes: tuple[str, ...]  # that live and serve it
    workers: tuple[str, ...]
    per_minute: float
    queue_time: Times


@dataclass(frozen=True, slots=True)
class WorkflowStats:
    workflow: str
    started: int
    finished: Mapping[str, int]  # by status
    live: Mapping[str, int]  # by status, now
    became_stuck: int
    per_minute: float  # started
    success: float | None  # of what finished, what completed
    duration: Times
    retries: int
    undone: Mapping[str, int]  # steps, by outcome


@dataclass(frozen=True, slots=True)
class Stats:
    window: str
    since_ms: int
    until_ms: int
    health_rule: str
    best: tuple[str, ...]
    slowest: tuple[str, ...]
    problems: tuple[str, ...]
    workers: tuple[WorkerStats, ...]
    processes: tuple[ProcessStats, ...]
    queues: tuple[QueueStats, ...]
    workflows: tuple[WorkflowStats, ...]
    uncounted: int  # what had no name of its own: too many different ones
