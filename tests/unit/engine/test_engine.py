"""The batch loop over the memory store: what is taken is finished, by this engine or by another."""

from __future__ import annotations

import threading
import time
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import runner.engine.engine
import runner.interpreter.advance
from runner.catalogue import Catalogue
from runner.clock import VirtualClock
from runner.definition.load import load_text
from runner.definition.model import Definition
from runner.engine.engine import CACHED_S, LEASE_MS, PARK_MS, QUEUES_S, Engine
from runner.engine.intake import interpret
from runner.errors import BusinessError, StoreUnavailable
from runner.interpreter import event as ev
from runner.interpreter.record import decode_events, run_of
from runner.store.memory.store import MemoryStore
from runner.store.ports import Commit, CommitAnswer, Completion, InboxEntry, NewRun, ProcessInfo, Request, StoredRun
from runner.wire import Outcome
from runner.worker.inprocess import InProcessWorker
from runner.worker.registry import Registry
from tests.servers import PATIENCE_S

TEXT = """
workflow: two
version: 1.0.0
defaults: {retry: {max_attempts: 2, initial: 1s, jitter: none}}
steps:
  - {id: a, worker: t.do, with: {name: a}, compensate: {worker: t.undo, with: {name: a}}}
  - {id: b, worker: t.do, with: {name: "{{ input.second }}"}, compensate: {worker: t.undo, with: {name: b}}}
"""


class Bench:
    """A store, engines and a worker on one virtual clock."""

    def __init__(self, store: MemoryStore | None = None, definition: Definition | None = None) -> None:
        self.clock = VirtualClock()
        self.store = store or MemoryStore(clock=self.clock)
        self.calls: list[str] = []
        self.registry = Registry()
        self.registry.worker("t.do")(self._do)
        self.registry.worker("t.undo")(self._undo)
        self.worker = InProcessWorker(self.store, self.registry, clock=self.clock)
        self.engine = self.new_engine("e1")
        self.definition = definition or load_text(TEXT, file="two.yaml", root=Path())
        Catalogue(self.store).put(self.definition)

    def new_engine(self, name: str) -> Engine:
        self.store.register(ProcessInfo(name, "engine", "test", 1))
        return Engine(self.store, process_id=name)

    def _do(self, name: str) -> str:
        self.calls.append(f"do {name}")
        if name == "bad":
            raise BusinessError("bad", "no")
        return name

    def _undo(self, name: str) -> None:
        self.calls.append(f"undo {name}")

    def start(self, run_id: str, second: str = "b", digest: str = "") -> None:
        started = ev.RunStarted(0, run_id, "two", "1.0.0", digest or self.definition.digest, {"second": second})
        self.store.start([NewRun(run_id, run_id, "d", b"{}", msgspec.json.encode(started))])

    def settle(self, *engines: Engine) -> None:
        """Until nothing moves at this moment."""
        while sum(engine.step() for engine in engines or (self.engine,)) + self.worker.step():
            pass

    def wait(self, delay_ms: int) -> None:
        """Time passes, in steps short enough for it not to look like an outage."""
        until = self.clock.now_ms + delay_ms
        while self.clock.now_ms < until:
            self.clock.advance(min(500, until - self.clock.now_ms))
            self.store.tick()

    def stored(self, run_id: str) -> StoredRun:
        stored = self.store.load_runs([run_id])[0]
        assert stored is not None
        return stored

    def events(self, run_id: str) -> list[ev.AnyEvent]:
        return decode_events(self.store.history(run_id), {})

    def status(self, run_id: str) -> str:
        return self.stored(run_id).status


def test_many_runs_go_through_in_batches() -> None:
    bench = Bench()
    for number in range(250):
        bench.start(f"r{number}")
    bench.settle()
    assert {bench.status(f"r{number}") for number in range(250)} == {"completed"}
    assert len(bench.calls) == 500


def test_a_failed_run_is_undone_and_its_neighbours_are_not() -> None:
    bench = Bench()
    bench.start("good")
    bench.start("bad", second="bad")
    bench.settle()
    assert (bench.status("good"), bench.status("bad")) == ("completed", "compensated")
    assert bench.calls.count("undo a") == 1


def test_two_engines_share_the_work_of_one_run() -> None:
    bench = Bench()
    other = bench.new_engine("e2")
    bench.start("r")
    while bench.status("r") != "completed":
        assert bench.engine.step() + bench.worker.step() + other.step() + bench.worker.step()
    assert bench.calls == ["do a", "do b"]


def test_what_a_killed_engine_had_taken_is_handed_out_again() -> None:
    bench = Bench()
    bench.start("r")
    assert bench.store.take_runs("e1", "n1", limit=10, lease_ms=LEASE_MS)  # and here it dies
    other = bench.new_engine("e2")
    assert other.step() == 0
    bench.wait(LEASE_MS + 1_000)
    bench.settle(other)
    assert bench.status("r") == "completed"


def test_the_second_of_two_engines_that_decided_the_same_changes_nothing() -> None:
    bench = Bench()
    slow = bench.new_engine("e2")
    bench.start("r")
    taken = bench.store.take_runs("e2", "n1", limit=10, lease_ms=LEASE_MS)
    bench.wait(LEASE_MS + 1_000)
    bench.engine.step()
    history = bench.store.history("r")
    slow._commit(*_decided(slow, taken))
    assert bench.store.history("r") == history
    bench.settle()
    assert bench.calls == ["do a", "do b"]


THREE = """
workflow: two
version: 1.0.0
steps:
  - id: all
    parallel:
      branches:
        a: [{id: a, worker: t.do, with: {name: a}, kind: readonly}]
        b: [{id: b, worker: t.do, with: {name: b}, kind: readonly}]
        c: [{id: c, worker: t.do, with: {name: c}, kind: readonly}]
"""


def test_what_an_engine_decided_before_it_was_stopped_for_longer_than_its_lease_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a run that goes on without an entry, so that nothing but its etag tells that another engine did so."""
    monkeypatch.setattr(runner.interpreter.advance, "MAX_DISPATCHES", 1)
    bench = Bench(definition=load_text(THREE, file="two.yaml", root=Path()))
    stopped = bench.new_engine("e2")
    bench.start("r")
    bench.engine.step()
    decided: list[Any] = []
    monkeypatch.setattr(stopped, "_commit", lambda *commits: decided.append(commits))
    assert stopped.step() == 1
    bench.wait(LEASE_MS + 1_000)
    assert bench.engine.step() == 1
    assert bench.worker.step() == 2
    Engine._commit(stopped, *decided[0])
    bench.settle()
    assert (bench.status("r"), sorted(bench.calls)) == ("completed", ["do a", "do b", "do c"])


def _decided(engine: Engine, taken: Sequence[Any]) -> tuple[list[Commit], dict[str, Any]]:
    from runner.engine.intake import commit_of, interpret

    (run,) = taken
    made = interpret(engine._catalogue.plan, None, run.entries)
    return [commit_of(run.run_id, run.etag, "late", run.entries, made, str)], {run.run_id: made}


def test_a_run_that_breaks_is_set_aside_alone_and_in_the_end_left_to_a_person() -> None:
    bench = Bench()
    bench.start("broken", digest="no such definition")
    bench.start("good")
    bench.settle()
    assert bench.status("good") == "completed"
    for delay_ms in PARK_MS:
        assert b"RecordTampered" in bench.stored("broken").broken
        bench.wait(delay_ms + 1_000)
        bench.settle()
    assert bench.stored("broken").parked == len(PARK_MS) + 1
    bench.wait(120_000)
    assert bench.engine.step() == 0


def test_a_broken_run_is_tried_again_when_a_person_asks() -> None:
    bench = Bench()
    missing = "0" * 64
    bench.start("r", digest=missing)
    for delay_ms in (*PARK_MS, 1_000):
        bench.settle()
        bench.wait(delay_ms + 1_000)
    bench.store.put_definition(missing, msgspec.json.encode(bench.definition.document))
    bench.store.post([Request("r", "n", msgspec.json.encode(ev.ResumeRequested(0, "n")))])
    bench.settle()
    assert bench.status("r") == "completed"


def went_astray(bench: Bench) -> None:
    """A run that the store went on with as no engine would have: one step, and another behind it."""
    bench.start("r")
    bench.engine.step()
    run = bench.store._tables.runs["r"]
    run.successors = {
        after: (position, msgspec.structs.replace(one, path="astray"))
        for after, (position, one) in run.successors.items()
    }
    bench.settle()
    assert bench.calls == ["do a", "do b"]
    assert b"went on to 'astray'" in bench.stored("r").broken


def test_a_run_that_cannot_be_interpreted_can_be_abandoned_and_says_what_was_not_read() -> None:
    bench = Bench()
    went_astray(bench)
    for delay_ms in PARK_MS:
        bench.wait(delay_ms + 1_000)
        bench.settle()
    body = msgspec.json.encode(ev.AbandonRequested(0, "n", by="Ann", reason="by hand"))
    bench.store.post([Request("r", "n", body)])
    bench.settle()
    stored = bench.stored("r")
    assert (stored.status, stored.terminal) == ("abandoned", True)
    assert not [path for path, task in stored.tasks.items() if task.state != "D"]
    (asked,) = [event for event in bench.events("r") if isinstance(event, ev.RequestAccepted)]
    assert (asked.by, asked.reason) == ("Ann", "by hand (2 entries of the inbox were not read: ValueError)")
    (finished,) = [event for event in bench.events("r") if isinstance(event, ev.RunFinished)]
    assert [(each.step, each.reason) for each in finished.standing] == [("a", "was still running")]


def test_what_came_in_before_an_entry_that_breaks_counts_when_the_run_is_abandoned() -> None:
    bench = Bench()
    bench.start("r")
    bench.engine.step()
    bench.worker.step()
    run = bench.store._tables.runs["r"]
    run.inbox.append(msgspec.structs.replace(run.inbox[0], kind="request", path="", body=b"no request", output=b""))
    bench.store.post([Request("r", "n", msgspec.json.encode(ev.AbandonRequested(0, "n")))])
    bench.settle()
    assert bench.status("r") == "abandoned"
    (finished,) = [event for event in bench.events("r") if isinstance(event, ev.RunFinished)]
    assert [each.step for each in finished.standing] == ["a", "b"], "that a completed, and b was begun, is known"


def test_only_an_abandon_ends_a_run_that_cannot_be_interpreted() -> None:
    bench = Bench()
    went_astray(bench)
    bench.store.post([Request("r", "n", msgspec.json.encode(ev.CancelRequested(0, "n")))])
    bench.settle()
    assert not bench.stored("r").terminal


class AwayStore(MemoryStore):
    """Cannot be reached when the engine asks for what it needs to interpret a run."""

    is_away = False

    def get_definition(self, digest: str) -> bytes | None:
        if self.is_away:
            raise StoreUnavailable("connection lost")
        return super().get_definition(digest)


def test_an_outage_is_not_held_against_the_run() -> None:
    """Set aside, it would wait for a person after a few of them."""
    clock = VirtualClock()
    store = AwayStore(clock=clock)
    bench = Bench(store)
    bench.clock = clock
    bench.start("r")
    store.is_away = True
    with pytest.raises(StoreUnavailable):
        bench.settle()
    stored = store.load_runs(["r"])[0]
    assert stored is not None
    assert not stored.parked


def test_a_retry_waits_for_its_time() -> None:
    bench = Bench()
    bench.start("r", second="b")
    attempts: list[int] = []

    def flaky(name: str) -> None:
        attempts.append(bench.clock.now_ms)
        if len(attempts) == 1:
            raise OSError("reset")

    bench.registry._workers.clear()
    bench.registry.worker("t.do")(flaky)
    bench.registry.worker("t.undo")(bench._undo)
    bench.settle()
    assert len(attempts) == 1
    bench.wait(1_000)
    bench.settle()
    assert bench.status("r") == "completed"
    assert attempts[1] - attempts[0] >= 1_000


class ForgetfulStore(MemoryStore):
    """Executes a commit and loses the reply."""

    lose_next = False

    def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        answers = super().commit(commits)
        if self.lose_next:
            self.lose_next = False
            raise StoreUnavailable("connection lost")
        return answers


def test_a_commit_whose_reply_was_lost_is_neither_lost_nor_done_twice() -> None:
    clock = VirtualClock()
    store = ForgetfulStore(clock=clock)
    bench = Bench(store)
    bench.clock = clock
    bench.start("r")
    bench.settle()
    bench.start("s")
    store.lose_next = True
    with pytest.raises(StoreUnavailable):
        bench.engine.step()
    bench.settle()
    assert bench.status("s") == "completed"
    assert bench.calls == ["do a", "do b"] * 2


def test_a_request_that_arrives_with_a_start_is_answered_in_the_same_batch() -> None:
    """The task that the start dispatches has not left yet, so it is taken back without a round trip."""
    bench = Bench()
    bench.start("r")
    bench.store.post([Request("r", "n", msgspec.json.encode(ev.CancelRequested(0, "n")))])
    bench.settle()
    assert bench.status("r") == "cancelled"
    assert bench.calls == []


def test_a_run_is_loaded_whole_after_the_engine_was_replaced() -> None:
    bench = Bench()
    bench.start("r")
    bench.engine.step()
    bench.worker.step()
    fresh = bench.new_engine("e2")
    bench.settle(fresh)
    assert bench.status("r") == "completed"
    stored = bench.stored("r")
    run = run_of(stored.state, stored.fields)
    assert run.nodes["a"].status == run.nodes["b"].status == "completed"


def test_an_outcome_that_nobody_can_read_is_unknown() -> None:
    bench = Bench()
    bench.start("r")
    bench.engine.step()
    answer = bench.store.exchange(bench.worker.process_id, "x1", queues=["t.do"], capacity=1)
    (task,) = answer.claimed
    bench.store.exchange(
        bench.worker.process_id, "x2", completions=[Completion(task.run_id, task.path, task.token, b"\xff{")]
    )
    bench.engine.step()
    stored = bench.stored("r")
    node = run_of(stored.state, stored.fields).nodes["a"]
    assert node.unknown
    assert node.error is not None
    assert node.error.code == "invalid_output"


@pytest.mark.parametrize("output", [b"nul", b'"\xff"', b"1e999", b"[" * 3_000])
def test_an_output_that_nobody_can_read_is_unknown_also_to_whoever_loads_the_run(output: bytes) -> None:
    bench = Bench()
    bench.start("r")
    bench.engine.step()
    completions: list[Completion] = []
    for nonce, given in (("x1", b"1"), ("x2", output)):
        found = bench.store.exchange(
            bench.worker.process_id, nonce, queues=["t.do"], capacity=1, completions=completions
        ).claimed
        completed = msgspec.json.encode(Outcome("completed"))
        completions = [Completion(task.run_id, task.path, task.token, completed, output=given) for task in found]
    bench.store.exchange(bench.worker.process_id, "x3", completions=completions)
    bench.engine.step()
    stored = bench.stored("r")
    error = run_of(stored.state, stored.fields).nodes["b"].error
    assert error is not None
    assert error.code == "invalid_output"


class RefusingStore(MemoryStore):
    """Finds one run's record tampered with."""

    def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        sound = [commit for commit in commits if commit.run_id != "bad"]
        answers = iter(super().commit(sound))
        return ["tampered" if commit.run_id == "bad" else next(answers) for commit in commits]


def test_a_run_whose_record_was_tampered_with_is_set_aside_and_the_batch_goes_on() -> None:
    clock = VirtualClock()
    bench = Bench(RefusingStore(clock=clock))
    bench.clock = clock
    bench.start("bad")
    bench.start("good")
    bench.settle()
    assert bench.status("good") == "completed"
    assert bench.stored("bad").parked == 1
    assert b"tampered" in bench.stored("bad").broken


def test_two_threads_in_one_engine_do_each_step_once() -> None:
    bench = Bench()
    for number in range(120):
        bench.start(f"r{number}")
    stop = threading.Event()
    loops = [threading.Thread(target=bench.engine.run, args=(stop,)) for _ in range(2)]
    for loop in loops:
        loop.start()
    try:
        deadline = time.monotonic() + PATIENCE_S
        while bench.store.count_live() and time.monotonic() < deadline:
            if not bench.worker.step():
                bench.store.wait_for_tasks(bench.worker.queues, 0.05)
    finally:
        stop.set()
        for loop in loops:
            loop.join(PATIENCE_S)
    assert bench.store.count_live() == 0
    assert sorted(bench.calls) == sorted(["do a", "do b"] * 120)


def test_of_an_idle_engine_one_thread_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, an idle engine asks the server no more often than one would."""
    bench = Bench()
    stop, first, listening = threading.Event(), threading.Event(), []

    def listen(_timeout_s: float) -> bool:
        listening.append(threading.current_thread())
        first.set()
        return stop.wait(PATIENCE_S)

    monkeypatch.setattr(bench.store, "wait_for_runs", listen)
    stepped = threading.Barrier(4)
    step = bench.engine.step
    monkeypatch.setattr(bench.engine, "step", lambda loop: step(loop) + (stepped.wait(PATIENCE_S) and 0))
    loops = [threading.Thread(target=bench.engine.run, args=(stop,)) for _ in range(3)]
    for loop in loops:
        loop.start()
    stepped.wait(PATIENCE_S)  # each found nothing to do
    assert first.wait(PATIENCE_S)
    stop.set()
    for loop in loops:
        loop.join(PATIENCE_S)
    assert len(listening) == 1


def test_what_all_loops_of_a_killed_engine_had_taken_is_handed_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner.engine.engine, "BATCH", 1)
    bench = Bench()
    for number in range(4):
        bench.start(f"r{number}")
    stop, decided = threading.Event(), threading.Barrier(5)

    def never_commit(*_: object) -> None:
        decided.wait(PATIENCE_S)
        stop.wait(PATIENCE_S)

    monkeypatch.setattr(bench.engine, "_commit", never_commit)
    loops = [threading.Thread(target=bench.engine.run, args=(stop, number)) for number in range(4)]
    for loop in loops:
        loop.start()
    decided.wait(PATIENCE_S)
    handed_out = bench.store.reap("e1")
    stop.set()
    for loop in loops:
        loop.join(PATIENCE_S)
    assert handed_out == 4
    bench.settle(bench.new_engine("e2"))
    assert {bench.status(f"r{number}") for number in range(4)} == {"completed"}


def test_times_of_events_never_go_back():
    """A signal that came while its run waited for a slot is older than the run's start, and came at that start."""
    bench = Bench()
    started = ev.RunStarted(0, "r1", "two", "1.0.0", bench.definition.digest, {"second": "b"})
    cancel = ev.CancelRequested(at_ms=0, nonce="n")
    entries = [
        InboxEntry("started", 5_000, body=msgspec.json.encode(started)),
        InboxEntry("request", 1_000, body=msgspec.json.encode(cancel)),
    ]
    made = interpret(Catalogue(bench.store).plan, None, entries)
    assert {event.at_ms for transition in made for event in transition.events} == {5_000}


class SlowToTell(MemoryStore):
    """Where the workers' queues are read slowly, so that another loop of the engine dispatches meanwhile."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()

    def get_workers(self) -> Mapping[str, bytes]:
        self.is_asked.set()
        self.may_answer.wait(PATIENCE_S)
        return super().get_workers()


def test_no_loop_of_an_engine_sends_a_task_astray_while_another_one_reads_the_queues():
    store = SlowToTell(VirtualClock())
    store.put_workers({"t.do": msgspec.json.encode({"queue": "shared"})})
    engine = Engine(store, process_id="e1")
    found: list[str] = []
    loops = [threading.Thread(target=lambda: found.append(engine._queue_of("t.do"))) for _ in range(2)]
    loops[0].start()
    assert store.is_asked.wait(PATIENCE_S)
    loops[1].start()
    loops[1].join(0.05)  # unless it waits, it has answered by then
    store.may_answer.set()
    for loop in loops:
        loop.join(PATIENCE_S)
    assert found == ["shared", "shared"]


def test_an_engine_learns_that_a_worker_has_moved_to_another_queue(monkeypatch: pytest.MonkeyPatch):
    store = MemoryStore(clock=VirtualClock())
    engine = Engine(store, process_id="e1")
    store.put_workers({"t.do": msgspec.json.encode({"queue": "old"})})
    assert engine._queue_of("t.do") == "old"
    store.put_workers({"t.do": msgspec.json.encode({"queue": "new"})})
    later = time.monotonic() + QUEUES_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert engine._queue_of("t.do") == "new"


def test_an_engine_does_not_keep_the_runs_that_another_one_ended(monkeypatch: pytest.MonkeyPatch):
    """It is not told of their end; without a limit in time it would keep the last thousands of them for ever."""
    now = types.SimpleNamespace(monotonic=lambda: now.s, s=1_000.0)
    monkeypatch.setattr(runner.engine.engine, "time", now)
    bench = Bench()
    other = bench.new_engine("e2")
    for number in range(20):
        bench.start(f"r{number}")
    bench.engine.step()
    bench.settle(other)
    assert len(bench.engine._cache) == 20
    now.s += CACHED_S + 1
    bench.start("next")
    bench.engine.step()
    assert list(bench.engine._cache) == ["next"]
    bench.settle()
    assert bench.status("next") == "completed"
    assert not bench.engine._cache
