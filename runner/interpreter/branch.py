"""`parallel` and what it shares with `for_each`: children side by side, and how they come together.

Rule: nothing comes of the whole while a child is on its way, forward or back. With `join: any` the losers are
undone, each as soon as it rests, before the next step begins; a branch that fails is undone by its own implicit catch.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.interpreter import event as ev
from runner.interpreter.completion import complete
from runner.interpreter.failure import fail
from runner.interpreter.halting import halt_of_children, pass_on_to_all
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.state import Node, Run
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]


def decide_parallel(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    paths = [f"{node.path}.{name}" for name in place.children]
    if place.joins_any and node.winner:
        return _decide_winner(plan, run, node, place, at_ms, paths)
    due = begin_or_halt(node, place, at_ms, paths, window=len(paths))
    if due or node.active:
        return due
    if place.joins_any:
        return _no_winner(plan, run, node, at_ms)
    wrong = come_together(plan, run, node, at_ms)
    if wrong:
        return wrong
    outputs = {
        name: run.payloads.get(f"{path}:output")
        for name, path in zip(place.children, paths, strict=True) if run.nodes[path].has_output
    }
    return complete(plan, run, node, place, outputs, at_ms)


def begin_or_halt(
    node: Node, place: StepPlan, at_ms: int, paths: Sequence[str], *, window: int
) -> Proposals:
    """Children begin in order, `window` at once; after a failure no more begin, and those on their way come to rest."""
    level = halt_of_children(node, place)
    if level:
        return pass_on_to_all(node, level, at_ms)
    until = min(len(paths), node.cursor + window - node.active)
    return [ev.StepStarted(at_ms, paths[index]) for index in range(node.cursor, until)]


def come_together(plan: Plan, run: Run, node: Node, at_ms: int) -> Proposals:
    """All children rest: what keeps the whole from being completed."""
    fault = run.nodes[node.faulted].error if node.faulted else None
    if fault is not None:
        return fail(plan, run, node, fault, at_ms)
    return (ev.StepHalted(at_ms, node.path),) if node.halt else ()


# -- join: any ----------------------------------------------------------------------------------------
def _decide_winner(
    plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int, paths: Sequence[str]
) -> Proposals:
    halted = pass_on_to_all(node, halt_of_children(node, place), at_ms)
    if halted:
        return halted
    if not node.halt:
        losers = [run.nodes[path] for path in paths if path != node.winner]
        undos = [ev.UndoStarted(at_ms, loser.path) for loser in losers if loser.rest and loser.undo == ""]
        if undos:
            return undos
    if node.active:
        return ()
    if node.halt:
        return (ev.StepHalted(at_ms, node.path),)
    name = node.winner[len(node.path) + 1 :]
    outputs = {name: run.payloads.get(f"{node.winner}:output")} if run.nodes[node.winner].has_output else {}
    return complete(plan, run, node, place, outputs, at_ms)


def _no_winner(plan: Plan, run: Run, node: Node, at_ms: int) -> Proposals:
    if node.halt:
        return (ev.StepHalted(at_ms, node.path),)
    error = run.nodes[node.faulted].error if node.faulted else None
    return fail(plan, run, node, error or ErrorRecord("no_winner", message="no branch completed"), at_ms)
