"""What is certain, and what a condition makes so."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.definition.load import examine_text
from runner.lint.linter import lint_draft

LOOK = "worker: w, kind: readonly"


def found(*steps: str, tail: str = "") -> list[str]:
    """The codes of what is found."""
    text = "workflow: x\nversion: '1'\nsteps:\n" + "".join(f"  - {step}\n" for step in steps) + tail
    draft = examine_text(text, file="a.yaml", root=Path())
    assert draft.problems == ()
    return [problem.code for problem in lint_draft(draft, None)]


def read(expression: str = "steps.a.output", more: str = "") -> str:
    return f'{{id: reader, set: {{x: "{{{{ {expression} }}}}"}}{more}}}'


CERTAIN = [
    f"{{id: a, {LOOK}}}",
    f"{{id: b, steps: [{{id: a, {LOOK}}}]}}",
    f"{{id: a, steps: [{{id: b, {LOOK}}}]}}",
    "{id: a, set: {}}",
    f"{{parallel: {{branches: {{p: [{{id: a, {LOOK}}}], q: [{{set: {{}}}}]}}}}}}",
    f"{{id: a, parallel: {{branches: {{p: [{{{LOOK}, id: b}}]}}, join: any}}}}",
    f"{{parallel: {{branches: {{p: [{{{LOOK}, id: a}}]}}, join: any}}}}",
    f"{{id: a, for_each: {{in: [1], steps: [{{id: b, {LOOK}}}]}}}}",
    f"{{id: a, repeat: {{max: 2, until: '{{{{ result }}}}', steps: [{{id: b, {LOOK}}}]}}}}",
    f"{{id: a, switch: [{{when: '{{{{ input.x }}}}', steps: [{{id: b, {LOOK}}}]}}, {{else: [{{set: {{}}}}]}}]}}",
    "{id: a, switch: [{when: '{{ input.x }}', steps: [{set: {}}]}, {else: [{fail: {error: x}}]}]}",
    "{id: a, wait_for: {signal: go}}",
    "{id: a, wait_for: {signal: go, timeout: 1d}}",
    "{id: a, wait: 1s, output: 5}",
    "{id: a, switch: [{when: '{{ input.x }}', steps: [{set: {}}]}, {else: []}], output: 5}",
    f"{{id: a, {LOOK}, catch: [{{steps: [{{fail: rethrow}}]}}]}}",
    f"{{id: a, {LOOK}, catch: [{{output: 1}}]}}",
    f"{{id: a, {LOOK}, catch: [{{steps: [{{id: b, {LOOK}}}]}}]}}",
]
UNCERTAIN = [
    f"{{id: a, {LOOK}, when: '{{{{ input.x }}}}'}}",
    f"{{when: '{{{{ input.x }}}}', steps: [{{id: a, {LOOK}}}]}}",
    f"{{id: a, steps: [{{id: b, {LOOK}, when: '{{{{ input.x }}}}'}}]}}",
    "{id: a, steps: []}",
    "{id: a, switch: [{when: '{{ input.x }}', steps: [{set: {}}]}], output: 5}",
    f"{{id: a, {LOOK}, on_failure: continue}}",
    f"{{id: a, {LOOK}, catch: [{{}}]}}",
    f"{{steps: [{{id: a, {LOOK}}}], on_failure: continue}}",
    f"{{parallel: {{branches: {{p: [{{id: a, {LOOK}}}], q: [{{set: {{}}}}]}}, join: any}}}}",
    f"{{id: a, repeat: {{max: 2, until: '{{{{ result }}}}', steps: [{{id: b, {LOOK}, on_failure: continue}}]}}}}",
    f"{{id: a, switch: [{{when: '{{{{ input.x }}}}', steps: [{{id: b, {LOOK}}}]}}]}}",
    f"{{switch: [{{when: '{{{{ input.x }}}}', steps: [{{id: a, {LOOK}}}]}}, {{else: [{{set: {{}}}}]}}]}}",
    "{id: a, switch: [{when: '{{ input.x }}', steps: [{set: {}}]}, {else: []}]}",
    "{id: a, wait_for: {signal: go, timeout: 1d, on_timeout: continue}}",
    "{id: a, wait: 1s}",
]


@pytest.mark.parametrize("step", CERTAIN)
def test_what_surely_has_an_output(step: str) -> None:
    assert found(step, read()) == []


@pytest.mark.parametrize("step", UNCERTAIN)
def test_what_may_have_none(step: str) -> None:
    assert found(step, read()) == ["SR215"]
    assert found(step, read("steps.a.output | default(1)")) == []
    assert found(step, read("steps.a.status")) == []


MAYBE = f"{{id: a, {LOOK}, when: '{{{{ input.x }}}}'}}"


@pytest.mark.parametrize(
    "condition",
    [
        "steps.a.output is defined",
        "steps.a.output.ok is defined",
        "steps.a.output.ok | default(false)",
        "steps.a.status == 'completed'",
        "'completed' == steps.a.status",
        "steps.a.output is not undefined and input.y",
        "not (steps.a.output is undefined or input.y)",
        "input.x",
        " input.x ",
    ],
)
def test_a_condition_that_makes_it_sure(condition: str) -> None:
    assert found(MAYBE, read(more=f', when: "{{{{ {condition} }}}}"')) == []
    assert found(MAYBE, f'{{when: "{{{{ {condition} }}}}", steps: [{read()}]}}') == []
    assert found(MAYBE, f'{{switch: [{{when: "{{{{ {condition} }}}}", steps: [{read()}]}}]}}') == []


@pytest.mark.parametrize(
    "condition",
    ["input.y", "steps.a.status == 'skipped'", "steps.a.output is undefined", "steps.a.output is defined or input.y"],
)
def test_a_condition_that_does_not(condition: str) -> None:
    assert found(MAYBE, read(more=f', when: "{{{{ {condition} }}}}"')) == ["SR215"]


@pytest.mark.parametrize(
    "step",
    [
        "{id: a, wait: 1s}",
        f"{{id: a, {LOOK}, on_failure: continue}}",
        f"{{id: a, steps: [{{id: b, {LOOK}, when: '{{{{ input.x }}}}'}}]}}",
        "{id: a, wait_for: {signal: go, timeout: 1d, on_timeout: continue}}",
    ],
)
def test_that_it_completed_does_not_make_sure_of_an_output_that_it_need_not_have(step: str) -> None:
    assert found(step, read(more=", when: \"{{ steps.a.status == 'completed' }}\"")) == ["SR215"]
    assert found(step, read(more=', when: "{{ steps.a.output is defined }}"')) == []


def test_a_condition_that_reads_variables_may_change() -> None:
    maybe = MAYBE.replace("input.x", "vars.x")
    assert found("{set: {x: true}}", maybe, read(more=', when: "{{ vars.x }}"')) == ["SR215"]


def test_what_fails_otherwise_makes_it_sure() -> None:
    assert found(MAYBE, '{when: "{{ steps.a.output is undefined }}", fail: {error: x}}', read()) == []
    assert found(MAYBE, '{when: "{{ not input.x }}", fail: {error: x}}', read()) == ["SR215"]


def test_the_cases_of_a_switch_know_that_those_before_did_not_hold() -> None:
    absent = '{when: "{{ steps.a.output is undefined }}", steps: []}'
    assert found(MAYBE, f"{{switch: [{absent}, {{else: [{read()}]}}]}}") == []


def test_inside_of_one_expression_a_status_is_enough() -> None:
    assert found(MAYBE, read("steps.a.output if steps.a.status == 'completed' else 0")) == []
    assert found(MAYBE, read("steps.a.output if steps.a.status == 'skipped' else 0")) == ["SR215"]


def test_in_a_handler_nothing_of_its_scope_is_certain() -> None:
    block = f"{{id: b, steps: [{{id: a, {LOOK}}}, {{id: c, {LOOK}}}], catch: [{{steps: [{read()}]}}]}}"
    assert found(block) == ["SR215"]
    assert found(f"{{id: a, {LOOK}}}", block.replace("id: a,", "id: d,")) == []


def test_in_finally_nothing_is_certain_unless_the_run_completed() -> None:
    step = f"{{id: a, {LOOK}}}"
    assert found(step, tail=f"finally: [{read()}]") == ["SR215"]
    where_completed = read("steps.a.output if run.status == 'completed' else 0")
    assert found(step, tail=f"finally: [{where_completed}]") == []
    completed = ", when: \"{{ run.status == 'completed' }}\""
    assert found(step, tail=f"finally: [{read(more=completed)}]") == []
    assert found(MAYBE, tail=f"finally: [{read(more=completed)}]") == ["SR215"]


def test_the_output_of_the_workflow_is_that_of_a_run_that_completed() -> None:
    assert found(f"{{id: a, {LOOK}}}", tail='output: "{{ steps.a.output }}"') == []
    assert found(MAYBE, tail='output: "{{ steps.a.output }}"') == ["SR215"]


def test_nothing_is_found_behind_a_dead_end() -> None:
    assert "SR215" not in found("{fail: {error: x}}", MAYBE, read())


def test_an_item_and_a_round_know_their_own_steps() -> None:
    inner = f"steps: [{{id: a, {LOOK}}}], output: '{{{{ steps.a.output }}}}'"
    assert found(f"{{for_each: {{in: [1], {inner}}}}}") == []
    assert found(f"{{repeat: {{max: 2, until: '{{{{ steps.a.output.ok }}}}', {inner}}}}}") == []
