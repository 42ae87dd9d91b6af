"""What MemoryStore alone has: its promises as a store are in tests/conformance."""

from __future__ import annotations

import threading

from runner.store.memory.store import MemoryStore
from runner.store.ports import Commit, Dispatch, NewRun, ProcessInfo
from tests.servers import PATIENCE_S


def test_a_start_wakes_a_thread_that_waits():
    store = MemoryStore()
    woken: list[bool] = []
    waiting = threading.Thread(target=lambda: woken.append(store.wait_for_runs(30)))
    waiting.start()
    store.start([NewRun("r", "n", "d", b"{}", b"in")])
    waiting.join(PATIENCE_S)
    assert woken == [True]


def test_a_virtual_clock_learns_how_far_it_may_jump():
    now = [1_700_000_000_000]
    store = MemoryStore(clock=lambda: now[0])
    assert store.idle_ms() is None
    store.start([NewRun("r", "n", "d", b"{}", b"in")])
    store.commit([Commit("r", "", "e", 1, b"", "", timers=(("t", now[0] + 600_000),), last_seen=f"started|{now[0]}||")])
    assert store.idle_ms() == 600_000
    store.commit([Commit("r", "e", "e2", 0, b"", "", dispatches=(Dispatch("a", "q", b"", "p", 200),))])
    assert store.idle_ms() == 200
    now[0] += 10_000
    assert store.idle_ms() == 0


def test_the_wall_clock_is_the_default():
    assert MemoryStore().now_ms() > 1_700_000_000_000


def test_leases_may_be_given(request):
    store = MemoryStore(clock=lambda: 1_700_000_000_000, lease_ms=100, tick_ms=10)
    store.register(ProcessInfo("p", "worker", "h", 1), lease_ms=100)
    assert [process.id for process in store.processes()] == ["p"]
