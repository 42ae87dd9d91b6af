"""What no run gets to."""

from __future__ import annotations

import pytest

from tests.findings import LOOK, found, without

FAIL = "{fail: {error: x}}"
NEXT = "{id: next, set: {}}"


@pytest.mark.parametrize(
    "step",
    [
        FAIL,
        f"{{steps: [{FAIL}]}}",
        f"{{parallel: {{branches: {{a: [{FAIL}], b: [{{set: {{}}}}]}}}}}}",
        f"{{parallel: {{branches: {{a: [{FAIL}], b: [{FAIL}]}}, join: any}}}}",
        f"{{repeat: {{max: 2, until: '{{{{ result }}}}', steps: [{FAIL}]}}}}",
        f"{{switch: [{{when: '{{{{ input.a }}}}', steps: [{FAIL}]}}, {{else: [{FAIL}]}}]}}",
        f"{{steps: [{FAIL}], catch: [{{steps: [{{fail: rethrow}}]}}]}}",
    ],
)
def test_nothing_comes_after_what_always_fails(step: str) -> None:
    assert found(step, NEXT, "{set: {}}") == ["SR408"]


@pytest.mark.parametrize(
    "step",
    [
        "{fail: {error: x}, when: '{{ input.a }}'}",
        f"{{steps: [{FAIL}], catch: [{{}}]}}",
        f"{{steps: [{FAIL}], on_failure: continue}}",
        f"{{parallel: {{branches: {{a: [{FAIL}], b: [{{set: {{}}}}]}}, join: any}}}}",
        f"{{for_each: {{in: '{{{{ input.a }}}}', steps: [{FAIL}]}}}}",
        f"{{switch: [{{when: '{{{{ input.a }}}}', steps: [{FAIL}]}}]}}",
    ],
)
def test_what_may_go_on(step: str) -> None:
    assert found(step, NEXT) == []


def test_the_steps_of_finally_are_always_reached() -> None:
    assert found(FAIL, tail="finally: [{set: {}}]") == []


@pytest.mark.parametrize(
    ("handlers", "codes"),
    [
        ("{errors: [any]}, {errors: [x]}", ["SR409"]),
        ("{}, {}", ["SR409"]),
        ("{errors: [x]}, {errors: [x]}", ["SR409"]),
        ("{errors: [business]}, {errors: [technical]}, {errors: [any]}", ["SR409"]),
        ("{errors: [x]}, {errors: [x, y]}", []),
        ("{errors: [any], when: '{{ error.attempt > 1 }}'}, {errors: [x]}", []),
        ("{errors: [x]}, {errors: [any]}", []),
    ],
)
def test_a_handler_that_nothing_is_left_for(handlers: str, codes: list[str]) -> None:
    assert without(found(f"{{id: a, {LOOK}, catch: [{handlers}]}}"), "SR410") == codes
