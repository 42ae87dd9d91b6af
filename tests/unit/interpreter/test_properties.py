"""Random definitions and random outcomes: what must hold for all of them.

What goes one after another is compared with an oracle that was written apart (tests/reference.py); branches, items
side by side, signals, cancels and lost processes are held to the invariants of the protocol (tests/invariants.py).
`make properties` looks at many more examples than a run of the suite.
"""

from __future__ import annotations

from random import Random
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.interpreter import event as ev
from runner.interpreter.evolve import evolve, new_run
from runner.interpreter.plan import Plan
from runner.interpreter.record import decode_events, encode_events, run_of, state_of
from tests.books import assert_the_books_are_right
from tests.definitions import SEEDS, examples, plans, worlds
from tests.invariants import assert_all, assert_nothing_is_undone_too_early
from tests.reference import Reference
from tests.truth import Truth
from tests.world import World


@given(worlds())
@settings(max_examples=examples(400))
def test_a_sequential_run_does_what_the_reference_says(world: World) -> None:
    reference = Reference(world.plan.definition, world.replies)
    expected = reference.status()
    world.finish()
    assert world.calls == reference.calls
    assert world.status == expected


@given(worlds(wide=True), st.integers(0, 40), st.booleans(), SEEDS)
@settings(max_examples=examples(400))
def test_every_run_keeps_the_invariants(world: World, cancel_after: int, with_cancel: bool, seed: int) -> None:
    random = Random(seed)
    world.start()
    for index in range(5_000):
        if with_cancel and index == cancel_after:
            world.claimed = {path for path in world.tasks if random.random() < 0.5}
            world.take(ev.CancelRequested(world.now_ms, nonce="c"))
        if random.random() < 0.05:
            world.signal("go", random.choice([1, 2]))
        if world.tasks:
            world.answer(random.choice(sorted(world.tasks)))
        elif world.node_timers():
            world.fire()
        elif world.waits_for_a_signal():
            world.signal("go", 1)
        else:
            break
        assert_the_books_are_right(world)
        assert_nothing_is_undone_too_early(world)
    assert world.status in ("completed", "compensated", "cancelled", "stuck")  # I9: it comes to rest
    assert_all(world)


@given(worlds(wide=True))
@settings(max_examples=examples(150))
def test_the_history_replays_to_the_same_state(world: World) -> None:
    world.finish()
    assert world.run is not None
    events = decode_events(encode_events(world.events), world.run.payloads)
    assert isinstance(events[0], ev.RunStarted)
    replayed = new_run(events[0])
    for event in events:
        evolve(world.plan, replayed, event)
    assert replayed.nodes == world.run.nodes
    replayed.header.agenda = world.run.header.agenda
    replayed.header.updated_at_ms = world.run.header.updated_at_ms
    assert replayed.header == world.run.header


@given(worlds(wide=True))
@settings(max_examples=examples(100))
def test_a_run_that_was_stored_and_loaded_goes_on_the_same(world: World) -> None:
    world.start()
    for _ in range(200):
        assert world.run is not None
        loaded = run_of(state_of(world.run), world.fields)
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


@given(
    plans(wide=True, odd=True, timeout_ms=100_000), SEEDS, st.sampled_from([0.1, 0.3, 0.02, 0.6]),
    st.integers(0, 25), st.sampled_from(["", "cancel", "timeout"]),
)
@settings(max_examples=examples(300))
def test_what_a_run_says_of_its_effects_is_so(plan: Plan, seed: int, trouble: float, stop_at: int, how: str) -> None:
    truth = Truth(World(plan, input={}), Random(seed), trouble)
    truth.finish(stop_at=stop_at, how=how, each=assert_the_books_are_right)
    truth.check()


@given(plans(wide=True, odd=True, timeout_ms=100_000), SEEDS, st.integers(0, 9))
@settings(max_examples=examples(100))
def test_a_run_may_be_stopped_between_two_commits_of_one_transition(plan: Plan, seed: int, stop_at: int) -> None:
    truth = Truth(World(plan, input={}, is_slow=True), Random(seed))
    with patch("runner.interpreter.advance.MAX_DISPATCHES", 1):
        truth.finish(stop_at=stop_at, how="cancel", each=assert_the_books_are_right)
    truth.check()
