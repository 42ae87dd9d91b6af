"""`steps.<id>`: the step exists, and has run before the expression is evaluated, as far as its place can tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.definition.complaint import closest
from runner.definition.finding import Finding, shown
from runner.definition.model import LoopAction, ParallelAction, RepeatAction, SwitchAction, WorkerAction
from runner.lint.outline import Site
from runner.lint.reading import Text
from runner.lint.rule import Rule, Subject, at_segment

_SHOWN_FIELDS = 6


def _unknown_steps(subject: Subject) -> Iterator[Finding]:
    for text, reference in subject.references():
        if reference.path[0] != "steps" or len(reference.path) < 2 or "steps" not in text.names:
            continue
        step_id = reference.path[1]
        if step_id in text.view.visible:
            continue
        target = subject.outline.by_id.get(str(step_id))
        if target is None:
            message, hint = _no_such_step(subject, text, str(step_id))
            yield at_segment("SR204", text, reference, 1, message, hint, text.view.visible)
        else:
            message, hint = _apart(subject, text, target) or _not_visible(text, target)
            yield at_segment("SR204", text, reference, 1, message, hint)


def _no_such_step(subject: Subject, text: Text, step_id: str) -> tuple[str, str]:
    before = f' before "{text.site.step.id}"' if text.site else ""
    meant = closest(step_id, text.view.visible)
    hint = ""
    if meant:
        fields = _fields(subject, subject.outline.by_id[meant])
        hint = f'did you mean "{meant}"?' + (f" it returns {fields}" if fields else "")
    return f"no step {shown(step_id)}{before}", hint


def _fields(subject: Subject, site: Site) -> str:
    """The members of a step's output, as far as the file or the worker's contract names them."""
    output: Any = site.step.output
    if isinstance(output, Mapping):
        names = list(output)
    elif output is None and isinstance(site.step.action, WorkerAction) and subject.contracts:
        contract = subject.contracts.get(site.step.action.call.worker, {})
        names = list((contract.get("output") or {}).get("properties", {}))
    else:
        names = []
    return ", ".join(names[:_SHOWN_FIELDS]) + (", …" if len(names) > _SHOWN_FIELDS else "")


def _apart(subject: Subject, text: Text, target: Site) -> tuple[str, str] | None:
    """What is said where a container comes between the two: the outermost one that holds the step and not the text."""
    step_id, at = target.step.id, text.pointer
    for around in reversed(list(subject.outline.everything_around(target))):
        owner = around.step.id
        here = f"{around.pointer}/"
        match around.step.action:
            case LoopAction() if _between(at, target.pointer, f"{here}for_each/"):
                message = f'step "{step_id}" is in the for_each "{owner}", and cannot be read from outside'
                return message, f"read steps.{owner}.output, the list of the items' outputs"
            case RepeatAction() if _between(at, target.pointer, f"{here}repeat/"):
                message = f'step "{step_id}" is in the repeat "{owner}", and cannot be read from outside'
                return message, f"read steps.{owner}.output, which is that of the last round"
            case ParallelAction() if _branch(at, here, "parallel/branches/") not in (
                "", _branch(target.pointer, here, "parallel/branches/")
            ):
                message = f'step "{step_id}" is in another branch of "{owner}", which runs beside this one'
                return message, f"read it after the join, or put both in one branch of {owner}"
            case SwitchAction() if _branch(at, here, "switch/") not in ("", _branch(target.pointer, here, "switch/")):
                return f'step "{step_id}" is in another case of "{owner}": only one of them is chosen', ""
            case _:
                continue
    return None


def _between(reader: str, read: str, inside: str) -> bool:
    return read.startswith(inside) and not reader.startswith(inside)


def _branch(pointer: str, owner: str, key: str) -> str:
    """The branch or case that a pointer is in; "" if in none of them."""
    rest = pointer.removeprefix(owner + key)
    return rest.partition("/")[0] if rest != pointer else ""


def _not_visible(text: Text, target: Site) -> tuple[str, str]:
    step_id = target.step.id
    if text.site is target:
        return f'"{step_id}" cannot read its own record here', "its output is `result`, in output and compensate"
    if text.pointer.startswith(f"{target.pointer}/"):
        return f'"{step_id}" is around this step: it has no output yet', ""
    handler = re.match(r"(.*/catch/\d+)/", target.pointer)
    if handler and not text.pointer.startswith(f"{handler[1]}/") and target.handler_of is not None:
        owner = target.handler_of.step.id
        message = f'step "{step_id}" is in the catch of "{owner}" and cannot be read from here'
        return message, f"give the catch an output and read steps.{owner}.output"
    if target.in_finally and not (text.site and text.site.in_finally):
        return f'step "{step_id}" is in finally, which runs last', ""
    return f'step "{step_id}" runs after {text.subject}', "a step is read by those that come after it"


RULES = (Rule({"SR204": "No such step before this one"}, _unknown_steps),)
