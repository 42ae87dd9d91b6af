"""The language as the rest of sagarun uses it: conditions, and the example of a whole step."""

from __future__ import annotations

from typing import Any

import pytest

from runner.expression.evaluate import ExpressionFault, compile_condition, compile_template


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ input.total > 20 }}", True),
        ("{{ input.total > 30 }}", False),
        ("{{ true }}", True),
        ("{{ input.gift is defined }}\n", False),
    ],
)
def test_a_condition_gives_its_boolean(source: str, value: bool):
    assert compile_condition(source).evaluate({"input": {"total": 21}}) is value


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, "a number"),
        (0, "a number"),
        ("true", "a string"),
        ("", "a string"),
        (None, "null"),
        ([], "a list"),
        ({}, "a mapping"),
    ],
)
def test_a_condition_is_strictly_a_boolean(value: Any, kind: str):
    with pytest.raises(ExpressionFault) as caught:
        compile_condition("{{  input }}").evaluate({"input": value})
    assert caught.value.message == f"a condition must be true or false, not {kind}; compare it with something"
    assert (caught.value.offset, caught.value.source) == (4, "input")


def test_a_condition_about_what_is_absent_is_a_fault():
    with pytest.raises(ExpressionFault, match=r"input.x is absent") as caught:
        compile_condition("{{ input.x }}").evaluate({"input": {}})
    assert caught.value.offset == 3


@pytest.mark.parametrize(
    "source", ["", "true", "input.total > 20", "a {{ true }}", "{{ true }} ", "{{ true }}{{ true }}"]
)
def test_a_condition_is_exactly_one_expression(source: str):
    with pytest.raises(ExpressionFault, match="a condition is exactly one"):
        compile_condition(source)


def test_a_condition_that_does_not_parse_is_placed_in_its_string():
    with pytest.raises(ExpressionFault) as caught:
        compile_condition("{{  a + }}")
    assert (caught.value.offset, caught.value.column) == (4, 3)


def test_the_input_of_a_step_is_rendered():
    template = compile_template(
        {
            "payment_ref": "{{ step.ref }}",
            "amount": "{{ steps.validate.output.total }}",
            "note": "Order {{ input.order_id }}{{ ', a gift' if input.gift is defined else '' }}",
            "items": "{{ input.items | selectattr('qty', 'gt', 0) | map(attribute='sku') }}",
            "currency": "{{ input.currency | default('EUR') }}",
        }
    )
    scope = {
        "step": {"ref": "0123456789abcdef/charge", "id": "charge"},
        "steps": {"validate": {"status": "completed", "output": {"total": 41.5}}},
        "input": {"order_id": "007", "items": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 0}]},
    }
    assert template.render(scope) == {
        "payment_ref": "0123456789abcdef/charge",
        "amount": 41.5,
        "note": "Order 007",
        "items": ["a"],
        "currency": "EUR",
    }
