"""`sagarun` with short leases: the product has no setting for them, so its constants are changed before it starts.

    python -m tests.acceptance.chaos.process 2000 engine

Everything else is the command as a user has it. Without this module, chaos runs `sagarun` itself, with its real leases.
"""

from __future__ import annotations

import sys

from runner.cli.main import main
from runner.engine import engine, ticker
from runner.store import limits
from runner.store.redis_store import RedisStore
from runner.worker.process import WorkerProcess


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


if __name__ == "__main__":
    shorten(int(sys.argv.pop(1)))
    sys.argv[0] = "sagarun"
    main()
