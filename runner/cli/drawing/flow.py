"""What a picture of a definition shows: steps, what they are in, how each is undone. Every form draws this tree.

It is in the order of the file and holds nothing else than the file says, so that a picture changes only with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from runner.definition.model import (
    BlockAction,
    Catch,
    ChildAction,
    Definition,
    FailAction,
    LoopAction,
    ParallelAction,
    RepeatAction,
    SetAction,
    SignalAction,
    Step,
    SwitchAction,
    WaitAction,
    WorkerAction,
)


@dataclass(frozen=True, slots=True)
class Lane:
    """One sequence inside of a node: a branch, an item, a round, a case, a handler."""

    label: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A step. With lanes it is drawn as a frame around them. `undo`: what takes it back, "" for nothing."""

    name: str
    does: str  # the worker, or what it is instead
    kind: str = ""  # readonly, compensatable, pivot, retriable, none; "" where it has none of its own
    undo: str = ""
    notes: tuple[str, ...] = ()
    lanes: tuple[Lane, ...] = ()
    handlers: tuple[Lane, ...] = ()

    @property
    def is_undone(self) -> bool:
        """It, or something in it, has an undo."""
        return bool(self.undo) or any(node.is_undone for lane in self.lanes for node in lane.nodes)

    @property
    def ends(self) -> bool:
        """No run gets past it."""
        return self.does.startswith("fail: ") and not any(note.startswith("when ") for note in self.notes)

    @property
    def is_pivot(self) -> bool:
        return self.kind == "pivot" or any(node.is_pivot for lane in self.lanes for node in lane.nodes)


@dataclass(frozen=True, slots=True)
class Flow:
    """A whole definition."""

    title: str
    summary: str
    nodes: tuple[Node, ...]
    finally_: tuple[Node, ...]


def flow_of(definition: Definition) -> Flow:
    title = f"{definition.workflow} {definition.version}"
    return Flow(title, definition.summary, _nodes(definition.steps), _nodes(definition.finally_))


def _nodes(steps: Iterable[Step]) -> tuple[Node, ...]:
    return tuple(map(_node, steps))


def _node(step: Step) -> Node:
    does, kind, undo, notes = _action(step.action)
    if step.when is not None:
        notes = [f"when {_expression(step.when)}", *notes]
    caught = [catch for catch in step.catch if catch.steps or catch.output is not None or not catch.undo]
    notes += [f"on {_errors(catch)}: goes on" for catch in step.catch if catch not in caught]
    handlers = tuple(Lane(_handler(catch), _nodes(catch.steps)) for catch in caught)
    return Node(step.id, does, kind, undo, tuple(notes), tuple(_lanes(step.action)), handlers)


def _action(action: Any) -> tuple[str, str, str, list[str]]:
    """What it does, its kind, its undo, and remarks."""
    match action:
        case WorkerAction():
            return action.call.worker, action.kind, _undo_of(action), list(_worker_notes(action))
        case BlockAction():
            return "steps", "", "", []
        case ParallelAction():
            return f"parallel: {'all' if action.join == 'all' else 'the first'} of", "", "", []
        case LoopAction():
            many = f", {action.max_parallel} at once" if action.max_parallel > 1 else ""
            collects = ", failures collected" if action.on_item_failure == "collect" else ""
            return f"for each {action.as_} in {_expression(action.in_)}{many}{collects}", "", "", []
        case RepeatAction():
            return f"repeat until {_expression(action.until)}, at most {action.max_rounds}", "", "", []
        case SwitchAction():
            return "switch", "", "", []
        case WaitAction():
            until = f"until {_expression(action.until)}" if action.duration is None else _expression(action.duration)
            return f"wait {until}", "", "", []
        case SignalAction():
            return f"wait for signal {action.signal}", "", "", list(_signal_notes(action))
        case ChildAction():
            undo = action.compensate.worker if action.compensate else f"undo of {action.workflow}"
            kind = "pivot" if action.is_pivot else "compensatable"
            return f"run of {action.workflow} {action.version}", kind, "" if action.is_pivot else undo, []
        case SetAction():
            return f"set {', '.join(action.values)}", "", "", []
        case FailAction():
            return "fail: rethrow" if action.rethrow else f"fail: {action.error}", "", "", []
    raise TypeError(f"no picture of {type(action).__name__}")


def _undo_of(action: WorkerAction) -> str:
    return action.compensate.worker if action.compensate is not None else ""


def _worker_notes(action: WorkerAction) -> Iterator[str]:
    if action.kind == "none":
        yield f"stays: {action.reason}"
    elif action.kind != "compensatable":
        yield {"pivot": "pivot: the point of no return"}.get(action.kind, action.kind)
    if action.verify is not None:
        yield f"verify {action.verify.worker}"
    if action.confirm is not None:
        yield f"confirm {action.confirm.worker}"


def _signal_notes(action: SignalAction) -> Iterator[str]:
    if action.timeout is not None:
        then = "goes on" if action.on_timeout is None else f"fails: {action.on_timeout}"
        yield f"after {_expression(action.timeout)}: {then}"


def _lanes(action: Any) -> Iterator[Lane]:
    match action:
        case BlockAction() | LoopAction() | RepeatAction():
            yield Lane("", _nodes(action.steps))
        case ParallelAction():
            for name, steps in action.branches.items():
                yield Lane(name, _nodes(steps))
        case SwitchAction():
            for case in action.cases:
                yield Lane("else" if case.when is None else f"when {_expression(case.when)}", _nodes(case.steps))


def _handler(catch: Catch) -> str:
    when = f" when {_expression(catch.when)}" if catch.when is not None else ""
    return f"catch {_errors(catch)}{when}{'' if catch.undo else ', without undo'}"


def _errors(catch: Catch) -> str:
    return "any error" if catch.errors == ("any",) else ", ".join(catch.errors)


def _expression(value: Any) -> str:
    """As it is read: without the braces, on one line."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = " ".join(text.split())
    whole = text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1
    return text[2:-2].strip() if whole else text
