"""PROTOCOL's invariants, looked at after every script; what only a finished run can show is in verdict.py.

The store's tables must fit together (tests/conformance/store_world.py), and what is stored must go on from what was
stored before: that is kept in the `Watch`, which forgets and sees everything anew when the server rewinds.
"""

from __future__ import annotations

from typing import Any

from runner.engine.engine import LEASE_MS
from runner.interpreter.plan import Plan
from runner.interpreter.record import decode_events, decode_header, run_of
from runner.interpreter.state import Run
from runner.store.limits import LEASE_MS as WORKER_LEASE_MS
from runner.store.limits import fence_of
from runner.store.memory.state import Run as StoredRun
from runner.store.memory.store import MemoryStore
from runner.wire import TaskMessage
from tests.books import assert_the_books_are_right
from tests.conformance.store_world import check_invariants, memory_snapshot
from tests.simulation.server import Entry

IDLE = frozenset({"now_ms", "beat", "put_workers", "put_definition"})
TASK_ENTRIES = ("outcome", "lost", "queue_timeout", "revoked")
NARROW = {"narrow": 1}  # queues with a quota: how many tasks run at one time


class Violated(AssertionError):
    """An invariant does not hold. `name` is what is shown and counted."""

    def __init__(self, name: str, what: str) -> None:
        self.name, self.what = name, what
        super().__init__(f"{name}: {what}")

    def __reduce__(self) -> Any:
        return Violated, (self.name, self.what)


def hold(name: str, fact: object, what: str) -> None:
    if not fact:
        raise Violated(name, what)


class Watch:
    """Follows one store through its calls."""

    def __init__(self, plan_of: Any, *, looks_inside: bool = True) -> None:
        self._plan_of = plan_of
        self._looks_inside = looks_inside  # the store is a MemoryStore
        self.has_lost_lists = False
        self.forget()

    def forget(self) -> None:
        self.etags: dict[str, str] = {}
        self.fences: dict[str, int] = {}
        self.tokens: dict[tuple[str, str], str] = {}  # the last one of each path
        self.recorded: set[tuple[str, str, str]] = set()
        self.ended: dict[str, bytes] = {}
        self.relayed = 0  # tasks that followed from outcomes without a commit in between
        self.living: set[str] = set()
        self.gone: set[str] = set()
        self.nonces: dict[str, str] = {}
        self.beaten: dict[tuple[str, str, str], int] = {}  # when a task was last found held by its process
        self.limits_passed: set[str] = set()  # slots of runs that were resumed: they come back without a check
        self._events: dict[str, tuple[list[Any], int]] = {}  # with how many entries they were in

    # -- around a script ----------------------------------------------------------------------------
    def before(self, store: Any, entry: Entry) -> None:
        if self._looks_inside and entry.verb == "tick":
            self._running = _running(store)
        if self._looks_inside and entry.verb == "exchange":
            self._look_at_completions(store, entry)

    def after(self, store: Any, entry: Entry) -> None:
        if entry.verb == "beat" and entry.answer:
            answers = zip(entry.args[1], entry.answer, strict=True)
            self.beaten |= {ref: entry.clock_ms for ref, what in answers if what != "lost"}
        if entry.verb in IDLE or not self._looks_inside or isinstance(entry.answer, Exception):
            return
        if entry.verb == "lose_lists":
            self.has_lost_lists = True
        look = getattr(self, f"_after_{entry.verb}", None)
        if look is not None:
            look(store, entry)
        if not _changes_nothing(entry):
            self._look_at_tables(store)
        self._look_at_processes(store, entry)

    def about_to_repeat(self, store: Any) -> None:
        self._before_repeat = _shape(store) if self._looks_inside else None

    def repeated(self, store: Any, first: Entry, second: Entry) -> None:
        if first.verb == "take_runs" and first.args[0] not in self.living:
            return  # of an engine that is not registered it is not remembered
        hold("nonce", first.answer == second.answer,
             f"a repeated {first.verb} is answered with {second.answer}, and not with {first.answer}")
        if self._looks_inside and first.verb != "take_runs":
            hold("nonce", self._before_repeat == _shape(store), f"a repeated {first.verb} changes what is stored")

    # -- verbs --------------------------------------------------------------------------------------
    def _after_commit(self, store: MemoryStore, entry: Entry) -> None:
        for commit, answer in zip(entry.args[0], entry.answer, strict=True):
            run = store._tables.runs.get(commit.run_id)
            if answer == "ok" and run is not None:
                known = self.etags.get(commit.run_id, "")
                if known == commit.etag:
                    continue  # a repeat
                hold("I3", known == commit.etag_read, f"{commit.run_id}: {commit.etag} has the parent "
                     f"{commit.etag_read}, and the run was at {known}")
                hold("I7", commit.run_id not in self.ended, f"{commit.run_id} was over, and goes on")
                self.etags[commit.run_id] = commit.etag
                self._look_at_dispatches(run, commit)
                self._look_at_run(store, run, commit)
            elif answer == "tampered":
                raise Violated("tampered", f"the commit of {commit.run_id} does not fit what is stored")

    def _look_at_dispatches(self, run: StoredRun, commit: Any) -> None:
        for dispatch in () if commit.terminal else commit.dispatches:
            self._note_dispatched(run, dispatch.path)
        for new in commit.starts:
            hold("I10", new.run_id not in self.etags, f"child {new.run_id} is started twice")
            self.etags[new.run_id] = ""

    def _note_dispatched(self, run: StoredRun, path: str) -> None:
        token = run.tasks[path].token
        fence = fence_of(token)
        hold("I4", fence > self.fences.get(run.run_id, 0), f"{run.run_id}/{path}: fence {fence} again")
        self.fences[run.run_id] = fence
        self.tokens[run.run_id, path] = token

    def _look_at_successor(self, run: StoredRun, path: str) -> None:
        """Of a task that was handed in just now: the one that the store dispatched because of it."""
        following = [entry.next for entry in run.inbox[-1:] if entry.path == path and entry.next]
        for successor in following:
            self.relayed += 1
            self._note_dispatched(run, successor)
            hold("I6", not any(entry.kind == "request" for entry in run.inbox),
                 f"{run.run_id} goes on to {successor}, though something was asked of it")

    def _look_at_completions(self, store: MemoryStore, entry: Entry) -> None:
        """Which of them may be recorded is known before."""
        self._may_record = {}
        for completion in entry.options.get("completions", ()):
            run = store._tables.runs.get(completion.run_id)
            task = run.tasks.get(completion.path) if run is not None else None
            is_current = task is not None and task.state == "R" and task.token == completion.token
            self._may_record[completion.run_id, completion.path, completion.token] = (
                is_current and task is not None and task.process == entry.args[0]
            )

    def _after_exchange(self, store: MemoryStore, entry: Entry) -> None:
        process, nonce = entry.args
        answer = entry.answer
        if not answer.alive:
            return
        if self.nonces.get(process) == nonce:
            return
        self.nonces[process] = nonce
        hold("I12", process not in self.gone, f"process {process} was reaped, and is alive")
        for completion, what in zip(entry.options.get("completions", ()), answer.completions, strict=True):
            ref = completion.run_id, completion.path, completion.token
            if what != "recorded":
                continue
            hold("I4", self._may_record[ref], f"{ref} is recorded, and is not what {process} holds")
            hold("I1", ref not in self.recorded, f"{ref} is recorded twice")
            self.recorded.add(ref)
            self._look_at_successor(store._tables.runs[completion.run_id], completion.path)
        for task in answer.claimed:
            known = self.tokens.get((task.run_id, task.path))
            hold("I4", known == task.token, f"{task.run_id}/{task.path} is handed out under an old token")

    def _after_park(self, store: MemoryStore, entry: Entry) -> None:
        """Only a crash that rewound its definition may keep a run from being interpreted, and not for long."""
        why = entry.options["error"].decode()
        if "is not in the store any more" not in why and "the store refused the commit" not in why:
            raise Violated("parked", f"the interpretation of {entry.args[0]} broke: {why}")

    def _after_tick(self, store: MemoryStore, entry: Entry) -> None:
        if entry.answer.lost:
            for ref in self._running - _running(store):
                silent_ms = entry.clock_ms - self.beaten.get(ref, 0)
                hold("lease", silent_ms >= 2 * WORKER_LEASE_MS, f"{ref} was held {silent_ms} ms ago, and is lost")

    def _after_start(self, store: MemoryStore, entry: Entry) -> None:
        for new, answer in zip(entry.args[0], entry.answer, strict=True):
            if answer.answer == "created":
                self.etags.setdefault(new.run_id, "")

    # -- what is stored -----------------------------------------------------------------------------
    def _look_at_tables(self, store: MemoryStore) -> None:
        found = memory_snapshot(store)
        for name, refs in found.queues.items():
            hold("queue", len(refs) == len(set(refs)), f"a task is in the queue {name} twice")
        if self.has_lost_lists:
            for ref, queue in found.queued.items():  # they come back when their deadlines are due
                found.queues.setdefault(queue, []).append(ref)
        try:
            check_invariants(found)
        except AssertionError as error:
            raise Violated("tables", str(error).split("\nassert ")[0]) from error
        tables = store._tables
        for run in tables.runs.values():
            if run.terminal:
                self._look_at_ended(run)
            elif run.status == "stuck" or run.parked:
                self.limits_passed.add(run.slot)
            elif not run.has_work:
                self._look_at_future(store, run)
            elif run.inbox and len(run.inbox) == run.ahead and not run.again:
                hold("I8", run.tasks[run.inbox[-1].next].is_open, f"{run.run_id} went on to what is not there")
            elif run.place != "W" and run.run_id not in tables.ready:
                soon_ms = tables.watch[run.run_id] - tables.clock.last_ms
                hold("I8", soon_ms <= LEASE_MS, f"{run.run_id} has work, nobody has it, and it is not ready")
        for name, state in tables.slots.items():
            hold("slots", len(state.holders) <= state.limit or name in self.limits_passed,
                 f"{len(state.holders)} runs hold {name}, which has room for {state.limit}")
        for queue, most in NARROW.items():
            running = [ref for ref in found.running if _queue_of(store, ref) == queue]
            hold("quota", len(running) <= most, f"{len(running)} tasks of {queue} run at once")

    def _look_at_ended(self, run: StoredRun) -> None:
        known = self.ended.setdefault(run.run_id, run.state)
        hold("I7", known is run.state or known == run.state, f"{run.run_id} is over, and changes")

    def _look_at_future(self, store: MemoryStore, run: StoredRun) -> None:
        """I8: something will happen to it, or a person has to act, or another run decides."""
        tables = store._tables
        if any(task.is_open for task in run.tasks.values()) or run.place == "W":
            return
        timers = [name for of, name in tables.timers if of == run.run_id and not name.startswith("~run")]
        if timers or not run.state:
            return
        header = decode_header(run.state)
        if header.stuck or header.stuck_children or header.provisional:
            return
        nodes = run_of(run.state, run.fields).nodes.values()
        below = [tables.runs.get(node.child) for node in nodes if node.child]
        hold("I8", any(child is not None and not child.terminal for child in below) or _waits_for_signal(nodes),
             f"{run.run_id} is {run.status}, and nothing will ever happen to it")

    def _look_at_run(self, store: MemoryStore, run: StoredRun, commit: Any) -> None:
        """The interpreter's books, counted anew: among them I2, and the order of the way back (I6)."""
        if commit.terminal:
            return
        events, known = self._events.get(run.run_id, ([], 0))
        try:
            state = run_of(run.state, run.fields)
            if not state.is_terminal:
                events += decode_events(run.history[known:], {})
                self._events[run.run_id] = events, len(run.history)
                _close_children(state)
                view: Any = RunView(state, self._plan_of(state.header.digest), run, store, events)
                assert_the_books_are_right(view)
        except AssertionError as error:
            raise Violated("books", f"{run.run_id}: {str(error).splitlines()[0] if str(error) else error!r}") from error

    def _look_at_processes(self, store: MemoryStore, entry: Entry) -> None:
        here = set(store._tables.processes)
        if here == self.living:
            return
        hold("I12", not (here & self.gone), f"a reaped process came back: {here & self.gone}")
        self.gone |= self.living - here
        self.living = here


def _running(store: MemoryStore) -> set[tuple[str, str, str]]:
    tables = store._tables
    return {ref for ref in tables.deadlines if tables.runs[ref[0]].tasks[ref[1]].state == "R"}


def _shape(store: MemoryStore) -> tuple[Any, ...]:
    """What no repeat may change."""
    found = memory_snapshot(store)
    return found.live, found.waiting, found.queued, found.running, found.queues, found.held, found.places, found.timers


def _close_children(state: Run) -> None:
    """A step that waits for its child has something out that is no task of the store."""
    for node in state.nodes.values():
        if node.child and node.open:
            state.header.busy -= not node.child_stuck and (node.phase != "action" or node.revoking)
            node.open = False


class RunView:
    """A stored run in the form in which tests/books.py looks at one."""

    def __init__(self, run: Run, plan: Plan, stored: StoredRun, store: MemoryStore, events: list[Any]) -> None:
        self.run, self.plan, self.header, self.events = run, plan, run.header, events
        open_ = {path for path, task in stored.tasks.items() if task.is_open}
        ended = {entry.path for entry in stored.inbox if entry.kind in TASK_ENTRIES}
        hold("I2", not open_ & ended, f"{stored.run_id}: {open_ & ended} are open, and have ended")
        # What the store dispatched by itself: the state hears of it with the entries.
        ahead = {entry.next for entry in stored.inbox if entry.next}
        hold("I2", ahead <= open_ | ended, f"{stored.run_id}: {ahead - open_ - ended} were dispatched, and are nowhere")
        hold("I2", stored.ahead <= len(stored.inbox) and not any(entry.next for entry in stored.inbox[stored.ahead :])
             and len(ahead) == stored.ahead, f"{stored.run_id}: {stored.ahead} successors, and {ahead}")
        open_, ended = open_ - ahead, ended - ahead
        self.tasks: dict[str, TaskMessage] = {}
        for path in open_ | ended:
            node = run.nodes.get(path)
            hold("I2", node is not None and node.open, f"{stored.run_id}: a task of {path}, which has none")
            assert node is not None
            self.tasks[path] = _Task(node.phase)  # type: ignore[assignment]
            task = stored.tasks.get(path)
            if task is not None and task.state == "R":
                hold("kill", task.cancelled == node.killing, f"{stored.run_id}/{path}: cancelled {task.cancelled}, and "
                     f"the run wants {node.killing}")
        self._timers = {name for of, name in store._tables.timers if of == stored.run_id}
        fired = {entry.path for entry in stored.inbox if entry.kind == "timer"}  # some of them too late to be dropped
        self._timers |= fired & {node.timer for node in run.nodes.values()}

    def node_timers(self) -> list[str]:
        return [name for name in self._timers if not name.startswith("~run")]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class _Task:
    """As much of a task's message as matters here."""

    def __init__(self, phase: str) -> None:
        self.phase = phase


def _queue_of(store: MemoryStore, ref: tuple[str, str, str]) -> str:
    return store._tables.runs[ref[0]].tasks[ref[1]].queue


def _waits_for_signal(nodes: Any) -> bool:
    return any(node.waiting for node in nodes)


def _changes_nothing(entry: Entry) -> bool:
    """Looked at before, so not again."""
    if entry.verb == "take_runs":
        return not entry.answer
    if entry.verb == "exchange":
        return not entry.answer.claimed and not entry.options.get("completions")
    if entry.verb == "tick":
        ticked = entry.answer
        return not (ticked.timers or ticked.lost or ticked.queue_timeouts or ticked.requeued or ticked.rearmed)
    return entry.verb == "register"


