"""Steps that follow one another whatever they give: which the store may begin by itself, one when another completes.

Rule: a step is named here only if nothing but the completion of the one before it decides that it begins, and with what
input. So `advance` finds the very same dispatch later, when it hears of the completion. In doubt a step is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from runner.errors import ExpressionError
from runner.interpreter.attempt import call_of, dispatch, render
from runner.interpreter.command import DispatchTask, dispatch_of
from runner.interpreter.forward import waits_for
from runner.interpreter.paths import ROOT
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import Steps, scope_at
from runner.interpreter.sizes import size_of
from runner.interpreter.state import Node, Run
from runner.trace import attempt_span
from runner.wire import ErrorRecord

MAX_RELAY = 16  # steps
MAX_HOLES = 8  # outputs in one input
MAX_PATHS = 500  # of a run that is over
MAX_TEXT = 65_536  # bytes of all successors without them; the store goes on only after outcomes that are no larger
_MARK = "\0"  # in JSON it can only be written as \\u0000
_WRITTEN = b"\\u0000"
_ENCODER = msgspec.json.Encoder()


class Successor(msgspec.Struct, frozen=True, gc=False):
    """The step that begins when the one at `after` completes with an output.

    `parts` of its input's JSON: text, the path of a step whose output comes here, text, and so on.
    """

    after: str
    path: str
    worker: str
    message: bytes
    payload: str
    parts: tuple[str, ...]
    queue_timeout_ms: int


class _Follower(NamedTuple):
    """What is known of a successor whatever the run: its message but for the run's id, and perhaps its input."""

    after: str
    place: StepPlan
    command: DispatchTask
    message: tuple[list[bytes], list[bytes]]  # around the traceparent, what stands between the places of the run's id
    parts: tuple[str, ...] | None


def successors(plan: Plan, run: Run) -> tuple[Successor, ...]:
    """What follows the one task that is out, if that is a step of the root and all that the run waits for."""
    path = waits_for(plan, run)
    if path is None:
        return ()
    followers = plan.followers.get(path)
    if followers is None:
        followers = plan.followers[path] = _followers(plan, run, path)
    found: list[Successor] = []
    weight = 0
    run_id = _ENCODER.encode(run.header.run_id)[1:-1]
    for number, (after, place, command, message, parts) in enumerate(followers):
        if parts is None:
            parts = _input_of(plan, run, place, frozenset(one.after for one in followers[: number + 1]))
            if parts is None:
                break
        if not _can_render_undo(plan, run, place):
            break
        span = attempt_span(run.header.run_id, run.header.traceparent, command.path, "action", 1, 0, fresh=True)
        text = run_id.join(message[0]) + span.traceparent.encode() + run_id.join(message[1])
        weight += len(text) + sum(map(len, parts))
        if weight > MAX_TEXT:
            break
        found.append(
            Successor(
                after, command.path, command.message.worker, text, command.payload, parts, command.queue_timeout_ms
            )
        )
    return tuple(found)


def paths_of_tasks(plan: Plan, run: Run) -> tuple[str, ...]:
    """Of a run that is over: wherever it had a task, or one was named to come. () if it goes on, or these are many."""
    if not run.is_terminal or len(run.nodes) > MAX_PATHS:
        return ()
    paths = dict.fromkeys((*run.nodes, *plan.steps[ROOT].children))
    paths.pop(ROOT, None)
    return tuple(paths)


def _followers(plan: Plan, run: Run, path: str) -> tuple[_Follower, ...]:
    steps = plan.steps[ROOT].children
    begin = steps.index(path) + 1
    found: list[_Follower] = []
    done: set[str] = set()
    for follower in steps[begin : begin + MAX_RELAY]:
        done.add(path)
        place = plan.steps[follower]
        if not plan.steps[path].just_ends or not _just_begins(place, done):
            break
        command = _command(plan, run, place)
        ref = f"{_MARK}/{follower}"
        message = structs.replace(
            command.message, run_id=_MARK, step_ref=ref, idempotency_key=f"{ref}:action", traceparent=f"{_MARK}t"
        )
        before, _, behind = _ENCODER.encode(message).partition(_WRITTEN + b"t")
        is_same = place.reads_nothing_else and done.issuperset(place.hands_on)
        parts = _input_of(plan, run, place, done) if is_same else None
        found.append(_Follower(path, place, command, (before.split(_WRITTEN), behind.split(_WRITTEN)), parts))
        path = follower
    return tuple(found)


def _just_begins(place: StepPlan, done: Set[str]) -> bool:
    """Nothing but its input is to be worked out, and that from outputs as they are."""
    worker = place.worker
    if worker is None or place.when is not None or worker.total_timeout_ms or place.is_pivot:
        return False
    own = place.step.id if place.step is not None else ""  # while its input is worked out its status is "running"
    knows = not place.reads_steps_at_large and own not in place.reads and place.reads.isdisjoint(done)
    return knows and not _undo_reads(place, done)


def _undo_reads(place: StepPlan, done: Set[str]) -> bool:
    """What its undo is given is recorded when it begins: it must not depend on what is not there yet."""
    templates = place.compensate.arguments.values() if place.compensate is not None else ()
    of_steps = [each.path for template in templates for each in template.references if each.path[0] == "steps"]
    return any(len(path) < 2 or path[1] in done for path in of_steps)


def _can_render_undo(plan: Plan, run: Run, place: StepPlan) -> bool:
    if place.compensate is None or not place.compensate.arguments:
        return True
    undo = render(plan, run, Node(path=place.path), "compensate", place.compensate.arguments)
    return not isinstance(undo, ErrorRecord) and size_of(undo) <= MAX_TEXT


def _input_of(plan: Plan, run: Run, place: StepPlan, done: Set[str]) -> tuple[str, ...] | None:
    """The parts of its input, made with a mark for each output that is not there yet."""
    scope = scope_at(plan, run, place.path)
    scope["steps"] = _Marked(scope["steps"], done)
    try:
        given = {name: template.render(scope) for name, template in call_of(place.action).arguments.items()}
    except ExpressionError:
        return None
    text = _ENCODER.encode(given).decode()
    if len(text) > MAX_TEXT:
        return None
    parts: list[str] = []
    for piece in text.split('"\\u0000'):
        if not parts:
            parts.append(piece)
            continue
        path, _, rest = piece.partition('"')
        if path not in done:
            return None  # a text of a user's that only looks like a mark
        parts += (path, rest)
    # As many marks as the definition has: else some of them were in what a user gave.
    wanted = sum(path in done for path in place.hands_on)
    return tuple(parts) if len(parts) // 2 == wanted <= MAX_HOLES else None


def _command(plan: Plan, run: Run, place: StepPlan) -> DispatchTask:
    call = call_of(place.action)
    node = Node(path=place.path)
    event = dispatch(node, place, call, "action", 1, call.retry, run.header.updated_at_ms, given={})
    return dispatch_of(plan, run, event)


class _Marked(Mapping[str, Any]):
    """`steps` as it will be: those that are to complete by then have a mark for an output."""

    def __init__(self, steps: Steps, done: Set[str]) -> None:
        self._steps, self._done = steps, done

    def __getitem__(self, step_id: str) -> Mapping[str, Any]:
        if step_id in self._done:
            return {"status": "completed", "output": _MARK + step_id}
        return self._steps[step_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

