"""What cannot be undone, where the run goes on and undoes."""

from __future__ import annotations

import pytest

from tests.findings import LOOK, found

STANDING = "{id: n, worker: w, compensate: none, reason: because}"
UNDOABLE = "{id: c, worker: w, compensate: {worker: u}}"
RETRIABLE = "{id: r, worker: w, kind: retriable}"
PIVOT = "{id: p, worker: w, kind: pivot}"
READ = f"{{id: o, {LOOK}}}"


def race(*branches: str, join: str = "any") -> str:
    named = ", ".join(f"b{n}: [{steps}]" for n, steps in enumerate(branches))
    return f"{{parallel: {{branches: {{{named}}}, join: {join}}}}}"


def collect(steps: str, on_failure: str = "collect") -> str:
    return f"{{for_each: {{in: [1], on_item_failure: {on_failure}, steps: [{steps}]}}}}"


def test_losers_can_be_undone() -> None:
    assert found(race(STANDING, READ)) == ["SR315"]
    assert found(race(READ, f"{{steps: [{STANDING}]}}")) == ["SR315"]
    assert found(PIVOT, race(RETRIABLE, READ)) == ["SR315"]
    assert found(race(UNDOABLE, READ)) == []
    assert found(race(STANDING)) == []
    assert found(race(STANDING, READ, join="all")) == []


def test_items_that_are_passed_over_can_be_undone() -> None:
    assert found(collect(f"{STANDING}, {READ}")) == ["SR315"]
    assert found(collect(f"{{steps: [{STANDING}]}}, {READ}")) == ["SR315"]
    assert found(collect(f"{UNDOABLE}, {READ}")) == []
    assert found(collect(f"{STANDING}, {READ}", on_failure="fail")) == []


@pytest.mark.parametrize("steps", [STANDING, f"{READ}, {STANDING}", f"{{steps: [{STANDING}]}}"])
def test_the_last_step_of_an_item_is_not_undone_by_one_that_comes_after_it(steps: str) -> None:
    assert found(collect(steps)) == []
