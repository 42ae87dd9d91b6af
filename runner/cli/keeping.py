"""What becomes of runs that are over, where this process hosts an engine: how long they stay."""

from __future__ import annotations

from collections.abc import Callable

from runner.definition.project import Project
from runner.store.ports import HELD_MS


def retention_of(project: Project) -> Callable[[str], int]:
    """In milliseconds, by status. With an archive nothing expires before it was copied there."""
    return (lambda _status: HELD_MS) if project.archive else project.retention.of
