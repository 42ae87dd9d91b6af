"""Conditions, rounds and keys that are always the same."""

from __future__ import annotations

import pytest

from tests.findings import LOOK, found


@pytest.mark.parametrize(
    "step",
    [
        "{when: '{{ true }}', set: {}}",
        "{when: '{{ 1 == 2 }}', set: {}}",
        "{when: '{{ 5 }}', set: {}}",
        "{switch: [{when: '{{ false }}', steps: []}]}",
        "{id: a, wait_for: {signal: a, match: '{{ true }}'}}",
        f"{{id: a, {LOOK}, catch: [{{when: '{{{{ true }}}}'}}]}}",
    ],
)
def test_a_condition_that_reads_nothing(step: str) -> None:
    assert found(step) == ["SR405"]


def test_a_condition_that_reads_something() -> None:
    assert found("{when: '{{ input.a }}', set: {}}") == []


def rounds(until: str, inner: str = f"{{id: a, {LOOK}}}") -> str:
    return f'{{id: r, repeat: {{max: 3, until: "{{{{ {until} }}}}", steps: [{inner}]}}}}'


@pytest.mark.parametrize(
    "until", ["true", "input.a", "steps.before.output.a", "vars.x > 1", "run.id == 'x'", "1 > 2 or input.a"]
)
def test_an_until_that_no_round_can_change(until: str) -> None:
    tail = 'output: "{{ vars.x }}"\n'
    assert found(f"{{id: before, {LOOK}}}", rounds(until), head="vars: {x: 1}", tail=tail) == ["SR406"]


@pytest.mark.parametrize(
    "until", ["result.a", "steps.a.output.a", "input.a or result.a", "step.ref == 'x'", "false", "1 > 2"]
)
def test_an_until_that_rounds_can_change_or_that_wants_them_all(until: str) -> None:
    assert found(rounds(until)) == []


def test_a_variable_that_a_round_sets_can_change() -> None:
    assert found(rounds("vars.x > 1", "{steps: [{set: {x: '{{ vars.x + 1 }}'}}]}"), head="vars: {x: 1}") == []


def test_keys_that_are_the_same_for_every_run() -> None:
    assert found("{set: {}}", head="idempotency_key: always") == ["SR407"]
    assert found("{set: {}}", head="concurrency: {limit: 1, key: always}") == ["SR407"]
    assert found("{set: {}}", head="idempotency_key: 'a-{{ input.id }}'\nconcurrency: {limit: 1}") == []
