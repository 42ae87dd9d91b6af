"""A run that is somebody's child: what its parent wants of it, and what it tells it. child.py is the parent's side.

Rule: the end of a child is provisional. It has done its last step, says so, and rests; whether that counts is for the
root to decide, and until it has, the child can still be undone. Only with a compensation of the step's own it ends
by itself (then its `holds` is False).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from runner.interpreter import event as ev
from runner.interpreter.ending import cancelled, standing_of, too_late
from runner.interpreter.paths import ROOT
from runner.interpreter.plan import Plan
from runner.interpreter.state import CANCEL, Run, RunStatus
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]


MAX_TOLD = 3_000  # children that one commit tells of the end of their parent


def living_children(run: Run) -> list[str]:
    return [node.child for node in run.nodes.values() if node.child_status in ("running", "held")]


def abandoned(plan: Plan, run: Run, at_ms: int) -> Proposals:
    """The end without undo, of this run and of all below it."""
    untold = len(living_children(run)) - MAX_TOLD
    message = f"{untold:,} child runs go on: they are too many to be told at once; abandon them too"
    alerts = (ev.AlertRaised(at_ms, message),) if untold > 0 else ()
    return (*alerts, ev.RunFinished(at_ms, "abandoned", standing_of(plan, run, "abandoned")))


def judge_told(plan: Plan, run: Run, told: ev.ParentTold) -> Proposals:
    """What the parent wants, done; or refused, where this run has gone another way before it heard of it."""
    if run.is_terminal:
        return (_refused(told, f"the run is {run.header.status} already"),)
    return _WANTED[told.verb](plan, run, told)


def _cancel(_plan: Plan, run: Run, told: ev.ParentTold) -> Proposals:
    header = run.header
    late = too_late(run)
    if late:
        return (_refused(told, late),)
    if header.ending:
        return (_accepted(told), *(firmer(run, told.at_ms) if told.kill else ()))
    if header.pivot == "in_flight":
        return (_accepted(told), ev.RequestHeld(told.at_ms, "cancel", told.nonce, told.reason))
    failing = cancelled(told.at_ms, told.reason)
    return (_accepted(told), ev.RunFailing(told.at_ms, failing.error, "cancelled", told.kill))


def firmer(run: Run, at_ms: int) -> Proposals:
    """The run goes back; what is claimed is to be ended too, if so far it was not."""
    is_news = run.nodes[ROOT].halt < CANCEL and not run.nodes[ROOT].rest
    return (ev.HaltAsked(at_ms, ROOT, kill=True),) if is_news else ()


def _undo(_plan: Plan, run: Run, told: ev.ParentTold) -> Proposals:
    if not run.header.provisional:
        return (_refused(told, f"the run is {run.header.status}, and its end is not in question"),)
    error = told.error or ErrorRecord("undone", message=told.reason)
    return (_accepted(told), ev.RunFailing(told.at_ms, error, told.ending))


def _decided(_plan: Plan, run: Run, told: ev.ParentTold) -> Proposals:
    if not run.header.provisional:
        return (_refused(told, f"the run is {run.header.status}, and its end is not in question"),)
    return (_accepted(told), ev.RunDecided(told.at_ms, run.payloads.get("~output")))


def _abandon(plan: Plan, run: Run, told: ev.ParentTold) -> Proposals:
    return (_accepted(told), *abandoned(plan, run, told.at_ms))


_WANTED: dict[str, Callable[[Plan, Run, ev.ParentTold], Proposals]] = {
    "cancel": _cancel,
    "undo": _undo,
    "decided": _decided,
    "abandon": _abandon,
}


def _accepted(told: ev.ParentTold) -> ev.RequestAccepted:
    return ev.RequestAccepted(told.at_ms, told.verb, told.nonce, told.by, told.reason)


def _refused(told: ev.ParentTold, why: str) -> ev.RequestRefused:
    return ev.RequestRefused(told.at_ms, told.verb, told.nonce, why)


# -- what the parent is told --------------------------------------------------------------------------
def news(run: Run, at_ms: int) -> Proposals:
    """What the parent should know and has not heard: a person must act, or has; the point of no return is behind."""
    header = run.header
    if header.is_terminal:
        return ()
    told: list[ev.AnyEvent] = []
    if header.pivot == "passed" and not header.told_pivot:
        told.append(ev.NewsSent(at_ms, "passed"))
    stuck_run, error = _stuck(run)
    if stuck_run != header.told_stuck:
        told.append(ev.NewsSent(at_ms, "stuck" if stuck_run else "resumed", stuck_run, error))
    return told


def _stuck(run: Run) -> tuple[str, ErrorRecord | None]:
    """The run in which a person must act: this one, or one below."""
    header = run.header
    if header.status is RunStatus.STUCK:
        node = run.nodes[header.stuck[0]]
        return header.run_id, node.confirm_error or node.undo_error or node.error
    for path in header.stuck_children:
        return run.nodes[path].child_stuck, None
    return "", None


def told_by_event(run: Run, event: Any) -> ev.ChildTold | None:
    """What the parent hears because of this event; None for nobody's child."""
    header = run.header
    if not header.parent:
        return None
    make: dict[str, Any] = {"at_ms": 0, "path": header.parent_path, "run_id": header.run_id}
    if isinstance(event, ev.NewsSent):
        stuck_run = event.stuck_run if event.news != "passed" else header.told_stuck
        return ev.ChildTold(**make, news=event.news, stuck_run=stuck_run, error=event.error)
    if isinstance(event, ev.RunProvisional):
        return ev.ChildTold(**make, news="completed", status=header.status_to_be, output=event.output)
    output = run.payloads.get("~output") if event.status == "completed" and not header.holds else None
    return ev.ChildTold(
        **make, news="ended", status=event.status, output=output, error=header.error, standing=event.standing
    )
