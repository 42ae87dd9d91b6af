"""A stage of real things: a server, the engine, and a worker process with a child that runs scripted workers.

Only time is not real: the store goes by a clock that the player moves, on the worker's behalf leases are extended
when it does, and attempts that run out of their time do so in real time (so such timeouts must be short).
One store, engine and worker process serve all scenarios of a session, one after another.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from msgspec.structs import replace
from redis import Redis

import runner.store.scripts
from runner.client import Client, RunHandle
from runner.clock import VirtualClock
from runner.definition.model import Definition
from runner.engine.engine import Engine
from runner.errors import DuplicateRun, RunConflict, RunLimited
from runner.interpreter import event as ev
from runner.interpreter.record import decode_events, run_of
from runner.store.ports import Completion, ProcessInfo, Request, StoredRun
from runner.store.redis_store import RedisStore
from runner.wire import ErrorRecord, Outcome
from runner.worker.process import WorkerProcess
from tests.conformance.language import scripted
from tests.conformance.language.desk import Asking, Desk
from tests.conformance.language.scenario import Answer
from tests.conformance.language.stage import Call, View, label_of
from tests.conformance.store_world import Clock, StoreWorld, check_invariants
from tests.servers import PATIENCE_S

LEASE_MS = 60_000
MAX_REAL_MS = 2_000  # an attempt that runs out of its time does so in real time
ENGINE = "kit-engine"
_CHILD = re.compile(rb'"child":"(\w+)"')


@dataclass
class House:
    """What all scenarios share."""

    store: RedisStore
    redis: Redis
    clock: VirtualClock
    desk: Desk
    worker: WorkerProcess
    calling: threading.Lock

    def advance(self, ms: int) -> None:
        with self.calling:
            self.clock.advance(ms)

    def check(self) -> None:
        """After everything: the store keeps its invariants, and holds nothing of runs that are over."""
        check_invariants(StoreWorld(self.store, Clock(), self.redis).snapshot())


class _OneAtATime(RedisStore):
    """A call carries the time at which it was made. One of the worker's that came when time had moved on would look as
    if the clock had gone back, and that makes the store's own time run ahead, by as much and for good."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.calling, call = threading.Lock(), self._scripts._call

        def alone(*args: Any, **options: Any) -> Any:
            with self.calling:
                return call(*args, **options)

        self._scripts._call = alone  # type: ignore[method-assign]


@contextmanager
def house(url: str) -> Iterator[House]:
    clock = VirtualClock()
    # The player's leaps in time are no outages, so there is no grace after them.
    store = _OneAtATime.connect(url, namespace=f"kit-{secrets.token_hex(6)}", clock=clock, lease_ms=1 << 40)
    with tempfile.TemporaryDirectory(prefix="kit-") as folder, patch.object(runner.store.scripts, "LOOK_MS", 0):
        desk = Desk(Path(folder) / "desk")
        os.environ[scripted.DESK], os.environ[scripted.VAULT] = str(desk.path), url
        try:
            worker = WorkerProcess(
                store, [scripted.__name__], beat_s=0.05, lease_ms=LEASE_MS, stop_grace_s=0.3, slots=128
            )
            with worker:
                store.put_workers({"absent.worker": msgspec.json.encode({"queue": scripted.QUEUE})})
                store.register(ProcessInfo(ENGINE, "engine", "kit", 0))
                yield House(store, Redis.from_url(url), clock, desk, worker, store.calling)
        finally:
            del os.environ[scripted.DESK], os.environ[scripted.VAULT]
            desk.close()
            store.close()


@dataclass
class ServerStage:
    house: House
    folder: Path
    run_ids: dict[str, str] = field(default_factory=dict)  # run id -> prefix
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)  # of the tasks that are out
    attempts: dict[str, Completion] = field(default_factory=dict)  # the last one by label: its run, path and token
    known: dict[Asking, Call] = field(default_factory=dict)
    vaulted: set[str] = field(default_factory=set)  # calls of workers behind the barrier

    def __post_init__(self) -> None:
        self._store = self.house.store
        self._engine = self._new_engine()
        self.asked_before = len(self.house.desk.asked)

    def _new_engine(self) -> Engine:
        return Engine(self._store, process_id=ENGINE)

    @property
    def now_ms(self) -> int:
        return self.house.clock.now_ms

    def start(self, definition: Definition, value: Any) -> None:
        assert self.start_more("", definition, value, None) == "created"

    def start_more(self, name: str, definition: Definition, value: Any, key: str | None) -> str:
        client = Client(store=self._store, root=self.folder)
        try:
            return self._name(client.start(definition, value, key), name)
        except RunConflict:
            return "conflict"
        except DuplicateRun:
            return "duplicate"
        except RunLimited:
            return "limited"

    def rerun(self, name: str) -> str:
        return self._name(Client(store=self._store, root=self.folder).rerun(next(iter(self.run_ids))), name)

    def _name(self, handle: RunHandle, name: str) -> str:
        if handle.created:
            self.run_ids[handle.id] = f"{name}:" if name else ""
        return "created" if handle.created else "existing"

    # -- what follows by itself -----------------------------------------------------------------------
    def settle(self) -> None:
        give_up_s = time.monotonic() + PATIENCE_S
        while self._engine.step() or not self._is_quiet():
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"it does not come to rest: {self._what_is_open()}")
            time.sleep(0.0005)

    def _what_is_open(self) -> str:
        tasks = [(run.status, run.tasks, run.entries) for run in self._stored()]
        asking = [(each.facts, each.is_told) for each in self.house.desk.open.values()]
        return f"{tasks}; asking: {asking}; worker: {self.house.worker.counts}, {self.house.worker.child_pids}"

    def _stored(self) -> list[StoredRun]:
        """All runs of the scenario, their children among them."""
        found: dict[str, StoredRun | None] = {}
        while unknown := [run_id for run_id in self.run_ids if run_id not in found]:
            for run_id, stored in zip(unknown, self._store.load_runs(unknown), strict=True):
                found[run_id] = stored
                for name, node in stored.fields.items() if stored is not None else ():
                    child = _CHILD.search(node) if name.startswith("n:") else None
                    if child is not None:
                        self.run_ids.setdefault(child[1].decode(), f"{self.run_ids[run_id]}{name[2:]}/")
        return [stored for stored in found.values() if stored is not None]

    def _is_quiet(self) -> bool:
        """Nothing waits for the engine, and every task of a worker that exists is a call that nobody has answered."""
        stored = self._stored()
        assert not any(run.parked for run in stored), [run.broken.decode() for run in stored if run.parked]
        if any((run.entries or not run.state) and not run.in_line for run in stored):
            self._store.tick()  # what went on by itself is looked at now: time stands still meanwhile
            return False
        busy = {task.queue for run in stored for task in run.tasks.values() if task.state == "R"}
        with self.house.desk.lock:
            waiting = {place: asking for place, asking in self.house.desk.open.items() if not asking.is_told}
        for run in stored:
            for path, task in run.tasks.items():
                self.tokens[run.run_id, path] = task.token
                if task.queue not in scripted.QUEUES or (task.state == "Q" and task.queue in busy & scripted.NARROW):
                    continue
                asking = waiting.get((run.run_id, path))
                if task.state == "Q" or asking is None:
                    return False
                call = self.known.get(asking)
                if call is not None and task.cancelled:
                    call.is_stopping = True
                    if call.answer is not None and not call.answer.ignores_stop:
                        return False  # it is about to end
        return True

    # -- calls --------------------------------------------------------------------------------------
    def calls(self) -> list[Call]:
        with self.house.desk.lock:
            asking = [each for (run_id, _), each in self.house.desk.open.items() if run_id in self.run_ids]
        self.known = {
            each: self.known.get(each) or self._call(each.facts) for each in asking if not each.is_told
        }
        return list(self.known.values())

    def _call(self, facts: dict[str, Any]) -> Call:
        run_id, path = facts["run"], facts["path"]
        label = label_of(facts["phase"], f"{self.run_ids[run_id]}{path}")
        self.attempts[label] = Completion(run_id, path, self.tokens[run_id, path], b"")
        if facts["worker"].startswith("vault."):
            self.vaulted.add(label)
        return Call(run_id, path, label, facts, self.now_ms, facts["timeout_ms"], facts["heartbeat_ms"])

    def _asking(self, call: Call) -> Asking:
        return next(asking for asking, known in self.known.items() if known is call)

    def attend(self, call: Call) -> None:
        assert call.answer is not None
        assert not call.overruns or call.limit_ms <= MAX_REAL_MS, f"{call.label}: give it a short timeout"
        self._asking(call).tell_manner(call.answer)

    def answer(self, call: Call) -> None:
        assert call.answer is not None
        self._asking(call).tell(call.answer)

    def overrun(self, call: Call) -> None:
        """Its supervisor ends it, in real time; perhaps it did so already."""
        self._asking(call).is_told = True

    def say_late(self, label: str, answer: Answer) -> None:
        done = replace(self.attempts[label], body=msgspec.json.encode(_outcome(answer)))
        if label in self.vaulted:
            scripted.come_late(self.house.redis, f"{done.run_id}/{done.path}")
        said = self._store.exchange(self.house.worker.process_id, secrets.token_hex(4), completions=[done])
        assert said.completions == ("stale",), said

    # -- people and time ------------------------------------------------------------------------------
    def post(self, request: ev.Request, prefix: str) -> None:
        run_id = next(run_id for run_id, each in reversed(self.run_ids.items()) if each == prefix)
        at_once = isinstance(request, ev.CancelRequested | ev.AbandonRequested)
        self._store.post([Request(run_id, request.nonce, msgspec.json.encode(request), at_once)])

    def restart(self) -> None:
        self._engine.close()
        self._engine = self._new_engine()

    def next_due_ms(self) -> int | None:
        """Timers of these runs, and queue timeouts of tasks that nobody takes."""
        prefix = f"{{{self._store.namespace}:00}}:"
        timers = self.house.redis.zrange(f"{prefix}timers", 0, -1, withscores=True)
        due = [int(at_ms) for name, at_ms in timers if name.decode().partition("|")[0] in self.run_ids]
        for view in self.views():
            tasks = self._store.load_runs([view.run_id])[0]
            for path, task in tasks.tasks.items() if tasks is not None else ():
                last = [e for e in view.events if isinstance(e, ev.TaskDispatched) and e.path == path][-1]
                if task.state == "Q" and last.queue_timeout_ms:
                    due.append(task.queued_at_ms + last.queue_timeout_ms)
        return min(due, default=None)

    def advance_to(self, at_ms: int) -> None:
        self.house.advance(at_ms - self.now_ms)
        tasks = [
            (run.run_id, path, task.token)
            for run in self._stored() for path, task in run.tasks.items() if task.state == "R"
        ]
        self._store.beat(self.house.worker.process_id, tasks, lease_ms=LEASE_MS)
        self._store.beat(ENGINE, [], lease_ms=LEASE_MS)
        while (ticked := self._store.tick()).timers or ticked.queue_timeouts:
            pass

    def views(self) -> list[View]:
        found = []
        for stored in self._stored():
            run = run_of(stored.state, stored.fields) if stored.state else None
            payloads = run.payloads if run is not None else {}
            events = decode_events(self._store.history(stored.run_id), payloads)
            found.append(View(stored.run_id, self.run_ids[stored.run_id], run, events))
        return found

    def effects(self, label: str) -> int:
        run_id = next(iter(self.run_ids))
        return int(self.house.redis.get(scripted.effect_key(f"{run_id}/{label}")) or 0)

    def close(self) -> None:
        """What is not over is ended, so that it is in nobody's way."""
        for run in self._stored():
            if not run.terminal:
                abandon = ev.AbandonRequested(0, nonce=secrets.token_hex(4))
                self._store.post([Request(run.run_id, abandon.nonce, msgspec.json.encode(abandon), at_once=True)])
        for asking in list(self.house.desk.open.values()):
            if not asking.is_told:
                asking.tell(Answer("completed"))
        give_up_s = time.monotonic() + PATIENCE_S
        while (self._engine.step() or not self.house.worker.is_idle) and time.monotonic() < give_up_s:
            time.sleep(0.001)


def _outcome(answer: Answer) -> Outcome:
    if answer.does in ("echo", "completed"):
        return Outcome("completed", msgspec.Raw(msgspec.json.encode(answer.value)))
    return Outcome("failed", error=ErrorRecord("no_effect"))
