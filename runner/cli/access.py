"""The store and the client of one command, opened and closed. Commands that only read stop here; others add a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from runner.cli.hosting.tracing import inherit_trace
from runner.cli.opened import has_runs, opened_store, require_runs
from runner.cli.settings import Settings
from runner.client import Client
from runner.store.opening import OpenStore
from runner.store.ports import ProcessInfo
from runner.store.process_lock import is_dead

__all__ = ["ALIVE_MS", "Access", "access", "has_runs", "require_runs"]

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

    def warn(self) -> None:
        """Tell what is not as it should be with the server; for commands that rely on it for long."""
        for warning in self.opened.warnings:
            self.settings.screen.note(f"warning: {warning}")

    def living(self, kind: str) -> list[ProcessInfo]:
        """Engines or worker processes that live, as far as can be known."""
        now_ms = self.client.store.now_ms()
        return [
            process for process in self.client.store.processes()
            if process.kind == kind and now_ms - process.seen_at_ms < ALIVE_MS
            and not (process.lock and is_dead(process.lock))
        ]  # fmt: skip


@contextmanager
def access(
    settings: Settings, *, contracts: Mapping[str, Mapping[str, Any]] | None = None, wait_s: float = 0.0
) -> Iterator[Access]:
    """wait_s: see open_now. Raises StoreUnavailable, ServerRefused, ConfigError."""
    with opened_store(settings, wait_s=wait_s) as opened:
        inherit_trace()
        client = Client(root=settings.project.root, store=opened.store, contracts=contracts)
        yield Access(settings, opened, client)
