"""What every store promises about live events: whoever listens hears each accepted commit, in order and once."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from runner.errors import StoreUnavailable
from runner.store.ports import Commit, EventStream, NewRun
from tests.conformance.store_world import StoreWorld
from tests.servers import PATIENCE_S


def heard(stream: EventStream, count: int) -> Sequence[tuple[str, bytes]]:
    """So many entries, or what came of them in time."""
    found: list[tuple[str, bytes]] = []
    give_up_at = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < give_up_at:
        found += stream.read(0.2)
    return found


def begin(world: StoreWorld, *run_ids: str) -> None:
    world.store.start([NewRun(run_id, "n", "d", b"{}", b"input") for run_id in run_ids])


def test_a_listener_hears_what_is_committed_in_the_order_of_the_history(world: StoreWorld):
    stream = world.store.listen()
    begin(world, "r1", "r2")
    world.store.commit([
        Commit("r1", "", "e1", 0, b"s", "running", history=(b"[1]", b"[2 2]")),
        Commit("r2", "", "e1", 0, b"s", "running", history=(b"[3]",)),
    ])
    world.store.commit([Commit("r1", "e1", "e2", 0, b"s", "running", history=(b"[4]",))])
    assert heard(stream, 4) == [("r1", b"[1]"), ("r1", b"[2 2]"), ("r2", b"[3]"), ("r1", b"[4]")]
    stream.close()


def test_what_was_refused_or_repeated_is_not_heard(world: StoreWorld):
    stream = world.store.listen()
    begin(world, "r1")
    first = Commit("r1", "", "e1", 0, b"s", "running", history=(b"[1]",))
    world.store.commit([Commit("r1", "wrong", "e0", 0, b"s", "running", history=(b"[0]",)), first])
    gone = Commit("nobody", "", "e", 0, b"s", "running", history=(b"[0]",))
    assert world.store.commit([first, gone]) == ["ok", "gone"]
    world.store.commit([Commit("r1", "e1", "e2", 0, b"s", "running", history=(b"[2]",))])
    assert heard(stream, 2) == [("r1", b"[1]"), ("r1", b"[2]")]
    stream.close()


def test_all_who_listen_hear_it_and_who_has_closed_does_not(world: StoreWorld):
    begin(world, "r1")
    first, second, third = world.store.listen(), world.store.listen(), world.store.listen()
    third.close()
    world.store.commit([Commit("r1", "", "e1", 0, b"s", "running", history=(b"[1]",))])
    assert heard(first, 1) == heard(second, 1) == [("r1", b"[1]")]
    first.close()
    second.close()


def test_what_happened_before_is_not_heard(world: StoreWorld):
    begin(world, "r1")
    world.store.commit([Commit("r1", "", "e1", 0, b"s", "running", history=(b"[1]",))])
    stream = world.store.listen()
    assert stream.read(0.05) == []
    stream.close()


def test_a_lost_connection_is_said_and_another_one_hears_again(on_redis: StoreWorld):
    stream = on_redis.store.listen()
    begin(on_redis, "r1")
    on_redis.store.commit([Commit("r1", "", "e1", 0, b"s", "running", history=(b"[1]",))])
    assert heard(stream, 1) == [("r1", b"[1]")]
    assert on_redis.redis is not None
    on_redis.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    with pytest.raises(StoreUnavailable):
        heard(stream, 1)
    again = on_redis.store.listen()
    on_redis.store.commit([Commit("r1", "e1", "e2", 0, b"s", "running", history=(b"[2]",))])
    assert heard(again, 1) == [("r1", b"[2]")]
    again.close()
