"""Random definitions and random outcomes: what must hold for all of them.

The sequential language is compared with an oracle that was written apart (tests/reference.py); trees with
branches and loops, cancels and lost processes are held to the invariants of the protocol.
"""

from __future__ import annotations

from random import Random
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.definition.model import WorkerAction
from runner.interpreter import event as ev
from runner.interpreter.advance import advance
from runner.interpreter.decide import decide
from runner.interpreter.evolve import evolve, new_run
from runner.interpreter.paths import RUN, parent, static
from runner.interpreter.plan import Plan
from runner.interpreter.record import decode_event, encode_event, header_of, run_of
from runner.interpreter.state import Run
from tests.books import assert_the_books_are_right
from tests.definitions import plans, worlds
from tests.reference import Reference
from tests.truth import Truth
from tests.world import World


@given(worlds())
@settings(max_examples=400, deadline=None)
def test_a_sequential_run_does_what_the_reference_says(world: World) -> None:
    reference = Reference(world.plan.definition, world.replies)
    expected = reference.status()
    world.finish()
    assert world.calls == reference.calls
    assert world.status == expected


@given(worlds(wide=True), st.integers(0, 40), st.booleans())
@settings(max_examples=400, deadline=None)
def test_every_run_keeps_the_invariants(world: World, cancel_after: int, with_cancel: bool) -> None:
    world.start()
    for index in range(5_000):
        if with_cancel and index == cancel_after:
            world.claimed = {path for path in world.tasks if world.pick(2)}
            world.take(ev.CancelRequested(world.now_ms, nonce="c"))
        if world.tasks:
            paths = sorted(world.tasks)
            world.answer(paths[world.pick(len(paths))])
        elif world.node_timers():
            world.fire()
        else:
            break
        assert_the_books_are_right(world)
        assert_nothing_is_undone_too_early(world)
    assert world.status in ("completed", "compensated", "cancelled", "stuck")  # I9: it comes to rest
    assert_undone_exactly_what_took_effect(world)
    assert_undone_in_reverse_order(world)
    assert_nothing_more_is_due(world)


@given(worlds(wide=True))
@settings(max_examples=150, deadline=None)
def test_the_history_replays_to_the_same_state(world: World) -> None:
    world.finish()
    assert world.run is not None
    stored = [encode_event(event) for event in world.events]
    events = [decode_event(entry, world.run.payloads) for entry in stored]
    assert isinstance(events[0], ev.RunStarted)
    replayed = new_run(events[0])
    for event in events:
        evolve(world.plan, replayed, event)
    assert replayed.nodes == world.run.nodes
    replayed.header.agenda = world.run.header.agenda
    replayed.header.updated_at_ms = world.run.header.updated_at_ms
    assert replayed.header == world.run.header


@given(worlds(wide=True))
@settings(max_examples=100, deadline=None)
def test_a_run_that_was_stored_and_loaded_goes_on_the_same(world: World) -> None:
    world.start()
    for _ in range(200):
        assert world.run is not None
        loaded = run_of(header_of(world.run), world.fields)
        assert loaded.nodes == world.run.nodes
        assert {name: value for name, value in loaded.payloads.items() if not name.endswith(":result")} == {
            name: value for name, value in world.run.payloads.items() if not name.endswith(":result")
        }
        world.run = loaded
        if world.tasks:
            world.answer(min(world.tasks))
        elif world.node_timers():
            world.fire()
        else:
            break


def assert_nothing_is_undone_too_early(world: World) -> None:
    """I6: an undo goes out only when its action is resolved and nothing that came after it is in flight."""
    assert world.run is not None
    for path, message in world.tasks.items():
        if message.phase == "compensate":
            above = parent(path)
            later = _later_in_sequence(world, above, path)
            for other, task in world.tasks.items():
                assert not any(other == place or other.startswith((f"{place}/", f"{place}.", f"{place}#", f"{place}~"))
                               for place in later), f"{task.phase} of {other} is out while {path} is undone"


def _later_in_sequence(world: World, above: str, path: str) -> list[str]:
    if above == RUN:
        return []
    place = world.plan.steps[static(above)]
    names = list(place.children)
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
        action = world.plan.steps[static(path)].worker
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


@given(
    plans(wide=True, odd=True, timeout_ms=100_000), st.integers(0, 1 << 30), st.sampled_from([0.1, 0.3, 0.02, 0.6]),
    st.integers(0, 25), st.sampled_from(["", "cancel", "timeout"]),
)
@settings(max_examples=300, deadline=None)
def test_what_a_run_says_of_its_effects_is_so(plan: Plan, seed: int, trouble: float, stop_at: int, how: str) -> None:
    truth = Truth(World(plan, input={}), Random(seed), trouble)
    truth.finish(stop_at=stop_at, how=how, each=assert_the_books_are_right)
    truth.check()


@given(plans(wide=True, odd=True, timeout_ms=100_000), st.integers(0, 1 << 30), st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_a_run_may_be_stopped_between_two_commits_of_one_transition(plan: Plan, seed: int, stop_at: int) -> None:
    truth = Truth(World(plan, input={}, is_slow=True), Random(seed))
    with patch("runner.interpreter.advance.MAX_DISPATCHES", 1):
        truth.finish(stop_at=stop_at, how="cancel", each=assert_the_books_are_right)
    truth.check()
