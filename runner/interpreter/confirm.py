"""`confirm`: each step that stands is told that the run is decided. Then only `finally` is left.

Rule: nothing goes back any more, so a confirmation is asked for until it succeeds or a person settles it.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.interpreter import event as ev
from runner.interpreter.attempt import call_of, dispatch, is_final, render, wait
from runner.interpreter.failure import named
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import ABSENT
from runner.interpreter.state import Node, Run
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]


def decide_confirm(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if node.open or node.timer or node.stuck:
        return ()
    call = call_of(place.confirm)
    if node.phase != "confirm":
        result = run.payloads.get(f"{node.path}:result", run.payloads.get(f"{node.path}:output", ABSENT))
        given = render(plan, run, node, "confirm", {**call.arguments, **call.late}, result=result)
        if isinstance(given, ErrorRecord):
            return (ev.StepStuck(at_ms, node.path, given),)
        return (dispatch(node, place, call, "confirm", 1, call.retry, at_ms, given=given),)
    if node.last == "completed":
        return (ev.StepConfirmed(at_ms, node.path),)
    if node.due:
        return (dispatch(node, place, call, "confirm", node.confirm_spent + 1, call.retry, at_ms),)
    error = node.confirm_error or ErrorRecord("worker_lost", message="whether it was confirmed is not known")
    if (node.last == "failed" and is_final(error)) or node.confirm_spent >= call.retry.max_attempts:
        return (ev.StepStuck(at_ms, node.path, named(plan, node, error)),)
    return (wait(run, node, "confirm", call.retry, node.confirm_spent, at_ms),)
