"""Where a failure goes: to a catch, up to the scope, or, past the point of no return, to a person."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from runner.errors import ExpressionError
from runner.interpreter import event as ev
from runner.interpreter.paths import FINALLY, RUN, parent
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import scope_at, shown
from runner.interpreter.state import Node, Run
from runner.wire import ErrorRecord


def fail(
    plan: Plan, run: Run, node: Node, error: ErrorRecord, at_ms: int, *, unknown: bool = False, resolved: bool = False
) -> Sequence[ev.AnyEvent]:
    """The step, or scope, has failed with this error. `unknown`: it may stand, so the way back undoes it."""
    place = plan.steps[node.path]
    error = named(plan, node, error)
    caught = -1
    if not node.halt and node.handler < 0:
        caught, error = matching_catch(plan, run, node.path, place, error)
    if caught >= 0:
        # A catch that keeps what completed still settles what is unknown, here the operation itself.
        undo = place.catches[caught].undo or (unknown and place.is_operation)
        return (ev.StepFailed(at_ms, node.path, error, unknown, caught, undo, resolved),)
    if must_go_on(plan, run, node, error):
        return (ev.StepStuck(at_ms, node.path, error),)
    return (ev.StepFailed(at_ms, node.path, error, unknown, resolved=resolved),)


def must_go_on(plan: Plan, run: Run, node: Node, error: ErrorRecord) -> bool:
    """Whether the run is past its point of no return and nothing would take this failure: there is only forward."""
    if run.header.pivot != "passed" or node.halt or node.path.startswith(FINALLY):
        return False
    if node.handler < 0 and matching_catch(plan, run, node.path, plan.steps[node.path], error)[0] >= 0:
        return False
    return not is_caught_above(plan, run, node.path, error)


def give_up(plan: Plan, run: Run, node: Node, error: ErrorRecord, at_ms: int) -> Sequence[ev.AnyEvent]:
    """A person must act; but nothing in `finally` keeps a run from ending, so there it is a failure like any other."""
    if node.path.startswith(FINALLY):
        return fail(plan, run, node, error, at_ms, unknown=node.unknown)
    return (ev.StepStuck(at_ms, node.path, named(plan, node, error)),)


def named(plan: Plan, node: Node, error: ErrorRecord) -> ErrorRecord:
    """The error with the step that it is of."""
    step = plan.steps[node.path].step
    return error if error.step or step is None else replace(error, step=step.id, attempt=node.tries)


def expression_error(plan: Plan, path: str, where: str, error: ExpressionError) -> ErrorRecord:
    place = plan.steps[path]
    step = place.step.id if place.step is not None else ""
    return ErrorRecord("expression_error", message=f"{where}: {error}", step=step)


def matching_catch(
    plan: Plan, run: Run, path: str, place: StepPlan, error: ErrorRecord
) -> tuple[int, ErrorRecord]:
    """The index of the first catch that takes the error, or -1; and the error as it goes on."""
    for index, catch in enumerate(place.catches):
        if not catch.errors & {error.code, error.kind, "any"}:
            continue
        if catch.when is None:
            return index, error
        scope = scope_at(plan, run, path)
        scope["error"] = shown(error)
        try:
            if catch.when.evaluate(scope):
                return index, error
        except ExpressionError as wrong:
            # A condition that cannot be evaluated catches nothing, and says so beside the failure itself.
            error = replace(error, cause=f"catch {index}: when: {wrong}")
    return -1, error


def is_caught_above(plan: Plan, run: Run, path: str, error: ErrorRecord) -> bool:
    while (above := parent(path)) != RUN:
        node = run.nodes[above]
        place = plan.steps[above]
        inside_handler = path.startswith(f"{above}~")
        if place.catches and not inside_handler and node.handler < 0:
            index, _ = matching_catch(plan, run, above, place, error)
            if index >= 0:
                return True
        path = above
    return False
