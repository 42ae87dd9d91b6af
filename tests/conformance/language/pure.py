"""A stage that is nothing but the interpreter: no store, no process, and a clock that the player moves.

It stands in for what happens around the interpreter: tasks that are claimed at once (but for workers that nobody
hosts), attempts that run out of time, and the codes that a worker process gives itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from runner.definition.model import Definition
from runner.engine.children import ChildInputs
from runner.errors import parse_duration_ms
from runner.interpreter import event as ev
from runner.interpreter.advance import advance
from runner.interpreter.command import ClearTimer, DispatchTask, RevokeTask, SetTimer, StartChild, TellRun
from runner.interpreter.plan import Plan, compile_plan
from runner.interpreter.record import changes_of, run_of, state_of
from runner.interpreter.state import Run
from runner.wire import ErrorRecord, TaskMessage
from tests.conformance.language.scenario import Answer
from tests.conformance.language.stage import Call, View, label_of

START_MS = 1_700_000_000_000


@dataclass
class Queued:
    """A task that no process takes."""

    path: str
    due_ms: int  # 0: it waits for ever


@dataclass
class Play:
    """One run."""

    plan: Plan
    prefix: str
    run: Run | None = None
    fields: dict[str, bytes] = field(default_factory=dict)
    timers: dict[str, int] = field(default_factory=dict)
    claimed: dict[str, Call] = field(default_factory=dict)
    queued: dict[str, Queued] = field(default_factory=dict)
    events: list[ev.AnyEvent] = field(default_factory=list)


class PureStage:
    def __init__(self) -> None:
        self.now_ms = START_MS
        self._plays: dict[str, Play] = {}
        self._nonces: set[str] = set()
        self._told: deque[tuple[str, ev.External]] = deque()  # from run to run, on its way
        self._definitions: dict[str, Definition] = {}

    def start(self, definition: Definition, value: Any) -> None:
        self._definitions = {definition.digest: definition, **definition.children}
        self._plays["run1"] = Play(compile_plan(definition), "")
        about = (definition.workflow, definition.version, definition.digest)
        self._take(self._plays["run1"], ev.RunStarted(self.now_ms, "run1", *about, value))

    def _start_child(self, parent: Play, command: StartChild) -> None:
        prepared = ChildInputs(self._definitions.__getitem__).prepare(command)
        if isinstance(prepared, ev.ChildTold):
            self._told.append((command.started.parent, prepared))
            return
        started = prepared.started
        prefix = f"{parent.prefix}{started.parent_path}/"
        self._plays[started.run_id] = Play(compile_plan(self._definitions[started.digest]), prefix)
        self._told.append((started.run_id, started))

    def _deliver(self) -> None:
        while self._told:
            run_id, told = self._told.popleft()
            play = self._plays[run_id]
            if play.run is None or not play.run.is_terminal:
                self._take(play, replace(told, at_ms=self.now_ms))

    def _take(self, play: Play, event: ev.External) -> None:
        waiting: deque[ev.External] = deque([event])
        while waiting:
            transition = advance(play.plan, play.run, waiting.popleft())
            play.run = transition.run
            play.fields.update(changes_of(transition.run))
            play.events.extend(transition.events)
            for command in transition.commands:
                match command:
                    case DispatchTask():
                        waiting.extend(self._dispatch(play, command))
                    case RevokeTask():
                        waiting.extend(self._revoke(play, command))
                    case StartChild():
                        self._start_child(play, command)
                    case TellRun():
                        self._told.append((command.run_id, command.told))
                    case SetTimer():
                        play.timers[command.name] = command.due_at_ms
                    case ClearTimer():
                        play.timers.pop(command.name, None)
            if transition.is_full and not play.run.is_terminal:
                waiting.append(ev.Continued(self.now_ms))
        if play.run is not None and play.run.is_terminal:
            for left in (play.timers, play.claimed, play.queued):
                left.clear()

    # -- tasks --------------------------------------------------------------------------------------
    def _dispatch(self, play: Play, command: DispatchTask) -> list[ev.TaskSettled]:
        message, path = command.message, command.path
        assert path not in play.claimed
        assert path not in play.queued
        assert play.run is not None
        family, given = message.worker.partition(".")[0], play.run.payloads[command.payload]
        if family == "nobody":
            due_ms = self.now_ms + command.queue_timeout_ms if command.queue_timeout_ms else 0
            play.queued[path] = Queued(path, due_ms)
        elif family == "absent":
            return [self._settled(path, "failed", ErrorRecord("unknown_worker"))]
        elif family == "strict" and (list(given) != ["n"] or type(given["n"]) is not int):
            return [self._settled(path, "failed", ErrorRecord("invalid_input"))]
        else:
            play.claimed[path] = self._call(play, message, given)
        return []

    def _call(self, play: Play, message: TaskMessage, given: Any) -> Call:
        facts = {
            "run": message.run_id, "phase": message.phase, "input": given, "attempt": message.attempt,
            "key": message.idempotency_key, "ref": message.step_ref, "fencing": message.fencing,
            "cause": message.cause.code if message.cause is not None else None, "last_details": message.last_details,
            "item_path": list(message.item_path), "worker": message.worker,
        }
        label = label_of(message.phase, f"{play.prefix}{message.path}")
        return Call(message.run_id, message.path, label, facts, self.now_ms, message.timeout_ms, message.heartbeat_ms)

    def _revoke(self, play: Play, command: RevokeTask) -> list[ev.TaskSettled]:
        if command.path in play.queued:
            del play.queued[command.path]
            return [self._settled(command.path, "revoked")]
        if command.kill:
            play.claimed[command.path].is_stopping = True
        return []

    def _settled(self, path: str, outcome: Any, error: ErrorRecord | None = None, **more: Any) -> ev.TaskSettled:
        return ev.TaskSettled(self.now_ms, path, outcome, error=error, **more)

    # -- what the player does -------------------------------------------------------------------------
    def settle(self) -> None:
        self._deliver()
        for play in list(self._plays.values()):
            for call in list(play.claimed.values()):
                if call.is_stopping and call.answer is not None and not call.answer.ignores_stop:
                    self._end(call, self._settled(call.path, "unknown", ErrorRecord("cancelled")))
        self._deliver()

    def calls(self) -> list[Call]:
        return [call for play in self._plays.values() for call in play.claimed.values()]

    def attend(self, call: Call) -> None:
        pass

    def answer(self, call: Call) -> None:
        assert call.answer is not None
        self._end(call, self._outcome(call.path, call.facts, call.answer))

    def overrun(self, call: Call) -> None:
        details = None
        if call.answer is not None and call.answer.beats is not None:
            details = {"last_details": call.answer.beats}
        self._end(call, self._settled(call.path, "unknown", ErrorRecord("timeout", details=details)))

    def _end(self, call: Call, event: ev.TaskSettled) -> None:
        play = self._plays[call.run_id]
        del play.claimed[call.path]
        self._take(play, event)

    def _outcome(self, path: str, facts: dict[str, Any], answer: Answer) -> ev.TaskSettled:
        if facts["worker"].startswith("strict."):
            answer = _strict(facts, answer)
        outcome, fields = _OUTCOMES[answer.does](answer, facts)
        return self._settled(path, outcome, **fields)

    def say_late(self, label: str, answer: Answer) -> None:
        for play in self._plays.values():
            path = label.rpartition(" ")[2].removeprefix(play.prefix)
            if path not in play.claimed and play.run is not None and path in play.run.nodes:
                self._take(play, self._outcome(path, {"input": None, "worker": ""}, answer))

    def post(self, request: ev.Request, prefix: str) -> None:
        if request.nonce not in self._nonces:  # the store takes each once
            self._nonces.add(request.nonce)
            play = next(play for play in reversed(self._plays.values()) if play.prefix == prefix)
            self._take(play, replace(request, at_ms=self.now_ms))  # type: ignore[arg-type]

    def start_more(self, name: str, definition: Definition, value: Any, key: str | None) -> str:
        raise NotImplementedError("it takes a server")

    def rerun(self, name: str) -> str:
        raise NotImplementedError("it takes a server")

    def effects(self, label: str) -> int:
        raise NotImplementedError("it takes a server")

    def restart(self) -> None:
        for play in self._plays.values():
            assert play.run is not None
            play.run = run_of(state_of(play.run), play.fields)

    # -- time ---------------------------------------------------------------------------------------
    def next_due_ms(self) -> int | None:
        return min((due_ms for due_ms, *_ in self._due()), default=None)

    def _due(self) -> list[tuple[int, str, str]]:
        """(when, run, name of the timer or path of the queued task)."""
        found = []
        for run_id, play in self._plays.items():
            found += [(due_ms, run_id, name) for name, due_ms in play.timers.items()]
            found += [(task.due_ms, run_id, task.path) for task in play.queued.values() if task.due_ms]
        return sorted(found)

    def advance_to(self, at_ms: int) -> None:
        self.now_ms = at_ms
        for due_ms, run_id, name in self._due():
            play = self._plays[run_id]
            if due_ms <= at_ms and play.timers.pop(name, None) is not None:
                self._take(play, ev.TimerFired(at_ms, name))
            elif due_ms <= at_ms and play.queued.pop(name, None) is not None:
                self._take(play, self._settled(name, "failed", ErrorRecord("queue_timeout")))

    def views(self) -> list[View]:
        return [View(run_id, play.prefix, play.run, play.events) for run_id, play in self._plays.items()]

    def close(self) -> None:
        pass


def _strict(facts: dict[str, Any], answer: Answer) -> Answer:
    """The worker with a contract gives a whole number."""
    if answer.does == "echo":
        return Answer("completed", facts["input"]["n"])
    if answer.does == "completed" and type(answer.value) is not int:
        return Answer("invalid_output")
    return answer


def _definite(answer: Answer, _facts: Any) -> Any:
    if answer.does == "business":
        error = ErrorRecord(answer.value, "business", answer.more.get("message", ""), answer.more.get("details"))
        return "failed", {"error": error}
    if answer.does == "already_undone":
        return "failed", {"error": ErrorRecord("already_undone")}
    hint_ms = parse_duration_ms("retry_later", answer.value) if answer.does == "retry_later" else 0
    return "failed", {"error": ErrorRecord("no_effect", message=answer.more.get("message", "")), "hint_ms": hint_ms}


def _unknown(answer: Answer, _facts: Any) -> Any:
    code = {"lost": "worker_lost"}.get(answer.does, answer.does)
    return "unknown", {"error": ErrorRecord(code, message=answer.more.get("message", ""))}


def _pending(answer: Answer, _facts: Any) -> Any:
    hint_ms = parse_duration_ms("pending", answer.value) if answer.value else 0
    return "completed", {"verdict": "pending", "hint_ms": hint_ms}


_OUTCOMES: dict[str, Any] = {
    "echo": lambda _answer, facts: ("completed", {"output": facts["input"]}),
    "completed": lambda answer, _facts: ("completed", {"output": answer.value}),
    "business": _definite, "no_effect": _definite, "retry_later": _definite, "already_undone": _definite,
    "exception": _unknown, "lost": _unknown, "invalid_output": _unknown,
    "landed": lambda answer, _facts: ("completed", {"output": answer.value, "verdict": "landed"}),
    "not_landed": lambda answer, _facts: (
        "completed", {"verdict": "not_landed", "fenced": answer.value == "fenced"}
    ),
    "pending": _pending,
}
