"""Opens the store that a project uses: a server of one's own, by URL, or the embedded one. The one place that chooses.

A server of one's own is looked at before the first write; one that may drop or rewind runs is refused (server.admit).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.errors import ConfigError, ServerRefused
from runner.store.embedded.attach import EmbeddedServer, attach
from runner.store.redis_store import RedisStore
from runner.store.server import ServerFacts, admit, inspect

SCHEMES = ("redis://", "rediss://", "unix://")
EMBEDDED_DURABILITY = "strict"


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store and what is behind it. `server` is None for a server of one's own, `facts` for the embedded one."""

    store: RedisStore
    label: str  # for people: "embedded Valkey 9.1.2"
    durability: str  # what holds, which may be more than what was asked for
    warnings: tuple[str, ...] = ()
    server: EmbeddedServer | None = None
    facts: ServerFacts | None = None

    @property
    def is_embedded(self) -> bool:
        return self.server is not None

    def inspect(self) -> ServerFacts:
        """What the server says of itself now."""
        return self.store._connection.ask(inspect)

    def close(self) -> None:
        self.store.close()
        if self.server is not None:
            self.server.release()


def open_store(
    url: str | None, *, namespace: str, state_dir: Path, durability: str | None = None, patience_s: float = 30.0
) -> OpenStore:
    """Without a URL, the embedded server in `state_dir`. Raises StoreUnavailable, ServerRefused, ConfigError."""
    if url is None:
        return _open_embedded(namespace, state_dir, durability or EMBEDDED_DURABILITY, patience_s)
    if not url.startswith(SCHEMES):
        raise ConfigError(f"{url!r} is not the URL of a Redis server: it begins with {', '.join(SCHEMES)}")
    try:
        store = RedisStore.connect(url, namespace=namespace, patience_s=patience_s)
    except ValueError as error:
        raise ConfigError(f"{url!r} is not the URL of a Redis server: {error}") from None
    try:
        facts = store._connection.ask(inspect)
        held, warnings = _admitted(facts, durability)
    except BaseException:
        store.close()
        raise
    return OpenStore(store, f"{facts.label} at {store.address}", held, warnings, facts=facts)


def _open_embedded(namespace: str, state_dir: Path, durability: str, patience_s: float) -> OpenStore:
    server = attach(state_dir, durability=durability)
    try:
        store = RedisStore.connect(server.url, namespace=namespace, patience_s=patience_s)
    except BaseException:
        server.release()
        raise
    return OpenStore(store, f"embedded {server.engine}", server.durability, server=server)


def _admitted(facts: ServerFacts, durability: str | None) -> tuple[str, tuple[str, ...]]:
    """The durability that holds and the warnings. Unless one is demanded, it is what the server is set to."""
    if durability is not None:
        return durability, admit(facts, durability)
    try:
        return "strict", admit(facts, "strict")
    except ServerRefused:
        warnings = admit(facts, "standard")
        return ("standard" if facts.appendonly else "none"), warnings
