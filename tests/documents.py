"""A definition written out again: the document that parses to it, which is also what a user may write as YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from runner.definition.model import (
    BlockAction,
    Call,
    Catch,
    ChildAction,
    Definition,
    FailAction,
    LoopAction,
    ParallelAction,
    RepeatAction,
    Retry,
    SetAction,
    SignalAction,
    Step,
    SwitchAction,
    WaitAction,
    WorkerAction,
)
from runner.definition.parse import parse_document
from runner.interpreter.plan import Plan


def family_of(plans: Mapping[str, Plan], root: str) -> Definition:
    """The definition of a plan whose steps start others of them. Each comes after those that it starts."""
    known: dict[str, Definition] = {}
    for name, plan in plans.items():
        document = _pinned(document_of(plan.definition), known)
        known[name] = parse_document(document)
    children = {each.digest: each for name, each in known.items() if name != root}
    return replace(known[root], children=children)


def _pinned(value: Any, known: Mapping[str, Definition]) -> Any:
    """With the real content hashes in place of the names that plans go by in a test."""
    if isinstance(value, dict):
        changed = {key: _pinned(part, known) for key, part in value.items()}
        return {**changed, "digest": known[value["digest"]].digest} if "digest" in value else changed
    return [_pinned(part, known) for part in value] if isinstance(value, list) else value


def document_of(definition: Definition) -> dict[str, Any]:
    document = {
        "workflow": definition.workflow, "version": definition.version, "on_duplicate": definition.on_duplicate,
        "compensation": {"retry": _retry(definition.compensation_retry)}, "vars": dict(definition.vars),
        "steps": _steps(definition.steps), "finally": _steps(definition.finally_), "output": definition.output,
    }
    if definition.timeout_ms:
        document["timeout"] = f"{definition.timeout_ms}ms"
    return document


def _steps(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [_step(step) for step in steps]


def _step(step: Step) -> dict[str, Any]:
    written = {"id": step.id, **_action(step.action)}
    written |= {key: value for key, value in (("when", step.when), ("output", step.output)) if value is not None}
    if step.catch:
        written["catch"] = [_catch(catch) for catch in step.catch]
    return written


def _catch(catch: Catch) -> dict[str, Any]:
    written: dict[str, Any] = {"errors": list(catch.errors), "undo": catch.undo, "steps": _steps(catch.steps)}
    written |= {key: value for key, value in (("when", catch.when), ("output", catch.output)) if value is not None}
    return written


def _action(action: Any) -> dict[str, Any]:
    match action:
        case WorkerAction():
            return _worker(action)
        case BlockAction():
            return {"steps": _steps(action.steps)}
        case ParallelAction():
            branches = {name: _steps(steps) for name, steps in action.branches.items()}
            return {"parallel": {
                "branches": branches, "join": action.join, "on_branch_failure": action.on_branch_failure,
            }}
        case LoopAction():
            return {"for_each": {
                "in": action.in_, "as": action.as_, "max_parallel": action.max_parallel,
                "on_item_failure": action.on_item_failure, "steps": _steps(action.steps),
            }}
        case RepeatAction():
            return {"repeat": {"max": action.max_rounds, "until": action.until, "steps": _steps(action.steps)}}
        case SwitchAction():
            return {"switch": [
                {"else": _steps(case.steps)} if case.when is None
                else {"when": case.when, "steps": _steps(case.steps)}
                for case in action.cases
            ]}
        case WaitAction():
            return {"wait": action.duration}
        case SignalAction():
            return {"wait_for": _signal(action)}
        case ChildAction():
            return _child(action)
        case SetAction():
            return {"set": dict(action.values)}
        case FailAction():
            return {"fail": "rethrow" if action.rethrow else {"error": action.error, "message": action.message}}
    raise TypeError(f"{action!r} is not written yet")


def _child(action: ChildAction) -> dict[str, Any]:
    pinned = {"workflow": action.workflow, "version": action.version, "digest": action.digest}
    written: dict[str, Any] = {"subworkflow": {**pinned, "pivot": action.has_pivot}, "with": action.with_}
    if action.compensate is not None:
        written["compensate"] = _call(action.compensate)
    return written


def _signal(action: SignalAction) -> dict[str, Any]:
    written: dict[str, Any] = {"signal": action.signal}
    if action.match is not None:
        written["match"] = action.match
    if action.timeout is not None:
        written["timeout"] = action.timeout
        written["on_timeout"] = "continue" if action.on_timeout is None else {"fail": action.on_timeout}
    return written


def _worker(action: WorkerAction) -> dict[str, Any]:
    written = _call(action.call)
    if action.kind == "none":
        written |= {"compensate": "none", "reason": action.reason}
    else:
        written["kind"] = action.kind
    if action.kind != "readonly":
        written["on_unknown"] = action.on_unknown
    if action.raises:
        written["raises"] = list(action.raises)
    for key, call in (("compensate", action.compensate), ("verify", action.verify), ("confirm", action.confirm)):
        if call is not None:
            written[key] = _call(call)
    return written


def _call(call: Call) -> dict[str, Any]:
    timeout = f"{call.timeout_ms}ms"
    return {"worker": call.worker, "with": call.with_, "timeout": timeout, "retry": _retry(call.retry)}


def _retry(retry: Retry) -> dict[str, Any]:
    return {
        "max_attempts": retry.max_attempts, "backoff": retry.backoff, "initial": f"{retry.initial_ms}ms",
        "max": f"{retry.max_ms}ms", "multiplier": retry.multiplier, "jitter": retry.jitter,
    }
