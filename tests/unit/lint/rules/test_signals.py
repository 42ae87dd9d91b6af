"""Signals that two wait for, that have two forms, or come too late."""

from __future__ import annotations

from tests.findings import found

MATCH = ", match: '{{ result.to == input.id }}'"


def wait(id: str, more: str = "", signal: str = "go") -> str:
    return f"{{id: {id}, wait_for: {{signal: {signal}{more}}}}}"


def sides(first: str, second: str) -> str:
    return f"{{parallel: {{branches: {{one: [{first}], two: [{{steps: [{second}]}}]}}}}}}"


def test_two_branches_do_not_wait_for_one_signal_unless_it_says_whom_it_is_for() -> None:
    assert found(sides(wait("a"), wait("b"))) == ["SR402"]
    assert found(sides(wait("a", MATCH), wait("b"))) == ["SR402"]
    assert found(sides(wait("a", MATCH), wait("b", MATCH))) == []
    assert found(sides(wait("a"), wait("b", signal="stop"))) == []
    assert found(wait("a"), wait("b")) == []


def test_nor_do_items_side_by_side() -> None:
    loop = "{{for_each: {{in: [1], max_parallel: {}, steps: [{}]}}}}"
    assert found(loop.format(2, wait("a"))) == ["SR402"]
    assert found(loop.format(2, wait("a", MATCH))) == []
    assert found(loop.format(1, wait("a"))) == []


def test_a_signal_has_one_schema() -> None:
    one, other = ", schema: {type: object}", ", schema: {type: array}"
    assert found(wait("a", one), wait("b", other)) == ["SR403"]
    assert found(wait("a", one), f"{{set: {{}}, catch: [{{steps: [{wait('b', other)}]}}]}}") == ["SR403"]
    assert found(wait("a", one), wait("b", one), wait("c"), wait("d", other, signal="stop")) == []


def test_finally_waits_for_nobody() -> None:
    assert found("{set: {}}", tail=f"finally: [{wait('a')}]") == ["SR404"]
    assert found("{set: {}}", tail=f"finally: [{{steps: [{wait('a')}]}}]") == ["SR404"]
    assert found("{set: {}}", tail="finally: [{wait: 1s}]") == []
