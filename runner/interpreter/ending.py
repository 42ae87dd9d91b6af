"""The run as a whole: turning back, being decided, the finally steps, being stuck, the end.

Rule: `compensated` and `cancelled` are said only when the walk back is done and nothing was skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from runner.errors import ExpressionError
from runner.interpreter import event as ev
from runner.interpreter.failure import expression_error
from runner.interpreter.paths import FINALLY, ROOT
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import scope_at
from runner.interpreter.sizes import size_of, too_large
from runner.interpreter.state import Node, Run, RunStatus, Standing, StepStatus
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]
MAX_STANDING = 1_000  # listed; of more it is only said how many
MAX_REASON = 200  # characters of a worker's message in it
Ending = Literal["completed", "compensated", "cancelled", "abandoned"]


def decide_run(plan: Plan, run: Run, at_ms: int) -> Proposals:
    """What is due for the run, once its nodes have been looked at."""
    header, root = run.header, run.nodes[ROOT]
    if header.pending and header.pivot == "in_flight":
        asked = [ev.ChildAsked(at_ms, path, "cancel", True) for path in _pivots_on_their_way(plan, run)]
        if asked:
            return asked
    if header.pending and header.pivot != "in_flight":
        return _decide_pending(plan, run, at_ms)
    if header.provisional:
        return ()
    if not header.ending and not header.decided and root.rest:
        return _decide_root(plan, run, root, at_ms)
    if header.ending and root.rest and root.undo == "":
        return (ev.UndoStarted(at_ms, ROOT),)
    if header.confirming:
        return _decide_stuck(run, at_ms)
    if header.decided or root.undo == "undone":
        return _decide_finally(plan, run, at_ms)
    return _decide_stuck(run, at_ms)


def _pivots_on_their_way(plan: Plan, run: Run) -> list[str]:
    """Children that count as a pivot: they know better than the run whether their point of no return is behind them."""
    return [
        path for path, node in run.nodes.items()
        if node.child and node.open and not node.killing and plan.steps[path].is_pivot
    ]


def _decide_pending(plan: Plan, run: Run, at_ms: int) -> Proposals:
    """A cancel or timeout that was asked for takes effect, or turns out to be too late."""
    header = run.header
    late = too_late(run)
    if header.pending == "cancel":
        if late:
            return (ev.RequestRefused(at_ms, "cancel", header.pending_nonce, late),)
        return (cancelled(at_ms, header.pending_reason),)
    if late or header.status is not RunStatus.RUNNING:
        message = f"the run is over its timeout of {plan.definition.timeout_ms} ms"
        return (ev.AlertRaised(at_ms, message, overdue=True),)
    message = f"the run did not end within {plan.definition.timeout_ms} ms"
    return (ev.RunFailing(at_ms, ErrorRecord("run_timeout", message=message), "compensated"),)


def too_late(run: Run) -> str:
    """Why the run can't go back any more, or ""."""
    header = run.header
    if header.is_terminal:
        return f"the run is {header.status} already"
    if header.pivot == "passed":
        return "the run is past its point of no return"
    if header.decided:
        return "the run has done its last step"
    if header.provisional:
        return f"the run has done its last step; what becomes of that is for its parent to say, run {header.parent}"
    return ""


def cancelled(at_ms: int, reason: str) -> ev.RunFailing:
    return ev.RunFailing(at_ms, ErrorRecord("cancelled", message=reason or "cancelled on request"), "cancelled")


def _decide_root(plan: Plan, run: Run, root: Node, at_ms: int) -> Proposals:
    if root.stuck:
        return _decide_stuck(run, at_ms)
    if root.fault and root.error is not None:
        return (ev.RunFailing(at_ms, root.error, "compensated"),)
    output = _output(plan, run)
    if not isinstance(output, ErrorRecord):
        return (last_step_done(run, output, at_ms),)
    if run.header.pivot == "passed":
        return (ev.StepStuck(at_ms, ROOT, output),)
    return (ev.RunFailing(at_ms, output, "compensated"),)


def _output(plan: Plan, run: Run) -> Any:
    """What the whole gives, or what is wrong with that."""
    if plan.output is None:
        return None
    try:
        output = plan.output.render(scope_at(plan, run, ROOT))
    except ExpressionError as error:
        return expression_error(plan, ROOT, "output", error)
    return too_large(run, "the output of the run", size_of(output)) or output


def last_step_done(run: Run, output: Any, at_ms: int) -> ev.RunDecided | ev.RunProvisional:
    return ev.RunProvisional(at_ms, output) if run.header.holds else ev.RunDecided(at_ms, output)


def _decide_finally(plan: Plan, run: Run, at_ms: int) -> Proposals:
    header = run.header
    last = run.nodes.get(FINALLY)
    if plan.has_finally:
        if last is None:
            return (ev.StepStarted(at_ms, FINALLY),)
        if not last.rest:
            return _decide_stuck(run, at_ms)
    status = cast(Ending, header.status_to_be)
    return (ev.RunFinished(at_ms, status, standing_of(plan, run, status)),)


def _decide_stuck(run: Run, at_ms: int) -> Proposals:
    header = run.header
    quiet = header.busy == 0 and not run.agenda
    if header.stuck and quiet and header.status is not RunStatus.STUCK:
        return (ev.RunStuck(at_ms),)
    return ()


def standing_of(plan: Plan, run: Run, status: str) -> tuple[Standing, ...]:
    """The effects that are still there and should not be. Steps by path, in the order they began.

    A run that completed wanted its effects, but for those in a scope that was rolled back on the way, and those
    of which a person said "skip it" while nobody knew.
    """
    found: list[Standing] = []
    for path, node in run.nodes.items():
        place = plan.steps[path]
        if place.child is not None:
            found += _standing_of_child(run, node, place, status)
            continue
        if status == "completed" and node.undo != "undone" and node.status is not StepStatus.SKIPPED:
            continue
        if place.worker is not None and place.worker.kind != "readonly" and not path.startswith(FINALLY):
            reason = _standing_reason(node, place.worker.kind, place.worker.reason)
            if reason:
                found.append(Standing(path, reason))
    more = len(found) - MAX_STANDING
    return (*found[:MAX_STANDING], Standing("", f"and {more:,} more steps")) if more > 0 else tuple(found)


def _standing_of_child(run: Run, node: Node, place: StepPlan, status: str) -> list[Standing]:
    """What the child lists, whatever becomes of its parent; of one that has not ended nobody here knows."""
    listed = run.payloads.get(f"{node.path}:standing") or ()
    found = [Standing(f"{node.path}/{each['step']}".rstrip("/"), each["reason"]) for each in listed]
    reason = ""
    if node.child_status in ("running", "held"):
        reason = f"its child run {node.child} is abandoned too, and lists what stands"
    elif node.child_status == "completed" and place.compensate is None and status == "abandoned":
        reason = f"its child run {node.child} completed and was not undone"
    elif place.compensate is not None and (status != "completed" or node.undo == "undone"):
        reason = _standing_reason(node, "compensatable", "")
    return [*found, Standing(node.path, reason)] if reason else found


def _standing_reason(node: Node, kind: str, reason: str) -> str:
    if node.open and node.phase == "action":
        return "was still running"
    if node.status is StepStatus.COMPENSATION_FAILED:
        why = f": {node.undo_error.code}: {node.undo_error.message[:MAX_REASON]}" if node.undo_error else ""
        return f"its undo did not succeed{why}"
    if node.status is StepStatus.COMPENSATING:
        return "its undo was not finished"
    if node.unknown:
        return "may have taken effect"
    # Of what has come in with a full commit nothing has followed yet.
    has_completed = node.status is StepStatus.RUNNING and node.phase == "action" and node.last == "completed"
    if not node.effect and not has_completed:
        return ""
    return reason or "took effect and cannot be undone" if kind == "none" else "took effect and was not undone"
