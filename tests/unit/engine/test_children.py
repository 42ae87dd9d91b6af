"""Parents and children over the memory store: one start and one end each, wherever an engine dies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.catalogue import Catalogue
from runner.clock import VirtualClock
from runner.definition.load import load
from runner.definition.model import Definition
from runner.engine.children import ChildInputs
from runner.engine.engine import LEASE_MS, Engine
from runner.errors import BusinessError
from runner.interpreter import event as ev
from runner.interpreter.command import StartChild
from runner.interpreter.record import run_of
from runner.interpreter.state import Run
from runner.store.memory.store import MemoryStore
from runner.store.ports import Commit, CommitAnswer, NewRun, ProcessInfo, StoredRun, TakenRun
from runner.worker.inprocess import InProcessWorker
from runner.worker.registry import Registry

STEP = "{{id: {0}, worker: t.do, with: {{name: {0}}}, compensate: {{worker: t.undo, with: {{name: {0}}}}}}}"
TEXTS = {
    "parent": f"steps: [{STEP.format('first')}, {{id: sub, subworkflow: child, with: {{n: 1}}}}, "
              "{id: last, worker: t.do, with: {name: '{{ input.last }}'}, compensate: {worker: t.undo}}]",
    "child": "input: {properties: {n: {type: integer}, m: {default: 7}}}\nsummary: A child\n"
             f"steps: [{STEP.format('a')}, {{id: inner, subworkflow: grandchild}}, {STEP.format('b')}]",
    "grandchild": f"steps: [{STEP.format('g')}]\n"
                  "finally: [{id: f, worker: t.do, with: {name: f}, kind: retriable}]",
}


class Killed(Exception):
    """The engine died here."""


class Mortal(MemoryStore):
    """Kills whoever makes the call with this number: before it is executed, or before its answer arrives."""

    def __init__(self, clock: Callable[[], int], *, at: int = 0, before: bool = True) -> None:
        super().__init__(clock=clock)
        self.calls, self.at, self.before = 0, at, before

    def take_runs(self, engine: str, nonce: str, **how: int) -> list[TakenRun]:
        return self._call(lambda: super(Mortal, self).take_runs(engine, nonce, **how))

    def load_runs(self, run_ids: Sequence[str]) -> list[StoredRun | None]:
        return self._call(lambda: super(Mortal, self).load_runs(run_ids))

    def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        return self._call(lambda: super(Mortal, self).commit(commits))

    def _call(self, execute: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls == self.at and self.before:
            raise Killed
        answer = execute()
        if self.calls == self.at:
            raise Killed
        return answer


class House:
    """Engines, one after another, and a worker; the family of `parent`."""

    def __init__(
        self, folder: Path, *, at: int = 0, before: bool = True, texts: Mapping[str, str] = TEXTS
    ) -> None:
        for name, text in texts.items():
            (folder / f"{name}.yaml").write_text(f"workflow: {name}\nversion: 1.0.0\n{text}\n")
        self.clock = VirtualClock()
        self.store = Mortal(self.clock, at=at, before=before)
        self.calls: list[str] = []
        self.fails = ""
        registry = Registry()
        registry.worker("t.do")(self._do)
        registry.worker("t.undo")(self._undo)
        self.worker = InProcessWorker(self.store, registry, clock=self.clock)
        self.engines = 0
        self.engine = self.new_engine()
        self.definition: Definition = load(folder / "parent.yaml", root=folder)
        Catalogue(self.store).put(self.definition)

    def new_engine(self) -> Engine:
        self.engines += 1
        name = f"e{self.engines}"
        self.store.register(ProcessInfo(name, "engine", "test", 1))
        return Engine(self.store, process_id=name)

    def _do(self, name: str) -> None:
        self.calls.append(f"do {name}")
        if name == self.fails:
            raise BusinessError("no", "no")

    def _undo(self, name: str = "last") -> None:
        self.calls.append(f"undo {name}")

    def start(self, last: str = "last", run_id: str = "root") -> None:
        started = ev.RunStarted(0, run_id, "parent", "1.0.0", self.definition.digest, {"last": last})
        self.store.start([NewRun(run_id, run_id, "d", b"{}", msgspec.json.encode(started))])

    def settle(self) -> None:
        """Until nothing moves any more, with a new engine for each that dies; its runs come back after its lease."""
        quiet = 0
        while quiet < 3:
            try:
                moved = self.engine.step() + self.worker.step()
            except Killed:
                self.engine, moved = self.new_engine(), 0
            quiet = 0 if moved else quiet + 1
            if not moved:
                for _ in range(LEASE_MS // 500 + 1):
                    self.clock.advance(500)
                    self.store.tick()

    def stored(self) -> dict[str, StoredRun]:
        runs = MemoryStore.load_runs(self.store, self.store.find_runs("", limit=99))
        return {run.run_id: run for run in runs if run is not None}

    def statuses(self) -> dict[str, str]:
        """By workflow."""
        return {run_of(run.state, run.fields).header.workflow: run.status for run in self.stored().values()}

    def run_of(self, workflow: str) -> Run:
        (found,) = [run for run in self.stored().values() if run_of(run.state, run.fields).header.workflow == workflow]
        return run_of(found.state, found.fields)


FORWARD = ["do first", "do a", "do g", "do b", "do last"]
BACK = ["undo b", "undo g", "do f", "undo a", "undo first"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("fails", ["", "last"], ids=["completed", "undone"])
def test_a_child_starts_once_however_often_the_engine_dies(tmp_path: Path, fails: str, before: bool) -> None:
    """Killed at every single call, before it is executed and before its answer arrives."""
    unharmed = House(tmp_path)
    unharmed.fails = fails
    unharmed.start()
    unharmed.settle()
    assert unharmed.store.calls > 30
    for at in range(1, unharmed.store.calls + 1):
        house = House(tmp_path, at=at, before=before)
        house.fails = fails
        house.start()
        house.settle()
        status = "compensated" if fails else "completed"
        assert house.statuses() == dict.fromkeys(("parent", "child", "grandchild"), status), at
        assert len(house.stored()) == 3
        assert house.calls == [*FORWARD, *(BACK if fails else ["do f"])], at


def test_a_child_is_part_of_what_has_begun_and_is_listed_with_its_parent(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.start()
    house.settle()
    rows = {msgspec.json.decode(row.summary).get("workflow"): row for row in house.store.list_runs()}
    about = msgspec.json.decode(rows["child"].summary)
    assert (about["parent"], about["parent_step"], about["summary"]) == ("root", "sub", "A child")
    child = house.run_of("child")
    assert child.payloads["~input"] == {"n": 1, "m": 7}
    assert (child.header.parent, child.header.digest) == ("root", about["definition"])


def test_an_input_that_does_not_fit_is_heard_of_in_the_same_commit(tmp_path: Path) -> None:
    house = House(tmp_path, texts={**TEXTS, "parent": TEXTS["parent"].replace("n: 1", "n: one")})
    house.start()
    house.settle()
    assert house.statuses() == {"parent": "compensated"}
    error = house.run_of("parent").header.error
    assert error is not None
    assert (error.code, error.step) == ("invalid_input", "sub")
    assert error.message.startswith("the input of child 1.0.0 does not fit: n: ")
    assert house.calls == ["do first", "undo first"]


def test_a_child_whose_definition_is_gone_sets_its_parent_aside(tmp_path: Path) -> None:
    house = House(tmp_path)
    for digest in house.definition.children:
        del house.store._tables.definitions[digest]
    house.start()
    for _ in range(4):
        house.engine.step()
        house.worker.step()
    (stored,) = house.stored().values()
    assert b"is not in the store any more" in stored.broken


def test_families_whose_runs_are_committed_in_one_batch_come_to_one_end(tmp_path: Path) -> None:
    house = House(tmp_path)
    for number in range(60):
        house.start(run_id=f"root{number}")
    house.settle()
    assert {run.status for run in house.stored().values()} == {"completed"}
    assert len(house.store.find_runs("", limit=999)) == 180


def test_the_input_of_a_child_is_prepared_with_its_own_schema() -> None:
    definitions = {
        "x": Definition("x", "1", (), input_schema={"properties": {"n": {"default": 1}}}, summary="X"),
        "y": Definition("y", "1", (), input_schema={"required": ["m"]}),
    }
    inputs = ChildInputs(definitions.__getitem__)

    def started(digest: str) -> ev.RunStarted:
        return ev.RunStarted(0, "r", digest, "1", digest, {}, parent="p", parent_path="s")

    for _ in range(2):
        prepared = inputs.prepare(StartChild(started("x")))
        assert isinstance(prepared, StartChild)
        assert (prepared.started.input, prepared.summary) == ({"n": 1}, "X")
    refusal = inputs.prepare(StartChild(started("y")))
    assert isinstance(refusal, ev.ChildTold)
    assert (refusal.path, refusal.run_id, refusal.news) == ("s", "r", "refused")
