"""A world of scripted workers around the pure interpreter: no store, no processes, virtual time.

`World.finish()` answers open tasks in an order that `pick` chooses and lets timers fire when nothing else is
left, until the run rests. What was called, what was undone and every event stay to be looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from runner.definition.model import (
    PATIENT,
    BlockAction,
    Call,
    Catch,
    ChildAction,
    Definition,
    LoopAction,
    ParallelAction,
    RepeatAction,
    Retry,
    SignalAction,
    Step,
    SwitchAction,
    SwitchCase,
    WaitAction,
    WorkerAction,
)
from runner.engine.children import ChildInputs
from runner.interpreter import event as ev
from runner.interpreter.advance import advance
from runner.interpreter.command import ClearTimer, DispatchTask, RevokeTask, SetTimer, StartChild, TellRun
from runner.interpreter.plan import Plan, compile_plan
from runner.interpreter.record import changes_of, decode_told, run_of, state_of
from runner.interpreter.state import Header, Node, Run
from runner.wire import ErrorRecord, TaskMessage

Reply = Mapping[str, Any]


def ok(output: Any = None) -> Reply:
    return {"outcome": "completed", "output": output}


def no(code: str = "declined") -> Reply:
    return {"outcome": "failed", "error": ErrorRecord(code, kind="business", message=f"{code}!")}


def no_effect(after_ms: int = 0) -> Reply:
    return {"outcome": "failed", "error": ErrorRecord("no_effect", message="refused"), "hint_ms": after_ms}


def definite(code: str) -> Reply:
    """A technical failure that surely had no effect."""
    return {"outcome": "failed", "error": ErrorRecord(code, message=f"{code}!")}


def unknown(code: str = "timeout") -> Reply:
    return {"outcome": "unknown", "error": ErrorRecord(code, message="no answer")}


def lost() -> Reply:
    return unknown("worker_lost")


def landed(output: Any = None) -> Reply:
    return {"outcome": "completed", "verdict": "landed", "output": output}


def not_landed(*, fenced: bool = True) -> Reply:
    return {"outcome": "completed", "verdict": "not_landed", "fenced": fenced}


def pending(after_ms: int = 0) -> Reply:
    return {"outcome": "completed", "verdict": "pending", "hint_ms": after_ms}


ONCE = Retry(max_attempts=1, jitter="none")
TWICE = Retry(max_attempts=2, initial_ms=100, jitter="none")


def step(
    id: str, *, kind: str = "compensatable", undo: bool = True, on_unknown: str | None = None, retry: Retry = ONCE,
    verify: bool = False, catch: Sequence[Catch] = (), when: str | None = None, with_: Any = None, output: Any = None,
    undo_with: Any = None, look_with: Any = None, undo_retry: Retry = PATIENT, raises: Sequence[str] = (),
    confirm: bool = False, tell_with: Any = None, **more: Any,
) -> Step:
    """A worker step, as a definition would have it after its defaults are filled in."""
    has_undo = undo and kind == "compensatable"
    if kind == "compensatable" and not has_undo:
        kind = "none"
    default = {"compensatable": "verify" if verify else "compensate", "retriable": "retry", "none": "halt"}
    chosen = on_unknown or ("verify" if verify else default.get(kind, "retry" if kind == "pivot" else "halt"))
    ref = {"ref": "{{ step.ref }}"}
    action = WorkerAction(
        call=Call(f"do.{id}", with_ if with_ is not None else ref, 1_000, retry),
        kind=kind,  # type: ignore[arg-type]
        on_unknown=chosen,  # type: ignore[arg-type]
        raises=tuple(raises),
        compensate=Call(f"undo.{id}", undo_with or ref, 1_000, undo_retry) if has_undo else None,
        verify=Call(f"look.{id}", look_with or ref, 1_000, TWICE) if verify else None,
        confirm=Call(f"tell.{id}", tell_with or ref, 1_000, TWICE) if confirm else None,
        reason="" if kind != "none" else "a test",
        **more,
    )
    return Step(id=id, path=id, action=action, when=when, catch=tuple(catch), output=output)


def block(id: str, *steps: Step, catch: Sequence[Catch] = (), when: str | None = None, output: Any = None) -> Step:
    return Step(id=id, path=id, action=BlockAction(tuple(steps)), catch=tuple(catch), when=when, output=output)


def parallel(id: str, branches: Mapping[str, Sequence[Step]], *, join: str = "all", on_failure: str = "drain",
             **more: Any) -> Step:
    named = {name: tuple(steps) for name, steps in branches.items()}
    return Step(id, id, ParallelAction(named, join, on_failure), **more)  # type: ignore[arg-type]


def each(id: str, *steps: Step, items: Any = "{{ input }}", max_parallel: int = 1, on_failure: str = "fail",
         item_output: Any = None, **more: Any) -> Step:
    action = LoopAction(items, "item", steps, max_parallel, on_failure, item_output)  # type: ignore[arg-type]
    return Step(id, id, action, **more)


def repeat(id: str, *steps: Step, until: str, max_rounds: int = 5, round_output: Any = None, **more: Any) -> Step:
    return Step(id, id, RepeatAction(steps, until, max_rounds, round_output), **more)


def switch(id: str, *cases: tuple[str | None, Sequence[Step]], **more: Any) -> Step:
    return Step(id, id, SwitchAction(tuple(SwitchCase(when, tuple(steps)) for when, steps in cases)), **more)


def wait(id: str, duration: Any = None, *, until: Any = None, **more: Any) -> Step:
    return Step(id, id, WaitAction(duration, until), **more)


def wait_for(id: str, signal: str = "go", *, match: str | None = None, timeout: Any = None,
             on_timeout: str | None = "signal_timeout", **more: Any) -> Step:
    return Step(id, id, SignalAction(signal, None, match, timeout, on_timeout), **more)


def sub(id: str, *, of: str = "child", with_: Any = None, undo: bool = False, undo_with: Any = None,
        pivot: bool = False, undo_retry: Retry = ONCE, **more: Any) -> Step:
    """A step that starts a child run of the plan that the world knows by the name `of`."""
    call = Call(f"undo.{id}", undo_with or {"ref": "{{ step.ref }}"}, 1_000, undo_retry) if undo else None
    return Step(id, id, ChildAction(of, "1.0.0", of, with_ or {}, pivot, call), **more)


def plan_of(*steps: Step, finally_: Iterable[Step] = (), digest: str = "d", **fields: Any) -> Plan:
    return compile_plan(Definition("test", "1.0.0", tuple(steps), finally_=tuple(finally_), digest=digest, **fields))


@dataclass
class World:
    """One run of a plan, with the replies that its workers will give."""

    plan: Plan
    replies: Mapping[str, Sequence[Reply]] = field(default_factory=dict)  # by worker name; then ok()
    input: Any = None
    pick: Callable[[int], int] = lambda _count: 0
    run: Run | None = None
    events: list[ev.AnyEvent] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)  # "do.reserve", in the order they were answered
    messages: list[TaskMessage] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, TaskMessage] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)  # paths whose tasks cannot be taken back any more
    killed: set[str] = field(default_factory=set)  # and whose end was asked for
    timers: dict[str, int] = field(default_factory=dict)
    time: list[int] = field(default_factory=lambda: [1_000])  # in ms; one for all runs of a family
    fields: dict[str, bytes] = field(default_factory=dict)  # the run as a store would have it
    is_slow: bool = False  # what one commit could not hold goes on only when `take` is given a Continued
    # Child runs: each a world of its own, which shares time, calls and replies with the root's.
    plans: Mapping[str, Plan] = field(default_factory=dict)  # of children, by digest
    parent: World | None = None
    run_id: str = "run1"
    below: dict[str, World] = field(default_factory=dict)  # of the root: all other runs of the family, by id
    unheard: deque[tuple[str, ev.External]] = field(default_factory=deque)  # of the root: what is on its way to a run
    is_deaf: bool = False  # of the root: what is on its way arrives only with `deliver`

    def __post_init__(self) -> None:
        self._left = {worker: deque(replies) for worker, replies in self.replies.items()}
        self._is_delivering = False
        if self.parent is not None:
            root = self.root
            self.time, self.calls, self.messages, self.inputs = root.time, root.calls, root.messages, root.inputs
            self._left, self.plans, self.is_slow = root._left, root.plans, root.is_slow

    @property
    def now_ms(self) -> int:
        return self.time[0]

    @now_ms.setter
    def now_ms(self, now_ms: int) -> None:
        self.time[0] = now_ms

    # -- driving ------------------------------------------------------------------------------------
    def start(self) -> World:
        self.take(ev.RunStarted(self.now_ms, "run1", "test", "1.0.0", "d", self.input))
        return self

    def take(self, event: ev.External) -> list[ev.AnyEvent]:
        """Something happens, and everything that follows from it."""
        waiting: deque[ev.External] = deque([event])
        new: list[ev.AnyEvent] = []
        while waiting:
            transition = advance(self.plan, self.run, waiting.popleft())
            self.run = transition.run
            self.fields.update(changes_of(self.run))
            new.extend(transition.events)
            for command in transition.commands:
                match command:
                    case DispatchTask():
                        assert command.path not in self.tasks, f"{command.path} has two open tasks"
                        self.tasks[command.path] = command.message
                        self.messages.append(command.message)
                        self.inputs[f"{command.message.worker}"] = self.run.payloads[command.payload]
                    case RevokeTask() if command.path not in self.claimed:
                        if self.tasks.pop(command.path, None) is None:
                            continue  # once to be taken back, once to be ended: the first was enough
                        waiting.append(ev.TaskSettled(self.now_ms, command.path, "revoked"))
                    case RevokeTask() if command.kill:
                        self.killed.add(command.path)
                    case SetTimer():
                        self.timers[command.name] = command.due_at_ms
                    case ClearTimer():
                        self.timers.pop(command.name, None)
                    case StartChild():
                        self._start_child(command)
                    case TellRun():
                        body = msgspec.json.encode(command.told)
                        self.root.unheard.append((command.run_id, decode_told(body, self.now_ms)))
            if transition.is_full and not self.run.is_terminal and not self.is_slow:
                waiting.append(ev.Continued(self.now_ms))
        self.events.extend(new)
        if self.run is not None and self.run.is_terminal:
            self.tasks.clear()
            self.timers.clear()
        if not self.root.is_deaf:
            self.root.deliver_all()
        return new

    def _start_child(self, command: StartChild) -> None:
        prepared = ChildInputs(lambda digest: self.plans[digest].definition).prepare(command)
        root = self.root
        if isinstance(prepared, ev.ChildTold):
            root.unheard.append((self.run_id, prepared))
            return
        started = prepared.started
        assert started.run_id not in root.below, f"run {started.run_id} is started twice"
        child = World(self.plans[started.digest], parent=self, run_id=started.run_id)
        root.below[started.run_id] = child
        root.unheard.append((started.run_id, started))

    def deliver(self) -> None:
        """What waits longest arrives. A run that is over hears nothing more."""
        run_id, told = self.unheard.popleft()
        hearer = self.below.get(run_id, self)
        if hearer.run is None or not hearer.run.is_terminal:
            hearer.take(replace(told, at_ms=self.now_ms))

    def deliver_all(self) -> None:
        if self._is_delivering:
            return
        self._is_delivering = True
        while self.unheard:
            self.deliver()
        self._is_delivering = False

    def answer(self, path: str, reply: Reply | None = None) -> None:
        """The worker that holds this task ends it."""
        message = self.tasks.pop(path)
        self.claimed.discard(path)
        self.killed.discard(path)
        left = self._left.get(message.worker)
        if reply is None:
            reply = left.popleft() if left else self._usual(message)
        self.calls.append(message.worker)
        self.now_ms += 1
        self.take(ev.TaskSettled(self.now_ms, path, **reply))

    def _usual(self, message: TaskMessage) -> Reply:
        return landed() if message.phase == "verify" else ok({"did": message.step})

    def signal(self, name: str, data: Any = None, signal_id: str = "") -> list[ev.AnyEvent]:
        """Somebody sends the run a signal."""
        signal_id = signal_id or f"s{len(self.events)}"
        return self.take(ev.SignalSent(self.now_ms, f"signal:{signal_id}", name=name, signal_id=signal_id, data=data))

    def fire(self, name: str | None = None) -> None:
        """The next timer, or this one, is due."""
        name = name or min(self.timers, key=lambda timer: (self.timers[timer], timer))
        self.now_ms = max(self.now_ms, self.timers.pop(name))
        self.take(ev.TimerFired(self.now_ms, name))

    def finish(self, limit: int = 5_000) -> World:
        """Until the run and all below it rest: they are over, or stuck, or wait for each other."""
        if self.run is None:
            self.start()
        for _ in range(limit):
            tasks = [(world, path) for world in self.family() for path in sorted(world.tasks)]
            timers = [(world.timers[timer], timer, world) for world in self.family() for timer in world.node_timers()]
            if self.unheard:
                self.deliver()
            elif tasks:
                world, path = tasks[self.pick(len(tasks))]
                world.answer(path)
            elif timers:
                _, timer, world = min(timers, key=lambda each: each[:2])
                world.fire(timer)
            else:
                return self
        raise AssertionError(f"the run does not come to rest: {self.calls[-20:]}")

    def waits_for_a_signal(self) -> bool:
        """Somebody waits, and not for a timer."""
        nodes = self.run.nodes.values() if self.run is not None else ()
        return any(node.waiting and not node.timer and not node.rest for node in nodes)

    def node_timers(self) -> list[str]:
        return [name for name in self.timers if not name.startswith("~run")]

    def reload(self) -> None:
        """Another engine takes the run up, from what was stored."""
        assert self.run is not None
        self.run = run_of(state_of(self.run), self.fields)

    # -- the family ---------------------------------------------------------------------------------
    @property
    def root(self) -> World:
        return self if self.parent is None else self.parent.root

    def family(self) -> list[World]:
        """This run and, of the root, all others, in the order in which they were started."""
        return [self, *self.below.values()]

    def child(self, path: str) -> World:
        """The child run of this step."""
        return self.root.below[self.run_node(path).child]

    # -- looking ------------------------------------------------------------------------------------
    @property
    def header(self) -> Header:
        assert self.run is not None
        return self.run.header

    @property
    def status(self) -> str:
        return self.header.status.value

    def run_node(self, path: str) -> Node:
        assert self.run is not None
        return self.run.nodes[path]

    def step_status(self, path: str) -> str:
        return self.run_node(path).status.value

    def payload(self, name: str) -> Any:
        assert self.run is not None
        return self.run.payloads[name]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def run_error(world: World) -> ErrorRecord:
    """Why the run went back."""
    assert world.header.error is not None
    return world.header.error


# -- a run and its child ------------------------------------------------------------------------------
CHILD = plan_of(step("a"), step("b"), output={"x": "{{ steps.b.output.did }}", "in": "{{ input }}"})
PIVOT = plan_of(step("a"), step("p", kind="pivot", verify=True), step("r", kind="retriable", undo=False))


def family(*steps: Step, replies: Any = None, child: Plan = CHILD, plans: Any = None, **fields: Any) -> World:
    """A run of these steps, whose `sub` steps start the child."""
    plan = plan_of(*steps, **fields)
    return World(plan, replies or {}, input={"n": 1}, plans={"child": child, **(plans or {})})


def cancel(of: World) -> list[Any]:
    return of.take(ev.CancelRequested(of.now_ms, nonce="c"))


def refused(events: list[Any]) -> list[str]:
    return [event.why for event in events if isinstance(event, ev.RequestRefused)]
