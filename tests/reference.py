"""Saga semantics in three hundred lines, written apart from the interpreter, as an oracle for it.

What goes one after another only: blocks, items, rounds, cases, waits. Where the interpreter walks a tree, this keeps a
stack of undos: a catch rolls back to its savepoint by popping, a failing run pops everything. It has no events, no
state to resume, and no time: nobody sends a signal, so whoever waits for one waits until its timeout.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from runner.definition.model import (
    BlockAction,
    Definition,
    FailAction,
    LoopAction,
    RepeatAction,
    Retry,
    SignalAction,
    Step,
    SwitchAction,
    WaitAction,
    WorkerAction,
)
from runner.wire import ErrorRecord

CRASH_LOOP = 5
FINAL = ("invalid_input", "unknown_worker", "already_undone")


class Failed(Exception):
    def __init__(self, error: ErrorRecord) -> None:
        self.error = error


class Stuck(Exception):
    pass


@dataclass
class Reference:
    """What a definition should do, given the replies of its workers: `calls` in order and the final `status`."""

    definition: Definition
    replies: Mapping[str, Sequence[Mapping[str, Any]]]
    calls: list[str] = field(default_factory=list)
    undos: list[tuple[Step, WorkerAction]] = field(default_factory=list)
    stands: list[tuple[str, WorkerAction]] = field(default_factory=list)  # by path: what took effect
    completed: dict[str, bool] = field(default_factory=dict)  # by id: whether the step did, when it was last run
    past_pivot: bool = False
    in_finally: bool = False
    catchers: list[tuple[str, ...]] = field(default_factory=list)
    handled: list[ErrorRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = {worker: deque(replies) for worker, replies in self.replies.items()}

    def status(self) -> str:
        try:
            try:
                self._sequence(self.definition.steps, "")
                self._confirm()
                status = "completed"
            except Failed:
                self._roll_back((0, 0))
                status = "compensated"
        except Stuck:
            return "stuck"
        self.in_finally = True
        for step in self.definition.finally_:
            with suppress(Failed):
                self._step(step, "~finally/")
        return status

    # -- forward ------------------------------------------------------------------------------------
    def _sequence(self, steps: Sequence[Step], inside: str) -> None:
        for step in steps:
            self._step(step, inside)

    def _step(self, step: Step, inside: str) -> None:
        path, savepoint = f"{inside}{step.id}", self._savepoint()
        self.catchers.append(tuple(code for catch in step.catch for code in catch.errors))
        try:
            self.completed[step.id] = self._body(step, path)
        except Failed as failure:
            self.catchers.pop()
            self._handle(step, path, failure, savepoint)
        else:
            self.catchers.pop()

    def _savepoint(self) -> tuple[int, int]:
        return len(self.undos), len(self.stands)

    def _body(self, step: Step, path: str) -> bool:
        """Whether it did something; else it was skipped."""
        match step.action:
            case WorkerAction() as action:
                self._operation(step, path, action)
            case BlockAction() as action:
                self._sequence(action.steps, f"{path}/")
            case FailAction() as action:
                self._fail(self.handled[-1] if action.rethrow else ErrorRecord(action.error, kind="business"))
            case LoopAction() as action:
                for index in range(action.in_.count("1")):
                    self._item(action, f"{path}#{index}/")
            case RepeatAction() as action:
                for index in range(action.max_rounds):
                    self._sequence(action.steps, f"{path}#{index}/")
                    if self._is_so(action.until):
                        break
            case SwitchAction() as action:
                names = [f"{path}.{'else' if case.when is None else index}/" for index, case in enumerate(action.cases)]
                chosen = [n for n, case in enumerate(action.cases) if case.when is None or self._is_so(case.when)]
                for index in chosen[:1]:
                    self._sequence(action.cases[index].steps, names[index])
                return bool(chosen)
            case WaitAction():
                pass
            case SignalAction() as action if action.on_timeout is not None:
                is_ours = action.on_timeout == "signal_timeout"
                self._fail(ErrorRecord(action.on_timeout, kind="technical" if is_ours else "business"))
        return True

    def _item(self, action: LoopAction, inside: str) -> None:
        if action.on_item_failure == "fail":
            return self._sequence(action.steps, inside)
        savepoint = self._savepoint()
        self.catchers.append(("any",))
        try:
            self._sequence(action.steps, inside)
        except Failed:
            self.catchers.pop()
            self._roll_back(savepoint)
        else:
            self.catchers.pop()

    def _is_so(self, condition: str) -> bool:
        """The few conditions that tests/definitions.py writes."""
        if "steps." in condition:
            return self.completed.get(condition.partition("steps.")[2].partition(".")[0], False)
        return "false" not in condition

    def _handle(self, step: Step, path: str, failure: Failed, savepoint: tuple[int, int]) -> None:
        error = failure.error
        for index, catch in enumerate(step.catch):
            if {error.code, error.kind, "any"} & set(catch.errors):
                if catch.undo:
                    self._roll_back(savepoint)
                elif self.undos and getattr(self.undos[-1][0], "id", "") == error.step and error.cause == "unknown":
                    self._undo(*self.undos.pop())
                self.handled.append(error)
                try:
                    self._sequence(catch.steps, f"{path}~{index}/")
                finally:
                    self.handled.pop()
                self.completed[step.id] = bool(catch.steps)
                return
        raise failure

    def _fail(self, error: ErrorRecord) -> None:
        if self._must_go_on(error):
            raise Stuck
        raise Failed(error)

    def _must_go_on(self, error: ErrorRecord) -> bool:
        caught = any({error.code, error.kind, "any"} & set(codes) for codes in self.catchers)
        return self.past_pivot and not caught and not self.in_finally

    def _give_up(self, error: ErrorRecord) -> None:
        """A person must act; but finally steps never keep a run from ending."""
        if self.in_finally:
            raise Failed(error)
        raise Stuck

    # -- operations ---------------------------------------------------------------------------------
    def _reply(self, worker: str, phase: str) -> Mapping[str, Any]:
        self.calls.append(worker)
        left = self._left.get(worker)
        if left:
            return left.popleft()
        return {"outcome": "completed", "verdict": "landed" if phase == "verify" else ""}

    def _operation(self, step: Step, path: str, action: WorkerAction) -> None:
        unknown, patient, lost, spent, budget = False, False, 0, 0, action.call.retry
        while True:
            reply = self._reply(action.call.worker, "action")
            spent += 1
            if reply["outcome"] == "completed":
                return self._done(step, path, action)
            error = _of(step, reply["error"])
            lost = lost + 1 if error.code == "worker_lost" else 0
            if lost >= CRASH_LOOP:
                error = ErrorRecord("crash_loop", step=step.id)
            unknown = unknown or (reply["outcome"] == "unknown" and action.kind != "readonly")
            more = lost < CRASH_LOOP and spent < budget.max_attempts
            is_unknown = reply["outcome"] == "unknown" and action.kind != "readonly"
            if not is_unknown and more and not _is_final(reply):
                continue
            if not is_unknown and not unknown:
                return self._fail(error)
            if action.on_unknown == "verify":
                verdict = self._verify(action, fencing=not (is_unknown and more) and not self._must_go_on(error))
                if verdict == "landed":
                    return self._done(step, path, action)
                if verdict == "fenced":
                    return self._fail(error)
                if verdict == "no answer":
                    return self._give_up(error)
                if more and (is_unknown or self._must_go_on(error)):
                    continue
                if action.compensate is not None and not self._must_go_on(error):
                    return self._unknown(step, action, error)
                if action.kind == "none":
                    return self._give_up(error)
            elif is_unknown and more:
                continue
            elif action.on_unknown == "compensate":
                return self._unknown(step, action, error)
            elif action.on_unknown == "halt":
                return self._give_up(error)
            # Nothing more is due, something may have happened, and only the step itself can tell: patiently.
            if lost >= CRASH_LOOP or self.in_finally or (patient and spent >= budget.max_attempts):
                return self._give_up(error)
            if not patient:
                patient, spent, budget = True, 0, self.definition.compensation_retry

    def _done(self, step: Step, path: str, action: WorkerAction) -> None:
        self.stands.append((path, action))
        if action.compensate is not None:
            self.undos.append((step, action))
        self.past_pivot = self.past_pivot or action.kind == "pivot"

    def _unknown(self, step: Step, action: WorkerAction, error: ErrorRecord) -> None:
        if self._must_go_on(error):
            raise Stuck
        self.undos.append((step, action))
        self._fail(ErrorRecord(error.code, kind=error.kind, step=step.id, cause="unknown"))

    def _verify(self, action: WorkerAction, *, fencing: bool) -> str:
        assert action.verify is not None
        for _ in range(action.verify.retry.max_attempts):
            reply = self._reply(action.verify.worker, "verify")
            verdict = reply.get("verdict", "")
            if reply["outcome"] == "completed" and verdict == "landed":
                return "landed"
            if reply["outcome"] == "completed" and verdict == "not_landed":
                return "fenced" if reply.get("fenced") else "not_landed"
            if _is_final(reply):
                break
        return "no answer"

    def _confirm(self) -> None:
        """All are asked at once, and those that did not succeed once more, in the same order."""
        asked = sorted((path, action.confirm) for path, action in self.stands if action.confirm is not None)
        is_stuck = False
        for attempt in (1, 2):
            again = []
            for path, call in asked:
                reply = self._reply(call.worker, "confirm")
                if reply["outcome"] != "completed":
                    if attempt == call.retry.max_attempts or _is_final(reply):
                        is_stuck = True
                    else:
                        again.append((path, call))
            asked = again
        if is_stuck:
            raise Stuck

    # -- back ---------------------------------------------------------------------------------------
    def _roll_back(self, savepoint: tuple[int, int]) -> None:
        undos, stands = savepoint
        del self.stands[stands:]
        while len(self.undos) > undos:
            self._undo(*self.undos.pop())

    def _undo(self, step: Step, action: WorkerAction) -> None:
        assert action.compensate is not None
        retry: Retry = action.compensate.retry
        for _ in range(retry.max_attempts):
            reply = self._reply(action.compensate.worker, "compensate")
            if reply["outcome"] == "completed":
                return
            if _is_final(reply):
                raise Stuck
        raise Stuck


def _of(step: Step, error: ErrorRecord) -> ErrorRecord:
    return ErrorRecord(error.code, kind=error.kind, step=step.id)


def _is_final(reply: Mapping[str, Any]) -> bool:
    """A definite no that would only be repeated."""
    return reply["outcome"] == "failed" and (reply["error"].kind == "business" or reply["error"].code in FINAL)
