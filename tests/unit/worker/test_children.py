"""Who gets which attempt, who is asked to stop, and who is killed when: with children that only write down."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from runner.errors import ConfigError
from runner.store.ports import ClaimedTask
from runner.wire import ErrorRecord, Outcome, TaskMessage
from runner.worker import children as children_module
from runner.worker.children import MAX_CELLS, MAX_FAMILY, Children
from runner.worker.frames import Alive, Broken, Done, FromChild, Ready, Setup, Stack, Stop, ToChild, Work
from runner.worker.state import Options, State


class Stub:
    """A child as its supervisor sees it, without a process."""

    born: list[Stub]

    def __init__(self, number: int, *, born_at_s: float, inherited: Any = (), is_cell: bool = False) -> None:
        self.number = number
        self.pid = 1000 + number
        self.born_at_s = born_at_s
        self.inherited = inherited
        self.is_cell = is_cell
        self.socket, self._other = socket.socketpair()
        self.death = None
        self.is_ready = self.is_retiring = self.was_killed = self.dead = self.has_backlog = False
        self.ended_unasked = False
        self.closed_at_s = 0.0
        self.sent: list[ToChild] = []
        self.words: list[FromChild] = []
        Stub.born.append(self)

    @property
    def takes_attempts(self) -> bool:
        return self.is_ready and not (self.is_retiring or self.was_killed or self.closed_at_s)

    def send(self, message: ToChild) -> None:
        self.sent.append(message)

    def flush(self) -> None: ...

    def kill(self) -> None:
        self.was_killed = True

    def close(self, now_s: float) -> None:
        self.closed_at_s = self.closed_at_s or now_s

    def is_dead(self) -> bool:
        return self.dead

    def last_words(self) -> list[FromChild]:
        return self.words

    def describe_end(self) -> str:
        return "exited with status 1"

    def release(self) -> None:
        self.socket.close()
        self._other.close()

    def stops(self) -> list[tuple[list[int], str]]:
        return [(message.numbers, message.reason) for message in self.sent if isinstance(message, Stop)]


class Bench:
    """Children at a time of the test's choosing."""

    def __init__(self, **options: Any) -> None:
        self.state = State("p1", leased_at_s=0.0)
        self.options = Options(("m",), **({"slots": 2, "lease_ms": 1_000_000, "start_timeout_s": 1e9} | options))
        self.children = Children(self.state, self.options)
        self.now_s = 0.0

    def tick(self, now_s: float) -> None:
        with self.state.lock:
            self.children._tick(now_s)

    def ready(self, *stubs: Stub) -> None:
        for stub in stubs:
            self.hear(stub, Ready({"w": b"{}"}))

    def hear(self, stub: Stub, message: FromChild) -> None:
        with self.state.lock:
            self.children._heed(stub, message)  # type: ignore[arg-type]

    def place(self, *tasks: ClaimedTask) -> None:
        with self.state.lock:
            self.children.place(tasks)

    def free(self) -> int:
        with self.state.lock:
            return self.children.free()

    def ended(self) -> list[str]:
        """How each attempt ended, in order."""
        found = []
        for completion in self.state.ledger.take(100):
            outcome = None if completion.lost else msgspec.json.decode(completion.body, type=Outcome)
            code = outcome.error.code if outcome and outcome.error else "completed"
            found.append(f"{completion.path} {'lost' if completion.lost else code}")
        self.state.ledger.settle(["recorded"] * len(found))
        return found


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(children_module, "ChildProcess", Stub)
    monkeypatch.setattr(children_module, "uptime_s", lambda: 0.0)
    Stub.born = []
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        bench = Bench(**options)
        made.append(bench)
        bench.tick(0.0)
        return bench

    yield make
    for bench in made:
        bench.children._selector.close()
    for stub in Stub.born:
        stub.release()


def task(path: str, timeout_ms: int = 1000, heartbeat_ms: int = 0, alone: bool = False) -> ClaimedTask:
    message = TaskMessage(
        "w", "r", "f", "1", path, path, "action", 1, 1, timeout_ms, f"r/{path}", f"r/{path}:action",
        heartbeat_ms=heartbeat_ms, alone=alone,
    )
    return ClaimedTask("r", path, "t", 1, "q", 0, 0, msgspec.json.encode(message), b"{}")


def begun(stub: Stub) -> int:
    return sum(len(message.tasks) for message in stub.sent if isinstance(message, Work))


def test_as_many_children_as_wanted_are_started_and_told_what_to_import(make: Any):
    make(children=3, inherited=(9,))
    assert len(Stub.born) == 3
    assert {stub.inherited for stub in Stub.born} == {(9,)}
    assert Stub.born[0].sent == [Setup(["m"], 2, "", "p1")]


def test_a_child_that_is_not_ready_takes_nothing(make: Any):
    bench = make()
    assert bench.free() == 0
    bench.ready(*Stub.born)
    assert bench.free() == 2


def test_the_emptiest_child_takes_first(make: Any):
    bench = make(children=2, slots=4)
    bench.ready(*Stub.born)
    bench.place(task("a"), task("b"), task("c"))
    bench.place(task("d"))
    assert [begun(stub) for stub in Stub.born] == [3, 1]


def test_what_finds_no_slot_waits_for_one(make: Any):
    bench = make(slots=1)
    bench.place(task("a"))
    assert bench.free() == 0
    bench.ready(*Stub.born)
    assert begun(Stub.born[0]) == 1
    assert not bench.state.ledger.unplaced


def test_what_was_claimed_before_an_outage_begins_when_it_is_known_to_be_this_process_still(make: Any):
    bench = make(lease_ms=15_000)
    bench.tick(0.0)
    bench.ready(*Stub.born)
    bench.state.leased_at_s = -15.0
    bench.place(task("a"))
    assert not bench.state.ledger.held
    assert bench.free() == 1, "it has its place"
    bench.state.leased_at_s = -14.9
    bench.place()
    assert [held.task.path for held in bench.state.ledger.held.values()] == ["a"]


def test_what_a_dead_child_said_last_still_counts(make: Any):
    bench = make()
    (stub,) = Stub.born
    bench.ready(stub)
    bench.place(task("a"), task("b"))
    stub.words, stub.dead = [Done([(1, b'{"outcome":"completed"}', b"")])], True
    bench.tick(0.1)
    assert bench.ended() == ["a completed", "b lost"]
    assert len(Stub.born) == 2


def test_an_attempt_past_its_deadline_is_asked_to_stop_and_its_child_takes_nothing_new(make: Any):
    bench = make()
    (stub,) = Stub.born
    bench.ready(stub)
    bench.place(task("a"))
    bench.tick(1.1)
    assert stub.stops() == [([1], "timeout")]
    assert bench.free() == 0
    assert not stub.was_killed


def test_a_child_whose_attempt_stopped_when_asked_takes_new_ones_again(make: Any):
    bench = make()
    (stub,) = Stub.born
    bench.ready(stub)
    bench.place(task("a"))
    bench.tick(1.1)
    bench.hear(stub, Done([(1, b'{"outcome":"unknown","error":{"code":"timeout"}}', b"")]))
    bench.tick(5.0)
    assert bench.free() == 2
    assert len(Stub.born) == 1
    assert bench.ended() == ["a timeout"]


def test_an_attempt_that_does_not_stop_is_reported_only_when_its_child_is_dead(make: Any):
    bench = make()
    (stub,) = Stub.born
    bench.ready(stub)
    bench.place(task("a"))
    bench.tick(1.1)
    bench.tick(1.7)
    assert stub.was_killed
    assert bench.ended() == []
    stub.dead = True
    bench.tick(1.8)
    assert bench.ended() == ["a timeout"]


def test_neighbours_have_their_own_time_and_a_successor_takes_the_place(make: Any):
    bench = make()
    first = Stub.born[0]
    bench.ready(first)
    bench.place(task("hangs"), task("neighbour", timeout_ms=10_000))
    bench.tick(1.1)
    bench.tick(1.7)
    assert not first.was_killed
    assert len(Stub.born) == 2
    bench.ready(Stub.born[1])
    assert bench.free() == 2
    bench.hear(first, Done([(2, b'{"outcome":"completed"}', b"")]))
    bench.tick(3.0)
    assert first.was_killed
    first.dead = True
    bench.tick(3.1)
    assert bench.ended() == ["neighbour completed", "hangs timeout"]


def test_neighbours_that_hang_too_are_given_their_grace(make: Any):
    bench = make()
    first = Stub.born[0]
    bench.ready(first)
    bench.place(task("a"), task("b", timeout_ms=2000))
    bench.tick(1.1)
    bench.tick(2.1)
    assert not first.was_killed
    bench.tick(2.7)
    assert first.was_killed


def test_a_child_that_was_replaced_ends_when_it_is_empty(make: Any):
    bench = make()
    first = Stub.born[0]
    bench.ready(first)
    bench.place(task("a"), task("b", timeout_ms=10_000))
    bench.tick(1.1)
    bench.tick(1.7)
    bench.hear(first, Done([(1, b'{"outcome":"completed"}', b""), (2, b'{"outcome":"completed"}', b"")]))
    bench.tick(2.0)
    assert first.closed_at_s == 2.0
    assert not first.was_killed
    bench.tick(10.0)
    assert first.was_killed, "it had long enough to end by itself"


def test_children_that_wait_for_neighbours_do_not_add_up_without_end(make: Any):
    bench = make()
    for turn in range(10):
        stub = Stub.born[-1]
        if stub.is_ready:
            break
        bench.ready(stub)
        begin = turn * 10.0
        children_module.uptime_s = lambda begin=begin: begin  # type: ignore[assignment]
        bench.place(task(f"hangs{turn}"), task(f"neighbour{turn}", timeout_ms=1_000_000))
        bench.tick(begin + 1.1)
        bench.tick(begin + 1.7)
    assert len(Stub.born) == MAX_FAMILY


def test_silence_is_an_overrun_where_heartbeats_were_asked_for(make: Any):
    bench = make()
    (stub,) = Stub.born
    bench.ready(stub)
    bench.place(task("a", timeout_ms=60_000, heartbeat_ms=500), task("b", timeout_ms=60_000, heartbeat_ms=500))
    children_module.uptime_s = lambda: 0.4  # type: ignore[assignment]
    bench.hear(stub, Alive(1, b"7"))
    bench.tick(0.6)
    assert stub.stops() == [([2], "timeout")]


def test_the_stack_of_what_was_killed_is_reported(make: Any):
    bench = make()
    (stub,) = Stub.born
    bench.ready(stub)
    bench.place(task("a"))
    bench.tick(1.1)
    bench.hear(stub, Stack(1, "in time.sleep"))
    stub.dead = True
    bench.tick(1.7)
    (completion,) = bench.state.ledger.take(1)
    assert b"in time.sleep" in completion.body


def test_without_an_answered_heartbeat_attempts_are_asked_to_stop_and_then_killed(make: Any):
    bench = make(lease_ms=10_000, children=2)
    busy, idle = Stub.born
    bench.ready(busy, idle)
    bench.place(task("a", timeout_ms=60_000))
    bench.tick(12.0)
    assert busy.stops() == []
    bench.tick(12.6)
    bench.tick(12.7)
    assert busy.stops() == [([1], "lost")]
    assert not busy.was_killed
    bench.tick(15.1)
    assert busy.was_killed
    assert not idle.was_killed
    busy.dead = True
    bench.tick(15.2)
    assert bench.ended() == ["a lost"]


def test_an_answer_in_time_calls_it_off(make: Any):
    bench = make(lease_ms=10_000)
    (stub,) = Stub.born
    bench.ready(stub)
    bench.place(task("a", timeout_ms=60_000))
    bench.tick(12.6)
    bench.state.leased_at_s = 12.0
    bench.tick(15.1)
    assert not stub.was_killed


def test_a_process_that_was_taken_for_dead_kills_all_and_reports_nothing(make: Any):
    bench = make()
    (stub,) = Stub.born
    bench.ready(stub)
    bench.place(task("a"), task("b"), task("c"))
    with bench.state.lock:
        bench.children.disown()
    assert stub.was_killed
    stub.dead = True
    bench.tick(0.1)
    assert bench.ended() == []
    assert len(Stub.born) == 2


def test_closing_kills_what_runs_and_lets_the_rest_end(make: Any):
    bench = make(children=2)
    busy, idle = Stub.born
    bench.ready(busy, idle)
    bench.place(task("a"))
    bench.state.is_closing = True
    bench.tick(1.0)
    assert (busy.was_killed, idle.was_killed, idle.closed_at_s) == (True, False, 1.0)
    busy.dead = idle.dead = True
    bench.tick(1.1)
    assert bench.ended() == ["a lost"]
    assert bench.children.pids() == ()


def test_what_is_claimed_while_it_closes_never_began(make: Any):
    bench = make()
    bench.ready(*Stub.born)
    bench.state.is_closing = True
    bench.place(task("a"))
    assert bench.ended() == ["a no_effect"]


def test_a_child_that_cannot_import_ends_the_start(make: Any):
    bench = make()
    bench.hear(Stub.born[0], Broken("no module", True))
    assert isinstance(bench.state.start_error, ConfigError)
    Stub.born[0].dead = True
    bench.tick(100.0)
    assert len(Stub.born) == 1


def test_a_successor_that_cannot_import_is_tried_again_after_a_pause(make: Any):
    bench = make()
    bench.ready(Stub.born[0])
    Stub.born[0].dead = True
    bench.tick(1.0)
    for at_s, born in ((1.05, 2), (1.1, 2), (1.3, 3)):
        children_module.uptime_s = lambda: 1.0  # type: ignore[assignment]
        bench.hear(Stub.born[-1], Broken("syntax error", False))
        Stub.born[-1].dead = True
        bench.tick(at_s)
        assert len(Stub.born) == born
    assert bench.state.start_error is None


def test_a_successor_that_imports_for_ever_is_killed(make: Any):
    bench = make(start_timeout_s=5.0)
    bench.ready(Stub.born[0])
    Stub.born[0].dead = True
    bench.tick(1.0)
    bench.tick(5.9)
    assert not Stub.born[1].was_killed
    bench.tick(6.1)
    assert Stub.born[1].was_killed


def test_no_room_for_another_process_is_waited_out(make: Any, monkeypatch: pytest.MonkeyPatch):
    bench = make()
    Stub.born[0].dead = True
    bench.ready(Stub.born[0])

    def full(*_: Any, **__: Any) -> None:
        raise BlockingIOError("no process ids")

    monkeypatch.setattr(children_module, "ChildProcess", full)
    bench.tick(1.0)
    monkeypatch.setattr(children_module, "ChildProcess", Stub)
    bench.tick(1.5)
    assert len(Stub.born) == 1
    bench.tick(2.1)
    assert len(Stub.born) == 2


def test_modules_that_changed_meanwhile_are_told(make: Any, caplog: pytest.LogCaptureFixture):
    bench = make(children=2)
    bench.hear(Stub.born[0], Ready({"w": b"1"}))
    bench.hear(Stub.born[1], Ready({"w": b"2"}))
    assert "restart it" in caplog.text
    assert bench.state.contracts == {"w": b"1"}


# -- attempts whose child died before -------------------------------------------------------------------------
def cells() -> list[Stub]:
    return [stub for stub in Stub.born if stub.is_cell]


def test_an_attempt_whose_child_died_before_has_a_child_of_its_own(make: Any):
    bench = make(slots=8)
    (first,) = Stub.born
    bench.ready(first)
    bench.place(task("a"), task("suspect", alone=True), task("b"))
    assert begun(first) == 2
    bench.tick(0.1)
    (cell,) = cells()
    bench.ready(cell)
    assert begun(cell) == 1
    bench.place(task("c"))
    assert (begun(first), begun(cell)) == (3, 1)
    cell.dead = True
    bench.tick(0.2)
    assert bench.ended() == ["suspect lost"]
    assert {held.task.path for held in bench.state.ledger.held.values()} == {"a", "b", "c"}


def test_only_so_many_have_one_at_a_time_and_the_next_begins_when_one_ends(make: Any):
    bench = make(slots=8)
    bench.ready(*Stub.born)
    bench.place(*(task(f"s{number}", alone=True) for number in range(MAX_CELLS + 2)))
    assert bench.free() == 8 - MAX_CELLS - 2, "what waits for a child is held"
    for _ in range(3):
        bench.tick(0.1)
    assert len(cells()) == MAX_CELLS
    bench.ready(*cells())
    assert [begun(cell) for cell in cells()] == [1] * MAX_CELLS
    first = next(iter(bench.state.ledger.held.values()))
    bench.hear(bench.children._living[first.child], Done([(first.number, b'{"outcome":"completed"}', b"")]))
    assert sum(begun(cell) for cell in cells()) == MAX_CELLS + 1


def test_a_child_of_its_own_ends_when_nobody_needs_one_any_more(make: Any):
    bench = make()
    bench.ready(*Stub.born)
    bench.place(task("suspect", alone=True))
    bench.tick(0.1)
    (cell,) = cells()
    bench.tick(0.15)
    assert not cell.closed_at_s, "it is still starting"
    bench.ready(cell)
    (number,) = bench.state.ledger.held
    bench.hear(cell, Done([(number, b'{"outcome":"completed"}', b"")]))
    bench.tick(0.2)
    assert cell.closed_at_s
    cell.dead = True
    bench.tick(0.3)
    assert [stub.is_cell for stub in Stub.born] == [False, True], "and no other one comes"
    assert bench.free() == 2


def test_what_waits_for_a_child_of_its_own_when_the_process_closes_never_began(make: Any):
    bench = make()
    bench.ready(*Stub.born)
    bench.place(task("suspect", alone=True))
    bench.state.is_closing = True
    bench.tick(0.1)
    assert bench.ended() == ["suspect no_effect"]


def test_it_is_told_how_a_child_ended_unless_it_was_asked_to(make: Any):
    bench = make()
    first = Stub.born[0]
    bench.ready(first)
    bench.place(task("a", timeout_ms=10_000))
    first.dead = True
    bench.tick(0.1)
    second = Stub.born[1]
    bench.ready(second)
    bench.place(task("b", timeout_ms=10_000))
    second.kill()
    second.dead = True
    bench.tick(0.2)
    bodies = [completion.body for completion in bench.state.ledger.take(10)]
    assert msgspec.json.decode(bodies[0], type=Outcome).error == ErrorRecord(
        "worker_lost", message="its process exited with status 1", details={"exit": "exited with status 1"}
    )
    assert bodies[1] == b""
