"""`sagarun` with short leases, or with a leak: the product has no setting for them, so it is changed before it starts.

    python -m tests.acceptance.chaos.process 2000 0 engine     # leases of 2 s
    python -m tests.acceptance.chaos.process 0 200 engine      # 200 bytes are lost with each call of the store

Everything else is the command as a user has it. Without this module, chaos runs `sagarun` itself, with its real leases.
"""

from __future__ import annotations

import sys
from typing import Any

from runner.cli.main import main
from runner.engine import engine, ticker
from runner.store import limits
from runner.store.connection import Connection
from runner.store.redis_store import RedisStore
from runner.worker.process import WorkerProcess

_lost: list[bytes] = []


def shorten(lease_ms: int) -> None:
    """All times in the proportions that they have."""
    factor = lease_ms / limits.LEASE_MS
    engine.LEASE_MS = int(engine.LEASE_MS * factor)
    ticker.LEASE_MS = lease_ms
    ticker.BEAT_S *= factor
    limits.REPAIR_MS = int(limits.REPAIR_MS * factor)
    limits.WATCH_MS = int(limits.WATCH_MS * factor)
    store, worker = RedisStore.__init__.__kwdefaults__, WorkerProcess.__init__.__kwdefaults__
    store["lease_ms"] = worker["lease_ms"] = lease_ms
    worker["beat_s"] *= factor


def leak(size: int) -> None:
    """So many bytes with each call of the store: for a soak that has to notice it."""
    ask = Connection.ask

    def leaking(connection: Connection, *arguments: Any, **named: Any) -> Any:
        _lost.append(bytes(size))
        return ask(connection, *arguments, **named)

    Connection.ask = leaking  # type: ignore[method-assign]


if __name__ == "__main__":
    lease_ms, leaked = int(sys.argv.pop(1)), int(sys.argv.pop(1))
    if lease_ms:
        shorten(lease_ms)
    if leaked:
        leak(leaked)
    sys.argv[0] = "sagarun"
    main()
