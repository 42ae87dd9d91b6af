"""From the resolved document to the model. Nothing is decided here: a document says everything.

A document was made by resolve.py, perhaps by an earlier release, and was kept by a store since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from runner.definition.duration import parse_duration
from runner.definition.finding import clean, cut
from runner.definition.model import (
    Action,
    BlockAction,
    Call,
    Catch,
    Definition,
    FailAction,
    Retry,
    SetAction,
    Step,
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
        vars=document["vars"],
        output=document.get("output"),
        document=document,
        digest=digest_of(document),
    )


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
    if "worker" in step:
        return _worker(step)
    if "steps" in step:
        return BlockAction(_steps(step["steps"], f"{path}/"))
    if "set" in step:
        return SetAction(step["set"])
    if step["fail"] == "rethrow":
        return FailAction(rethrow=True)
    return FailAction(error=step["fail"]["error"], message=step["fail"].get("message", ""))


def _worker(step: _Document) -> WorkerAction:
    undo, verify = step.get("compensate"), step.get("verify")
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
