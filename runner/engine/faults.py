"""What went wrong in a transition, as faults that the commit counts. Pure.

Counted is each attempt that failed, and each step that failed without one (its input could not be made, nobody sent the
signal in time); not what only passes an error on: a block, a parent run, an attempt that was asked to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from runner.definition.secret_input import Redaction
from runner.fingerprint import Pattern, pattern_of
from runner.interpreter import event as ev
from runner.interpreter.advance import Transition
from runner.interpreter.paths import static
from runner.interpreter.plan import Plan
from runner.interpreter.state import Run
from runner.selection import STOPPED
from runner.store.faults import Fault
from runner.store.limits import MAX_FAULTS, MAX_NAME
from runner.store.ports import Commit
from runner.wire import ErrorRecord

MAX_TEXT = 500  # characters of a message that a group keeps
_ASKED_FOR = frozenset({"cancelled", "race_lost", "undone"})  # codes of what somebody wanted so
_AFTERWARDS = frozenset({"expression_error", "state_limit"})  # of steps whose attempt had done its work


class _Found(NamedTuple):
    error: ErrorRecord
    path: str
    phase: str = ""


def with_faults(
    commit: Commit, transitions: Sequence[Transition], plan_of: Callable[[str], Plan],
    redaction_of: Callable[[Run], Redaction],
) -> Commit:
    """The commit, with the faults that its transitions tell of. Where nothing went wrong it is the same."""
    wrong = [
        (transition, event) for transition in transitions for event in transition.events
        if type(event) in _TELLING and event.error is not None  # type: ignore[union-attr]
    ]
    if not wrong:
        return commit
    run = transitions[-1].run
    hide, plan = redaction_of(run), plan_of(run.header.digest)
    counted: dict[tuple[str, tuple[str, ...]], Fault] = {}
    stopped: dict[str, bytes] = {}
    for transition, event in wrong:
        for found in _faults_of(run, transition, event):
            pattern, about = _told(found.error, hide)
            marks = tuple(_marks(run, plan, found))
            before = counted.get((pattern.group, marks))
            counted[pattern.group, marks] = Fault(pattern.group, about, marks, 1 + (before.count if before else 0))
        if _stops(event):
            stopped[STOPPED + _told(event.error, hide)[0].group] = b""  # type: ignore[union-attr, arg-type]
    faults = tuple(counted.values())[:MAX_FAULTS]
    return replace(commit, faults=faults, writes={**commit.writes, **stopped} if stopped else commit.writes)


def _faults_of(run: Run, transition: Transition, event: ev.AnyEvent) -> Iterator[_Found]:
    error: ErrorRecord = event.error  # type: ignore[union-attr, assignment]
    if error.code in _ASKED_FOR:
        return
    if isinstance(event, ev.TaskSettled):
        yield _Found(error, event.path, transition.settled.phase if transition.settled is not None else "")
    elif isinstance(event, ev.RunFailing):
        is_own = not error.step and not isinstance(transition.events[0], ev.RequestAccepted)
        if is_own and event.ending == "compensated" and not _is_of_child(error):
            yield _Found(error, "")
    elif isinstance(event, ev.StepFailed | ev.StepStuck | ev.StepCompleted):
        node = run.nodes[event.path]
        is_own = event.path.rpartition("/")[2] == error.step and not _is_of_child(error)
        if is_own and (not node.tries or error.code in _AFTERWARDS):
            yield _Found(error, event.path)


def _is_of_child(error: ErrorRecord) -> bool:
    """What a child run failed with is counted there."""
    return isinstance(error.details, Mapping) and "run" in error.details


def _stops(event: ev.AnyEvent) -> bool:
    return isinstance(event, ev.StepStuck) or (isinstance(event, ev.RunFailing) and event.ending == "compensated")


def _told(error: ErrorRecord, hide: Redaction) -> tuple[Pattern, bytes]:
    """Its pattern, and what is kept of it; both without secrets."""
    error = hide.of(error)
    while _is_of_child(error):
        error = replace(error, details=error.details.get("details"))
    pattern = pattern_of(error)
    about = {
        "code": error.code, "kind": error.kind, "type": pattern.type, "where": pattern.where, "by": pattern.by,
        "message": error.message[:MAX_TEXT], "pattern": pattern.message[:MAX_TEXT],
    }  # fmt: skip
    return pattern, msgspec.json.encode(about)


def _marks(run: Run, plan: Plan, found: _Found) -> Iterator[str]:
    header = run.header
    yield _mark("workflow", header.workflow)
    yield _mark("version", f"{header.workflow} {header.version}")
    if found.path:
        yield _mark("step", f"{header.workflow}/{static(found.path)}")
    if found.phase:
        yield _mark("phase", found.phase)
        call = getattr(plan.steps[found.path], found.phase)
        if call is not None:
            yield _mark("worker", call.worker)


def _mark(kind: str, name: str) -> str:
    """In the store's terms a name: of one that is none only the counting suffers."""
    printable = "".join(letter if letter.isprintable() and letter != "|" else "_" for letter in name)
    return f"{kind}={printable}"[:MAX_NAME]


_TELLING = frozenset({ev.TaskSettled, ev.StepFailed, ev.StepStuck, ev.StepCompleted, ev.RunFailing})
