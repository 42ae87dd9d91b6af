"""What happens to a server under a system at work: restarts, pauses, loading, BUSY, forgotten scripts, full memory."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ResponseError

import runner.store.connection
import runner.store.eviction
from runner.errors import ServerRefused, StoreError, StoreUnavailable
from tests.integration.faults.proxy import proxy_to
from tests.integration.faults.system import FULL, Server, System, breakable_server, paused, system
from tests.servers import PATIENCE_S, until
from tests.web import free_port

RESUMES_S = 5.0 if FULL else 10.0  # after a restart; without noticing it, a lease of 15 s would have to end first


@pytest.fixture
def durable() -> Server:
    with breakable_server(durability="strict") as started:
        yield started


def test_everything_consumes_again_after_every_restart_of_an_idle_server(server: Server, tmp_path: Path):
    """Engine and worker are blocked in their waits when it dies; a run is started as soon as it is back."""
    with system(server.url, tmp_path) as house:
        house.engine()
        house.worker()
        assert house.statuses(house.begin()) == {"completed": 1}
        took_s = []
        for number in range(200 if FULL else 5):
            server.kill()
            time.sleep(0.3 * (number % 3))  # down for a moment, or for longer
            server.start()
            began_s = time.monotonic()
            assert house.statuses(house.begin()) == {"completed": 1}
            took_s.append(time.monotonic() - began_s)
        assert (max(took_s) if FULL else sorted(took_s)[len(took_s) // 2]) < RESUMES_S
        assert house.failures == []
        print(f"\nafter {number + 1} restarts all consume again; the slowest took {max(took_s):.2f} s")


def test_restarts_under_load_lose_and_repeat_nothing_that_was_acknowledged(durable: Server, tmp_path: Path):
    with system(durable.url, tmp_path) as house:
        house.engine()
        house.worker()
        runs = house.begin(count := 400 if FULL else 60, refused=count // 4, seconds=0.02)
        for number in range(1, (20 if FULL else 3) + 1):
            until(lambda number=number: house.claims > number * 2 * count // (25 if FULL else 5), "it goes on")
            durable.restart()
        assert house.statuses(runs) == {"completed": count - count // 4, "compensated": count // 4}
        assert set(house.told("did").values()) == {1}
        assert house.failures == []


def test_scripts_forgotten_ten_times_a_second_fail_nothing(server: Server, house: System):
    stop = threading.Event()

    def forget() -> None:
        with server.client() as client:
            while not stop.wait(0.1):
                client.script_flush()

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        runs = house.begin(2_000 if FULL else 60, refused=20, seconds=0.02)
        assert house.statuses(runs)["compensated"] == 20
    finally:
        stop.set()
        thread.join()
    assert set(house.told("did").values()) == {1}
    assert house.failures == []


def test_a_pause_shorter_than_the_lease_repeats_nothing(server: Server, house: System):
    runs = house.begin(20, seconds=0.5)
    until(lambda: house.claims >= 20, "they are under way")
    with paused(server):
        time.sleep(2.0 if not FULL else 5.0)
    assert house.statuses(runs) == {"completed": 20}
    assert set(house.told("did").values()) == {1}


@pytest.mark.parametrize("what", ["ALL", "WRITE"])
def test_a_client_pause_repeats_nothing(server: Server, house: System, what: str):
    runs = house.begin(20, seconds=0.2)
    until(lambda: house.claims >= 20, "they are under way")
    with server.client() as client:
        client.execute_command("CLIENT", "PAUSE", 5_000 if FULL else 1_000, what)
    assert house.statuses(runs) == {"completed": 20}
    assert set(house.told("did").values()) == {1}


def test_a_server_that_is_busy_is_waited_for(server: Server, house: System):
    """A script of somebody else's blocks it; whoever asks meanwhile is told BUSY."""
    runs = house.begin(10, seconds=0.2)
    until(lambda: house.claims >= 10, "they are under way")
    with server.client() as client:
        client.config_set("busy-reply-threshold", 50)
        spin = "local n = 0 while true do n = n + 1 end"
        thread = threading.Thread(target=lambda: _quietly(server, spin))
        thread.start()
        until(lambda: _is_busy(client), "others are told BUSY")
        starting = threading.Thread(target=lambda: runs.extend(house.begin(3)))
        starting.start()
        time.sleep(3.0 if FULL else 0.5)
        until(lambda: _killed(client), "the script is killed")
        thread.join()
        starting.join(PATIENCE_S)
    assert house.statuses(runs) == {"completed": 13}
    assert set(house.told("did").values()) == {1}
    assert house.failures == []


def _quietly(server: Server, script: str) -> None:
    with server.client() as client:
        try:
            client.eval(script, 0)
        except Exception as error:
            assert "killed" in str(error).lower()  # noqa: PT017


def _is_busy(client: Redis) -> bool:
    try:
        client.ping()
    except ResponseError as error:
        return str(error).startswith("BUSY")
    return False


def _killed(client: Redis) -> bool:
    try:
        return bool(client.script_kill())
    except Exception:
        return False


def test_a_server_that_loads_its_data_is_waited_for(tmp_path: Path):
    slow = ("--key-load-delay", "300")
    with breakable_server(durability="strict", settings=slow) as server, system(server.url, tmp_path) as house:
        house.engine()
        house.worker()
        with server.client() as client:
            ballast = client.pipeline(transaction=False)
            for number in range(4_000):  # it listens while it loads, after every 1,024 commands
                ballast.set(f"ballast:{number}", "x")
            ballast.execute()
        runs = house.begin(10, seconds=0.3)
        until(lambda: house.claims >= 10, "they are under way")
        server.kill()
        server.start(wait=False)
        told: list[str] = []

        def is_loading() -> bool:
            try:
                with server.client() as client:
                    client.get("ballast:1")
            except Exception as error:
                told.append(str(error))
            return any("loading" in text for text in told)

        until(is_loading, "it says that it is loading")
        house.engine()  # whoever comes now waits too: a server that is there is not one that cannot be reached
        assert house.statuses(runs) == {"completed": 10}
        assert set(house.told("did").values()) == {1}
        assert house.failures == []


def test_an_outage_of_three_leases_repeats_nothing_that_ended_meanwhile(
    durable: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Workers that live keep their tasks: when the server is back, nothing expires for one lease.

    The worker is heard only after an engine has looked at what is due: it must not be luck who comes first.
    """
    lease_ms = 3_000  # a machine with other work must not be slower than this to say that a worker lives
    monkeypatch.setattr(runner.store.connection, "MAX_PAUSE_S", 0.2)  # which is 2 s, for leases of 15 s
    with proxy_to(durable.url) as proxy, system(durable.url, tmp_path) as house, durable.client() as client:
        house.engine(lease_ms=lease_ms)
        process = house.worker(proxy.url, lease_ms=lease_ms, beat_s=0.2)
        runs = house.begin(40, seconds=0.4)
        until(lambda: process.held >= 20, "they are under way")
        proxy.refuses = True
        durable.kill()
        time.sleep(3 * lease_ms / 1_000)
        durable.start()
        ticked = client.hget("{faults:00}:clock", "tick")
        until(lambda: client.hget("{faults:00}:clock", "tick") != ticked, "an engine has looked at what is due")
        proxy.heal()
        assert house.statuses(runs) == {"completed": 40}
        assert set(house.told("did").values()) == {1}
        assert process.failure is None


# -- memory ---------------------------------------------------------------------------------------------
def test_a_full_server_refuses_runs_clearly_lets_those_that_run_end_and_admits_again(server: Server, house: System):
    runs = house.begin(20, refused=10, seconds=0.3)
    until(lambda: house.claims >= 20, "they are under way")
    with server.client() as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(StoreError, match=r"is full \(maxmemory\): nothing new is taken"):
            house.begin()
        assert house.statuses(runs) == {"completed": 10, "compensated": 10}
        with pytest.raises(StoreError, match="is full"):
            house.begin()
        client.config_set("maxmemory", 0)
    assert house.statuses(house.begin()) == {"completed": 1}
    assert house.failures == []


def test_a_server_that_is_made_to_evict_gets_no_new_runs_and_the_log_says_so(
    server: Server, house: System, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    assert runner.store.eviction.LOOK_EVERY_S <= 10
    monkeypatch.setattr(runner.store.eviction, "LOOK_EVERY_S", 0.1)
    runs = house.begin(5, seconds=0.5)
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        time.sleep(0.2)
        with pytest.raises(ServerRefused, match="maxmemory-policy is allkeys-lru"):
            house.begin()
        until(lambda: "allkeys-lru" in caplog.text, "an engine says so")
        assert house.statuses(runs) == {"completed": 5}, "what has begun goes on"
        client.config_set("maxmemory-policy", "noeviction")
        time.sleep(0.2)
        assert house.statuses(house.begin()) == {"completed": 1}
    told = [record for record in caplog.records if "allkeys-lru" in record.message]
    assert [record.levelno for record in told] == [logging.ERROR], "once, not at every look"
    assert house.failures == []


# -- connections ----------------------------------------------------------------------------------------
def test_a_server_without_room_for_connections_is_waited_for(server: Server, house: System):
    assert house.statuses(house.begin()) == {"completed": 1}
    with server.client() as client:
        here = len(client.client_list())
        client.config_set("maxclients", here)
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        crowd = [Redis.from_url(server.url) for _ in range(here)]
        until(lambda: not all(_has_room(each) for each in crowd), "it is full")
        runs: list = []
        starting = threading.Thread(target=lambda: runs.extend(house.begin(3)))
        starting.start()
        time.sleep(0.5)
        for each in crowd:
            each.close()
        client.config_set("maxclients", 10_000)
        starting.join(PATIENCE_S)
    assert house.statuses(runs) == {"completed": 3}
    assert house.failures == []


def _has_room(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except LostConnection:  # "max number of clients reached", or already closed when it was asked
        return False


def test_a_promoted_replica_is_found_where_the_old_primary_was(tmp_path: Path):
    """A failover as a client sees it: the connection breaks, and at its address is a server that never saw a script."""
    port = free_port()
    with breakable_server(settings=("--port", str(port), "--repl-diskless-sync-delay", "0")) as primary:
        following = ("--replicaof", f"127.0.0.1 {port}")
        with (
            breakable_server(settings=following) as replica, proxy_to(primary.url) as proxy,
            system(proxy.url, tmp_path) as house, replica.client() as client,
        ):
            until(lambda: client.info("replication")["master_link_status"] == "up", "it follows")
            house.engine()
            house.worker()
            runs = house.begin(20, seconds=0.3)
            until(lambda: house.claims >= 20, "they are under way")
            with primary.client() as leading:  # what it acknowledges from here on would be lost with it
                leading.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
                until(lambda: _offset(client) == _offset(leading), "the replica has everything")
            proxy._upstream = replica.url.removeprefix("unix://")
            primary.kill()
            time.sleep(0.3)  # meanwhile it is READONLY
            client.replicaof("NO", "ONE")
            assert house.statuses(runs) == {"completed": 20}
            assert set(house.told("did").values()) == {1}
            assert house.failures == []


def _offset(client: Redis) -> int:
    """How far it has come in the stream of what was written."""
    told = client.info("replication")
    return int(told["master_repl_offset" if told["role"] == "master" else "slave_repl_offset"])


def test_a_demoted_primary_that_has_no_replica_any_more_acknowledges_nothing(server: Server, house: System):
    """min-replicas-to-write, which docs/reliability.md advises where there are failovers."""
    with server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        store = house.connect(patience_s=0.3)
        with pytest.raises(StoreUnavailable, match=r"could not be used for 0\.3 s: NOREPLICAS"):  # it was waited for
            store.put_schedule("order", b"body")
        store.close()
        client.config_set("min-replicas-to-write", 0)
    assert house.statuses(house.begin()) == {"completed": 1}
