"""The store of a command: which server it is on, and what to say when that one cannot be reached. Light to import."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.cli.settings import Settings
from runner.errors import RunNotFound, StoreUnavailable
from runner.store.opening import OpenStore, open_store

READ_PATIENCE_S = 2.0  # Follower waits longer, and says so
LONGEST_PAUSE_S = 2.0


@contextmanager
def opened_store(settings: Settings, *, wait_s: float = 0.0) -> Iterator[OpenStore]:
    """wait_s: see open_now. Raises StoreUnavailable, ServerRefused, ConfigError."""
    opened = open_now(settings, wait_s=wait_s)
    try:
        yield opened
    except StoreUnavailable as error:
        if opened.server is not None and opened.server.complaint:
            raise StoreUnavailable(f"{error}\n{opened.server.complaint}") from error
        raise
    finally:
        opened.close()


def open_now(settings: Settings, *, wait_s: float = 0.0, patience_s: float = READ_PATIENCE_S) -> OpenStore:
    """The caller closes it. For `wait_s`, a server of one's own that does not answer yet is waited for.

    Only what stays (engine, worker) waits: it is started with its server, and a service manager that sees it end
    at once, again and again, gives up. A command that a person gave says at once that there is no server.
    """
    give_up_at, pause_s, is_told = time.monotonic() + wait_s, 0.1, False
    while True:
        try:
            opened = _open(settings, patience_s)
            if wait_s > 0:
                _answers(opened)
            return opened
        except StoreUnavailable as error:
            if settings.redis_url is None:
                raise
            if time.monotonic() + pause_s >= give_up_at:
                hint = f"it was named by {settings.url_origin}; without it, the project's own server is used"
                raise StoreUnavailable(f"{error}\n{hint}") from error
            if not is_told:
                settings.screen.note(f"{error}; trying again for {wait_s:g} s")
            is_told = True
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _answers(opened: OpenStore) -> None:
    """A server that loads its data says what it is, and nothing else yet. Raises StoreUnavailable."""
    try:
        opened.store.processes()
    except BaseException:
        opened.close()
        raise


def _open(settings: Settings, patience_s: float) -> OpenStore:
    project = settings.project
    return open_store(
        settings.redis_url, namespace=project.namespace, state_dir=project.state, durability=project.durability,
        patience_s=patience_s,
    )


def has_runs(settings: Settings) -> bool:
    """False: no run was ever started here, so there is no server to ask, and none is started for the question."""
    return settings.redis_url is not None or (settings.project.state / "data").is_dir()


def require_runs(settings: Settings, run: str | Path) -> None:
    if not has_runs(settings):
        raise RunNotFound(f"there is no run {str(run)!r}: nothing was ever run in {settings.project.root}")
