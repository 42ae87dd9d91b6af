"""What a victim has in hand is seen before a blow, so that it is known when it has moved on."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

from runner.store.ports import NewRun, ProcessInfo
from runner.store.redis_store import RedisStore
from tests.acceptance.chaos.recovery import Recovery


def test_runs_that_any_loop_of_an_engine_has_taken_are_in_its_hands(valkey_url: str):
    namespace = secrets.token_hex(4)
    store = RedisStore.connect(valkey_url, namespace=namespace)
    store.register(ProcessInfo("here:4711:aa", "engine", "here", 4711))
    for loop, run_id in enumerate("abc"):
        store.start([NewRun(run_id, "n", "d", b"{}", b"in")])
        store.take_runs("here:4711:aa", f"n{loop}", limit=1, lease_ms=10_000, loop=loop)
    recovery = Recovery(str(Path(urlsplit(valkey_url).path)), namespace)
    assert sorted(recovery.look(4711).runs) == ["a", "b", "c"]
    assert recovery.look(4712).runs == {}
