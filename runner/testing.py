"""For users' tests: a workflow run in memory, with real or scripted workers and a clock that skips its waits.

The interpreter, the engine and the workers are the real ones; only Redis is replaced by the memory store, which
one conformance suite holds to the same promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from runner.catalogue import Catalogue
from runner.clock import VirtualClock
from runner.definition.inputs import InputChecker
from runner.definition.load import load
from runner.definition.model import Definition
from runner.engine.engine import Engine
from runner.interpreter import event as ev
from runner.interpreter.record import decode_event, run_of
from runner.interpreter.state import Run, Standing
from runner.store.memory import MemoryStore
from runner.store.ports import NewRun, ProcessInfo
from runner.wire import ErrorRecord
from runner.worker.context import Context, fake_context
from runner.worker.inprocess import InProcessWorker
from runner.worker.registry import REGISTRY, Registry

__all__ = ["TestRun", "fake_context", "run_workflow"]

LIMIT_MS = 30 * 86_400_000  # of virtual time: a run that is not at rest by then waits for something that never comes


class TestRun(msgspec.Struct, frozen=True):
    """What came of a run in memory."""

    __test__ = False  # pytest takes classes named Test… for tests

    run_id: str
    status: str
    output: Any
    error: ErrorRecord | None
    standing: tuple[Standing, ...]
    steps: Mapping[str, str]  # status by path
    calls: tuple[str, ...]  # the workers that were called, in order, attempts and undos among them
    undone: tuple[str, ...]  # paths of the steps whose undo was confirmed, in order
    events: tuple[ev.AnyEvent, ...]
    duration_ms: int  # of virtual time


def run_workflow(
    workflow: Definition | Path | str,
    input: Any = None,
    *,
    workers: Registry | Mapping[str, Callable[..., Any]] = REGISTRY,
    root: Path | str | None = None,
    run_id: str = "testrun",
    limit_ms: int = LIMIT_MS,
) -> TestRun:
    """Run a workflow to its end, or until it is stuck, in this process and without waiting for real time.

    workers: a registry (default: what `@worker` registered), or functions by worker name. Raises DefinitionError
    and InputError like a real start, and TimeoutError when the run is not at rest after `limit_ms` virtual time.
    """
    if isinstance(workflow, Definition):
        definition = workflow
    else:
        path = Path(workflow)
        definition = load(path, root=path.resolve().parent.parent if root is None else root)
    value = InputChecker(definition.input_schema).prepare(input)
    clock = VirtualClock()
    began_ms = clock.now_ms
    store = MemoryStore(clock=clock)
    Catalogue(store).put(definition)
    started = ev.RunStarted(0, run_id, definition.workflow, definition.version, definition.digest, value)
    store.register(ProcessInfo("engine", "engine", "memory", 0))
    store.start([NewRun(run_id, "start", "digest", b"{}", msgspec.json.encode(started))])
    engine = Engine(store, process_id="engine")
    worker = InProcessWorker(store, workers if isinstance(workers, Registry) else _registry(workers), clock=clock)
    while not _is_at_rest(store, run_id):
        if engine.step() + worker.step():
            continue
        if clock.now_ms - began_ms > limit_ms:
            raise TimeoutError(f"{definition.workflow!r} is not at rest after {limit_ms} ms of virtual time")
        store.tick()
        idle_ms = store.idle_ms()
        if idle_ms is not None and worker.again_ms:
            idle_ms = min(idle_ms, worker.again_ms)
        if idle_ms is None:
            raise RuntimeError(f"{definition.workflow!r} waits for nothing: a task or timer of it was lost")
        clock.advance(max(1, idle_ms))
        store.tick()
    return _result(store, run_id, clock.now_ms - began_ms)


def _registry(functions: Mapping[str, Callable[..., Any]]) -> Registry:
    registry = Registry()
    for name, function in functions.items():
        registry.worker(name)(function)
    return registry


def _is_at_rest(store: MemoryStore, run_id: str) -> bool:
    stored = store.load_runs([run_id])[0]
    return stored is not None and (stored.terminal or stored.status == "stuck" or stored.parked > 0)


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _result(store: MemoryStore, run_id: str, duration_ms: int) -> TestRun:
    stored = store.load_runs([run_id])[0]
    if stored is None or not stored.state:
        raise LookupError(f"run {run_id} was never interpreted")
    if stored.parked:
        raise RuntimeError(f"interpreting the run broke:\n{stored.broken.decode()}")
    run: Run = run_of(stored.state, stored.fields)
    events = tuple(decode_event(entry, run.payloads) for entry in store.history(run_id))
    dispatched = {}
    calls = []
    for event in events:
        if isinstance(event, ev.TaskDispatched):
            dispatched[event.path] = event.worker
        elif isinstance(event, ev.TaskSettled) and event.outcome != "revoked":
            calls.append(dispatched[event.path])
    named = {e.path for e in events if isinstance(e, ev.StepStarted | ev.StepSkipped) and "~" not in _last(e.path)}
    return TestRun(
        run_id=run_id,
        status=run.header.status.value,
        output=run.payloads.get("~output"),
        error=run.header.error,
        standing=run.header.standing,
        steps={path: node.status.value for path, node in run.nodes.items() if path in dispatched or path in named},
        calls=tuple(calls),
        undone=tuple(e.path for e in events if isinstance(e, ev.StepUndone) and not e.nothing and e.path in dispatched),
        events=events,
        duration_ms=duration_ms,
    )


try:
    import pytest
except ImportError:  # the fixtures are for those who have pytest; everything above does without
    pass
else:

    @pytest.fixture(name="run_workflow")
    def _run_workflow(pytestconfig: pytest.Config) -> Callable[..., TestRun]:
        """`run_workflow` with the project's root filled in. Have it by `pytest_plugins = ["runner.testing"]`."""
        return partial(run_workflow, root=pytestconfig.rootpath)

    @pytest.fixture(name="fake_context")
    def _fake_context() -> Callable[..., Context]:
        """`fake_context`, to make contexts for calling a worker directly."""
        return fake_context
