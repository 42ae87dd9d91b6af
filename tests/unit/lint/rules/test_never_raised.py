"""Handlers of what nobody raises."""

from __future__ import annotations

import pytest

from tests.findings import found

BAD = "{id: s, worker: w, kind: readonly, raises: [bad]"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (f"{BAD}, catch: [{{errors: [bad]}}]}}", []),
        (f"{BAD}, catch: [{{errors: [bat]}}]}}", ["SR410"]),
        (f"{BAD}, catch: [{{errors: [business, technical, any, timeout, no_effect]}}]}}", []),
        (f"{{steps: [{BAD}}}], catch: [{{errors: [bad]}}]}}", []),
        (f"{{parallel: {{branches: {{a: [{BAD}}}], b: [{{set: {{}}}}]}}}}, catch: [{{errors: [bad]}}]}}", []),
        ("{steps: [{fail: {error: bad}, when: '{{ input.a }}'}], catch: [{errors: [bad]}]}", []),
        ("{id: s, wait_for: {signal: x, timeout: 1h, on_timeout: {fail: bad}}, catch: [{errors: [bad]}]}", []),
        # A failure of a handler is not one of its own step, but one of what is around.
        (f"{{id: o, worker: w, kind: readonly, catch: [{{errors: [any], steps: [{BAD}}}]}}, {{errors: [bad]}}]}}",
         ["SR409", "SR410"]),
        (f"{{steps: [{{id: o, worker: w, kind: readonly, catch: [{{errors: [any], steps: [{BAD}}}]}}]}}], "
         "catch: [{errors: [bad]}]}", []),
    ],
)  # fmt: skip
def test_a_code_that_nothing_below_raises(step: str, expected: list[str]) -> None:
    assert sorted(code for code in found(step) if code != "SR408") == expected


def test_what_a_contract_says_counts_and_what_http_request_is_told() -> None:
    step = "{id: s, worker: w, catch: [{errors: [bad]}]}"
    assert "SR410" not in found(step, contracts={"w": {"readonly": True, "raises": ["bad"]}})
    given = "with: {method: GET, url: 'https://a.example', errors: {'404': gone}}"
    request = f"id: s, worker: http.request, {given}, raises: [gone]"
    assert found(f"{{{request}, catch: [{{errors: [gone]}}]}}") == []


def test_a_code_that_is_misspelt_where_it_is_raised_is_said_there_only() -> None:
    step = "{id: s, worker: w, kind: readonly, raises: [baad], catch: [{errors: [bad]}]}"
    assert found(step, head="use: {errors: {bad: {}}}") == ["SR212"]
