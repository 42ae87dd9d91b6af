"""The short form: some hundred schedules in memory, some on real servers, and every seed that ever showed something.

The full form is `make simulate`. A seed that fails here: `python -m tests.simulation --story --seed N` tells its story.
"""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest

from tests.simulation.__main__ import kept_seeds, story_of
from tests.simulation.on_server import check_on_server, server_of
from tests.simulation.schedule import AIMED, KINDS, Result, draw_plot, play, shrink, simulate
from tests.simulation.server import Fault

NUMBER = 500
ON_SERVERS = 25


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return [simulate(seed) for seed in range(NUMBER)]


def test_no_schedule_violates_an_invariant(results: list[Result]):
    bad = [result for result in results if result.violation is not None]
    if bad:
        pytest.fail(story_of(bad[0].seed))


@pytest.mark.parametrize("seed", kept_seeds())
def test_a_seed_that_showed_something_once_shows_nothing_now(seed: int):
    result = simulate(seed)
    if result.violation is not None:
        pytest.fail(story_of(seed))


def test_every_fault_happens(results: list[Result]):
    happened = sum((result.faults for result in results), Counter())
    assert set(happened) == set(KINDS) | set(AIMED)


def test_runs_end_in_every_way(results: list[Result]):
    ends = {name.partition(" ")[2] for result in results for name in result.statuses}
    assert ends >= {"completed", "compensated", "cancelled", "abandoned"}


def test_a_seed_is_one_course_of_events():
    courses = [[str(entry) for entry in play(draw_plot(7))[1].server.trace] for _ in range(2)]
    assert courses[0] == courses[1]
    assert len(courses[0]) > 20


def test_a_story_is_told_without_what_it_does_not_need():
    """The violation here is that anybody was killed."""
    seed = next(seed for seed in count() if _kills(seed) and len(draw_plot(seed).faults) > 3)
    left = shrink(draw_plot(seed), lambda plot: bool(play(plot)[0].faults["kill_after"]))
    assert [fault.kind for fault in left.faults] == ["kill_after"]
    assert len(left.runs) == 1


def _kills(seed: int) -> bool:
    faults: tuple[Fault, ...] = draw_plot(seed).faults
    return any(fault.kind == "kill_after" and fault.at < 30 for fault in faults)


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_real_server_says_the_same(kind: str):
    with server_of(kind) as url:
        for seed in range(ON_SERVERS):
            result = check_on_server(seed, url)
            assert result.violation is None, f"seed {seed}: {result.violation}"
