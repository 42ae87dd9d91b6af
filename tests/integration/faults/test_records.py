"""Keys that somebody deletes while runs are under way, and runs that are very busy: nothing is stuck without a word."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from redis import Redis

from runner.client import Client
from runner.clock import VirtualClock
from runner.definition.load import load_text
from runner.errors import SagarunError, StoreError
from runner.store.limits import MAX_REQUESTS, MAX_WAITING
from runner.store.ports import ProcessInfo, Request
from tests.conformance.store_world import StoreWorld, redis_world
from tests.integration.faults.system import FULL, Server
from tests.integration.faults.test_disk import Desk

SEEDS = 1_000 if FULL else 40


def begun(url: str, folder: Path, seed: int) -> Desk:
    """Twelve runs at different points of their ways; some wait for their next attempt, and a process holds one task."""
    clock = VirtualClock()
    desk = Desk(url, folder, clock)
    desk.breaks_first = True
    for number in range(12):
        desk.client.start_many(desk.definition, [{"seconds": 0, "refuse": number % 3 == 0}])
        desk.engine.step()
        if number == 4:
            desk.store.register(ProcessInfo("dying", "worker", "host", 2, queues=("fault.book",)), lease_ms=15_000)
            desk.store.exchange("dying", "n", queues=["fault.book"], capacity=1)
        if number % 2:
            desk.worker.step()
    assert desk.store.count_live() > 3, seed
    return desk


def test_any_key_may_be_deleted_and_no_run_is_stuck_without_a_word(server: Server, tmp_path: Path):
    """It is repaired, forgotten with its record, or given to a person; and the others are not concerned."""
    outcomes: dict[str, int] = {}
    with Redis.from_url(server.url, decode_responses=True) as client:
        for seed in range(SEEDS):
            client.flushall()
            random_ = random.Random(seed)
            desk = begun(server.url, tmp_path, seed)
            keys = sorted(key for key in client.keys("{torn:00}:*") if ":definitions" not in key)
            families = sorted({family_of(key) for key in keys})
            family = families[seed % len(families)]  # there are many runs, and one sorted set of deadlines
            key = random_.choice([key for key in keys if family_of(key) == family])
            about = {row.run_id for row in desk.store.list_runs(limit=100) if row.run_id in key}
            client.delete(key)
            finish(desk)
            left = {row.run_id: row.status for row in desk.store.list_runs(limit=100)}
            silent = {run_id: status for run_id, status in left.items()
                      if status not in ("completed", "compensated", "stuck")}  # fmt: skip
            assert not silent, f"seed {seed}: after {key} was deleted, nobody looks after {silent}"
            others = {status for run_id, status in left.items() if run_id not in about}
            assert others <= {"completed", "compensated"}, f"seed {seed}: {key} concerned others: {left}"
            outcomes[family] = outcomes.get(family, 0) + 1
            desk.close()
    print(f"\ndeleted, by kind of key: {outcomes}")
    assert len(outcomes) > 6


def family_of(key: str) -> str:
    return key.split(":")[2]


def finish(desk: Desk) -> None:
    """Six hours of ticks, with the engine and the worker at hand."""
    for _ in range(6 * 60 * 2):
        while desk.engine.step() + desk.worker.step():
            pass
        if desk.store.count_live() == 0 and not desk.store.queue_depths():
            return
        desk.clock.advance(30_000)
        desk.store.beat("engine", (), lease_ms=86_400_000)
        desk.store.tick()
        live = [row for row in desk.store.list_runs(limit=100) if row.status not in ("completed", "compensated")]
        if all(row.status == "stuck" for row in live):
            return


# -- very busy ------------------------------------------------------------------------------------------------
BUSY = """
workflow: busy
version: 1.0.0
steps:
  - id: many
    repeat:
      max: 1000
      until: "{{ result.n >= 1000 }}"
      steps: [{id: take, wait_for: {signal: go}, output: {n: "{{ result.n }}"}}]
"""


@pytest.fixture
def quiet(server: Server) -> StoreWorld:
    made = redis_world(server.url, "busy", patience_s=1)
    yield made
    made.store.close()
    made.redis.close()


def test_an_inbox_is_bounded_and_no_script_is_slow_for_it(server: Server, quiet: StoreWorld):
    """Ten thousand signals to one run: at most a thousand wait, more are refused, and the next ones are taken again."""
    quiet.process("engine", "engine")
    quiet.start("hot")
    with server.client() as client:
        client.config_set("slowlog-log-slower-than", 5_000)
        client.config_set("slowlog-max-len", 10_000)
        client.slowlog_reset()
        taken = refused = full = 0
        before_s = client.info("cpu")["used_cpu_user_main_thread"]
        for number in range(MAX_REQUESTS + 500):
            try:
                quiet.store.post([Request("hot", f"s{number}", b"x" * 200)])
                taken += 1
            except StoreError as error:
                assert "takes no more requests" in str(error)  # noqa: PT017
                refused += 1
                waiting = int(client.hget(quiet.prefix + "run:hot", "tail")) - int(
                    client.hget(quiet.prefix + "run:hot", "head"))
                assert waiting >= MAX_WAITING or taken >= MAX_REQUESTS
                full += taken < MAX_REQUESTS
                while waiting and taken < MAX_REQUESTS:
                    (run,) = quiet.take()
                    quiet.commit("hot", entries_seen=len(run.entries))
                    waiting -= len(run.entries)
        assert taken == MAX_REQUESTS
        assert full >= MAX_REQUESTS // 1_000 - 1, "a thousand wait, and no more"
        spent_s = client.info("cpu")["used_cpu_user_main_thread"] - before_s
        assert spent_s / (taken + refused) < 0.001, "whatever else the machine does: computing time"
        slow = [entry for entry in client.slowlog_get(10_000) if "EVALSHA" in str(entry["command"])]
        if FULL:  # on the clock, which means something on an idle machine only
            assert len(slow) < (taken + refused) / 100, "at most one in a hundred takes 5 ms"
        print(f"\n{spent_s * 1e6 / (taken + refused):.0f} us a script; {len(slow)} took 5 ms")


def test_a_thousand_signals_to_one_run_are_all_taken_in_their_order(server: Server, tmp_path: Path):
    clock = VirtualClock()
    desk = Desk(server.url, tmp_path, clock)
    definition = load_text(BUSY, file="busy.yaml", root=tmp_path)
    run = desk.client.start(definition)
    desk.engine.step()
    client = Client(store=desk.store, root=tmp_path)
    for number in range(1, 1_001):
        client.signal(run.id, "go", {"n": number}, timeout=0)
        if number % 100 == 0:
            desk.engine.step()
    began_s = time.process_time()  # whatever else the machine does
    desk.work()
    assert run.result(timeout=1).status == "completed"
    assert time.process_time() - began_s < 30
    with pytest.raises(SagarunError):
        client.signal(run.id, "go", {"n": 0}, timeout=0)
    desk.close()
