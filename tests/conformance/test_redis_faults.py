"""What a server and its network can do to RedisStore: lose replies, forget scripts, be full, drop connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as LostConnection

from runner.errors import ServerRefused, StoreError, StoreUnavailable
from runner.store.limits import MAX_CALL_BYTES
from runner.store.ports import Commit, Completion, Dispatch, NewRun, Request
from runner.store.redis_store import RedisStore
from tests.conformance.scenario import tell
from tests.conformance.store_world import Clock, StoreWorld, check_invariants, redis_world
from tests.servers import PATIENCE_S, private_server, until, valkey_binary


class LosesReplies:
    """A client that executes every command and then says that the connection broke, the first time it is asked."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._seen: set[tuple[Any, ...]] = set()
        self.lost = 0

    def evalsha(self, *args: Any) -> Any:
        return self._lose(args[1:], self._client.evalsha(*args))

    def eval(self, *args: Any) -> Any:
        return self._lose(args[1:], self._client.eval(*args))

    def _lose(self, call: tuple[Any, ...], answer: Any) -> Any:
        if call not in self._seen:
            self._seen.add(call)
            self.lost += 1
            raise LostConnection("the reply is lost")
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def records(world: StoreWorld) -> dict[str, Any]:
    """Nonces of `park` are random."""
    dump = world.dump()
    for key, value in dump.items():
        if key.startswith("run:"):
            value.pop("park_nonce", None)
    return dump


def test_a_lost_reply_of_any_verb_changes_neither_answers_nor_records(on_redis: StoreWorld, valkey_url: str):
    url = str(on_redis.store._connection.address)  # type: ignore[attr-defined]
    lossy = redis_world(url, on_redis.store.namespace + "-lossy")
    connection = lossy.store._connection  # type: ignore[attr-defined]
    connection._client = client = LosesReplies(connection._client)

    assert tell(lossy.store, lossy.clock) == tell(on_redis.store, on_redis.clock)
    assert client.lost > 20
    assert records(lossy) == records(on_redis)
    lossy.store.close()


def test_scripts_that_the_server_forgot_are_sent_again(on_redis: StoreWorld):
    assert on_redis.redis is not None
    for run_id in ("r1", "r2"):
        on_redis.redis.script_flush()
        on_redis.start(run_id)
    assert on_redis.store.count_live() == 2


def test_killed_connections_are_opened_anew(on_redis: StoreWorld):
    assert on_redis.redis is not None
    on_redis.start("r1")
    on_redis.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    on_redis.start("r2")
    assert on_redis.store.count_live() == 2


def test_redis_own_time_drives_the_clock(on_redis: StoreWorld):
    assert on_redis.redis is not None
    url = str(on_redis.store._connection.address)  # type: ignore[attr-defined]
    store = RedisStore.connect(url, namespace=on_redis.store.namespace + "-real")
    try:
        seconds, micros = on_redis.redis.time()
        now_ms = seconds * 1000 + micros // 1000
        assert 0 <= store.now_ms() - now_ms < 5_000
        store.start([NewRun("r1", "n", "d", b"{}", b"in")])
        (run,) = store.take_runs("e", "n", limit=1, lease_ms=1000)
        assert 0 <= run.entries[0].at_ms - now_ms < 5_000
    finally:
        store.close()


# -- a server of one's own, whose settings a test may change ---------------------------------------
@pytest.fixture
def own_server() -> Iterator[str]:
    with private_server(valkey_binary()) as url:
        yield url


@pytest.fixture
def own(own_server: str) -> Iterator[StoreWorld]:
    world = redis_world(own_server, "own", patience_s=0.2)
    yield world
    world.store.close()
    assert world.redis is not None
    world.redis.close()


def test_a_full_server_refuses_new_work_and_lets_running_work_end(own: StoreWorld):
    assert own.redis is not None
    own.running("r1", "a", "b")
    own.process()
    own.process("engine", "engine")
    tasks = own.claim(capacity=1)
    own.redis.config_set("maxmemory", 1)

    with pytest.raises(StoreError, match="is full"):
        own.start("r2")
    with pytest.raises(StoreError, match="is full"):
        own.store.post([Request("r1", "n", b"signal")])
    assert own.beat("worker", *tasks) == ["held"]
    assert own.complete(tasks[0]) == "recorded"
    (task,) = own.claim()
    assert own.complete(task) == "recorded"
    own.store.tick()
    assert len(own.take()) == 1
    own.commit("r1", "c")
    own.store.reap("worker")
    own.process("worker2")
    own.end("r1", entries_seen=0)
    check_invariants(own.snapshot())


def test_a_wrong_password_is_refused_at_once_and_not_shown(own: StoreWorld, own_server: str):
    assert own.redis is not None
    own.redis.config_set("requirepass", "right")
    path = own_server.removeprefix("unix://")
    with pytest.raises(ServerRefused) as refused:
        RedisStore.connect(f"unix://user:wrongsecret@{path}", namespace="n")
    assert "wrongsecret" not in str(refused.value)
    assert path in str(refused.value)
    with pytest.raises(ServerRefused, match="user, password and ACL"):
        RedisStore.connect(own_server, namespace="n")


def test_an_acl_that_forbids_scripts_is_named(own: StoreWorld, own_server: str):
    assert own.redis is not None
    own.redis.acl_setuser("weak", enabled=True, nopass=True, keys=["*"], categories=["+@all"],
                          commands=["-evalsha", "-eval"])
    path = own_server.removeprefix("unix://")
    store = RedisStore.connect({"unix_socket_path": path, "username": "weak", "password": "x"}, namespace="n")
    with pytest.raises(ServerRefused, match="evalsha"):
        store.now_ms()
    store.close()


def test_a_paused_server_is_waited_for(own: StoreWorld):
    """CLIENT PAUSE delays the reply; nothing is sent twice and nothing fails."""
    assert own.redis is not None
    own.redis.execute_command("CLIENT", "PAUSE", "100", "ALL")
    own.start("r1")
    assert own.store.count_live() == 1


def test_a_server_that_stays_away_ends_the_patience(own_server: str):
    with private_server(valkey_binary()) as url:
        store = RedisStore.connect(url, namespace="n", patience_s=0.1)
    with pytest.raises(StoreUnavailable, match=r"could not be used for 0\.1 s"):
        store.now_ms()
    assert store.wait_for_runs(0.05) is False
    store.close()


def test_a_server_that_was_never_there_is_reported_at_once(tmp_path: Path):
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        RedisStore.connect(f"unix://{tmp_path}/none", namespace="n")
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        RedisStore({"host": "127.0.0.1", "port": 1}, namespace="n").now_ms()


def test_closing_ends_the_waits_of_other_threads(own_server: str):
    store = RedisStore.connect(own_server, namespace="n")
    ended: list[bool] = []
    waiting = threading.Thread(target=lambda: ended.append(store.wait_for_runs(60)))
    waiting.start()
    client = Redis.from_url(own_server)
    until(lambda: any("b" in row["flags"] for row in client.client_list()), "the thread is blocked in its wait")
    client.close()
    store.close()
    waiting.join(PATIENCE_S)
    assert ended == [False]
    with pytest.raises(StoreUnavailable, match="is closed"):
        store.now_ms()


def test_threads_share_a_store(on_redis: StoreWorld):
    """Engines, workers and a ticker at once: every task is recorded once and every run ends."""
    store = on_redis.store
    recorded: list[str] = []
    failures: list[BaseException] = []

    def work(step: Callable[[str, int], None], name: str) -> None:
        try:
            for number in range(10_000):
                step(name, number)
                if store.count_live() == 0 or failures:
                    return
        except BaseException as failure:
            failures.append(failure)

    def engine(name: str, number: int) -> None:
        commits = []
        for run in store.take_runs(name, f"{number}", limit=5, lease_ms=15_000):
            is_new = run.entries[0].kind == "started"
            dispatches = (Dispatch("a", "q", b"", "p"),) if is_new else ()
            etag = f"{name}{number}"
            mark = run.entries[0].mark
            made = Commit(run.run_id, run.etag, etag, 1, b"", "", not is_new, dispatches=dispatches, last_seen=mark)
            commits.append(made)
        store.commit(commits)

    def worker(name: str, number: int) -> None:
        claimed = store.exchange(name, f"a{number}", queues=["q"], capacity=3).claimed
        done = [Completion(task.run_id, task.path, task.token, b"o") for task in claimed]
        recorded.extend(store.exchange(name, f"b{number}", completions=done).completions)
        store.tick()
        store.wait_for_tasks(["q"], 0.01)

    run_ids = [f"r{number}" for number in range(40)]
    on_redis.start(*run_ids)
    threads = []
    for step, name in ((engine, "e1"), (engine, "e2"), (worker, "w1"), (worker, "w2")):
        on_redis.process(name)
        threads.append(threading.Thread(target=work, args=(step, name)))
        threads[-1].start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert failures == []
    assert recorded == ["recorded"] * len(run_ids)
    assert on_redis.snapshot().ended == set(run_ids)


def test_what_is_handed_out_at_once_is_bounded_in_bytes(on_redis: StoreWorld):
    large = b"x" * (MAX_CALL_BYTES // 2 + 1)
    on_redis.start("r1", "r2", "r3")
    for number in (1, 2, 3):
        on_redis.store.post([Request(f"r{number}", "n", large)])
    assert [len(on_redis.take()) for _ in range(3)] == [2, 1, 0]
    for number in (1, 2, 3):
        on_redis.commit(f"r{number}", "a", writes={"payload": large})
    on_redis.process()
    assert [len(on_redis.claim(capacity=9)) for _ in range(3)] == [2, 1, 0]


def test_a_run_takes_a_bounded_number_of_requests(on_redis: StoreWorld, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runner.store.limits.MAX_REQUESTS", 2)
    on_redis.start("r1")
    on_redis.store.post([Request("r1", nonce, b"") for nonce in ("a", "b")])
    on_redis.commit("r1")
    with pytest.raises(StoreError, match="takes no more requests"):
        on_redis.store.post([Request("r1", "c", b"")])


def test_a_process_that_showed_up_after_it_was_found_due_is_left_alone(on_redis: StoreWorld):
    on_redis.claimed("r1")
    scripts = on_redis.store._scripts  # type: ignore[attr-defined]
    assert scripts.reap_process(process="worker", only_if_due=True) == (0, 0, 0)
    assert len(on_redis.store.processes()) == 1


def test_the_clock_of_a_test_is_used(on_redis: StoreWorld):
    assert on_redis.store.now_ms() == Clock().now_ms
