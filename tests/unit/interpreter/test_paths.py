"""Paths: up, down, to the place in the definition and back to the node that is meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.interpreter.paths import FINALLY, ROOT, RUN, child, children_of, instance, items, order, parent, static

IDS = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
LINKS = st.one_of(
    IDS.map(lambda name: f"/{name}"), IDS.map(lambda name: f".{name}"),
    st.integers(0, 1_000).map(lambda number: f"#{number}"), st.integers(0, 9).map(lambda number: f"~{number}"),
)
PATHS = st.builds(lambda first, links: first + "".join(links), IDS, st.lists(LINKS, max_size=6))


@pytest.mark.parametrize(
    ("path", "above"),
    [
        (ROOT, RUN), (FINALLY, RUN), ("reserve", ROOT), ("checks/score", "checks"), ("checks.fraud", "checks"),
        ("checks.fraud/score", "checks.fraud"), ("lines#3", "lines"), ("lines#3/ship", "lines#3"), ("pay~0", "pay"),
        ("pay~0/instead", "pay~0"), ("~finally/record", FINALLY), ("~finally/record~1/x", "~finally/record~1"),
    ],
)
def test_the_parent_of_a_path(path: str, above: str) -> None:
    assert parent(path) == above


def test_a_child_of_the_root_has_no_slash() -> None:
    assert child(ROOT, "reserve") == "reserve"
    assert child("checks", "score") == "checks/score"


@given(PATHS, IDS)
def test_a_child_is_below_its_parent(path: str, name: str) -> None:
    assert parent(child(path, name)) == path


@given(PATHS)
def test_going_up_ends_at_the_run(path: str) -> None:
    seen = []
    while path != RUN:
        seen.append(path)
        path = parent(path)
    assert seen[-1] == ROOT
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("path", "place"),
    [("reserve", "reserve"), ("lines#12/ship", "lines#/ship"), ("a#0/b#10/c", "a#/b#/c"), ("a.b#1~2/c", "a.b#~2/c")],
)
def test_items_share_a_place_in_the_definition(path: str, place: str) -> None:
    assert static(path) == place


@pytest.mark.parametrize(
    ("place", "seen_from", "meant"),
    [
        ("reserve", "lines#3/ship", "reserve"),
        ("lines#/pack", "lines#3/ship", "lines#3/pack"),
        ("lines#/parts#/cut", "lines#3/parts#1/glue", "lines#3/parts#1/cut"),
        ("lines#/pack", "lines#3/parts#1/glue", "lines#3/pack"),
        ("lines#/parts#/cut", "lines#3/ship", "lines#3/parts#/cut"),  # which part, nobody can say
        ("others#/pack", "lines#3/ship", "others#/pack"),  # item 3 of another loop is not meant
    ],
)
def test_a_step_means_the_one_of_its_own_items(place: str, seen_from: str, meant: str) -> None:
    assert instance(place, seen_from) == meant


@given(PATHS)
def test_a_step_that_means_its_own_place_means_itself(path: str) -> None:
    assert instance(static(path), path) == path


@pytest.mark.parametrize(("path", "numbers"), [("reserve", ()), ("lines#3/ship", (3,)), ("a#0/b#10/c~1/d", (0, 10))])
def test_the_item_numbers_of_a_path(path: str, numbers: tuple[int, ...]) -> None:
    assert items(path) == numbers


def test_paths_are_put_in_the_order_of_their_items() -> None:
    paths = ["lines#10/x", "lines#9/y", "lines#9/x", "lines#2", "a"]
    assert sorted(paths, key=order) == ["a", "lines#2", "lines#9/x", "lines#9/y", "lines#10/x"]


def test_the_scopes_below_a_step_are_its_named_ones_or_those_of_the_items_begun() -> None:
    assert list(children_of("both", ("x", "y"), 0)) == ["both.x", "both.y"]
    assert list(children_of("lines", (), 2)) == ["lines#0", "lines#1"]
