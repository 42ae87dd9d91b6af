"""The rules that look at one step or one expression: what they let pass, and where they find something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.definition.load import examine_text
from runner.lint.linter import lint_draft
from tests.findings import without

CONTRACTS = {
    "look": {"readonly": True, "input": {"properties": {}}},
    "act": {"input": {"properties": {"a": {}, "b": {}}, "required": ["a"], "additionalProperties": False}},
    "free": {},
    "undo": {"input": {"type": "object"}},
}


def found(steps: str, *, head: str = "", tail: str = "", contracts: Any = None) -> list[str]:
    text = f"workflow: a\nversion: '1'\n{head}\nsteps:\n  {steps}\n{tail}\n"
    draft = examine_text(text, file="a.yaml", root=Path(), contracts=contracts)
    return [problem.code for problem in lint_draft(draft, contracts)]


def reads(expression: str, **settings: Any) -> list[str]:
    """What is found about an expression in a step that comes after `first`."""
    steps = f'- {{id: first, worker: w, kind: readonly}}\n  - {{id: second, set: {{a: "{{{{ {expression} }}}}"}}}}'
    return found(steps, **settings)


@pytest.mark.parametrize(
    "expression",
    [
        "input.anything[0].else",
        "steps.first.output.x",
        "steps['first'].output",
        "steps.first.status == 'completed'",
        "steps.first.error.code | default('')",
        "vars.a",
        "run.id ~ run.workflow ~ run.version ~ run.started_at",
        "step.ref ~ step.id",
        "none",
        "[1, 2] | length",
    ],
)
def test_names_in_scope(expression: str) -> None:
    assert reads(expression) == []


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("inputs.x", "SR205"),
        ("run.status", "SR205"),
        ("run.nope", "SR205"),
        ("step.nope", "SR205"),
        ("steps.first.outputs", "SR205"),
        ("null", "SR205"),
        ("result", "SR207"),
        ("error.code", "SR208"),
        ("steps.second.output", "SR204"),
        ("steps.third.output", "SR204"),
        ("steps[0]", "SR204"),
        ("vars.b", "SR209"),
        ("input.", "SR206"),
        ("input.x | shout", "SR206"),
        ("range(3)", "SR206"),
    ],
)
def test_names_that_are_not(expression: str, code: str) -> None:
    assert reads(expression) == [code]


@pytest.mark.parametrize(
    ("expression", "codes"),
    [
        ("input.id", []),
        ("input.idd", ["SR210"]),
        ("input.idd | default('')", ["SR210"]),
        ("input.lines[0].sku", []),
        ("input.lines[0].sk", ["SR210"]),
        ("input.open.anything", []),
        ("input.either.x", []),
        ("input.tree.kids[0].kids[1].name", []),
        ("input.tree.kids[0].kids[1].nam", ["SR210"]),
    ],
)
def test_properties_of_a_closed_input(expression: str, codes: list[str]) -> None:
    closed = "type: object, additionalProperties: false"
    tree = f"{{{closed}, properties: {{kids: {{items: {{$ref: '#/$defs/tree'}}}}, name: {{}}}}}}"
    line = f"{{items: {{{closed}, properties: {{sku: {{}}}}}}}}"
    either = f"{{anyOf: [{{}}], {closed}}}"
    properties = f"{{id: {{}}, lines: {line}, open: {{}}, either: {either}, tree: {{$ref: '#/$defs/tree'}}}}"
    head = f"input: {{{closed}, properties: {properties}, $defs: {{tree: {tree}}}}}"
    assert reads(expression, head=head) == codes


def test_a_variable_is_known_if_anything_sets_it() -> None:
    assert found('- {set: {a: "{{ vars.later }}"}}\n  - {set: {later: 1}}') == []


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ("worker: act, with: {a: 1, b: 2}, kind: readonly", []),
        ("worker: act, with: {a: 1, c: 2}, kind: readonly", ["SR202"]),
        ("worker: act, with: {b: 1}, kind: readonly", ["SR203"]),
        ("worker: free, with: {what: ever}, kind: readonly", []),
        ("worker: undo, with: {what: ever}, kind: readonly", []),
        ("worker: ackt, with: {what: ever}", ["SR201"]),
        ("worker: act, with: {a: 1}, compensate: {worker: act}, verify: {worker: nobody}", ["SR203", "SR201"]),
    ],
)
def test_workers_and_their_arguments(step: str, codes: list[str]) -> None:
    assert found(f"- {{id: s, {step}}}", contracts=CONTRACTS) == codes


def test_without_contracts_no_worker_is_unknown() -> None:
    assert found("- {id: s, worker: anything, with: {what: ever}, kind: readonly}") == []


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ("worker: look", []),
        ("worker: act, with: {a: 1}", ["SR301"]),
        ("worker: act, with: {a: 1}, kind: readonly", []),
        ("worker: act, with: {a: 1}, compensate: {worker: undo}", []),
        ("worker: act, with: {a: 1}, compensate: none, reason: because", []),
        ("worker: act, with: {a: 1}, compensate: none", ["SR302"]),
        ("worker: act, with: {a: 1}, compensate: none, reason: ' '", ["SR302"]),
        ("worker: act, with: {a: 1}, kind: compensatable", ["SR305"]),
        ("worker: act, with: {a: 1}, kind: compensatable, compensate: {worker: undo}", []),
        ("worker: act, with: {a: 1}, kind: readonly, compensate: {worker: undo}", ["SR305"]),
        ("worker: act, with: {a: 1}, kind: pivot, compensate: {worker: undo}", ["SR305"]),
    ],
)
def test_how_a_step_is_undone_is_said(step: str, codes: list[str]) -> None:
    assert found(f"- {{id: s, {step}}}", contracts=CONTRACTS) == codes


def test_silence_is_an_error_also_where_no_contract_is_known() -> None:
    assert found("- {id: s, worker: w}") == ["SR301"]


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ('compensate: {worker: u, with: {a: "{{ step.ref }}"}}', []),
        ('compensate: {worker: u, with: {a: "{{ result.id }}"}}', ["SR303"]),
        ('compensate: {worker: u, with: {a: ["{{ [result.id] }}"]}}', ["SR303"]),
        ("compensate: {worker: u, with: {a: \"{{ result.id | default('') }}\"}}", []),
        ('compensate: {worker: u, with: {a: "{{ result.id }}"}}, on_unknown: halt', []),
        ('compensate: {worker: u, with: {a: "{{ result.id }}"}}, verify: {worker: v}', []),
        (
            'compensate: {worker: u, with: {a: "{{ result.id }}"}}, verify: {worker: v}, on_unknown: compensate',
            ["SR303"],
        ),
        ('compensate: {worker: u, with: {a: "{{ result.id }}"}}, on_unknown: retry', ["SR303"]),
        ('kind: readonly, verify: {worker: v, with: {a: "{{ result.id }}"}}', ["SR207"]),
        ('kind: readonly, output: "{{ result.id }}"', []),
        ('kind: readonly, with: {a: "{{ result.id }}"}', ["SR207"]),
        ('compensate: {worker: u, with: {a: "{{ steps.s.output }}"}}', ["SR204"]),
    ],
)
def test_what_an_undo_or_a_verification_may_read(step: str, codes: list[str]) -> None:
    assert found(f"- {{id: s, worker: w, {step}}}") == codes


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ("compensate: {worker: u}, on_unknown: verify", ["SR304"]),
        ("compensate: {worker: u}, on_unknown: compensate", []),
        ("compensate: none, reason: x, on_unknown: compensate", ["SR306"]),
        ("compensate: none, reason: x, on_unknown: retry", []),
        ("kind: pivot, on_unknown: compensate", ["SR306"]),
        ("kind: pivot, on_unknown: verify", ["SR304"]),
        ("kind: pivot, on_unknown: retry", []),
    ],
)
def test_what_settles_an_unknown_step_is_there(step: str, codes: list[str]) -> None:
    assert found(f"- {{id: s, worker: w, {step}}}") == codes


@pytest.mark.parametrize(
    ("handler", "codes"),
    [
        ("", ["SR313"]),
        (", on_failure: continue", []),
        (", catch: [{errors: [no]}]", []),
        (", catch: [{errors: [business]}]", []),
        (", catch: [{errors: [technical]}]", ["SR313"]),
        (", catch: [{errors: [other]}]", ["SR313"]),
        (", catch: [{errors: [no], when: '{{ input.a }}'}]", ["SR313"]),
    ],
)
def test_a_declared_error_behind_the_pivot_is_caught(handler: str, codes: list[str]) -> None:
    pivot = "- {id: p, worker: w, kind: pivot}\n  "
    step = "{id: s, worker: w, kind: retriable, raises: [no]"
    for steps in (
        f"{step}{handler}}}",
        f"{{id: b, steps: [{step}}}]{handler}}}",
        f"{{id: o, worker: w, kind: readonly, catch: [{{steps: [{step}{handler}}}]}}]}}",
    ):
        assert without(found(f"{pivot}- {steps}"), "SR410") == codes


def test_an_error_of_a_handler_is_not_caught_by_that_catch() -> None:
    handler = "catch: [{steps: [{id: s, worker: w, kind: retriable, raises: [no]}]}]"
    steps = f"- {{id: p, worker: w, kind: pivot}}\n  - {{id: o, worker: w, kind: readonly, {handler}}}"
    assert found(steps) == ["SR313"]


def test_in_finally_a_declared_error_is_recorded() -> None:
    tail = "finally: [{id: f, worker: w, kind: retriable, raises: [no]}]"
    assert found("- {set: {}}", tail=tail) == []


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ("worker: w, kind: readonly", []),
        ("worker: w, kind: retriable", []),
        ("worker: w, kind: pivot", ["SR311"]),
        ("worker: w, compensate: {worker: u}", ["SR311"]),
        ("worker: w", ["SR311"]),
        ("steps: [{id: g, worker: w}]", ["SR311"]),
        ("set: {a: '{{ run.status }} {{ error.code }}'}", []),
    ],
)
def test_steps_of_finally_cannot_be_undone(step: str, codes: list[str]) -> None:
    assert found("- {set: {}}", tail=f"finally: [{{id: f, {step}}}]") == codes


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        ("- fail: rethrow", ["SR312"]),
        ("- {steps: [{fail: rethrow}]}", ["SR312"]),
        ("- {set: {}, catch: [{steps: [{fail: rethrow}]}]}", []),
        ("- {set: {}, catch: [{steps: [{steps: [{fail: rethrow}]}]}]}", []),
    ],
)
def test_only_a_handler_can_rethrow(steps: str, codes: list[str]) -> None:
    assert found(steps) == codes


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        ("- {id: s, worker: w, kind: readonly, raises: [no]}", []),
        ("- {id: s, worker: w, kind: readonly, raises: [on]}", ["SR212"]),
        ("- fail: {error: on}", ["SR212"]),
        ("- {set: {}, catch: [{errors: [no, any, timeout, worker_lost]}]}", []),
        ("- {set: {}, catch: [{errors: [on]}]}", ["SR212"]),
    ],
)
def test_where_errors_are_listed_no_other_is_named(steps: str, codes: list[str]) -> None:
    assert without(found(steps, head="use: {errors: {no: {title: No}}}"), "SR229", "SR410") == codes
    assert without(found(steps), "SR410") == []


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        ("- {id: s, worker: w, kind: readonly, raises: [timeout]}", ["SR214"]),
        ("- fail: {error: any}", ["SR214"]),
        ("- {set: {}, catch: [{errors: [cancelled]}]}", ["SR214"]),
        ("- {set: {}, catch: [{errors: [timeout]}]}", []),
    ],
)
def test_codes_that_mean_something_else_are_not_declared(steps: str, codes: list[str]) -> None:
    assert found(steps) == codes
    assert without(found(steps, head="use: {errors: {no: {title: No}}}"), "SR229") == codes


def test_an_expression_among_the_constants_is_found() -> None:
    assert found("- {set: {b: '{{ vars.a }}'}}", head="vars: {a: '{{ input.a }}'}") == ["SR213"]
