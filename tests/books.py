"""What a run keeps account of, counted anew: tasks, timers, children on their way, halts, the order of the way back.

The interpreter counts as it goes, so that no step costs more than the one before. Here everything is counted from the
nodes themselves; whoever drives a world may ask after each event.
"""

from __future__ import annotations

from typing import Any

from runner.interpreter import event as ev
from runner.interpreter.paths import FINALLY, ROOT, RUN, children_of, parent
from runner.interpreter.plan import StepPlan
from runner.interpreter.state import CANCEL, Node, StepStatus
from tests.world import World


def assert_the_books_are_right(world: World) -> None:
    assert world.run is not None
    if world.run.is_terminal:
        return
    busy = 0
    for path, node in world.run.nodes.items():
        place = world.plan.steps[path]
        assert node.open == (path in world.tasks), f"{path} and its task"
        busy += node.open + (bool(node.timer) and place.worker is not None)
        if place.kind in ("parallel", "for_each", "repeat", "switch"):
            _assert_children_are_counted(world, node, place)
        if not world.header.agenda:
            _assert_its_halt_is_known(world, node, place)
    assert world.header.busy == busy
    timers = {node.timer for node in world.run.nodes.values() if node.timer}
    assert set(world.node_timers()) == timers, f"{set(world.node_timers())} are set, {timers} are known"
    kept = world.run.payloads.get("~signals") or {}
    assert world.header.signals == sum(len(queue) for queue in kept.values())
    assert (world.run.payloads.get("~vars") or {}) == _variables(world)
    for path, message in world.tasks.items():
        if message.phase == "compensate":
            _assert_nothing_later_is_in_flight(world, path)
        elif message.phase == "action":
            _assert_nothing_around_it_goes_back(world, path)


def _variables(world: World) -> dict[str, Any]:
    """What they were at first, and whatever was set since and not undone, in its order."""
    values: dict[str, Any] = dict(world.plan.definition.vars)
    undone = {event.path for event in world.of(ev.StepUndone)}
    for event in world.of(ev.VarsSet):
        if event.path not in undone:
            values.update(event.values)
    return values


def _assert_children_are_counted(world: World, node: Node, place: StepPlan) -> None:
    nodes = world.run.nodes if world.run else {}
    children = [nodes[path] for path in children_of(node.path, place.children, node.cursor) if path in nodes]
    on_their_way = [child for child in children if not child.rest or (child.undo == "undoing" and not child.rolling)]
    assert node.active == len(on_their_way), f"{node.path} has {[child.path for child in on_their_way]} on their way"
    assert node.cursor == len(children)
    if place.kind == "for_each":
        out = [path for path, task in world.tasks.items() if task.phase != "confirm"]
        in_flight = [child.path for child in children if any(_is_below(child.path, path) for path in out)]
        assert len(in_flight) <= place.max_parallel, f"{in_flight} at once"
        assert node.active <= place.max_parallel
    if place.children == () and node.undo == "undoing" and not node.rolled_back:
        reached = [child.undo != "" for child in children]
        assert reached == [index >= node.undo_cursor for index in range(len(children))]
    if place.joins_any and node.status is StepStatus.COMPLETED and not node.undo and node.handler < 0:
        standing = [child.path for child in children if child.undo == "" and not child.rolled_back]
        assert standing == [node.winner], f"{standing} stand"


def _assert_its_halt_is_known(world: World, node: Node, place: StepPlan) -> None:
    """Once nothing more is due, whoever is on the way below a halted node knows of it, and does what it can."""
    if node.rest or node.path in (ROOT, FINALLY) or (node.undo == "undoing" and not node.rolling) or not world.run:
        return
    assert node.halt >= world.run.nodes[parent(node.path)].halt, f"{node.path} has not heard of the halt"
    called_off = place.is_settled_by_undo or not (node.patient or node.resumed)
    if node.halt and node.open and node.phase == "action" and node.undo == "" and called_off:
        assert node.killing if node.halt == CANCEL else node.revoking, f"{node.path} is not called off"
    if node.halt and place.kind in ("wait", "wait_for") and node.handler < 0:
        assert node.stuck, f"{node.path} waits on"


def _assert_nothing_later_is_in_flight(world: World, path: str) -> None:
    """No undo while anything that came after it, at any level above, is on its way."""
    while (above := parent(path)) != RUN:
        names = world.plan.steps[above].children
        own = path[len(above) :].lstrip("/")
        if own in names and world.plan.steps[above].kind in ("scope", "steps"):
            for name in names[names.index(own) + 1 :]:
                later = f"{above}/{name}" if above else name
                assert not any(_is_below(later, other) for other in world.tasks), f"{later} came after {path}"
        path = above


def _assert_nothing_around_it_goes_back(world: World, path: str) -> None:
    assert world.run is not None
    if world.run.nodes[path].tries > 1:
        return  # it may be settled by asking again
    while path != RUN:
        assert world.run.nodes[path].undo == "", f"an action below {path}, which goes back"
        path = parent(path)


def _is_below(scope: str, path: str) -> bool:
    return path == scope or (path.startswith(scope) and path[len(scope)] in "/.#~")
