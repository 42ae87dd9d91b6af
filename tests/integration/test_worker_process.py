"""Worker processes for real: a real server, real children, and everything that can happen to them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import runner.worker.children
from runner.errors import ConfigError, SagarunError
from runner.store.embedded.keeper import answers, server_command
from runner.store.ports import Commit, Store
from runner.store.redis_store import RedisStore
from runner.wire import ErrorRecord, Outcome
from runner.worker.process import WorkerProcess
from tests.servers import PATIENCE_S, until, valkey_binary
from tests.tasks import outcomes, seed

WORKERS = '''
import asyncio, contextlib, ctypes, os, subprocess, sys, time
from pathlib import Path
from runner import BusinessError, Context, worker

@worker("w.echo")
def echo(value: int) -> int:
    return value

@worker("w.echo_async")
async def echo_async(value: int) -> int:
    await asyncio.sleep(0.01)
    return value

@worker("w.refuse", raises=["no"])
def refuse() -> None:
    raise BusinessError("no")

@worker("w.pid")
def pid() -> int:
    return os.getpid()

@worker("w.say")
def say(text: str) -> None:
    print(text)
    print(text, file=sys.stderr)

@worker("w.exit")
def leave() -> None:
    os._exit(7)

@worker("w.segfault")
def segfault() -> None:
    import faulthandler
    faulthandler.disable()  # its report would only look like a failed test
    ctypes.string_at(0)

@worker("w.sleep")
def sleep(seconds: float, mark: str = "") -> str:
    if mark:
        Path(mark).write_text(str(os.getpid()))
    time.sleep(seconds)
    return "slept"

@worker("w.sleep_async")
async def sleep_async(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"

@worker("w.polite")
def polite(ctx: Context) -> str:
    while not ctx.is_cancelled:
        time.sleep(0.005)
    ctx.raise_if_cancelled()

@worker("w.stubborn")
async def stubborn(seconds: float, hold: str = "") -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end or os.path.exists(hold):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)
    return "finished anyway"

@worker("w.hog")
def hog(milliseconds: int) -> None:
    ctypes.PyDLL(None).usleep(milliseconds * 1000)  # PyDLL keeps the interpreter's lock

@worker("w.beat")
def beat(seconds: float, every: float, ctx: Context) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ctx.heartbeat({"left": "some"})
        time.sleep(every)
    return "alive"

@worker("w.starter")
def starter(mark: str) -> None:
    started = subprocess.Popen(["sleep", "60"])
    Path(mark).write_text(str(started.pid))
    time.sleep(60)

@worker("w.log")
def log(ctx: Context, end: str) -> None:
    ctx.log.warning("begun with %s", end)
    time.sleep(0.5)
    if end == "exit":
        os._exit(7)
    time.sleep(60)

@worker("w.overlap")
def overlap(folder: str) -> int:
    mine = Path(folder) / str(time.monotonic_ns())
    mine.touch()
    time.sleep(0.02)
    count = len(list(Path(folder).iterdir()))
    mine.unlink()
    return count
'''


@pytest.fixture(scope="session")
def worker_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("workers")
    (folder / "process_workers.py").write_text(WORKERS)
    sys.path.insert(0, str(folder))
    yield "process_workers"
    sys.path.remove(str(folder))


@pytest.fixture
def store(valkey_url: str, namespace: str) -> Iterator[Store]:
    opened = RedisStore.connect(valkey_url, namespace=namespace)
    yield opened
    opened.close()


Start = Callable[..., WorkerProcess]


@pytest.fixture
def start(store: Store, worker_module: str) -> Iterator[Start]:
    started: list[WorkerProcess] = []

    def start(**options: Any) -> WorkerProcess:
        process = WorkerProcess(store, [worker_module], **({"stop_grace_s": 0.1} | options))
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        process.stop(0)
        assert process.failure is None


def ended(store: Store, run_ids: list[str], *, seconds: float = PATIENCE_S) -> list[Outcome | str]:
    until(lambda: len(outcomes(store, run_ids)) == len(run_ids), "every task has ended", seconds=seconds)
    return list(outcomes(store, run_ids).values())


def one(store: Store, run_ids: list[str]) -> Outcome:
    (outcome,) = ended(store, run_ids)
    assert isinstance(outcome, Outcome), outcome
    return outcome


def error_of(outcome: Outcome) -> ErrorRecord:
    assert outcome.error is not None
    return outcome.error


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def written(path: Path) -> int:
    until(lambda: path.exists() and path.read_text(), f"{path.name} is written")
    return int(path.read_text())


# -- the ordinary life ------------------------------------------------------------------------------


def test_tasks_are_run_and_handed_in(store: Store, start: Start):
    run_ids = seed(store, "w.echo", {"value": 7}, count=250)
    start()
    assert {bytes(outcome.output) for outcome in ended(store, run_ids)} == {b"7"}


@pytest.mark.parametrize("end", ["exit", "timeout"])
def test_what_an_attempt_had_logged_is_known_though_its_child_died(store: Store, start: Start, end: str):
    (run_id,) = seed(store, "w.log", {"end": end}, timeout_ms=800)
    start()
    ended(store, [run_id])
    (stored,) = store.load_runs([run_id])
    assert stored is not None
    outcome = msgspec.json.decode(stored.entries[-1].body, type=Outcome)
    assert outcome.log.endswith(f"WARNING sagarun.worker: begun with {end}")
    assert stored.entries[-1].kind == ("lost" if end == "exit" else "outcome")


def test_tasks_that_come_later_are_run_too(store: Store, start: Start):
    process = start()
    for value in (1, 2, 3):
        run_ids = seed(store, "w.echo_async", {"value": value})
        assert bytes(one(store, run_ids).output) == str(value).encode()
    assert process.wait_until_idle(PATIENCE_S)


def test_a_refusal_is_definite(store: Store, start: Start):
    start()
    outcome = one(store, seed(store, "w.refuse", {}))
    assert (outcome.outcome, error_of(outcome).kind) == ("failed", "business")


def test_contracts_and_process_are_published(store: Store, start: Start):
    process = start(queues=["w.echo", "w.pid"])
    assert "w.segfault" in store.get_workers()
    (info,) = store.processes()
    assert (info.id, info.kind, set(info.queues)) == (process.process_id, "worker", {"w.echo", "w.pid"})


def test_only_the_queues_that_were_asked_for_are_served(store: Store, start: Start):
    start(queues=["w.pid"])
    seed(store, "w.echo", {"value": 1})
    one(store, seed(store, "w.pid", {}))
    assert store.queue_depths()["w.echo"] == 1


def test_user_code_runs_in_children(store: Store, start: Start):
    process = start(children=2)
    pids = {int(bytes(outcome.output)) for outcome in ended(store, seed(store, "w.pid", {}, count=20))}
    assert pids <= set(process.child_pids)
    assert os.getpid() not in pids


def test_no_more_runs_than_there_are_slots(store: Store, start: Start, tmp_path: Path):
    run_ids = seed(store, "w.overlap", {"folder": str(tmp_path)}, count=40)
    start(slots=3)
    assert max(int(bytes(outcome.output)) for outcome in ended(store, run_ids)) == 3


def test_a_slow_task_does_not_hold_up_others(store: Store, start: Start):
    start(slots=4)
    slow = seed(store, "w.sleep", {"seconds": 60})
    ended(store, seed(store, "w.echo", {"value": 1}, count=50))
    assert outcomes(store, slow) == {}


def test_two_processes_share_the_work(store: Store, start: Start):
    processes = [start(slots=2), start(slots=2)]
    ended(store, seed(store, "w.overlap", {"folder": "/tmp"}, count=1))
    run_ids = seed(store, "w.echo", {"value": 1}, count=200)
    ended(store, run_ids)
    until(lambda: sum(each.counts.recorded for each in processes) == 201, "each task is recorded once")


def test_output_of_user_code_goes_through(store: Store, start: Start, capfd: pytest.CaptureFixture[str]):
    start()
    one(store, seed(store, "w.say", {"text": "hello there"}))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("hello there\n", "hello there\n")


# -- ends that nobody wanted --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.exit", "w.segfault"])
def test_a_child_that_dies_is_reported_at_once_and_replaced(store: Store, start: Start, name: str):
    process = start()
    (before,) = process.child_pids
    assert ended(store, seed(store, name, {})) == ["lost"]
    assert bytes(one(store, seed(store, "w.echo", {"value": 1})).output) == b"1"
    assert before not in process.child_pids
    assert process.counts.lost == 1


def test_a_child_that_is_killed_is_reported_at_once(store: Store, start: Start, tmp_path: Path):
    start()
    run_ids = seed(store, "w.sleep", {"seconds": 60, "mark": str(tmp_path / "mark")})
    os.kill(written(tmp_path / "mark"), signal.SIGKILL)
    assert ended(store, run_ids) == ["lost"]


def test_what_a_dead_child_had_finished_stays_finished(store: Store, start: Start):
    start()
    done, lost = seed(store, "w.echo", {"value": 1}, count=30), seed(store, "w.exit", {})
    assert ended(store, lost) == ["lost"]
    found = ended(store, done)
    assert {each if isinstance(each, str) else each.outcome for each in found} <= {"completed", "lost"}


def test_what_a_worker_has_started_is_killed_with_its_child(store: Store, start: Start, tmp_path: Path):
    start()
    seed(store, "w.starter", {"mark": str(tmp_path / "mark")}, timeout_ms=300)
    started = written(tmp_path / "mark")
    until(lambda: not is_alive(started), "the program that the worker started is gone")


def test_an_attempt_that_hangs_is_killed_and_reported_with_its_stack(store: Store, start: Start):
    process = start()
    (before,) = process.child_pids
    outcome = one(store, seed(store, "w.sleep", {"seconds": 60}, timeout_ms=200))
    assert (outcome.outcome, error_of(outcome).code) == ("unknown", "timeout")
    assert "time.sleep(seconds)" in error_of(outcome).details["traceback"]
    until(lambda: not is_alive(before), "the child is gone")
    assert bytes(one(store, seed(store, "w.echo", {"value": 1})).output) == b"1"


def test_an_attempt_is_not_reported_while_it_still_runs(store: Store, start: Start, tmp_path: Path):
    start()
    run_ids = seed(store, "w.sleep", {"seconds": 60, "mark": str(tmp_path / "mark")}, timeout_ms=200)
    pid = written(tmp_path / "mark")
    one(store, run_ids)
    assert not is_alive(pid)


def test_neighbours_of_a_hanging_attempt_may_finish(store: Store, start: Start):
    process = start()
    neighbour = seed(store, "w.sleep", {"seconds": 1.0})
    until(lambda: process.held == 1, "the neighbour has begun")
    hanging = seed(store, "w.sleep", {"seconds": 60}, timeout_ms=200)
    later = seed(store, "w.echo", {"value": 1}, count=5)
    assert {bytes(outcome.output) for outcome in ended(store, later)} == {b"1"}
    assert bytes(one(store, neighbour).output) == b'"slept"'
    assert error_of(one(store, hanging)).code == "timeout"


def test_a_child_that_was_replaced_ends_when_its_attempts_have_ended(store: Store, start: Start, tmp_path: Path):
    process = start()
    (before,) = process.child_pids
    held = {"seconds": 0, "hold": str(tmp_path / "hold")}
    (tmp_path / "hold").touch()
    neighbour = seed(store, "w.stubborn", held, timeout_ms=60_000)
    until(lambda: process.held == 1, "the neighbour has begun")
    late = seed(store, "w.stubborn", held, timeout_ms=200)
    until(lambda: len(process.child_pids) == 2, "a successor takes over")
    (tmp_path / "hold").unlink()
    assert bytes(one(store, late).output) == b'"finished anyway"'
    assert bytes(one(store, neighbour).output) == b'"finished anyway"'
    until(lambda: before not in process.child_pids, "the first child has ended")
    assert (process.counts.lost, process.counts.timeouts) == (0, 0)


def test_a_coroutine_that_hangs_is_cancelled_and_its_child_lives_on(store: Store, start: Start):
    process = start(stop_grace_s=5.0)
    before = process.child_pids
    outcome = one(store, seed(store, "w.sleep_async", {"seconds": 60}, timeout_ms=200))
    assert (outcome.outcome, error_of(outcome).code) == ("unknown", "timeout")
    assert "asyncio.sleep(seconds)" in error_of(outcome).details["traceback"]
    assert process.child_pids == before


def test_a_function_that_looks_whether_it_should_stop_needs_no_kill(store: Store, start: Start):
    process = start(stop_grace_s=5.0)
    before = process.child_pids
    outcome = one(store, seed(store, "w.polite", {}, timeout_ms=200))
    assert (outcome.outcome, error_of(outcome).code) == ("unknown", "timeout")
    assert process.child_pids == before


def test_what_ends_well_after_its_deadline_and_before_the_kill_is_what_it_is(store: Store, start: Start):
    start(stop_grace_s=5.0)
    outcome = one(store, seed(store, "w.stubborn", {"seconds": 0.6}, timeout_ms=200))
    assert bytes(outcome.output) == b'"finished anyway"'


def test_a_coroutine_that_ignores_its_cancellation_is_killed(store: Store, start: Start):
    start()
    outcome = one(store, seed(store, "w.stubborn", {"seconds": 60}, timeout_ms=200))
    assert error_of(outcome).code == "timeout"


def test_code_that_hogs_the_interpreter_is_killed_at_its_deadline(store: Store, start: Start):
    start()
    outcome = one(store, seed(store, "w.hog", {"milliseconds": 60_000}, timeout_ms=200))
    assert error_of(outcome).code == "timeout"


@pytest.fixture
def ticking(store: Store) -> Iterator[None]:
    """The store expires leases meanwhile, as an engine would have it do."""
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.05):
            store.tick()

    thread = threading.Thread(target=tick)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("ticking")
def test_code_that_hogs_the_interpreter_does_not_starve_the_heartbeat(store: Store, start: Start):
    start(lease_ms=2_000, beat_s=0.2)
    outcome = one(store, seed(store, "w.hog", {"milliseconds": 3_500}))
    assert outcome.outcome == "completed"


def test_heartbeats_of_user_code_keep_an_attempt_alive(store: Store, start: Start):
    """It runs for longer than one may be silent, which is longer than a busy machine lets a process wait."""
    start()
    outcome = one(store, seed(store, "w.beat", {"seconds": 2.5, "every": 0.02}, heartbeat_ms=2_000))
    assert bytes(outcome.output) == b'"alive"'


def test_heartbeats_that_were_heard_late_count_all_the_same(
    store: Store, start: Start, monkeypatch: pytest.MonkeyPatch
):
    """The supervisor stood still (stopped, or starved): who spoke meanwhile was not silent."""
    process = start()
    run_ids = seed(store, "w.beat", {"seconds": 3.0, "every": 0.02}, heartbeat_ms=1_000)
    until(lambda: process.held == 1, "it has begun")
    stood_still = threading.Event()

    def uptime_s() -> float:
        if sys._getframe(1).f_code.co_name == "serve" and not stood_still.is_set():
            time.sleep(1.5)
            stood_still.set()
        return real()

    real = runner.worker.children.uptime_s
    monkeypatch.setattr(runner.worker.children, "uptime_s", uptime_s)
    assert bytes(one(store, run_ids).output) == b'"alive"'
    assert stood_still.is_set()


def test_an_attempt_that_is_silent_for_too_long_is_killed(store: Store, start: Start):
    start()
    outcome = one(store, seed(store, "w.beat", {"seconds": 60, "every": 60}, heartbeat_ms=300))
    assert "no heartbeat for 300 ms" in error_of(outcome).message
    assert error_of(outcome).details["last_details"] == {"left": "some"}


# -- the store's word -----------------------------------------------------------------------------------


def test_an_attempt_whose_run_was_cancelled_is_asked_to_stop(store: Store, start: Start):
    process = start(beat_s=0.1)
    (run_id,) = seed(store, "w.polite", {})
    until(lambda: process.held == 1, "the task has begun")
    revoke = Commit(run_id, "e1", "e2", entries_seen=0, state=b"{}", status="running", revokes=(("step", True),))
    assert store.commit([revoke]) == ["ok"]
    assert error_of(one(store, [run_id])).code == "cancelled"


def test_a_process_that_was_taken_for_dead_kills_its_children_and_goes_on(
    store: Store, start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    process = start(beat_s=0.1)
    before = process.process_id
    run_ids = seed(store, "w.sleep", {"seconds": 60, "mark": str(tmp_path / "mark")})
    pid = written(tmp_path / "mark")
    store.reap(before)
    until(lambda: not is_alive(pid), "the child of the reaped process is gone")
    assert bytes(one(store, seed(store, "w.echo", {"value": 1})).output) == b"1"
    assert process.process_id != before
    assert ended(store, run_ids) == ["lost"]
    assert "was taken for dead" in caplog.text


# -- Redis is away ---------------------------------------------------------------------------------------


class Server:
    """A server that can be stopped and started again at its address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/s"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = server_command(valkey_binary(), self.folder / "s", self.folder, "none")
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(lambda: answers(self.folder / "s"), "the server answers")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(f"/tmp/sr-{secrets.token_hex(4)}")
    folder.mkdir(mode=0o700)
    started = Server(folder)
    started.start()
    yield started
    started.kill()
    subprocess.run(["rm", "-r", str(folder)], check=True)


@pytest.fixture
def own_store(server: Server) -> Iterator[Store]:
    opened = RedisStore.connect(server.url, namespace="own")
    yield opened
    opened.close()


def test_a_process_consumes_again_after_redis_was_restarted_while_it_was_idle(
    server: Server, own_store: Store, worker_module: str
):
    with WorkerProcess(own_store, [worker_module], lease_ms=2000, beat_s=0.2):
        one(own_store, seed(own_store, "w.echo", {"value": 1}))
        for value in (2, 3):
            server.kill()
            server.start()
            run_ids = seed(own_store, "w.echo", {"value": value})
            assert bytes(one(own_store, run_ids).output) == str(value).encode()


def test_a_process_that_cannot_beat_kills_what_it_runs_before_others_may_try(
    server: Server, own_store: Store, worker_module: str, tmp_path: Path
):
    with WorkerProcess(own_store, [worker_module], lease_ms=3_000, beat_s=0.2) as process:
        run_ids = seed(own_store, "w.sleep", {"seconds": 60, "mark": str(tmp_path / "mark")}, timeout_ms=60_000)
        pid = written(tmp_path / "mark")
        server.signal(signal.SIGSTOP)
        stopped_at = time.monotonic()
        until(lambda: not is_alive(pid), "the child is killed")
        assert time.monotonic() - stopped_at < 6.0, "two leases: now others may try"
        server.signal(signal.SIGCONT)
        assert ended(own_store, run_ids) == ["lost"]
        one(own_store, seed(own_store, "w.echo", {"value": 1}))
        assert process.failure is None


# -- stopping -------------------------------------------------------------------------------------------


def test_a_stop_lets_what_runs_end_and_takes_nothing_new(store: Store, start: Start):
    process = start()
    running = seed(store, "w.sleep", {"seconds": 0.5})
    until(lambda: process.held == 1, "the task has begun")
    stopping = threading.Thread(target=process.stop, args=(10,))
    stopping.start()
    until(lambda: not process._state.is_claiming, "it claims nothing more")
    later = seed(store, "w.echo", {"value": 1})
    stopping.join()
    assert bytes(one(store, running).output) == b'"slept"'
    assert outcomes(store, later) == {}
    assert store.processes() == []


def test_a_stop_kills_what_outlasts_the_grace_and_says_so(store: Store, start: Start, tmp_path: Path):
    process = start()
    running = seed(store, "w.sleep", {"seconds": 60, "mark": str(tmp_path / "mark")})
    pid = written(tmp_path / "mark")
    assert process.stop(0.1) is False
    assert not is_alive(pid)
    assert ended(store, running) == ["lost"]


def test_an_idle_process_stops_at_once(start: Start):
    process = start()
    begun = time.monotonic()
    assert process.stop(60) is True
    assert time.monotonic() - begun < 30


def test_a_second_stop_shortens_the_first(store: Store, start: Start):
    process = start()
    seed(store, "w.sleep", {"seconds": 60})
    until(lambda: process.held == 1, "the task has begun")
    first = threading.Thread(target=process.stop, args=(60,))
    first.start()
    process.stop(0)
    first.join(PATIENCE_S)
    assert not first.is_alive()


PROGRAM = """
import sys
sys.path[:0] = [{path!r}]
from runner.store.redis_store import RedisStore
from runner.worker.process import WorkerProcess
store = RedisStore.connect({url!r}, namespace={namespace!r})
sys.exit(0 if WorkerProcess(store, ["process_workers"], {options}).run({grace}) else 9)
"""


@pytest.fixture
def program(valkey_url: str, namespace: str, worker_module: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """A supervisor in a process of its own."""
    started: list[subprocess.Popen[bytes]] = []
    assert worker_module == "process_workers"

    def start(*, grace: float = 10, options: str = "", pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        text = PROGRAM.format(path=sys.path[0], url=valkey_url, namespace=namespace, grace=grace, options=options)
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(text)], pass_fds=pass_fds)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


Program = Callable[..., subprocess.Popen[bytes]]


def test_sigterm_drains(store: Store, program: Program, tmp_path: Path):
    process = program()
    running = seed(store, "w.sleep", {"seconds": 0.7, "mark": str(tmp_path / "mark")})
    written(tmp_path / "mark")
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    assert bytes(one(store, running).output) == b'"slept"'


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_cuts_the_grace_short(store: Store, program: Program, tmp_path: Path, number: int):
    process = program(grace=60)
    running = seed(store, "w.sleep", {"seconds": 60, "mark": str(tmp_path / "mark")})
    written(tmp_path / "mark")
    process.send_signal(number)
    time.sleep(0.5)  # two signals of one kind that are pending at once are one
    process.send_signal(number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.send_signal(number)  # if they were one all the same; to a process that ended it does nothing
    assert process.wait(PATIENCE_S) == 9
    assert ended(store, running) == ["lost"]


def test_signals_to_a_child_are_left_to_its_supervisor(store: Store, start: Start, tmp_path: Path):
    start()
    running = seed(store, "w.sleep", {"seconds": 0.7, "mark": str(tmp_path / "mark")})
    pid = written(tmp_path / "mark")
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    assert bytes(one(store, running).output) == b'"slept"'


@pytest.mark.parametrize("task", ["w.sleep", "w.hog"])
def test_children_die_with_a_supervisor_that_is_killed(store: Store, program: Program, task: str):
    process = program()
    pid = int(bytes(one(store, seed(store, "w.pid", {})).output))
    seed(store, task, {"seconds": 60} if task == "w.sleep" else {"milliseconds": 60_000})
    until(lambda: any(info.held for info in store.processes()), "the task has begun")
    process.kill()
    until(lambda: not is_alive(pid), "the child is gone")


def test_the_lock_of_a_process_is_held_until_its_children_are_dead(store: Store, program: Program, tmp_path: Path):
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        descriptor = lock.fileno()
        options = f"lock_path={str(tmp_path / 'lock')!r}, lock_fd={descriptor}"
        process = program(options=options, pass_fds=(descriptor,))
    pid = int(bytes(one(store, seed(store, "w.pid", {})).output))
    assert store.processes()[0].lock == str(tmp_path / "lock")
    assert tmp_path / "lock" in [each.readlink() for each in Path(f"/proc/{pid}/fd").iterdir()]
    process.kill()
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


# -- starting -------------------------------------------------------------------------------------------


def started_with(
    store: Store, module: str, source: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> None:
    (folder / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    process = WorkerProcess(store, [module], **options)
    try:
        process.start()
    finally:
        process.stop(0)


def test_modules_that_cannot_be_imported_are_shown(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match=r"cannot be imported:\n(?s:.*)ZeroDivisionError"):
        started_with(store, "broken_workers", "1 / 0", tmp_path, monkeypatch)


def test_workers_that_cannot_be_ones_are_named(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = "from runner import worker\n@worker('a.b')\ndef f(*rest): ...\n"
    with pytest.raises(ConfigError, match=r"^odd_workers\.py:2: worker 'a\.b': \*rest cannot be given by name"):
        started_with(store, "odd_workers", source, tmp_path, monkeypatch)


def test_a_child_that_dies_while_it_imports_is_told(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SagarunError, match="exited with status 3 before it was ready"):
        started_with(store, "dying_workers", "import os; os._exit(3)", tmp_path, monkeypatch)


def test_an_import_that_takes_too_long_is_told(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="importing slow_workers took longer than"):
        started_with(store, "slow_workers", "import time; time.sleep(60)", tmp_path, monkeypatch, start_timeout_s=0.3)


def test_a_module_that_is_not_there_is_told(store: Store):
    with pytest.raises(ConfigError, match="there is no module 'absent_workers'"):
        WorkerProcess(store, ["absent_workers"]).start()


def test_a_queue_that_no_worker_has_is_told(store: Store, worker_module: str):
    with pytest.raises(ConfigError, match=r"no worker here has the queue 'w\.none'"):
        WorkerProcess(store, [worker_module], queues=["w.none"]).start()


def test_a_hook_runs_in_the_child_before_the_modules(
    store: Store, worker_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "hooked.py").write_text("import os\ndef prepare(): os.environ['PREPARED'] = 'yes'\n")
    (tmp_path / "needs_hook.py").write_text("import os\nassert os.environ['PREPARED'] == 'yes'\n")
    monkeypatch.syspath_prepend(tmp_path)
    with WorkerProcess(store, ["needs_hook", worker_module], hook="hooked:prepare"):
        one(store, seed(store, "w.echo", {"value": 1}))


@pytest.mark.parametrize("options", [{"children": 0}, {"slots": 0}, {"beat_s": 10.0}, {"beat_s": 0}])
def test_options_that_make_no_sense_are_refused(store: Store, options: Any):
    with pytest.raises(ConfigError, match=r"at least one|too rare"):
        WorkerProcess(store, ["anything"], **options)
