"""Members of values whose form is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.definition.load import examine_text
from runner.lint.linter import lint_draft
from runner.lint.shape import Shape, members_of
from tests.findings import found, problems

CONTRACTS: dict[str, Any] = {
    "look": {
        "readonly": True,
        "output": {
            "type": "object",
            "properties": {
                "total": {"type": "integer"},
                "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "extra": {"type": "object"},
            },
            "$defs": {
                "line": {"type": "object", "properties": {"sku": {"type": "string"}}, "additionalProperties": False}
            },
        },
    },
    "open": {"readonly": True, "output": {}},
}
LOOK = "{id: look, worker: look}"


def reads(path: str, *steps: str) -> list[str]:
    return [
        f"{problem.code} {problem.severity}"
        for problem in problems(*(steps or (LOOK,)), f'{{set: {{x: "{{{{ {path} }}}}"}}}}', contracts=CONTRACTS)
    ]


@pytest.mark.parametrize(
    "path",
    [
        "steps.look.output",
        "steps.look.output.total",
        "steps.look.output.lines[0].sku",
        "steps.look.output.lines[0].sku[0]",
        "steps.look.output.extra.anything",
        "steps.look.output.lines[input.n].anything",
    ],
)
def test_what_a_worker_returns(path: str) -> None:
    assert reads(path) == []


@pytest.mark.parametrize(
    ("path", "severity"),
    [
        ("steps.look.output.totl", "warning"),
        ("steps.look.output.totl | default(0)", "warning"),
        ("steps.look.output.total.cents", "error"),
        ("steps.look.output.lines.sku", "error"),
        ("steps.look.output.lines[0].skuu", "error"),
        ("steps.look.output.lines[0].sku.x", "error"),
    ],
)
def test_what_it_does_not_return(path: str, severity: str) -> None:
    assert reads(path) == [f"SR216 {severity}"]


def test_a_worker_that_says_nothing_may_return_anything() -> None:
    assert reads("steps.open.output.x.y", "{id: open, worker: open}") == []


@pytest.mark.parametrize(
    ("step", "right", "wrong"),
    [
        ("{id: a, worker: look, output: {sum: '{{ result.total }}'}}", "sum", "total"),
        ("{id: a, worker: look, output: '{{ result.lines[0] }}'}", "sku", "total"),
        ("{id: a, set: {x: {y: 1}}}", "x.y", "y"),
        ("{id: a, steps: [{set: {x: 1}}]}", "x", "y"),
        ("{id: a, parallel: {branches: {one: [{set: {x: 1}}]}}}", "one.x", "two"),
        ("{id: a, for_each: {in: [1], steps: [{set: {x: 1}}]}}", "0.x", "x"),
        ("{id: a, for_each: {in: [1], steps: [{set: {x: 1}}], output: {z: '{{ result.x }}'}}}", "0.z", "0.x"),
        ("{id: a, for_each: {in: [1], on_item_failure: collect, steps: [{set: {x: 1}}]}}", "0.output.x", "0.x"),
        ("{id: a, repeat: {max: 1, until: '{{ result.x }}', steps: [{set: {x: 1}}]}}", "x", "y"),
        ("{id: a, wait_for: {signal: s, schema: {properties: {ok: {}}, additionalProperties: false}}}", "ok", "no"),
    ],
)
def test_the_outputs_of_constructs(step: str, right: str, wrong: str) -> None:
    path = "steps.a.output.{}".format
    assert reads(path(right.replace("0.", "[0].")).replace(".[", "["), step) == []
    assert reads(path(wrong.replace("0.", "[0].")).replace(".[", "["), step) == ["SR216 error"]


@pytest.mark.parametrize(
    "step",
    [
        "{id: a, set: {x: 1}, catch: [{output: '{{ input.rest }}'}]}",
        "{id: a, switch: [{when: '{{ input.a }}', steps: [{set: {x: 1}}]}, {else: [{set: {y: 1}}]}]}",
    ],
)
def test_outputs_that_may_be_of_several_forms_are_unknown(step: str) -> None:
    assert reads("steps.a.output.z", step) == []


def test_result_is_what_the_step_itself_gave() -> None:
    assert found("{id: a, worker: look, output: '{{ result.totl }}'}", contracts=CONTRACTS) == ["SR216"]
    match = "{id: a, wait_for: {signal: s, schema: {type: array}, match: '{{ result.x }}'}}"
    assert found(match) == ["SR216"]
    until = "{repeat: {max: 2, until: '{{ result.z }}', steps: [{set: {x: 1}}], output: {y: '{{ result.z }}'}}}"
    assert found(until) == ["SR216", "SR216"]


HEAD = "input: {type: object, properties: {names: {type: array, items: {type: string}}, name: {type: string}}}"


@pytest.mark.parametrize(
    ("items", "codes"),
    [("input.names", []), ("input.name", ["SR218"]), ("[input.name]", []), ("5", [])],
)
def test_a_loop_is_over_a_list(items: str, codes: list[str]) -> None:
    assert found(f"{{for_each: {{in: '{{{{ {items} }}}}', steps: [{{set: {{}}}}]}}}}", head=HEAD) == codes


@pytest.mark.parametrize(("path", "codes"), [("name[0]", []), ("name.first", ["SR216"])])
def test_an_item_has_the_form_of_the_list(path: str, codes: list[str]) -> None:
    inner = f"{{set: {{x: '{{{{ {path} }}}}'}}}}"
    assert found(f"{{for_each: {{in: '{{{{ input.names }}}}', as: name, steps: [{inner}]}}}}", head=HEAD) == codes


def test_the_input_is_what_its_schema_says() -> None:
    closed = "input: {type: object, properties: {a: {type: integer}}, additionalProperties: false}"
    assert found("{set: {x: '{{ input.b }}'}}", head=closed) == ["SR210"]
    assert found("{set: {x: '{{ input.a.b }}'}}", head=closed) == ["SR210"]
    assert found("{set: {x: '{{ input.a }}'}}", head=closed) == []


OPTIONAL = """input:
  type: object
  required: [name]
  properties:
    name: {type: string}
    note: {type: string}
    size: {type: integer, default: 1}
    gift: {type: object, required: [paper], properties: {paper: {type: string}, card: {type: string}}}
"""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{{ input.name }}", []),
        ("{{ input.size }}", []),
        ("{{ input.note }}", ["SR225"]),
        ("{{ input.note | default('') }}", []),
        ("{{ input.note if input.note is defined else '' }}", []),
        ("{{ input.gift.paper }}", ["SR225"]),
        ("{{ input.gift.paper | default('') }}", []),
        ("{{ input.gift.card if input.gift is defined else '' }}", ["SR225"]),
        ("{{ input.gift.card | default('') }}", []),
    ],
)
def test_what_a_schema_does_not_require_may_be_absent(value: str, expected: list[str]) -> None:
    assert found(f'{{set: {{x: "{value}"}}}}', head=OPTIONAL) == expected


def test_behind_a_test_it_is_there() -> None:
    assert found("{when: '{{ input.note is defined }}', set: {x: '{{ input.note }}'}}", head=OPTIONAL) == []


def test_a_schema_that_requires_nothing_says_nothing() -> None:
    head = "input: {type: object, properties: {note: {type: string}}}"
    assert found("{set: {x: '{{ input.note }}'}}", head=head) == []


def test_a_member_may_be_that_of_a_handler() -> None:
    step = "{id: a, set: {x: 1}, catch: [{errors: [timeout], output: {y: 1}}, {steps: [{fail: rethrow}]}]}"
    assert reads("steps.a.output.x", step) == []
    assert reads("steps.a.output.y", step) == []
    assert reads("steps.a.output.z", step) == ["SR216 error"]


def test_one_of_several_schemas_has_to_have_it() -> None:
    either = "oneOf: [{type: object, properties: {a: {}}}, {type: object, properties: {b: {}}}]"
    step = f"{{id: s, wait_for: {{signal: s, schema: {{{either}}}}}}}"
    assert reads("steps.s.output.a", step) == []
    assert reads("steps.s.output.b", step) == []
    assert reads("steps.s.output.c", step) == ["SR216 warning"]


@pytest.mark.parametrize(
    "choice",
    [
        '[{$ref: "#"}, {type: object}]',
        '[{$ref: "#"}, {$ref: "#"}]',
        '[{anyOf: [{$ref: "#"}, {$ref: "#"}]}, {anyOf: [{$ref: "#"}, {$ref: "#"}]}, {$ref: "#"}, {type: integer}]',
    ],
)
def test_a_schema_among_its_own_alternatives_is_looked_at_once(choice: str, tmp_path: Path) -> None:
    read = 'steps: [{set: {a: "{{ input.x.y + 1 }}"}}]'
    text = f"workflow: a\nversion: 1.0.0\ninput: {{anyOf: {choice}}}\n{read}\n"
    draft = examine_text(text, file="a.yaml", root=tmp_path)
    assert {problem.code for problem in lint_draft(draft, None)} <= {"SR210"}  # it ends


def test_the_members_of_alternatives_are_those_of_each() -> None:
    parts = [{"properties": {"a": {}}}, {"anyOf": [{"$ref": "#"}, {"properties": {"b": {}}}]}]
    schema = {"anyOf": parts}
    assert sorted(members_of(Shape(schema, schema))) == ["a", "b"]
