"""What workers and subworkflows are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.lint.checked import check_file
from tests.findings import found, without

CONTRACTS: dict[str, Any] = {
    "act": {
        "readonly": True,
        "input": {
            "type": "object",
            "properties": {
                "count": {"type": "integer"},
                "price": {"type": "number"},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
                "any": {},
            },
            "$defs": {"line": {"type": "object", "required": ["sku"]}},
        },
        "output": {"type": "object", "properties": {"sum": {"type": "integer"}, "name": {"type": "string"}}},
    },
}
HEAD = "input: {type: object, properties: {name: {type: string}, count: {type: integer}, lines: {type: array}}}"


def given(arguments: str, more: str = "") -> list[str]:
    steps = ("{id: first, worker: act}", f"{{id: second, worker: act, with: {{{arguments}}}}}")
    return found(*steps, head=HEAD + more, contracts=CONTRACTS)


NUMBERS = "\nvars: {rate: 1.5, whole: 3}\nx-not-read: {}"


@pytest.mark.parametrize(
    ("expression", "is_whole"),
    [
        ("input.count", True),
        ("input.count * 2 - 1", True),
        ("input.count * 1.19", False),
        ("input.count / 2", False),
        ("input.count // 2", True),
        ("(input.count * 1.19) | int", True),
        ("(input.count * 1.19) | round", True),
        ("-(input.count / 2) | abs", False),
        ("vars.whole", True),
        ("vars.rate", False),
        ("1 if input.count > 3 else 1.5", False),
        ("input.count * 2.0", True),
    ],
)
def test_a_number_that_may_have_a_fraction_is_no_whole_one(expression: str, is_whole: bool) -> None:
    arguments = "count: '{{ EXPRESSION }}', price: '{{ EXPRESSION + vars.rate + vars.whole }}'"
    assert given(arguments.replace("EXPRESSION", expression), NUMBERS) == ([] if is_whole else ["SR219"])


@pytest.mark.parametrize(
    "arguments",
    [
        "count: 1, price: 1.5, note: null, lines: [{sku: a}], any: [1]",
        "note: text, price: 1",
        "count: '{{ input.count }}', price: '{{ input.count }}', lines: '{{ input.lines }}'",
        "count: '{{ steps.first.output.sum }}'",
        "count: '{{ input.name | length }}'",
        "lines: [{sku: '{{ input.name }}'}]",
    ],
)
def test_what_a_worker_takes(arguments: str) -> None:
    assert given(arguments) == []


@pytest.mark.parametrize(
    "arguments",
    [
        "count: many",
        "count: 1.5",
        "lines: [{}]",
        "lines: {sku: a}",
        "note: 5",
        "note: '{{ input.count }}'",
        "count: '{{ input.name ~ 1 }}'",
        "count: 'n{{ input.count }}'",
        "count: ['{{ input.count }}']",
        "lines: '{{ input.count + 1 }}'",
        "count: '{{ input.name }}'",
        "lines: '{{ input.count }}'",
        "count: '{{ steps.first.output.name }}'",
    ],
)
def test_what_it_does_not_take(arguments: str) -> None:
    assert given(arguments) == ["SR219"]


def test_an_undo_is_given_what_its_worker_takes() -> None:
    undo = "{id: a, worker: act, compensate: {worker: act, with: {count: many}}}"
    assert without(found(undo, contracts=CONTRACTS), "SR322", "SR323") == ["SR219"]


CHILD = """workflow: child
version: '1'
input:
  type: object
  required: [amount, region]
  properties: {amount: {type: integer}, region: {type: string, default: eu}, note: {type: string}}
  additionalProperties: false
steps: [{set: {a: 1}}]
output: {sum: 1}
"""


def codes(step: str, tmp_path: Path) -> list[str]:
    (tmp_path / "child.yaml").write_text(CHILD)
    parent = tmp_path / "parent.yaml"
    parent.write_text(f"workflow: parent\nversion: '1'\n{HEAD}\nsteps:\n  - {{id: sub, subworkflow: child{step}}}\n")
    return [problem.code for problem in check_file(parent, root=tmp_path)[1]]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (", with: {amount: 5}", []),
        (", with: {amount: '{{ input.count }}', note: '{{ input.name }}'}", []),
        ("", ["SR220"]),
        (", with: {amount: many}", ["SR220"]),
        (", with: {amount: 5, nothing: 1}", ["SR220"]),
        (", with: {note: '{{ input.name }}'}", ["SR220"]),
        (", with: {amount: '{{ input.name }}'}", ["SR220"]),
        (", with: {amount: '{{ input.count }}', nte: 1}", ["SR220"]),
        (", with: {amount: 5}, output: '{{ result.sum }}'", []),
        (", with: {amount: 5}, output: '{{ result.smu }}'", ["SR216"]),
    ],
)
def test_what_a_subworkflow_is_given_is_its_input(step: str, expected: list[str], tmp_path: Path) -> None:
    assert codes(step, tmp_path) == expected
