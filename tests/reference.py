"""Saga semantics in a hundred lines, written apart from the interpreter, as an oracle for it.

Sequential steps and blocks only. Where the interpreter walks a tree, this keeps a stack of undos: a catch
rolls back to its savepoint by popping, a failing run pops everything. It has no events, no state to resume.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.definition.model import BlockAction, Definition, FailAction, Retry, Step, WorkerAction
from runner.wire import ErrorRecord


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
    past_pivot: bool = False
    catchers: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = {worker: deque(replies) for worker, replies in self.replies.items()}

    def status(self) -> str:
        try:
            try:
                self._sequence(self.definition.steps)
            except Failed:
                self._roll_back(0)
                return "compensated"
        except Stuck:
            return "stuck"
        return "completed"

    # -- forward ------------------------------------------------------------------------------------
    def _sequence(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._step(step)

    def _step(self, step: Step) -> None:
        savepoint = len(self.undos)
        self.catchers.append(tuple(code for catch in step.catch for code in catch.errors))
        try:
            self._body(step)
        except Failed as failure:
            self.catchers.pop()
            self._handle(step, failure, savepoint)
        else:
            self.catchers.pop()

    def _body(self, step: Step) -> None:
        match step.action:
            case WorkerAction() as action:
                self._operation(step, action)
            case BlockAction() as action:
                self._sequence(action.steps)
            case FailAction() as action:
                self._fail(ErrorRecord(action.error, kind="business"))

    def _handle(self, step: Step, failure: Failed, savepoint: int) -> None:
        error = failure.error
        for catch in step.catch:
            if {error.code, error.kind, "any"} & set(catch.errors):
                if catch.undo:
                    self._roll_back(savepoint)
                elif self.undos and getattr(self.undos[-1][0], "id", "") == error.step and error.cause == "unknown":
                    self._undo(*self.undos.pop())
                self._sequence(catch.steps)
                return
        raise failure

    def _fail(self, error: ErrorRecord) -> None:
        caught = any({error.code, error.kind, "any"} & set(codes) for codes in self.catchers)
        if self.past_pivot and not caught:
            raise Stuck
        raise Failed(error)

    # -- operations ---------------------------------------------------------------------------------
    def _reply(self, worker: str, phase: str) -> Mapping[str, Any]:
        self.calls.append(worker)
        left = self._left.get(worker)
        if left:
            return left.popleft()
        return {"outcome": "completed", "verdict": "landed" if phase == "verify" else ""}

    def _operation(self, step: Step, action: WorkerAction) -> None:
        unknown, lost, spent, budget = False, 0, 0, action.call.retry
        patient = False
        while True:
            reply = self._reply(action.call.worker, "action")
            spent += 1
            if reply["outcome"] == "completed":
                return self._done(step, action)
            error = reply["error"]
            lost = lost + 1 if error.code == "worker_lost" else 0
            crashed = lost >= 5
            unknown = unknown or (reply["outcome"] == "unknown" and action.kind != "readonly")
            final = reply["outcome"] == "failed" and error.kind == "business"
            more = not final and not crashed and spent < budget.max_attempts
            if not final and reply["outcome"] == "unknown" and action.on_unknown == "verify" and action.verify:
                verdict = self._verify(action, fencing=not more)
                if verdict == "landed":
                    return self._done(step, action)
                if verdict == "fenced":
                    return self._fail(_of(step, error))
                if more:
                    continue
                return self._unfenced(step, action, error)
            if more:
                continue
            if not unknown:
                return self._fail(_of(step, error))
            # Nothing more is tried, and something may have happened.
            if action.on_unknown == "compensate":
                return self._unknown(step, action, error)
            if action.on_unknown == "verify" and action.verify:
                verdict = self._verify(action, fencing=True)
                if verdict == "landed":
                    return self._done(step, action)
                if verdict == "fenced":
                    return self._fail(_of(step, error))
                return self._unfenced(step, action, error)
            if action.on_unknown == "retry" and not patient:
                patient, spent, budget = True, 0, self.definition.compensation_retry
                continue
            raise Stuck

    def _done(self, step: Step, action: WorkerAction) -> None:
        if action.compensate is not None:
            self.undos.append((step, action))
        self.past_pivot = self.past_pivot or action.kind == "pivot"

    def _unknown(self, step: Step, action: WorkerAction, error: ErrorRecord) -> None:
        if action.compensate is not None:
            self.undos.append((step, action))
        self._fail(ErrorRecord(error.code, kind=error.kind, step=step.id, cause="unknown"))

    def _unfenced(self, step: Step, action: WorkerAction, error: ErrorRecord) -> None:
        if action.compensate is None:
            raise Stuck
        self._unknown(step, action, error)

    def _verify(self, action: WorkerAction, *, fencing: bool) -> str:
        assert action.verify is not None
        for _ in range(action.verify.retry.max_attempts):
            reply = self._reply(action.verify.worker, "verify")
            verdict = reply.get("verdict", "")
            if reply["outcome"] == "completed" and verdict == "landed":
                return "landed"
            if reply["outcome"] == "completed" and verdict == "not_landed":
                return "fenced" if fencing and reply.get("fenced") else "not_landed"
            if reply["outcome"] == "failed":
                raise Stuck
        raise Stuck

    # -- back ---------------------------------------------------------------------------------------
    def _roll_back(self, savepoint: int) -> None:
        while len(self.undos) > savepoint:
            self._undo(*self.undos.pop())

    def _undo(self, step: Step, action: WorkerAction) -> None:
        assert action.compensate is not None
        retry: Retry = action.compensate.retry
        for _ in range(retry.max_attempts):
            reply = self._reply(action.compensate.worker, "compensate")
            if reply["outcome"] == "completed":
                return
            if reply["outcome"] == "failed" and reply["error"].kind == "business":
                raise Stuck
        raise Stuck


def _of(step: Step, error: ErrorRecord) -> ErrorRecord:
    return ErrorRecord(error.code, kind=error.kind, step=step.id)
