"""What must hold of every run, whatever its definition and whatever happens: the invariants of the protocol.

Held against a World, so against the interpreter alone: after every event, and when the run has come to rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.model import WorkerAction
from runner.interpreter import event as ev
from runner.interpreter.advance import advance
from runner.interpreter.decide import decide
from runner.interpreter.paths import RUN, parent
from runner.interpreter.state import Run
from tests.world import World


def assert_nothing_is_undone_too_early(world: World) -> None:
    """I6: an undo goes out only when its action is resolved and nothing that came after it is in flight."""
    assert world.run is not None
    for path, message in world.tasks.items():
        if message.phase == "compensate":
            later = list(_later(world, path))
            for other, task in world.tasks.items():
                assert not any(_is_at(other, place) for place in later), (
                    f"{task.phase} of {other} is out while {path} is undone"
                )


def _is_at(path: str, place: str) -> bool:
    """At this place, or below it: its children, branches, items and handlers."""
    return path.startswith(place) and path[len(place) :][:1] in ("", "/", ".", "#", "~")


def _later(world: World, path: str) -> Iterator[str]:
    """The places that come after this one, in its own sequence, rounds and handlers, and in those around it."""
    while path != RUN:
        above = parent(path)
        yield from _later_in_sequence(world, above, path)
        if above != RUN and "~" not in path[len(above) :]:
            # What is in a handler comes after what it handles.
            yield from (f"{above}~{index}" for index, _ in enumerate(world.plan.steps[above].catches))
        path = above


def _later_in_sequence(world: World, above: str, path: str) -> list[str]:
    if above == RUN:
        return []
    place = world.plan.steps[above]
    if place.kind == "repeat":
        number = int(path.rpartition("#")[2]) if path.startswith(f"{above}#") else 10**9
        return [f"{above}#{later}" for later in range(number + 1, place.max_rounds)]
    names = list(place.children) if place.kind in ("steps", "scope") else []
    own = path[len(above) + 1 :] if above else path
    if own not in names:
        return []
    return [f"{above}/{name}" if above else name for name in names[names.index(own) + 1 :]]


def assert_undone_exactly_what_took_effect(world: World) -> None:
    """I5: compensated or cancelled means each action that may stand and has an undo was undone once, nothing else."""
    done: dict[str, list[tuple[str, str, str]]] = {}
    phases: dict[str, str] = {}
    for event in world.events:
        if isinstance(event, ev.TaskDispatched):
            phases[event.path] = event.phase
        if isinstance(event, ev.TaskSettled):
            done.setdefault(event.path, []).append((phases[event.path], event.outcome, event.verdict))
    for path, outcomes in done.items():
        action = world.plan.steps[path].worker
        assert isinstance(action, WorkerAction)
        undone = sum(1 for phase, outcome, _ in outcomes if phase == "compensate" and outcome == "completed")
        stands = any(
            (phase == "action" and outcome in ("completed", "unknown")) or verdict == "landed"
            for phase, outcome, verdict in outcomes
        )
        assert undone <= 1
        if undone:
            assert stands
        settled_as_nothing = any(
            isinstance(event, ev.TaskSettled) and event.path == path and event.verdict == "not_landed" and event.fenced
            for event in world.events
        )
        completed = any((phase == "action" and outcome == "completed") or verdict == "landed"
                        for phase, outcome, verdict in outcomes)
        if world.status in ("compensated", "cancelled") and action.compensate is not None and stands:
            assert undone == 1 or (settled_as_nothing and not completed), f"{path} still stands: {outcomes}"


def assert_undone_in_reverse_order(world: World) -> None:
    """I5: of two steps of one sequence the later one is undone before the undo of the earlier one begins."""
    started: dict[str, int] = {}
    ended: dict[str, int] = {}
    for index, event in enumerate(world.events):
        if isinstance(event, ev.UndoStarted):
            started[event.path] = index
        elif isinstance(event, ev.StepUndone):
            ended[event.path] = index
    for path, begun in started.items():
        for later in _later_in_sequence(world, parent(path), path):
            if later in started and started[later] > begun:
                assert ended.get(path, 0) < started[later], f"{later} was undone after {path}"
        _assert_items_go_backwards(world, path, begun, started, ended)


def _assert_items_go_backwards(
    world: World, path: str, begun: int, started: dict[str, int], ended: dict[str, int]
) -> None:
    """Items are undone from the last to the first, and never more at once than they were done."""
    above, hash_sign, number = path.rpartition("#")
    place = world.plan.steps[above] if hash_sign and number.isdigit() else None
    if place is None or place.kind != "for_each" or above not in started or started[above] > begun:
        return  # no item, or one that was settled by itself: collected, or rolled back
    later = [f"{above}#{index}" for index in range(int(number) + 1, world.run_node(above).count)]
    assert all(started.get(item, -1) < begun for item in later), f"{path} before one behind it"
    busy = [item for item in later if started.get(item, -1) > started[above] and ended.get(item, 1 << 60) > begun]
    assert len(busy) < place.max_parallel, f"{busy} are still being undone when {path} begins"


def assert_one_outcome_each(world: World) -> None:
    """I1: every task that went out is settled once, and none is settled that did not."""
    out: set[str] = set()
    for event in world.events:
        if isinstance(event, ev.TaskDispatched):
            assert event.path not in out, f"two tasks of {event.path} at once"
            out.add(event.path)
        elif isinstance(event, ev.TaskSettled):
            assert event.path in out, f"an outcome of {event.path}, which has no task out"
            out.remove(event.path)
    if world.status != "abandoned":
        assert not out, f"{world.status}, and {out} are not settled"


def assert_nothing_more_is_due(world: World) -> None:
    """Level-triggered: at rest, looking at every node again proposes nothing. Recovery is calling it again."""
    assert world.run is not None
    draft: Run = world.run.draft()
    assert not draft.agenda
    if draft.is_terminal:
        assert not world.tasks
        assert not world.timers
        return
    for path in list(draft.nodes):
        assert list(decide(world.plan, draft, path, world.now_ms)) == []
    again = advance(world.plan, world.run, ev.Continued(world.now_ms))
    assert again.commands == ()


def assert_an_end_is_final(world: World) -> None:
    """I7: whatever comes after it changes nothing, and wants nothing done."""
    if not world.header.is_terminal or world.run is None:
        return
    nodes, now_ms = list(world.run.nodes), world.now_ms + 1
    late: list[ev.External] = [ev.TaskSettled(now_ms, path, "completed") for path in nodes[:5]]
    late += [ev.TimerFired(now_ms, "~run@timeout"), ev.Continued(now_ms), ev.CancelRequested(now_ms, nonce="late")]
    late += [ev.ResumeRequested(now_ms, nonce="late"), ev.SignalSent(now_ms, nonce="late", name="go", signal_id="late")]
    for event in late:
        after = advance(world.plan, world.run, event)
        assert after.commands == ()
        assert after.run.nodes == world.run.nodes
        assert after.run.header.status == world.run.header.status
        assert after.run.header.standing == world.run.header.standing


def assert_nothing_went_back_over_the_pivot(world: World) -> None:
    """I15: once a pivot has completed, nothing that began before it is undone."""
    begun: set[str] = set()
    before: set[str] = set()
    for event in world.events:
        if isinstance(event, ev.StepStarted):
            begun.add(event.path)
        elif isinstance(event, ev.StepCompleted | ev.StepStuck):
            worker = world.plan.steps[event.path].worker
            took_effect = isinstance(event, ev.StepCompleted) or event.took_effect
            if worker is not None and worker.kind == "pivot" and took_effect:
                before = set(begun)
        elif isinstance(event, ev.TaskDispatched) and event.phase == "compensate":
            assert event.path not in before, f"{event.path} is undone though the pivot was passed"


def assert_signals_are_taken_in_order(world: World) -> None:
    """Each once, and the first first where nothing was to match."""
    kept: dict[str, list[str]] = {}
    for event in world.events:
        if isinstance(event, ev.SignalKept):
            kept.setdefault(event.name, []).append(event.signal_id)
        elif isinstance(event, ev.SignalTaken):
            signal = world.plan.steps[event.path].signal
            assert signal is not None
            assert event.signal_id in kept[event.name], f"{event.signal_id} is taken and not kept"
            if signal.match is None:
                assert kept[event.name][0] == event.signal_id, f"{kept[event.name]}: {event.signal_id} is taken first"
            kept[event.name].remove(event.signal_id)


def assert_all(world: World) -> None:
    """At rest."""
    assert_undone_exactly_what_took_effect(world)
    assert_undone_in_reverse_order(world)
    assert_one_outcome_each(world)
    assert_nothing_more_is_due(world)
    assert_an_end_is_final(world)
    assert_nothing_went_back_over_the_pivot(world)
    assert_signals_are_taken_in_order(world)
