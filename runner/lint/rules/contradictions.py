"""Where a step and the contract of a worker that it asks differ: about what changes, what fails and what answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.builtin import builtin_contracts
from runner.definition.complaint import did_you_mean
from runner.definition.finding import Finding, shown
from runner.definition.model import Call, WorkerAction
from runner.lint.outline import Site
from runner.lint.rule import Rule, Subject, calls_of


def _kinds(subject: Subject) -> Iterator[Finding]:
    for site, action, contract in _known(subject):
        if "readonly_when" in contract or "readonly" not in contract:
            continue
        worker, kind = action.call.worker, site.raw.get("kind")
        if kind in ("readonly", "pivot") and isinstance(site.raw.get("compensate"), Mapping):
            continue  # the two contradict each other already
        if kind == "readonly" and not contract["readonly"]:
            message = f'"{site.step.id}" is readonly, but the contract of {worker} does not say that it changes nothing'
            hint = "mark the worker readonly, or say how the step is undone"
            yield Finding("SR322", f"{site.pointer}/kind", message, hint, severity="warning")
        elif contract["readonly"] and (kind == "pivot" or action.compensate is not None):
            is_pivot = kind == "pivot"
            why = "it is no point of no return" if is_pivot else "there is nothing to undo"
            message = f"{worker} changes nothing, as its contract says: {why}"
            pointer = f"{site.pointer}/{'kind' if is_pivot else 'compensate'}"
            hint = "leave it out: the step is readonly"
            yield Finding("SR322", pointer, message, hint, on_key=not is_pivot, severity="warning")


def _undos(subject: Subject) -> Iterator[Finding]:
    for site, action, _ in _known(subject):
        for key, call in (("compensate", action.compensate), ("confirm", action.confirm)):
            if call is None:
                continue
            message = _does_nothing(subject, key, call, action)
            if message:
                yield Finding("SR323", f"{site.pointer}/{key}/worker", message, severity="warning")


def _does_nothing(subject: Subject, key: str, call: Call, action: WorkerAction) -> str:
    contract = subject.contract(call.worker)
    what = "undo" if key == "compensate" else "confirm"
    if contract.get("readonly") and "readonly_when" not in contract:
        return f"{call.worker} changes nothing, as its contract says: it cannot {what} anything"
    if contract.get("verdict"):
        return f"{call.worker} tells what became of an operation: it cannot {what} one"
    if (call.worker, call.with_) == (action.call.worker, action.call.with_):
        return f"this asks {call.worker} for the same as the step: it does it again instead of {what}ing it"
    undo = action.compensate
    if key == "confirm" and undo is not None and (call.worker, call.with_) == (undo.worker, undo.with_):
        return f"this asks {call.worker} for the same as compensate: a run that succeeds would undo the step"
    return ""


def _verifications(subject: Subject) -> Iterator[Finding]:
    for site, action, _ in _known(subject):
        call = action.verify
        if call is None or call.worker in builtin_contracts():
            continue  # what http.request answers is made a verdict
        if subject.contract(call.worker).get("verdict") is False:
            message = f"{call.worker} gives no verdict: nothing it returns would say whether the operation landed"
            hint = "name a worker that returns Landed, NotLanded or Pending"
            yield Finding("SR324", f"{site.pointer}/verify/worker", message, hint)


def _errors(subject: Subject) -> Iterator[Finding]:
    yield from _raises(subject)
    yield from _unlisted_errors(subject)


def _raises(subject: Subject) -> Iterator[Finding]:
    for site, action, contract in _known(subject):
        known = contract.get("raises")
        if not isinstance(known, list) or action.call.worker == "http.request":
            continue
        for index, code in enumerate(action.raises):
            if code not in known:
                message = f"{action.call.worker} does not raise {shown(code)}"
                hint = did_you_mean(code, known) or f"it raises {', '.join(known) or 'no errors'}"
                yield Finding("SR227", f"{site.pointer}/raises/{index}", message, hint, severity="warning")
        for code in known if "raises" in site.raw else ():
            if code not in action.raises:
                message = f"{action.call.worker} also says no with {shown(code)}, which raises does not list"
                hint = "add it there, or leave raises out: the contract has all of them"
                yield Finding("SR228", f"{site.pointer}/raises", message, hint, on_key=True, severity="warning")


def _unlisted_errors(subject: Subject) -> Iterator[Finding]:
    """`use.errors` lists every code, where it is there at all; a step's own `raises` is looked at above."""
    listed = subject.definition.document.get("use", {}).get("errors", {})
    for site in subject.outline.sites if listed else ():
        for pointer, call in calls_of(site):
            known = subject.contract(call.worker).get("raises")
            is_said = pointer == site.pointer and ("raises" in site.raw or call.worker == "http.request")
            if is_said or not isinstance(known, list):
                continue
            for code in known:
                if code not in listed:
                    message = f"{call.worker} may say no with {shown(code)}, which use.errors does not list"
                    yield Finding("SR228", f"{pointer}/worker", message, "add it there", severity="warning")


def _known(subject: Subject) -> Iterator[tuple[Site, WorkerAction, Mapping[str, Any]]]:
    """The steps that ask a worker, each with the worker's contract, as far as that is known."""
    for site in subject.outline.sites:
        action = site.step.action
        if isinstance(action, WorkerAction):
            yield site, action, subject.contract(action.call.worker)


RULES = (
    Rule(
        {
            "SR227": "An error that the worker does not raise",
            "SR228": "An error of a worker that the file does not know",
        },
        _errors,
        needs="file",
    ),
    Rule({"SR322": "A kind that the worker's contract contradicts"}, _kinds, needs="step"),
    Rule({"SR323": "A call that undoes or confirms nothing"}, _undos, needs="step"),
    Rule({"SR324": "A verification that gives no verdict"}, _verifications, needs="step"),
)
