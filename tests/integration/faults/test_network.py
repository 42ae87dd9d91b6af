"""Replies that are lost, cut and torn, connections that lead nowhere, and a partition of one process alone."""

from __future__ import annotations

import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import runner.engine.engine
import runner.store.connection
from runner.store.connection import MAX_BLOCK_S, REPLY_S
from runner.store.scripts import load_script
from tests.conformance.scenario import tell
from tests.conformance.store_world import StoreWorld, check_invariants, redis_world
from tests.conformance.test_redis_faults import records
from tests.integration.faults.proxy import Proxy, proxy_to
from tests.integration.faults.system import FULL, Server, system
from tests.lua import script_names
from tests.servers import until


@pytest.fixture
def proxy(server: Server):
    with proxy_to(server.url) as made:
        yield made


@pytest.fixture
def untroubled(server: Server):
    """The same server without a proxy."""
    made = redis_world(server.url, "untroubled")
    yield made
    made.store.close()
    made.redis.close()


def whole_story(world: StoreWorld) -> list[Any]:
    """Every script: after the story, what is kept too long is forgotten."""
    answers = tell(world.store, world.clock)
    for _ in range(3):
        world.clock.advance(10**6)
        world.store.tick()
    return answers


@pytest.mark.parametrize("losses", [1, 2, 3] if FULL else [1])
def test_replies_lost_after_execution_change_nothing_for_any_script(
    server: Server, proxy: Proxy, untroubled: StoreWorld, losses: int
):
    lost: Counter[bytes] = Counter()

    def lose(request: bytes, reply: bytes) -> int | None:
        if b"PING" in request or lost[request] == losses:
            return None
        lost[request] += 1
        return 0

    troubled = redis_world(proxy.url, "troubled")
    proxy.judge = lose
    assert whole_story(troubled) == whole_story(untroubled)
    proxy.judge = lambda request, reply: None
    assert records(troubled) == records(untroubled)
    hit = {name for name in script_names() if any(load_script(name).sha.encode() in request for request in lost)}
    assert hit == set(script_names()), "every script has lost replies"
    troubled.store.close()


@pytest.mark.parametrize("piece", [1, 3, 64] if FULL else [1])
def test_replies_in_pieces_that_break_off_anywhere_are_never_misread(
    server: Server, proxy: Proxy, untroubled: StoreWorld, piece: int
):
    """Each reply comes byte by byte, and the first time it breaks off at a random one."""
    random_ = random.Random(piece)
    seen: dict[bytes, int] = {}

    def tear(request: bytes, reply: bytes) -> int | None:
        if b"PING" in request:
            return None
        if request not in seen:
            seen[request] = random_.randrange(len(reply))
            return seen[request]
        return None

    for number in range(20 if FULL else 1):
        seen.clear()
        troubled = redis_world(proxy.url, f"troubled{number}")
        proxy.piece, proxy.judge = piece, tear
        quiet = untroubled if number == 0 else redis_world(server.url, f"untroubled{number}")
        assert tell(troubled.store, troubled.clock) == tell(quiet.store, quiet.clock)
        proxy.piece, proxy.judge = 0, lambda request, reply: None
        assert records(troubled) == records(quiet)
        troubled.store.close()
    assert proxy.broken > 20


def test_a_system_that_loses_every_fifth_reply_does_each_thing_once(server: Server, proxy: Proxy, tmp_path: Path):
    random_ = random.Random(5)
    with system(server.url, tmp_path) as house:
        house.engine(proxy.url)
        house.worker(proxy.url)  # both have been answered; who never was does not wait
        proxy.judge = lambda request, reply: 0 if random_.random() < 0.2 else None
        runs = house.begin(count := 500 if FULL else 40, refused=count // 4)
        assert house.statuses(runs) == {"completed": count - count // 4, "compensated": count // 4}
        assert proxy.broken > 20
        assert set(house.told("did").values()) == {1}
        assert house.told("undid").total() == 2 * (count // 4)


def test_a_connection_that_leads_nowhere_is_noticed_within_ten_seconds():
    """Longest: a reply that does not come; a wait for tasks that just began, and then does not end."""
    assert REPLY_S <= 10
    assert MAX_BLOCK_S + REPLY_S <= 10


def test_what_was_asked_over_connections_that_lead_nowhere_is_asked_again(
    server: Server, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Half-open connections: neither engine nor worker is told, and both are at work again after the time-out."""
    monkeypatch.setattr(runner.store.connection, "REPLY_S", 1.0)
    monkeypatch.setattr(runner.store.connection, "MAX_BLOCK_S", 0.5)
    with system(server.url, tmp_path) as house:
        house.engine(proxy.url)
        house.worker(proxy.url)
        assert house.statuses(house.begin()) == {"completed": 1}
        assert proxy.freeze() >= 3
        assert house.statuses(house.begin(5)) == {"completed": 5}
        assert set(house.told("did").values()) == {1}


@pytest.mark.parametrize("who", ["engine", "worker"])
def test_a_process_that_alone_is_cut_off_is_made_up_for(
    server: Server, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str
):
    monkeypatch.setattr(runner.engine.engine, "LEASE_MS", 1_000)
    monkeypatch.setattr(runner.store.connection, "REPLY_S", 1.0)
    lease = {"lease_ms": 3_000, "beat_s": 0.3}  # who lives must not be slower than this to say so
    with system(server.url, tmp_path) as house:
        house.engine(proxy.url if who == "engine" else "")
        house.worker(proxy.url if who == "worker" else "", slots=4, **lease)
        runs = house.begin(12, seconds=0.2)
        until(lambda: house.claims > 3, "it is under way")
        proxy.cut()
        house.engine()
        house.worker(**lease)
        assert house.statuses(runs) == {"completed": 12}
        again = house.told("did")
        assert len(again) == 24
        assert sum(times - 1 for times in again.values()) <= 4, "only what was held is done again"
        proxy.heal()
        until(lambda: house.store.count_live() == 0, "all is over")
        assert house.statuses(house.begin(5)) == {"completed": 5}


def test_no_reply_ever_reaches_another_thread(server: Server, proxy: Proxy):
    """Many threads share one pool while connections break at random: each hears the answer to its own question."""
    random_ = random.Random(11)
    troubled = redis_world(proxy.url, "threads")
    proxy.judge = lambda request, reply: random_.randrange(len(reply)) if random_.random() < 0.1 else None
    wrong: list[object] = []
    asked = 10_000 if FULL else 150

    def ask(name: str) -> None:
        for number in range(asked // 10):
            answer = troubled.store.ask(lambda client, text=f"{name} {number}": client.echo(text))  # type: ignore[misc]
            if answer != f"{name} {number}".encode():
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(f"thread {number}",)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert wrong == []
    assert proxy.broken > 5
    proxy.judge = lambda request, reply: None
    check_invariants(troubled.snapshot())
    troubled.store.close()
