"""A history with what it says between the lines: when each task was claimed and begun, each at its own time.

The store writes no event for a claim or a start (that would double what a step costs): both are told with the end of
the attempt, and put back here where they belong. What is out now is known from the run's open tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runner.interpreter import event as ev
from runner.monitor.story import Attempt, Story
from runner.store.ports import TaskRecord


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened. One of the two is given: an event, or what happened to an attempt."""

    at_ms: int
    path: str
    event: ev.AnyEvent | None = None
    what: str = ""  # claimed, started
    attempt: Attempt | None = None  # that this is about, also of an event that settled one


def moments(events: Iterable[ev.AnyEvent], open_tasks: Mapping[str, TaskRecord] | None = None) -> list[Moment]:
    """In the order of their times; what has the same time in that of the history."""
    story, found = Story(), []
    for event in events:
        story.tell(event)
        path = getattr(event, "path", "")
        attempts = story.chapters[path].attempts if path in story.chapters else []
        attempt = attempts[-1] if isinstance(event, ev.TaskSettled) and attempts else None
        if attempt is not None:
            found += _between(path, attempt)
        found.append(Moment(event.at_ms, path, event, attempt=attempt))
    for path, task in (open_tasks or {}).items():
        attempts = story.chapters[path].attempts if path in story.chapters else []
        if task.state == "R" and attempts and not attempts[-1].outcome:
            attempts[-1].process, attempts[-1].claimed_at_ms = task.process, task.claimed_at_ms
            found += _between(path, attempts[-1])
    return sorted(found, key=lambda moment: moment.at_ms)


def _between(path: str, attempt: Attempt) -> list[Moment]:
    found = []
    if attempt.claimed_at_ms:
        found.append(Moment(attempt.claimed_at_ms, path, what="claimed", attempt=attempt))
    if attempt.started_at_ms:
        found.append(Moment(attempt.started_at_ms, path, what="started", attempt=attempt))
    return found
