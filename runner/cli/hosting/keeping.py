"""What becomes of runs that are over, where this process hosts an engine: how long they stay, and the archive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runner.definition.project import Project
from runner.store.ports import HELD_MS, Store

if TYPE_CHECKING:
    from runner.archive.archiver import ArchiveThread

ARCHIVE_END_S = 5.0  # for what has just ended; what is left then is copied by the next engine


def retention_of(project: Project) -> Callable[[str], int]:
    """In milliseconds, by status. With an archive nothing expires before it was copied there."""
    return (lambda _status: HELD_MS) if project.archive else project.retention.of


def start_archive(project: Project, store: Store, *, stays: bool) -> ArchiveThread | None:
    """None: the project has no archive. `stays`: this process does, so it may look at every run that is kept."""
    if not project.archive:
        return None
    from runner.archive.archiver import ArchiveThread
    from runner.client import Client

    client = Client(root=project.root, store=store)
    thread = ArchiveThread(client, project.archive, project.root, project.retention.of, hold_all=stays)
    thread.start()
    return thread
