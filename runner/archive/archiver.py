"""Copies runs that are over to the archive, and then lets them expire. Where an engine is, one of these is beside it.

Rule: first on disk, then released. A run that is over is *held* by its last commit, so nothing is lost whenever this is
killed; several may copy the same run, and it is there once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from runner.archive.archive import Archive
from runner.archive.database import open_database
from runner.client import Client
from runner.errors import ArchiveUnavailable, ConfigError, RecordTampered, RunNotFound, StoreUnavailable
from runner.monitor.bundle import Bundle, bundle_of
from runner.store.faults import FaultGroup

log = logging.getLogger("sagarun.archive")

BATCH = 50
IDLE_S, BROKEN_S = 1.0, 5.0
ERRORS_EVERY = 15  # idle looks: so often the groups of errors are copied


class Archiver:
    """`step` copies one batch. `retention_of`: how long a run is kept on the server after its end, by its status."""

    def __init__(self, client: Client, archive: Archive, retention_of: Callable[[str], int]) -> None:
        self._client = client
        self._archive = archive
        self._retention_of = retention_of
        self._passed_by: set[str] = set()  # that cannot be read, or written: they stay, and hold nobody up
        self._known: dict[str, FaultGroup] = {}

    def step(self) -> int:
        """How many runs were copied."""
        store = self._client.store
        ended = store.ended_runs(limit=BATCH + len(self._passed_by))
        bundles: list[Bundle] = []
        until_ms: dict[str, int] = {}
        for run_id, ended_at_ms in ended:
            bundle = self._copy(run_id) if run_id not in self._passed_by else None
            if bundle is not None:
                bundles.append(bundle)
                kept_ms = self._retention_of(bundle.status)
                until_ms[run_id] = ended_at_ms + kept_ms if kept_ms else 0
        taken = self._put(bundles)
        if taken:
            store.release_runs({bundle.run_id: until_ms[bundle.run_id] for bundle in taken})
        return len(taken)

    def _put(self, bundles: Sequence[Bundle]) -> Sequence[Bundle]:
        """What is in the archive now. A run that the database refuses while it takes others is passed by."""
        if not bundles:
            return ()
        try:
            self._archive.put_runs(bundles)
        except ArchiveUnavailable:
            self._archive.find("0")  # raises, where the database is away
            taken, refused = [], {}
            for bundle in bundles:
                try:
                    self._archive.put_runs([bundle])
                    taken.append(bundle)
                except ArchiveUnavailable as error:
                    refused[bundle.run_id] = error
            if not taken:
                raise
            for run_id, reason in refused.items():
                self._pass_by(run_id, reason)
            return taken
        return bundles

    def _pass_by(self, run_id: str, error: Exception) -> None:
        self._passed_by.add(run_id)
        log.error("the run cannot be archived, and stays: %s", error, extra={"run_id": run_id})

    def _copy(self, run_id: str) -> Bundle | None:
        try:
            return make_bundle(self._client, run_id)
        except RunNotFound:
            return None
        except (RecordTampered, ValueError, KeyError) as error:
            self._pass_by(run_id, error)
            return None

    def copy_errors(self) -> int:
        """Groups that have changed since the last time; how many."""
        groups = self._client.store.fault_groups()
        changed = [group for group in groups if self._known.get(group.group) != group]
        if changed:
            self._archive.put_errors(changed)
            self._known = {group.group: group for group in groups}
        return len(changed)


def make_bundle(client: Client, run_id: str) -> Bundle:
    """Of one moment. Raises RunNotFound, RecordTampered."""
    store = client.store
    stored, history = client.stored(run_id), store.history(run_id)
    again = client.stored(run_id)
    while again.etag != stored.etag:
        stored, history = again, store.history(run_id)
        again = client.stored(run_id)
    digest = msgspec.json.decode(stored.summary).get("definition", "") if stored.summary else ""
    return bundle_of(
        stored, history, store.get_definition(digest), client.contracts() or {}, client.redaction(run_id),
        project=store.namespace, now_ms=store.now_ms(),
    )


class ArchiveThread(threading.Thread):
    """Archives until it is told to `finish`; whatever goes wrong is said, and tried again. Never ends an engine."""

    def __init__(
        self, client: Client, url: str, root: Path, retention_of: Callable[[str], int], *, hold_all: bool = False
    ) -> None:
        """hold_all: also what ended before there was an archive; to find that, each run that is kept is looked at."""
        super().__init__(name="sagarun-archive", daemon=True)
        self._client = client
        self._url, self._root = url, root
        self._retention_of = retention_of
        self._hold_all = hold_all
        self._done = threading.Event()

    def finish(self, patience_s: float) -> None:
        """Copy what is left, but wait no longer than that."""
        self._done.set()
        self.join(patience_s)

    def run(self) -> None:
        said = ""
        while True:
            try:
                self._archive()
                return
            except (ArchiveUnavailable, ConfigError, StoreUnavailable) as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("runs are not archived, so they stay: %s", error)
            except Exception:
                log.exception("runs are not archived, so they stay")
            if self._done.wait(BROKEN_S):
                return

    def _archive(self) -> None:
        archive = Archive(open_database(self._url, self._root), self._client.store.namespace)
        try:
            archiver = Archiver(self._client, archive, self._retention_of)
            if self._hold_all:
                self._client.store.hold_ended()
                self._hold_all = False
            looks = 0
            while True:
                is_last = self._done.is_set()
                if looks % ERRORS_EVERY == 0 or is_last:
                    archiver.copy_errors()
                while archiver.step():
                    pass
                if is_last:
                    return
                looks += 1
                self._done.wait(IDLE_S)
        finally:
            archive.close()
