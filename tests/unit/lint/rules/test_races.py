"""Variables that are used side by side."""

from __future__ import annotations

from tests.findings import found

SET = "{set: {x: 1}}"
READ = "{set: {y: '{{ vars.x }}'}}"


def sides(*branches: str) -> str:
    return f"{{parallel: {{branches: {{{', '.join(f'b{n}: [{steps}]' for n, steps in enumerate(branches))}}}}}}}"


def loop(inner: str, at_once: int) -> str:
    return f"{{for_each: {{in: [1], max_parallel: {at_once}, steps: [{inner}]}}}}"


def test_two_branches_do_not_set_one_variable() -> None:
    assert found(sides(SET, SET)) == ["SR401"]
    assert found(sides(SET, f"{{steps: [{SET}]}}")) == ["SR401"]
    assert found(sides(SET, f"{{set: {{}}, catch: [{{steps: [{SET}]}}]}}")) == ["SR401"]
    assert found(sides(f"{SET}, {SET}", "{set: {z: 1}}")) == []


def test_a_branch_does_not_read_what_another_sets() -> None:
    assert found(sides(SET, READ), head="vars: {x: 0}") == ["SR401"]
    assert found(sides(f"{SET}, {READ}", "{set: {z: 1}}")) == []
    assert found(SET, sides(READ, READ.replace("y", "z"))) == []
    assert found(sides(SET, "{set: {z: 1}}"), READ) == []


def test_items_side_by_side_set_nothing() -> None:
    assert found(loop(SET, 2)) == ["SR401"]
    assert found(loop(f"{{steps: [{SET}]}}", 2)) == ["SR401"]
    assert found(loop(SET, 1)) == []
