"""From the resolved document to the model. Nothing is decided here: a document says everything.

A document was made by resolve.py, perhaps by an earlier release, and was kept by a store since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from runner.definition.duration import parse_duration
from runner.definition.finding import clean, cut
from runner.definition.model import (
    Action,
    BlockAction,
    Call,
    Catch,
    ChildAction,
    Concurrency,
    Definition,
    FailAction,
    LoopAction,
    ParallelAction,
    RepeatAction,
    Retry,
    Schedule,
    SetAction,
    SignalAction,
    Step,
    SwitchAction,
    SwitchCase,
    WaitAction,
    WorkerAction,
)
from runner.definition.problem import Problem
from runner.errors import DefinitionError

_Document = Mapping[str, Any]


def parse_document(document: _Document) -> Definition:
    """The definition that a document holds. Raises DefinitionError for one that was tampered with."""
    try:
        return _definition(document)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        message = f"the stored definition cannot be read: {type(error).__name__}: {cut(clean(str(error)))}"
        raise DefinitionError([Problem("document", 1, 1, "SR109", message)]) from error


def digest_of(document: _Document) -> str:
    """sha256 of the canonical JSON, as hex."""
    return hashlib.sha256(msgspec.json.encode(document, order="sorted")).hexdigest()


def _definition(document: _Document) -> Definition:
    return Definition(
        workflow=document["workflow"],
        version=document["version"],
        steps=_steps(document["steps"], ""),
        finally_=_steps(document["finally"], "~finally/"),
        summary=document.get("summary", ""),
        input_schema=document.get("input"),
        idempotency_key=document.get("idempotency_key"),
        on_duplicate=document["on_duplicate"],
        timeout_ms=_ms(document, "timeout"),
        compensation_retry=_retry(document["compensation"]["retry"]),
        concurrency=_concurrency(document.get("concurrency")),
        schedule=_schedule(document.get("schedule")),
        vars=document["vars"],
        output=document.get("output"),
        document=document,
        digest=digest_of(document),
    )


def _concurrency(given: _Document | None) -> Concurrency | None:
    return None if given is None else Concurrency(given["limit"], given.get("key"), given["on_limit"])


def _schedule(given: _Document | None) -> Schedule | None:
    return None if given is None else Schedule(given["cron"], given["timezone"], given["overlap"], given.get("input"))


def _steps(steps: list[_Document], scope: str) -> tuple[Step, ...]:
    """`scope` is what their paths begin with: "", "checks/", "charge~0/"."""
    return tuple(_step(step, f"{scope}{step['id']}") for step in steps)


def _step(step: _Document, path: str) -> Step:
    return Step(
        id=step["id"],
        path=path,
        action=_action(step, path),
        when=step.get("when"),
        summary=step.get("summary", ""),
        catch=tuple(_catch(catch, f"{path}~{index}/") for index, catch in enumerate(step.get("catch", ()))),
        output=step.get("output"),
    )


def _catch(catch: _Document, scope: str) -> Catch:
    return Catch(
        errors=tuple(catch["errors"]),
        when=catch.get("when"),
        undo=catch["undo"],
        steps=_steps(catch["steps"], scope),
        output=catch.get("output"),
    )


def _action(step: _Document, path: str) -> Action:
    for key, parse in _ACTIONS.items():
        if key in step:
            return parse(step, path)
    raise KeyError("the step does not say what it does")


def _block(step: _Document, path: str) -> Action:
    return BlockAction(_steps(step["steps"], f"{path}/"))


def _parallel(step: _Document, path: str) -> Action:
    given = step["parallel"]
    return ParallelAction(
        branches={name: _steps(steps, f"{path}.{name}/") for name, steps in given["branches"].items()},
        join=given["join"],
        on_branch_failure=given["on_branch_failure"],
    )


def _for_each(step: _Document, path: str) -> Action:
    given = step["for_each"]
    return LoopAction(
        in_=given["in"],
        as_=given["as"],
        steps=_steps(given["steps"], f"{path}#/"),
        max_parallel=given["max_parallel"],
        on_item_failure=given["on_item_failure"],
        output=given.get("output"),
    )


def _repeat(step: _Document, path: str) -> Action:
    given = step["repeat"]
    steps = _steps(given["steps"], f"{path}#/")
    return RepeatAction(steps=steps, until=given["until"], max_rounds=given["max"], output=given.get("output"))


def _switch(step: _Document, path: str) -> Action:
    return SwitchAction(
        tuple(
            SwitchCase(case["when"], _steps(case["steps"], f"{path}.{index}/"))
            if "when" in case
            else SwitchCase(None, _steps(case["else"], f"{path}.else/"))
            for index, case in enumerate(step["switch"])
        )
    )


def _wait(step: _Document, _path: str) -> Action:
    given = step["wait"]
    return WaitAction(duration=given) if isinstance(given, str) else WaitAction(until=given["until"])


def _wait_for(step: _Document, _path: str) -> Action:
    given = step["wait_for"]
    on_timeout = given.get("on_timeout", {"fail": "signal_timeout"})
    return SignalAction(
        signal=given["signal"],
        schema=given.get("schema"),
        match=given.get("match"),
        timeout=given.get("timeout"),
        on_timeout=None if on_timeout == "continue" else on_timeout["fail"],
    )


def _set(step: _Document, _path: str) -> Action:
    return SetAction(step["set"])


def _fail(step: _Document, _path: str) -> Action:
    if step["fail"] == "rethrow":
        return FailAction(rethrow=True)
    return FailAction(error=step["fail"]["error"], message=step["fail"].get("message", ""))


def _worker(step: _Document, _path: str) -> Action:
    undo, verify, confirm = (step.get(key) for key in ("compensate", "verify", "confirm"))
    return WorkerAction(
        call=_call(step),
        kind=step.get("kind", "none"),
        on_unknown=step.get("on_unknown", "compensate"),  # readonly: there is nothing to do
        raises=tuple(step.get("raises", ())),
        queue_timeout_ms=_ms(step, "queue_timeout"),
        total_timeout_ms=_ms(step, "total_timeout"),
        heartbeat_ms=_ms(step, "heartbeat"),
        compensate=None if undo in (None, "none") else _call(undo),
        reason=step.get("reason", ""),
        verify=None if verify is None else _call(verify),
        confirm=None if confirm is None else _call(confirm),
    )


def _subworkflow(step: _Document, _path: str) -> Action:
    pinned, undo = step["subworkflow"], step.get("compensate")
    return ChildAction(
        workflow=pinned["workflow"],
        version=pinned["version"],
        digest=pinned["digest"],
        with_=step["with"],
        has_pivot=pinned["pivot"],
        compensate=None if undo is None else _call(undo),
    )


def _call(call: _Document) -> Call:
    return Call(call["worker"], call["with"], parse_duration(call["timeout"]), _retry(call["retry"]))


def _retry(retry: _Document) -> Retry:
    return Retry(
        max_attempts=retry["max_attempts"],
        backoff=retry["backoff"],
        initial_ms=parse_duration(retry["initial"]),
        max_ms=parse_duration(retry["max"]),
        multiplier=retry["multiplier"],
        jitter=retry["jitter"],
    )


def _ms(holder: _Document, key: str) -> int:
    return parse_duration(holder[key]) if key in holder else 0


_ACTIONS: Mapping[str, Callable[[_Document, str], Action]] = {
    "worker": _worker,
    "steps": _block,
    "parallel": _parallel,
    "for_each": _for_each,
    "repeat": _repeat,
    "switch": _switch,
    "wait": _wait,
    "wait_for": _wait_for,
    "subworkflow": _subworkflow,
    "set": _set,
    "fail": _fail,
}
