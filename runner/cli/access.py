"""The store and the client of one command, opened and closed. Commands that only read stop here; others add a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.cli.settings import Settings
from runner.client import Client
from runner.errors import RunNotFound, StoreUnavailable
from runner.store.opening import OpenStore, open_store
from runner.store.ports import ProcessInfo
from runner.store.process_lock import is_dead

READ_PATIENCE_S = 2.0  # Follower waits longer, and says so
ALIVE_MS = 10_000  # a process that the server heard of within this time is taken to live


@dataclass(frozen=True, slots=True)
class Access:
    """What a command talks to."""

    settings: Settings
    opened: OpenStore
    client: Client

    def recover(self) -> None:
        """The server is away: the embedded one is found again, or started; one of one's own is only waited for."""
        if self.opened.server is not None:
            self.opened.server.ensure()

    def living(self, kind: str) -> list[ProcessInfo]:
        """Engines or worker processes that live, as far as can be known."""
        now_ms = self.client.store.now_ms()
        return [
            process for process in self.client.store.processes()
            if process.kind == kind and now_ms - process.seen_at_ms < ALIVE_MS
            and not (process.lock and is_dead(process.lock))
        ]  # fmt: skip


@contextmanager
def access(settings: Settings, *, contracts: Mapping[str, Mapping[str, Any]] | None = None) -> Iterator[Access]:
    """Raises StoreUnavailable, ServerRefused, ConfigError."""
    opened = _open(settings)
    try:
        for warning in opened.warnings:
            settings.screen.note(f"warning: {warning}")
        client = Client(root=settings.project.root, store=opened.store, contracts=contracts)
        yield Access(settings, opened, client)
    finally:
        opened.close()


def _open(settings: Settings) -> OpenStore:
    project = settings.project
    try:
        return open_store(
            settings.redis_url, namespace=project.namespace, state_dir=project.state,
            durability=project.durability, patience_s=READ_PATIENCE_S,
        )
    except StoreUnavailable as error:
        if settings.redis_url is None:
            raise
        origin = {"flag": "--redis-url", "environment": "SAGARUN_REDIS_URL"}.get(
            settings.origins["redis_url"], "redis_url in sagarun.yaml"
        )
        hint = f"it was named by {origin}; without it, the project's own server is used"
        raise StoreUnavailable(f"{error}\n{hint}") from error


def has_runs(settings: Settings) -> bool:
    """False: no run was ever started here, so there is no server to ask, and none is started for the question."""
    return settings.redis_url is not None or (settings.project.state / "data").is_dir()


def require_runs(settings: Settings, run: str | Path) -> None:
    if not has_runs(settings):
        raise RunNotFound(f"there is no run {str(run)!r}: nothing was ever run in {settings.project.root}")
