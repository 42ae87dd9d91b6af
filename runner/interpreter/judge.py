"""What an operator's or application's request comes to: accepted with what follows, held, or refused with why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from runner.interpreter import event as ev
from runner.interpreter.completion import complete
from runner.interpreter.ending import cancelled, last_step_done, too_late
from runner.interpreter.evolve_step import is_to_be_confirmed
from runner.interpreter.failure import fail
from runner.interpreter.family import abandoned, firmer, judge_told
from runner.interpreter.paths import ROOT
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.signals import arrived, why_refused
from runner.interpreter.state import Node, Run, RunStatus
from runner.wire import ErrorRecord

MAX_NAMED = 5  # stuck steps in a refusal
Answer = Sequence[ev.AnyEvent]
MAX_RESUMED = 500  # stuck operations at once: a commit holds no more; who is still stuck is resumed again


def judge(plan: Plan, run: Run, request: ev.Request) -> Answer:
    """The events that answer a request. A refused one changes nothing."""
    return _JUDGE[type(request)](plan, run, request)


def _judge_cancel(_plan: Plan, run: Run, request: ev.CancelRequested) -> Answer:
    header = run.header
    late = too_late(run)
    if late:
        return (_refused("cancel", request, late),)
    if header.status is RunStatus.STUCK:
        return (_refused("cancel", request, "the run is stuck: resume, resolve or abandon it"),)
    if header.ending:
        return (_accepted("cancel", request), *firmer(run, request.at_ms))
    if header.pending == "cancel":
        return (_accepted("cancel", request),)
    if header.pivot == "in_flight":
        held = ev.RequestHeld(request.at_ms, "cancel", request.nonce, request.reason)
        return (_accepted("cancel", request), held)
    return (_accepted("cancel", request), cancelled(request.at_ms, request.reason))


def _judge_signal(plan: Plan, run: Run, request: ev.SignalSent) -> Answer:
    why = why_refused(plan, run, request)
    if why:
        return (_refused("signal", request, why),)
    return (_accepted("signal", request), *arrived(plan, run, request))


def _judge_abandon(plan: Plan, run: Run, request: ev.AbandonRequested) -> Answer:
    if run.is_terminal:
        return (_refused("abandon", request, f"the run is {run.header.status} already"),)
    return (_accepted("abandon", request), *abandoned(plan, run, request.at_ms))


def _judge_resume(_plan: Plan, run: Run, request: ev.ResumeRequested) -> Answer:
    if not run.header.stuck:
        why = f"the run is {run.header.status}; only a stuck one can be resumed"
        return (_refused("resume", request, _waiting(run, "resume") or why),)
    resumed = (ev.StepResumed(request.at_ms, path) for path in run.header.stuck[:MAX_RESUMED])
    return (_accepted("resume", request), *resumed)


def _judge_resolve(plan: Plan, run: Run, request: ev.ResolveRequested) -> Answer:
    named = _stuck_paths(plan, run, request.step)
    if len(named) != 1:
        what = "is stuck more than once" if named else "is not stuck"
        stuck = ", ".join(map(repr, (named or run.header.stuck)[:MAX_NAMED])) or "nothing"
        more = ", …" if len(named or run.header.stuck) > MAX_NAMED else ""
        why = f"step {request.step!r} {what} (stuck: {stuck}{more})"
        return (_refused("resolve", request, _waiting(run, "resolve") or why),)
    node = run.nodes[named[0]]
    events = _settled_by_hand(plan, run, node, request)
    if isinstance(events, str):
        return (_refused("resolve", request, events),)
    return (_accepted("resolve", request), *events)


def _waiting(run: Run, verb: str) -> str:
    """Where a person has to act, if it is not here."""
    waits = [f"{path} waits for run {run.nodes[path].child_stuck}" for path in run.header.stuck_children[:MAX_NAMED]]
    return f"{'; '.join(waits)}, which is stuck: {verb} there" if waits and not run.header.stuck else ""


def _stuck_paths(plan: Plan, run: Run, step: str) -> tuple[str, ...]:
    """What a person may mean: a path, or its end (lines#3/ship), or an id."""
    if step in run.header.stuck:
        return (step,)
    ends = tuple(f"{separator}{step}" for separator in "/.")
    return tuple(path for path in run.header.stuck if _id(plan, path) == step or path.endswith(ends))


def _id(plan: Plan, path: str) -> str:
    step = plan.steps[path].step
    return step.id if step is not None else path or "output"


def _settled_by_hand(plan: Plan, run: Run, node: Node, request: ev.ResolveRequested) -> Answer | str:
    if run.header.confirming and is_to_be_confirmed(plan, node):
        if request.as_ in ("completed", "skipped"):
            return (ev.StepConfirmed(request.at_ms, node.path, request.as_),)
        return "its confirmation is stuck: say completed (it was told) or skipped (it need not be)"
    if node.undo == "undoing":
        if request.as_ in ("compensated", "skipped"):
            return (ev.StepUndone(request.at_ms, node.path, skipped=request.as_ == "skipped", resolved=True),)
        return "its undo is stuck: say compensated (it is undone) or skipped (it stands)"
    settle = _SETTLED.get(request.as_)
    if settle is None:
        return f"{request.as_!r} is not one of completed, failed, compensated, skipped"
    return settle(plan, run, node, request)


def _completed(plan: Plan, run: Run, node: Node, request: ev.ResolveRequested) -> Answer | str:
    place = plan.steps[node.path]
    if node.path == ROOT:
        return (ev.RootResolved(request.at_ms), last_step_done(run, request.output, request.at_ms))
    if node.handler >= 0:
        return (ev.StepCaught(request.at_ms, node.path, True, request.output, True, request.as_),)
    return complete(plan, run, node, place, request.output, request.at_ms, resolved=True)


def _failed(plan: Plan, run: Run, node: Node, request: ev.ResolveRequested) -> Answer | str:
    if node.effect:
        return _IT_DID
    error = node.error or ErrorRecord("resolved", message=request.reason)
    failed = fail(plan, run, node, error, request.at_ms, resolved=True)
    if any(isinstance(event, ev.StepStuck) for event in failed):
        return "the run is past its point of no return, and nothing catches a failure of this step"
    return failed


def _skipped(plan: Plan, run: Run, node: Node, request: ev.ResolveRequested) -> Answer | str:
    place = plan.steps[node.path]
    if place.kind in _CONTAINERS and _holds_something(node, place):
        return "its steps have done their work: say completed, with its output"
    if run.header.pivot != "passed":
        return "before the point of no return say completed (it took effect) or failed (it did not)"
    if node.effect:
        return _IT_DID
    if node.unknown and place.compensate is not None:
        return "it may have to be undone later: say completed (it took effect) or failed (it did not)"
    if node.handler >= 0:
        return (ev.StepCaught(request.at_ms, node.path, resolved=request.as_),)
    return (ev.StepSkipped(request.at_ms, node.path, resolved=True),)


def _holds_something(node: Node, place: StepPlan) -> bool:
    """Whether steps below it have run and stand. Where no branch of a `join: any` completed, all are undone."""
    if place.kind in ("scope", "steps"):
        return not node.gate
    return node.cursor > 0 and not (place.joins_any and not node.winner)


_CONTAINERS = frozenset({"scope", "steps", "parallel", "for_each", "repeat", "switch"})
_IT_DID = "it took effect: say completed, with its output"
_SETTLED: dict[str, Callable[[Plan, Run, Node, ev.ResolveRequested], Answer | str]] = {
    "completed": _completed,
    "failed": _failed,
    "compensated": _failed,  # by hand, so nothing of it is left
    "skipped": _skipped,
}


def _accepted(verb: str, request: ev.Request) -> ev.RequestAccepted:
    return ev.RequestAccepted(request.at_ms, verb, request.nonce, request.by, request.reason)


def _refused(verb: str, request: ev.Request, why: str) -> ev.RequestRefused:
    return ev.RequestRefused(request.at_ms, verb, request.nonce, why, request.by, request.reason)


_JUDGE: dict[type, Callable[[Plan, Run, Any], Answer]] = {
    ev.CancelRequested: _judge_cancel,
    ev.SignalSent: _judge_signal,
    ev.AbandonRequested: _judge_abandon,
    ev.ResumeRequested: _judge_resume,
    ev.ResolveRequested: _judge_resolve,
    ev.ParentTold: judge_told,
}
