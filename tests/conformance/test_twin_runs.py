"""One run, twice: random definitions with the same answers at the same times, in memory and on a server.

Engine and store are the real ones, single-threaded and on a clock of the test's; workers are played by the test, which
claims tasks and hands in what became of them. What the two histories say has to agree event for event.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from runner.catalogue import Catalogue
from runner.clock import VirtualClock
from runner.definition.load import examine_text
from runner.definition.model import Definition
from runner.definition.parse import parse_document
from runner.engine.engine import Engine
from runner.interpreter import event as ev
from runner.interpreter.plan import Plan
from runner.interpreter.record import decode_events, run_of
from runner.lint.linter import lint_draft
from runner.store.memory.store import MemoryStore
from runner.store.ports import ClaimedTask, Completion, NewRun, ProcessInfo, Request, Store, StoredRun
from runner.store.redis_store import RedisStore
from runner.wire import ErrorRecord, Outcome, TaskMessage
from tests.definitions import SEEDS, examples, plans
from tests.documents import document_of, family_of
from tests.families import Drawn

LEASE_MS = 10_000
RUN = "run1"
OVER = ("completed", "compensated", "cancelled", "abandoned")


@given(plans(wide=True))
@settings(max_examples=examples(60))
def test_a_random_definition_is_one_that_the_checker_accepts(plan: Plan) -> None:
    text = json.dumps(document_of(plan.definition))
    draft = examine_text(text, file="definitions/random.yaml", root=Path("/nowhere"))
    errors = [str(problem) for problem in lint_draft(draft, None) if problem.severity == "error"]
    assert not errors, "\n".join(errors)
    assert parse_document(document_of(plan.definition)).steps == draft.definition.steps  # type: ignore[union-attr]


Ref = tuple[str, str]  # run id, path


@dataclass
class Twin:
    """One of the two: a store, an engine, a worker process, and people. Every choice comes from `random`."""

    store: Store
    clock: VirtualClock
    random: Random
    held: dict[Ref, ClaimedTask] = field(default_factory=dict)
    old: list[ClaimedTask] = field(default_factory=list)  # attempts that are over
    turn: int = 0

    def __post_init__(self) -> None:
        self.store.register(ProcessInfo("engine", "engine", "host", 1), lease_ms=LEASE_MS)
        self.store.register(ProcessInfo("worker", "worker", "host", 1), lease_ms=LEASE_MS)
        self.engine = Engine(self.store, process_id="engine")

    def run(self, definition: Definition) -> dict[str, tuple[list[ev.AnyEvent], StoredRun]]:
        """Every run of the family, by its id: its history, and how it is stored in the end."""
        self.queues = sorted({name for each in (definition, *definition.children.values()) for name in _workers(each)})
        Catalogue(self.store).put(definition)
        started = ev.RunStarted(0, RUN, definition.workflow, definition.version, definition.digest, {"n": 1})
        self.store.start([NewRun(RUN, "start", "digest", b"{}", msgspec.json.encode(started))])
        for _ in range(3_000):
            self.settle()
            if all(run.terminal for run in self.family()) or not self.happen():
                break
        else:
            raise AssertionError("the runs do not end")
        return {stored.run_id: (self.history(stored), stored) for stored in self.family()}

    def history(self, stored: StoredRun) -> list[ev.AnyEvent]:
        payloads = run_of(stored.state, stored.fields).payloads if stored.state else {}
        return decode_events(self.store.history(stored.run_id), payloads)

    def family(self) -> list[StoredRun]:
        """The first run, and those that it started, in an order that both stores know."""
        ids = sorted(row.run_id for row in self.store.list_runs(limit=200))
        found = [stored for stored in self.store.load_runs(ids) if stored is not None]
        assert not any(run.parked for run in found), [run.broken.decode() for run in found if run.parked]
        return found

    def settle(self) -> None:
        if self.random.random() < 0.1:
            self.engine = Engine(self.store, process_id="engine")  # it knows nothing of the run
        while self.engine.step():
            self.store.tick()

    def nonce(self) -> str:
        self.turn += 1
        return f"n{self.turn}"

    # -- what happens next ----------------------------------------------------------------------------
    def happen(self) -> bool:
        """One thing; False: nothing is left that could."""
        chance = self.random.random()
        if chance < 0.03:
            return self.ask(self.somebody().run_id, ev.CancelRequested(0, nonce=self.nonce()))
        if chance < 0.10:
            return self.signal(self.random.choice([1, 2]))
        if chance < 0.13 and self.old:
            return self.hand_in(self.random.choice(self.old), is_late=True)
        if chance < 0.7:
            self.claim(self.random.choice([1, 2, 100]))
        if self.held and chance < 0.9:
            return self.hand_in(self.held[self.random.choice(sorted(self.held))])
        return self.pass_time() or self.claim(100) or self.help()

    def somebody(self) -> StoredRun:
        """One of the runs that are not over."""
        return self.random.choice([run for run in self.family() if not run.terminal])

    def claim(self, capacity: int) -> bool:
        answer = self.store.exchange("worker", self.nonce(), queues=self.queues, capacity=capacity, lease_ms=LEASE_MS)
        assert answer.alive
        self.held |= {(task.run_id, task.path): task for task in answer.claimed}
        return bool(answer.claimed)

    def hand_in(self, task: ClaimedTask, *, is_late: bool = False) -> bool:
        outcome = self.outcome(msgspec.json.decode(task.message, type=TaskMessage))
        body, is_lost = (b"", True) if outcome is None else (msgspec.json.encode(outcome), False)
        done = Completion(task.run_id, task.path, task.token, body, is_lost)
        said = self.store.exchange("worker", self.nonce(), completions=[done], lease_ms=LEASE_MS).completions
        if not is_late:
            assert said == ("recorded",), said
            self.old.append(self.held.pop((task.run_id, task.path)))
        return True

    def outcome(self, message: TaskMessage) -> Outcome | None:
        """None: its process is lost."""
        done, now_ms = Outcome("completed", _raw({"did": message.step})), self.clock.now_ms
        if message.phase == "verify":
            done = self.random.choice([
                Outcome("completed", _raw("found"), verdict="landed"), Outcome("completed", verdict="not_landed"),
                Outcome("completed", verdict="not_landed", fenced=message.fencing),
                Outcome("completed", verdict="pending", after_ms=self.random.choice([0, 700])),
            ])
        chosen = self.random.random()
        if chosen < 0.6:
            return done
        if chosen < 0.7:
            code = self.random.choice(["declined", "out"])
            return Outcome("failed", error=ErrorRecord(code, "business", f"at {now_ms}", {"at": now_ms}))
        if chosen < 0.8:
            return Outcome("failed", error=ErrorRecord("no_effect"), after_ms=self.random.choice([0, 0, 5_000]))
        if chosen < 0.95:
            code = self.random.choice(["timeout", "exception", "cancelled"])
            return Outcome("unknown", error=ErrorRecord(code, message="no answer"))
        return None

    def ask(self, run_id: str, request: ev.Request) -> bool:
        self.store.post([Request(run_id, request.nonce, msgspec.json.encode(request))])
        return True

    def signal(self, data: Any) -> bool:
        signal_id = f"s{self.random.randrange(5)}"  # sometimes one that came before
        nonce = f"signal:{signal_id}"
        signal = ev.SignalSent(0, nonce=nonce, name="go", signal_id=signal_id, data=data)
        return self.ask(self.somebody().run_id, signal)

    def pass_time(self) -> bool:
        """As far as the next timer. Whoever is alive says so after each step, before anybody could think otherwise."""
        for _ in range(2_000):
            self.clock.advance(self.random.choice([7, 2_000, 600_000]))
            held = [(task.run_id, task.path, task.token) for task in self.held.values()]
            self.store.beat("worker", held, lease_ms=LEASE_MS)
            self.store.beat("engine", [], lease_ms=LEASE_MS)
            ticked = self.store.tick()
            if ticked.timers or ticked.queue_timeouts:
                return True
            if not any(b'"timer"' in node for run in self.family() for node in run.fields.values()):
                return False
        return True

    def help(self) -> bool:
        """Nothing happens by itself any more: somebody has to do something."""
        nonce = self.nonce()
        stuck = [run for run in self.family() if run.status == "stuck"]
        if not stuck:
            signal = ev.SignalSent(0, nonce=nonce, name="go", signal_id=nonce, data=1)
            return self.ask(self.somebody().run_id, signal)
        run = self.random.choice(stuck)
        paths = run_of(run.state, run.fields).header.stuck
        chosen = self.random.choice(["resume", "resolve", "resolve", "abandon"])
        if chosen == "resolve":
            as_ = self.random.choice(["completed", "failed", "compensated", "skipped"])
            step = self.random.choice(paths) or "output"
            return self.ask(run.run_id, ev.ResolveRequested(0, nonce=nonce, step=step, as_=as_, output={}))
        request = ev.ResumeRequested(0, nonce) if chosen == "resume" else ev.AbandonRequested(0, nonce)
        return self.ask(run.run_id, request)


def _workers(definition: Definition) -> set[str]:
    text = json.dumps(document_of(definition))
    return {part.split('"')[0] for part in text.split('"worker": "')[1:]}


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@contextmanager
def _redis(url: str, clock: VirtualClock) -> Iterator[RedisStore]:
    store = RedisStore.connect(url, namespace=f"twin-{secrets.token_hex(6)}", clock=clock)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture(scope="module")
def server(valkey_url: str) -> str:
    return valkey_url


def assert_both_agree(server: str, definition: Definition, seed: int) -> None:
    clocks = [VirtualClock(), VirtualClock()]
    in_memory = Twin(MemoryStore(clock=clocks[0]), clocks[0], Random(seed)).run(definition)
    with _redis(server, clocks[1]) as store:
        on_server = Twin(store, clocks[1], Random(seed)).run(definition)
    assert in_memory.keys() == on_server.keys()
    for run_id, (history, stored) in in_memory.items():
        other_history, other = on_server[run_id]
        for event, other_event in zip(history, other_history, strict=True):
            assert event == other_event
        assert stored.fields == other.fields
        assert stored.state == other.state
        assert stored.status in OVER


@given(plans(wide=True, timeout_ms=3_600_000), SEEDS)
@settings(max_examples=examples(40))
def test_a_run_on_a_server_and_one_in_memory_agree_event_for_event(server: str, plan: Plan, seed: int) -> None:
    assert_both_agree(server, parse_document(document_of(plan.definition)), seed)


@given(SEEDS)
@settings(max_examples=examples(25))
def test_a_family_of_runs_on_a_server_and_one_in_memory_agree_event_for_event(server: str, seed: int) -> None:
    assert_both_agree(server, family_of(Drawn(Random(seed)).plans, "root"), seed)
