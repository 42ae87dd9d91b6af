"""Arguments whose types fit, and that are wrong all the same."""

from __future__ import annotations

from typing import Any

import pytest

from tests.findings import found, problems

TEXT = {"type": "string"}
CONTRACTS: dict[str, Any] = {
    "act": {"input": {"properties": {"ref": TEXT, "order": TEXT, "amount": {"type": "integer"}}}},
    "undo": {"input": {"properties": {"ref": TEXT, "order": TEXT, "amount": {"type": "integer"}}}},
}


@pytest.mark.parametrize(
    ("given", "undone", "expected"),
    [
        ("ref: '{{ step.ref }}'", "ref: '{{step.ref}}'", []),
        ("ref: '{{ step.ref }}'", "ref: '{{ run.id }}'", ["SR321"]),
        ("order: '{{ input.a }}'", "order: '{{ input.b }}'", ["SR321"]),
        ("order: '{{ input.a }}'", "order: none", []),  # constants say what is to be done, not to what
        ("ref: '{{ step.ref }}'", "ref: \"{{ result.ref | default('') }}\"", []),
        ("amount: '{{ input.a }}'", "amount: '{{ input.b }}'", []),  # less may be given back
        ("ref: '{{ step.ref }}'", "other: '{{ run.id }}'", []),
    ],
)
def test_an_undo_is_about_what_the_step_did(given: str, undone: str, expected: list[str]) -> None:
    step = f"{{id: a, worker: act, with: {{{given}}}, compensate: {{worker: undo, with: {{{undone}}}}}}}"
    assert found(step, contracts=CONTRACTS) == expected


def test_a_worker_that_is_its_own_undo_may_be_given_things_the_other_way_round() -> None:
    step = (
        "{id: a, worker: act, with: {ref: '{{ input.x }}', order: '{{ input.y }}'}, "
        "compensate: {worker: act, with: {ref: '{{ input.y }}', order: '{{ input.x }}'}}}"
    )
    assert found(step, contracts=CONTRACTS) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("customer: '{{ input.customer_id }}', order: '{{ input.order_id }}'", []),
        ("customer: '{{ input.order_id }}', order: '{{ input.customer_id }}'", ["SR226"]),
        ("customer: '{{ input.order_id }}', about: '{{ input.customer_id }}'", ["SR226"]),
        ("hold_ref: '{{ input.order }}', customer: '{{ step.ref }}'", ["SR226"]),
        ("hold_ref: '{{ step.ref }}', customer: '{{ input.order }}'", []),
        ("customer: a, template: '{{ input.customer_id }}'", ["SR226"]),
        ("customer: '{{ input.traveller }}', about: '{{ input.trip_id }}'", []),
        ("payment_ref: '{{ steps.x.output.payment_ref }}', order: '{{ step.ref }}'", []),
        ("from: '{{ input.a }}', to: '{{ input.b }}'", []),
    ],
)
def test_swapped_arguments_are_known_by_their_names(given: str, expected: list[str]) -> None:
    steps = ("{id: x, worker: look, kind: readonly}", f"{{id: a, worker: look, kind: readonly, with: {{{given}}}}}")
    assert found(*steps) == expected


def test_the_hint_says_how_they_would_fit() -> None:
    given = "customer: '{{ input.order_id }}', order: '{{ input.customer_id }}'"
    (problem,) = problems(f"{{id: a, worker: look, kind: readonly, with: {{{given}}}}}")
    assert problem.hint == "customer: {{ input.customer_id }}, order: {{ input.order_id }}"


def test_one_step_that_is_not_confirmed_among_many_that_are() -> None:
    def step(step_id: str, more: str = ", confirm: {worker: keep}") -> str:
        return f"{{id: {step_id}, worker: act, compensate: {{worker: undo}}{more}}}"

    assert found(step("a"), step("b"), step("c")) == []
    assert found(step("a"), step("b"), step("c", "")) == ["SR328"]
    assert found(step("a"), step("b", "")) == []  # half of them: who knows
    assert found(step("a", ""), step("b", ""), step("c")) == []
