"""What the archive adds to what the server has: runs, one run in full, groups of errors. Reads only."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from runner.cli.settings import Settings
from runner.client import Client
from runner.errors import ArchiveUnavailable, RunNotFound
from runner.query import parse_query
from runner.selection import RunInfo, Selection, run_info, with_errors
from runner.store.faults import FaultGroup

if TYPE_CHECKING:
    from runner.archive.archive import Archive
    from runner.monitor.bundle import Bundle

Found = TypeVar("Found")


@contextmanager
def archive_of(settings: Settings) -> Iterator[Archive | None]:
    """None: the project has none, or nothing was archived yet. Raises ArchiveUnavailable."""
    url, root = settings.project.archive, settings.project.root
    if not url:
        yield None
        return
    from runner.archive.archive import Archive
    from runner.archive.database import file_of, open_database

    path = file_of(url, root)
    if path is not None and not path.exists():
        yield None
        return
    archive = Archive(open_database(url, root), settings.project.namespace)
    try:
        yield archive
    finally:
        archive.close()


def with_archive(settings: Settings, read: Callable[[Archive | None], Found], *, is_needed: bool) -> Found:
    """What `read` makes of the archive. While that is away, of none: that is said, and the server's share is there."""
    try:
        with archive_of(settings) as archive:
            return read(archive)
    except ArchiveUnavailable as error:
        if is_needed:
            raise
        settings.screen.note(f"! only what the server has is here: {error}")
        return read(None)


def list_both(
    client: Client | None, archive: Archive | None, text: str, now_ms: int, *, limit: int, offset: int
) -> list[RunInfo]:
    """Runs that the query fits, the newest first, each once: as the server has it, if it does."""
    query = parse_query(text, now_ms)
    there = map(run_info, Selection(client.store, client.catalogue, query).rows()) if client is not None else iter(())
    kept = archive.runs(query) if archive is not None else iter(())
    both = heapq.merge(there, kept, key=lambda run: -run.created_at_ms)
    found = list(islice(_once(both), offset, offset + limit))
    return with_errors(client.store, client.catalogue, found) if client is not None else found


def _once(runs: Iterator[RunInfo]) -> Iterator[RunInfo]:
    seen: set[str] = set()
    for run in runs:
        if run.run_id not in seen:
            seen.add(run.run_id)
            yield run


def find_bundle(settings: Settings, run: str) -> Bundle | None:
    """Of the one archived run whose id begins so; None: there is none. Raises RunNotFound, ArchiveUnavailable."""
    with archive_of(settings) as archive:
        found = archive.find(run) if archive is not None else []
        if len(found) > 1 and run not in found:
            raise RunNotFound(f"{run!r} is the beginning of several archived runs: {', '.join(found[:3])} …")
        return archive.get(run if run in found else found[0]) if archive is not None and found else None


def client_of(settings: Settings, bundle: Bundle) -> Client:
    """One that knows this run alone, so that whatever looks at runs may look at it."""
    import msgspec

    from runner.store.memory.store import MemoryStore

    store = MemoryStore(namespace=settings.project.namespace)
    if bundle.definition is not None:
        store.put_definition(bundle.summary.get("definition", ""), msgspec.json.encode(bundle.definition))
    store.put_run(bundle.stored(), [msgspec.json.encode(entry) for entry in bundle.history])
    return Client(root=settings.project.root, store=store)


def groups_of_both(groups: Sequence[FaultGroup], archived: Sequence[FaultGroup]) -> list[FaultGroup]:
    """What the server has, and of the archive what it has no more; the last seen first."""
    there = {group.group for group in groups}
    both = [*groups, *(group for group in archived if group.group not in there)]
    return sorted(both, key=lambda group: (group.last_at_ms, group.group), reverse=True)
