"""A project in memory for tests of client, views and command line: real engine and workers, virtual time, no process.

`Desk.work()` goes on until nothing is left to do now; `wait(ms)` lets time pass first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.client import Client, RunHandle
from runner.clock import VirtualClock
from runner.definition.load import load_text
from runner.definition.model import Definition
from runner.engine.engine import Engine
from runner.errors import BusinessError
from runner.store.memory.store import MemoryStore
from runner.worker.inprocess import InProcessWorker
from runner.worker.registry import Registry

ORDER = """
workflow: order
version: 1.2.0
summary: A small one
input:
  type: object
  required: [id]
  properties:
    id: {type: string}
    amount: {type: integer, default: 5}
    fail: {type: string, default: ""}
  examples: [{id: A-1}]
idempotency_key: "{{ input.id }}"
defaults: {retry: {max_attempts: 3, initial: 1s, backoff: fixed, jitter: none}}
compensation: {retry: {max_attempts: 2, initial: 1s, backoff: fixed, jitter: none}}
steps:
  - id: reserve
    worker: stock.reserve
    with: {id: "{{ input.id }}"}
    compensate: {timeout: 2m, worker: stock.release, with: {id: "{{ input.id }}", fail: "{{ input.fail }}"}}
  - id: gift
    worker: stock.reserve
    with: {id: gift}
    when: "{{ input.amount > 100 }}"
    compensate: {timeout: 2m, worker: stock.release, with: {id: gift, fail: ""}}
  - id: charge
    worker: card.charge
    with: {amount: "{{ input.amount }}", fail: "{{ input.fail }}"}
    raises: [declined]
    compensate: {timeout: 2m, worker: card.refund, with: {}}
output: {charged: "{{ steps.charge.output.amount }}"}
"""


class Desk:
    """Workers fail as `input.fail` says: declined, flaky (once), broken (always), undo (its undo too)."""

    def __init__(self, root: Path, text: str = ORDER) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore(namespace="desk", clock=self.clock)
        self.calls: list[str] = []
        self.undo_is_broken = True
        self.message = "insufficient funds"
        self.registry = self._workers()
        self._worker = InProcessWorker(self.store, self.registry, clock=self.clock)
        self._engine = Engine(self.store, process_id="host:1:engine")
        self.definition: Definition = load_text(text, file="order.yaml", root=root)
        self.client = Client(store=self.store, root=root)

    def _workers(self) -> Registry:
        registry = Registry()

        @registry.worker("stock.reserve")
        def reserve(id: str) -> dict[str, str]:
            self.calls.append(f"reserve {id}")
            return {"hold": id}

        @registry.worker("stock.release")
        def release(id: str, fail: str) -> None:
            self.calls.append(f"release {id}")
            if fail == "undo" and self.undo_is_broken:
                raise BusinessError("locked", "the shelf is locked")

        @registry.worker("card.charge", raises=["declined"])
        def charge(amount: int, fail: str) -> dict[str, int]:
            self.calls.append(f"charge {amount}")
            if fail in ("declined", "undo"):
                raise BusinessError("declined", self.message)
            if fail == "broken" or (fail == "flaky" and self.calls.count(f"charge {amount}") == 1):
                raise RuntimeError("the line went dead")
            return {"amount": amount}

        @registry.worker("card.refund")
        def refund() -> None:
            self.calls.append("refund")

        return registry

    def start(self, **given: Any) -> RunHandle:
        return self.client.start(self.definition, {"id": "A-1", **given})

    def take_up(self) -> None:
        """What engines do now; no worker works."""
        while self._engine.step():
            pass

    def work(self) -> None:
        self.store.tick()
        while self._engine.step() + self._worker.step():
            self.store.tick()

    def wait(self, ms: int) -> None:
        self.clock.advance(ms)
        self.work()

    def run(self, **given: Any) -> str:
        """A run to its rest; its id."""
        handle = self.start(**given)
        self.work()
        for _ in range(20):
            self.wait(1_000)
        return handle.id


# One of each construct: branches, a loop, rounds, cases, a signal, a wait, a confirmation.
EVERYTHING = """
workflow: everything
version: 1.0.0
input:
  type: object
  properties:
    items: {type: array, default: [a, b, c]}
    risk: {type: integer, default: 7}
    fail: {type: string, default: ""}
defaults: {retry: {max_attempts: 1}}
compensation: {retry: {max_attempts: 1}}
steps:
  - id: checks
    parallel:
      branches:
        fraud:
          - {id: score, worker: stock.reserve, with: {id: score}, kind: readonly}
        stock:
          - id: lines
            for_each:
              in: "{{ input.items }}"
              as: line
              max_parallel: 2
              steps:
                - id: hold
                  worker: stock.reserve
                  with: {id: "{{ line }}"}
                  compensate: {timeout: 2m, worker: stock.release, with: {id: "{{ line }}", fail: "{{ input.fail }}"}}
                - {id: tag, set: {last: "{{ line }}"}}
  - id: again
    repeat:
      max: 5
      until: "{{ vars.rounds == 2 }}"
      steps:
        - {id: count, set: {rounds: "{{ vars.rounds + 1 }}"}}
  - id: risk
    switch:
      - when: "{{ input.risk > 5 }}"
        steps:
          - id: review
            wait_for:
              signal: review
              timeout: 2h
              schema:
                type: object
                required: [approved]
                properties: {approved: {type: boolean}, note: {type: string, default: ""}}
                examples: [{approved: true}]
      - else:
          - {id: auto, set: {rounds: 0}}
  - {id: pause, wait: 3d}
  - id: charge
    worker: card.charge
    with: {amount: 5, fail: "{{ input.fail }}"}
    raises: [declined]
    compensate: {worker: card.refund}
    confirm: {worker: card.refund}
vars: {rounds: 0}
output: {review: "{{ steps.risk.output.approved | default(false) }}"}
"""


PARENT = """
workflow: parent
version: 2.0.0
input: {type: object, properties: {id: {type: string}, fail: {type: string, default: ""}, last: {default: ""}}}
steps:
  - {id: sub, subworkflow: order, with: {id: "{{ input.id }}", fail: "{{ input.fail }}"}}
  - {id: last, worker: card.charge, with: {amount: 1, fail: "{{ input.last }}"}, kind: readonly, raises: [declined]}
output: {charged: "{{ steps.sub.output.charged }}"}
"""


def desk_of_a_parent(root: Path) -> Desk:
    """Its child is the order; `last=declined` fails the parent when the child has done its last step."""
    (root / "child.yaml").write_text(ORDER)
    return Desk(root, PARENT)
