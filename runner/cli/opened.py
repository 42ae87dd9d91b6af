"""The store of a command: which server it is on, and what to say when that one cannot be reached. Light to import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.cli.settings import Settings
from runner.errors import RunNotFound, StoreUnavailable
from runner.store.opening import OpenStore, open_store

READ_PATIENCE_S = 2.0  # Follower waits longer, and says so


@contextmanager
def opened_store(settings: Settings) -> Iterator[OpenStore]:
    """Raises StoreUnavailable, ServerRefused, ConfigError."""
    opened = _open(settings)
    try:
        yield opened
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
        hint = f"it was named by {settings.url_origin}; without it, the project's own server is used"
        raise StoreUnavailable(f"{error}\n{hint}") from error


def has_runs(settings: Settings) -> bool:
    """False: no run was ever started here, so there is no server to ask, and none is started for the question."""
    return settings.redis_url is not None or (settings.project.state / "data").is_dir()


def require_runs(settings: Settings, run: str | Path) -> None:
    if not has_runs(settings):
        raise RunNotFound(f"there is no run {str(run)!r}: nothing was ever run in {settings.project.root}")
