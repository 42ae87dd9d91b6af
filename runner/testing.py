"""For users' tests: a workflow run in memory, with real or scripted workers and a clock that skips its waits.

The interpreter, the engine and the workers are the real ones; only Redis is replaced by the memory store, which
one conformance suite holds to the same promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from runner.catalogue import Catalogue
from runner.clock import VirtualClock
from runner.definition.duration import parse_duration
from runner.definition.inputs import InputChecker
from runner.definition.load import load
from runner.definition.model import Definition
from runner.definition.schema import check_schema
from runner.definition.signals import prepare_signal, signal_names, unknown_signal
from runner.definition.source import read_file
from runner.engine.engine import Engine
from runner.errors import DefinitionError, UsageError
from runner.interpreter import event as ev
from runner.interpreter.paths import static
from runner.interpreter.plan import compile_plan
from runner.interpreter.record import decode_events, run_of
from runner.interpreter.state import Run, Standing
from runner.monitor.families import needs_person
from runner.monitor.views import live_runs
from runner.monitor.waits import awaited_signals
from runner.store.memory.store import MemoryStore
from runner.store.ports import Commit, CommitAnswer, NewRun, ProcessInfo, Request
from runner.wire import ErrorRecord
from runner.worker.context import Context, fake_context
from runner.worker.inprocess import InProcessWorker
from runner.worker.registry import REGISTRY, Registry

__all__ = ["Signal", "TestRun", "case_names", "check_case", "fake_context", "play_case", "run_workflow"]

LIMIT_MS = 400 * 86_400_000  # of virtual time: a run that is not at rest by then waits for something that never comes


class Signal(msgspec.Struct, frozen=True):
    """What the run is told. `after`: so long after its start ("2s"); without it: as soon as a step waits for it."""

    name: str
    data: Any = None
    after: str = ""


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
    undone: tuple[str, ...]  # paths of the steps whose undo was confirmed, in order; "pay/hold" in the child of "pay"
    events: tuple[ev.AnyEvent, ...]
    duration_ms: int  # of virtual time
    children: Mapping[str, TestRun] = {}  # by step; their calls and undos are among those above


def run_workflow(
    workflow: Definition | Path | str,
    input: Any = None,
    *,
    workers: Registry | Mapping[str, Callable[..., Any]] = REGISTRY,
    signals: Iterable[Signal | Mapping[str, Any]] = (),
    root: Path | str | None = None,
    run_id: str = "testrun",
    limit_ms: int = LIMIT_MS,
) -> TestRun:
    """Run a workflow to its end, or until it or a child is stuck, in this process and without waiting for real time.

    workers: a registry (default: what `@worker` registered), or functions by worker name. signals: what the run is
    told (see Signal); those of one name in this order. Raises DefinitionError, InputError and SignalMisfit like the
    real thing, and TimeoutError when the run is not at rest after `limit_ms` virtual time, or waits for a signal that
    is not among those given.
    """
    if isinstance(workflow, Definition):
        definition = workflow
    else:
        path = Path(workflow)
        definition = load(path, root=path.resolve().parent.parent if root is None else root)
    value = InputChecker(definition.input_schema).prepare(input)
    clock = VirtualClock()
    began_ms = clock.now_ms
    store = _Journal(clock=clock)
    Catalogue(store).put(definition)
    started = ev.RunStarted(0, run_id, definition.workflow, definition.version, definition.digest, value)
    store.register(ProcessInfo("engine", "engine", "memory", 0))
    store.start([NewRun(run_id, "start", "digest", b"{}", msgspec.json.encode(started))])
    engine = Engine(store, process_id="engine")
    worker = InProcessWorker(store, workers if isinstance(workers, Registry) else _registry(workers), clock=clock)
    script = _Script(store, definition, run_id, signals)
    while not _is_at_rest(store, run_id):
        if engine.step() + worker.step() or script.tell_who_waits():
            continue
        if _waits_for_a_child(store):
            break
        if clock.now_ms - began_ms > limit_ms:
            raise TimeoutError(f"{definition.workflow!r} is not at rest after {limit_ms} ms of virtual time")
        store.tick()
        pauses = [pause for pause in (store.idle_ms(), script.pause_ms(clock.now_ms - began_ms)) if pause is not None]
        if not pauses:
            raise script.nothing_comes()
        if worker.again_ms:
            pauses.append(worker.again_ms)
        clock.advance(max(1, min(pauses)))
        store.tick()
        script.tell_in_time(clock.now_ms - began_ms)
    return _Family(store).result(run_id, clock.now_ms - began_ms)


class _Script:
    """The signals of a test: who is told, and when."""

    def __init__(
        self, store: MemoryStore, definition: Definition, run_id: str, signals: Iterable[Signal | Mapping[str, Any]]
    ) -> None:
        self._store = store
        self._catalogue = Catalogue(store)
        self._definition = definition
        self._run_id = run_id
        given = [msgspec.convert(each, Signal) if isinstance(each, Mapping) else each for each in signals]
        self._awaited = [self._checked(each) for each in given if not each.after]
        timed = [(parse_duration(each.after), self._checked(each)) for each in given if each.after]
        self._timed = sorted(timed, key=lambda entry: entry[0])
        self._sent = 0

    def _checked(self, signal: Signal) -> Signal:
        """With the defaults of its schema filled in; a run below may be the one that waits for it."""
        for definition in (self._definition, *self._definition.children.values()):
            if signal.name in signal_names(definition):
                return msgspec.structs.replace(signal, data=prepare_signal(definition, signal.name, signal.data))
        raise UsageError(f"a run {unknown_signal(self._definition, signal.name)}")

    def tell_who_waits(self) -> bool:
        """Send the first signal that some run waits for now; whether there was one."""
        waiting = [(run_id, name) for run_id in self._live() for name in self._awaits(run_id)] if self._awaited else []
        for signal in self._awaited:
            for run_id, name in waiting:
                if name == signal.name:
                    self._awaited.remove(signal)
                    self._send(run_id, signal)
                    return True
        return False

    def pause_ms(self, now_ms: int) -> int | None:
        """Until the next signal that has a time; None: there is none."""
        return max(0, self._timed[0][0] - now_ms) if self._timed else None

    def tell_in_time(self, now_ms: int) -> None:
        """Send what is due so long after the start."""
        while self._timed and self._timed[0][0] <= now_ms:
            self._send(self._run_id, self._timed.pop(0)[1])

    def nothing_comes(self) -> Exception:
        name = self._definition.workflow
        awaited = [signal for run_id in self._live() for signal in self._awaits(run_id)]
        if awaited:
            return TimeoutError(f"{name!r} waits for the signal {awaited[0]}, and no more of `signals` is left")
        return RuntimeError(f"{name!r} waits for nothing: a task or timer of it was lost")

    def _live(self) -> list[str]:
        return [self._run_id, *(row.run_id for row in live_runs(self._store) if row.run_id != self._run_id)]

    def _awaits(self, run_id: str) -> list[str]:
        stored = self._store.load_runs([run_id])[0]
        if stored is None or not stored.state or stored.terminal:
            return []
        run = run_of(stored.state, stored.fields)
        return awaited_signals(run, self._catalogue.plan(run.header.digest))

    def _send(self, run_id: str, signal: Signal) -> None:
        self._sent += 1
        nonce = f"signal:{self._sent}"
        told = ev.SignalSent(0, nonce=nonce, name=signal.name, data=signal.data, signal_id=str(self._sent))
        self._store.post([Request(run_id, nonce, msgspec.json.encode(told))])


# -- cases of a test file -----------------------------------------------------------------------------
def case_names(file: Path | str) -> list[str]:
    """Of a test file (`order.test.yaml`), for a parametrized test."""
    return list(_cases(Path(file)))


def check_case(
    file: Path | str, name: str, *, workers: Registry | Mapping[str, Callable[..., Any]] = REGISTRY,
    root: Path | str | None = None, run_id: str = "testrun",
) -> TestRun:
    """Run a case of a test file. AssertionError, with everything that is not as the case expects."""
    ended, misses = play_case(file, name, workers=workers, root=root, run_id=run_id)
    if misses:
        raise AssertionError(f"{Path(file).name}: {name}: " + "\n  ".join(["not as expected", *misses]))
    return ended


def play_case(
    file: Path | str, name: str, *, workers: Registry | Mapping[str, Callable[..., Any]] = REGISTRY,
    root: Path | str | None = None, run_id: str = "testrun",
) -> tuple[TestRun, list[str]]:
    """Run a case of a test file; what came of it, and everything that is not as the case expects."""
    path = Path(file)
    case = _cases(path)[name]
    definition = load(
        path.parent / case["definition"], root=path.resolve().parent.parent if root is None else root
    )
    ended = run_workflow(
        definition, case["input"], workers=workers, signals=case.get("signals", ()), run_id=run_id
    )
    return ended, list(_misses(ended, definition, case["expect"]))


def _cases(path: Path) -> dict[str, dict[str, Any]]:
    """By name, each with the name of its definition. Raises DefinitionError for a file of another form."""
    source = read_file(path)
    problems = check_schema(source, "test")
    if problems:
        raise DefinitionError(problems)
    return {case["name"]: {**case, "definition": source.value["definition"]} for case in source.value["cases"]}


def _misses(ended: TestRun, definition: Definition, expected: Mapping[str, Any]) -> Iterator[str]:
    """What is not as the case expects, each as `what: expected …, got …`."""
    ids = compile_plan(definition).ids
    code = ended.error.code if ended.error is not None else None
    undone = [_named(path, expected.get("undone", ()), ids) for path in ended.undone]
    got = {"status": ended.status, "error": code, "undone": undone, "output": ended.output}
    compared: list[tuple[str, Any, Any]] = [(what, expected.get(what, value), value) for what, value in got.items()]
    for step, status in expected.get("steps", {}).items():
        found = {
            each for path, each in ended.steps.items() if path == step or static(path) == ids.get(step, "no such step")
        }
        compared.append((step, status, " and ".join(sorted(found)) or "pending"))
    for what, wanted, got in compared:
        if wanted != got:
            yield f"{what}: expected {_shown(wanted)}, got {_shown(got)}"


def _named(path: str, wanted: Iterable[str], ids: Mapping[str, str]) -> str:
    """By the step's id, unless the case names its operations by their paths."""
    place = static(path)
    if any("/" in each and static(each) == place for each in wanted):
        return path
    return next((id for id, found in ids.items() if found == place), path)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _registry(functions: Mapping[str, Callable[..., Any]]) -> Registry:
    registry = Registry()
    for name, function in functions.items():
        registry.worker(name)(function)
    return registry


class _Journal(MemoryStore):
    """Keeps the histories of all runs in the one order in which they were written."""

    def __init__(self, *, clock: Callable[[], int]) -> None:
        super().__init__(clock=clock)
        self.entries: list[tuple[str, bytes]] = []

    def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        answers = super().commit(commits)
        for commit, answer in zip(commits, answers, strict=True):
            if answer == "ok":
                self.entries += [(commit.run_id, entry) for entry in commit.history]
        return answers


def _is_at_rest(store: MemoryStore, run_id: str) -> bool:
    stored = store.load_runs([run_id])[0]
    return stored is not None and (stored.terminal or stored.status == "stuck" or stored.parked > 0)


def _waits_for_a_child(store: MemoryStore) -> bool:
    """One that is stuck, or broke: nothing comes of the run before a person has acted there."""
    runs = [run for run in store.load_runs(store.find_runs("", limit=100_000)) if run is not None and not run.terminal]
    return any(run.parked for run in runs) or needs_person(runs)


def _last(path: str) -> str:
    return path.rpartition("/")[2]


class _Family:
    """A run and all below it, read from the journal: once, whatever their number."""

    def __init__(self, store: _Journal) -> None:
        self._store = store
        self._runs: dict[str, Run] = {}
        self._events: dict[str, list[ev.AnyEvent]] = {}
        self._calls: dict[str, list[str]] = {}
        self._undone: dict[str, list[str]] = {}
        self._asked: dict[tuple[str, str], str] = {}  # workers, by run and step
        for stored in store.load_runs(store.find_runs("", limit=100_000)):
            if stored is not None and stored.parked:
                raise RuntimeError(f"interpreting the run broke:\n{stored.broken.decode()}")
        for run_id, entry in store.entries:
            if run_id not in self._runs:
                self._load(run_id)
            for event in decode_events([entry], self._runs[run_id].payloads):
                self._events[run_id].append(event)
                self._note(run_id, event)

    def _load(self, run_id: str) -> None:
        stored = self._store.load_runs([run_id])[0]
        if stored is None or not stored.state:
            raise LookupError(f"run {run_id} was never interpreted")
        self._runs[run_id] = run_of(stored.state, stored.fields)
        self._events[run_id], self._calls[run_id], self._undone[run_id] = [], [], []

    def _note(self, run_id: str, event: ev.AnyEvent) -> None:
        """A call or an undo of this run, and of those above it."""
        if isinstance(event, ev.TaskDispatched):
            self._asked[run_id, event.path] = event.worker
        elif isinstance(event, ev.TaskSettled) and event.outcome != "revoked":
            for above, _ in self._above(run_id, event.path):
                self._calls[above].append(self._asked[run_id, event.path])
        elif isinstance(event, ev.StepUndone) and not event.nothing and (run_id, event.path) in self._asked:
            for above, path in self._above(run_id, event.path):
                self._undone[above].append(path)

    def _above(self, run_id: str, path: str) -> Iterator[tuple[str, str]]:
        """This run and those above it, each with the path by which it knows the step."""
        while run_id in self._runs:
            yield run_id, path
            header = self._runs[run_id].header
            run_id, path = header.parent, f"{header.parent_path}/{path}"

    def result(self, run_id: str, duration_ms: int) -> TestRun:
        if run_id not in self._runs:
            self._load(run_id)
        run, events = self._runs[run_id], self._events[run_id]
        dispatched = {event.path for event in events if isinstance(event, ev.TaskDispatched)}
        named = {e.path for e in events if isinstance(e, ev.StepStarted | ev.StepSkipped) and "~" not in _last(e.path)}
        return TestRun(
            run_id=run_id,
            status=run.header.status.value,
            output=run.payloads.get("~output"),
            error=run.header.error,
            standing=run.header.standing,
            steps={path: node.status.value for path, node in run.nodes.items() if path in dispatched or path in named},
            calls=tuple(self._calls[run_id]),
            undone=tuple(self._undone[run_id]),
            events=tuple(events),
            duration_ms=duration_ms,
            children={
                path: self.result(node.child, self._took(node.child)) for path, node in run.nodes.items()
                if node.child in self._runs
            },
        )

    def _took(self, run_id: str) -> int:
        header = self._runs[run_id].header
        return (header.ended_at_ms or header.updated_at_ms) - header.started_at_ms


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
