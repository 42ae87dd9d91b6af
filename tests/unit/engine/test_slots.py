"""Engines that die at any call to the store, before it or after it: no place in a slot is lost or given twice."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from runner.client import Client
from runner.clock import VirtualClock
from runner.definition.load import load_text
from runner.engine.engine import LEASE_MS, Engine
from runner.errors import BusinessError
from runner.store.memory.store import MemoryStore
from runner.worker.inprocess import InProcessWorker
from runner.worker.registry import Registry

LIMIT, RUNS = 2, 12
TEXT = """
workflow: settlement
version: 1.0.0
concurrency: {limit: 2}
steps:
  - {id: hold, worker: t.do, with: {n: "{{ input.n }}"}, compensate: {worker: t.undo, with: {n: "{{ input.n }}"}}}
  - {id: pause, wait: 5s}
  - id: pay
    worker: t.pay
    with: {n: "{{ input.n }}"}
    raises: [refused]
    compensate: {worker: t.undo, with: {n: "{{ input.n }}"}}
"""


class Died(BaseException):
    """The engine's process is gone."""


class Deadly:
    """A store whose caller may die before a call, or after it and before it hears of the answer."""

    def __init__(self, store: MemoryStore, chance: random.Random) -> None:
        self._store = store
        self._chance = chance

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)

        def call(*args: Any, **options: Any) -> Any:
            when = self._chance.random()
            if when < 0.1:
                raise Died
            answer = verb(*args, **options)
            if when > 0.9:
                raise Died
            return answer

        return call


class World:
    def __init__(self, root: Path, seed: int) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore(clock=self.clock)
        self.client = Client(store=self.store, root=root)
        self.chance = random.Random(seed)
        self.deaths = 0
        self.engine = self._new_engine()
        registry = Registry()
        registry.worker("t.do")(lambda n: None)
        registry.worker("t.undo")(lambda n: None)
        registry.worker("t.pay", raises=["refused"])(self._pay)
        self.worker = InProcessWorker(self.store, registry, clock=self.clock)

    def _pay(self, n: int) -> None:
        if n % 3 == 0:
            raise BusinessError("refused", "no")

    def _new_engine(self) -> Engine:
        return Engine(Deadly(self.store, self.chance), process_id="engine")  # type: ignore[arg-type]

    def turn(self) -> None:
        try:
            self.engine.step()
        except Died:
            self.deaths += 1
            self.engine = self._new_engine()
        self.check()
        self.worker.step()
        self.clock.advance(1_000)
        self.store.tick()

    def check(self) -> None:
        begun = [row for row in self.store.list_runs() if row.status in ("running", "compensating")]
        assert len(begun) <= LIMIT
        slot = self.store.slot("settlement")
        if slot is not None:
            assert slot.held <= LIMIT
            assert slot.held == LIMIT or not slot.waiting, "nobody waits while there is room"


@pytest.mark.parametrize("seed", range(10))
def test_engines_that_die_at_any_moment_lose_no_place(tmp_path: Path, seed: int):
    world = World(tmp_path, seed)
    definition = load_text(TEXT, file="settlement.yaml", root=tmp_path)
    runs = [world.client.start(definition, {"n": number}) for number in range(RUNS)]
    for _ in range(40 * RUNS * LEASE_MS // 10_000):
        world.turn()
        if world.store.count_live() == 0:
            break
    assert {run.status() for run in runs} == {"completed", "compensated"}
    assert world.store.slot("settlement") is None
    assert world.deaths > 3
