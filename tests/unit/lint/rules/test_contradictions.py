"""Steps and the contracts of their workers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.findings import found, problems

CONTRACTS: dict[str, Any] = {
    "act": {"readonly": False, "verdict": False, "raises": ["no"]},
    "undo": {"readonly": False, "verdict": False, "raises": ["never"]},
    "look": {"readonly": True, "verdict": False, "raises": []},
    "ask": {"readonly": False, "verdict": True, "raises": []},
    "silent": {},
}
UNDO = "compensate: {worker: undo}"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (f"worker: act, raises: ['no'], {UNDO}", []),
        ("worker: act, raises: ['no'], kind: readonly", ["SR322"]),
        ("worker: look", []),
        ("worker: look, kind: readonly", []),
        (f"worker: look, {UNDO}", ["SR322"]),
        ("worker: look, kind: pivot", ["SR322"]),
        ("worker: silent, kind: readonly", []),
        ("worker: http.request, with: {method: POST, url: 'https://a.example'}, kind: readonly", []),
        (f"worker: look, kind: readonly, {UNDO}", ["SR305"]),
    ],
)
def test_the_kind(step: str, expected: list[str]) -> None:
    assert found(f"{{id: a, {step}}}", contracts=CONTRACTS) == expected


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (UNDO, []),
        ("compensate: {worker: look}", ["SR323"]),
        ("compensate: {worker: ask}", ["SR323"]),
        ("compensate: {worker: act}", ["SR323"]),
        ("compensate: {worker: act, with: {back: true}}", []),
        (f"{UNDO}, confirm: {{worker: undo}}", ["SR323"]),
        (f"{UNDO}, confirm: {{worker: undo, with: {{keep: true}}}}", []),
        (f"{UNDO}, confirm: {{worker: look}}", ["SR323"]),
        (f"{UNDO}, verify: {{worker: ask}}", []),
        (f"{UNDO}, verify: {{worker: look}}", ["SR324"]),
        (f"{UNDO}, verify: {{worker: silent}}", []),
        (f"{UNDO}, verify: {{worker: http.request, with: {{method: GET, url: 'https://a.example'}}}}", []),
    ],
)
def test_what_undoes_confirms_and_verifies(calls: str, expected: list[str]) -> None:
    assert found(f"{{id: a, worker: act, raises: ['no'], {calls}}}", contracts=CONTRACTS) == expected


@pytest.mark.parametrize(
    ("raises", "expected"),
    [
        ("raises: ['no']", []),
        ("raises: ['no', other]", ["SR227"]),
        ("raises: [other]", ["SR227", "SR228"]),
        ("summary: it may fail with what the contract says", []),
    ],
)
def test_what_a_worker_raises(raises: str, expected: list[str]) -> None:
    step = f"{{id: a, worker: act, {raises}, {UNDO}}}"
    assert sorted(found(step, contracts=CONTRACTS)) == expected
    assert found(step) == []


def test_where_codes_are_listed_those_of_undos_are_too() -> None:
    step = f"{{id: a, worker: act, raises: ['no'], {UNDO}}}"
    assert found(step, head="use: {errors: {'no': {}, never: {}}}", contracts=CONTRACTS) == []
    (problem,) = problems(step, head="use: {errors: {'no': {}}}", contracts=CONTRACTS)
    assert problem.message == 'undo may say no with "never", which use.errors does not list'


def test_where_codes_are_listed_those_of_a_step_that_says_nothing_are_too() -> None:
    step = f"{{id: a, worker: act, {UNDO}}}"
    assert found(step, head="use: {errors: {'no': {}, never: {}}}", contracts=CONTRACTS) == []
    (problem,) = problems(step, head="use: {errors: {never: {}}}", contracts=CONTRACTS)
    assert problem.message == 'act may say no with "no", which use.errors does not list'
