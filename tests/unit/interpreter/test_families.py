"""Random families of runs: however they are disturbed, they come to one end, and what the root says of it is so."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.interpreter.evolve import evolve, new_run
from runner.interpreter.record import decode_events, encode_events
from tests.families import FamilyTruth


@given(st.integers(0, 1 << 40), st.sampled_from([0.0, 0.1, 0.3, 0.5]), st.integers(0, 60), st.booleans())
@settings(max_examples=300)
def test_what_the_root_of_a_family_says_of_its_effects_is_so(
    seed: int, trouble: float, stop_at: int, abandons: bool
) -> None:
    truth = FamilyTruth(Random(seed), trouble, abandons=abandons)
    truth.finish(stop_at)
    truth.check()


@pytest.mark.parametrize("trouble", [0.0, 0.3])
def test_a_family_that_nobody_stops_ends_as_one(trouble: float) -> None:
    for seed in range(60):
        truth = FamilyTruth(Random(seed), trouble, abandons=False)
        root = truth.finish(stop_at=-1)
        truth.check()
        if trouble == 0.0:
            assert {each.status for each in root.family()} <= {"completed", "cancelled", "compensated"}
            assert root.status == "completed"


def test_the_histories_of_a_family_replay_to_the_same_states() -> None:
    for seed in range(40):
        root = FamilyTruth(Random(seed), 0.3).finish(stop_at=20)
        for world in root.family():
            if world.run is None:
                continue
            events = decode_events(encode_events(world.events), world.run.payloads)
            replayed = new_run(events[0])  # type: ignore[arg-type]
            for event in events:
                evolve(world.plan, replayed, event)
            assert replayed.nodes == world.run.nodes
            replayed.header.agenda = world.run.header.agenda
            replayed.header.updated_at_ms = world.run.header.updated_at_ms
            replayed.header.spins = world.run.header.spins
            assert replayed.header == world.run.header
