"""Conditions, comparisons and operations on values whose types are known."""

from __future__ import annotations

import pytest

from tests.findings import found, problems

HEAD = """input:
  type: object
  properties:
    n: {type: integer}
    t: {type: string}
    b: {type: boolean}
    l: {type: array}
    o: {type: object}
    e: {enum: [small, large]}
    either: {type: [string, 'null']}
    open: {}
"""


def codes(expression: str) -> list[str]:
    return found(f'{{set: {{x: "{{{{ {expression} }}}}"}}}}', head=HEAD)


@pytest.mark.parametrize(
    "expression",
    [
        "input.n + 1 + (input.n if input.b else 2) * input.open",
        "input.t + 'a'",
        "input.l + [1]",
        "input.t ~ input.n ~ input.b",
        "input.either ~ 'a'",
        "input.e == 'small' or input.e != 'large'",
        "input.e in ['small', 'large', input.t]",
        "input.t in input.l and input.t in input.o and 'a' in input.t",
        "input.n == 1.0",
        "input.either == none",
        "input.t == none",
        "input.t | default(1) == 1",
        "input.open == 'x'",
        "input.t < 'b' and input.n < 2 <= input.n",
        "input.l | length + input.o | length + input.t | length",
        "input.l | map(attribute='a') | sort | first",
        "input.t | int + 1",
        "(input.l | sum) - 1",
        "-input.n",
        "steps.a.status == 'completed' if false else 1",
        "vars.v | upper",
        "run.id ~ step.ref",
        "input.t[0]",
        "input.l[1:] + input.l",
    ],
)
def test_what_works(expression: str) -> None:
    head = HEAD + "vars: {v: a}\n"
    steps = ("{id: a, set: {}}", f'{{set: {{x: "{{{{ {expression} }}}}", y: "{{{{ vars.v }}}}"}}}}')
    assert found(*steps, head=head) == []


@pytest.mark.parametrize(
    "expression",
    [
        "input.t + 1",
        "input.n + 'a'",
        "input.b + 1",
        "1 + input.o",
        "input.t - 1",
        "2 * input.l",
        "-input.t",
        "input.l ~ 'a'",
        "input.t < 1",
        "1 < input.n < input.t",
        "'a' in input.n",
        "input.n in input.t",
        "input.n | upper",
        "input.t | abs",
        "input.n | length",
        "input.t | join(',')",
        "input.o | first",
        "input.n | list",
        "input.t if input.n + input.t else 1",
        "not (input.t - 1)",
        "[input.t - 1]",
        "{'a': input.t - 1}",
        "(input.t ~ 'a') - 1",
        "(input.l | length) ~ input.l",
    ],
)
def test_what_can_never_work(expression: str) -> None:
    assert codes(expression) == ["SR224"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("input.e == 'smal'", 'input.e is never "smal"'),
        ("'smal' != input.e", 'input.e is never "smal"'),
        ("input.e in ['small', 'huge']", 'input.e is never "huge"'),
        ("input.n == '1'", "input.n is a number, which is never equal to a text"),
        ("input.b == 'true'", "input.b is true or false, which is never equal to a text"),
        ("input.e == 1", "input.e is a text, which is never equal to a number"),
    ],
)
def test_what_is_never_equal(expression: str, message: str) -> None:
    (problem,) = problems(f'{{set: {{x: "{{{{ {expression} }}}}"}}}}', head=HEAD)
    assert (problem.code, problem.severity, problem.message) == ("SR223", "warning", message)


def test_a_misspelt_word_is_suggested_and_underlined() -> None:
    (problem,) = problems("{set: {x: \"{{ input.e == 'smal' }}\"}}", head=HEAD)
    assert (problem.hint, problem.length) == ('did you mean "small"?', len("'smal'"))


@pytest.mark.parametrize("text", ["a {{ input.l }}", "{{ input.n }}{{ input.o }}"])
def test_a_list_or_a_mapping_is_no_part_of_a_text(text: str) -> None:
    assert found(f'{{set: {{x: "{text}"}}}}', head=HEAD) == ["SR224"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("input.b", []),
        ("input.open", []),
        ("input.n > 1", []),
        ("not input.b", []),
        ("input.t is defined", []),
        ("input.b or input.open", []),
        ("input.n", ["SR222"]),
        ("input.t", ["SR222"]),
        ("input.e", ["SR222"]),
        ("input.l | length", ["SR222"]),
        ("input.t or input.n", ["SR222"]),
        ("1", ["SR405"]),
    ],
)
def test_a_condition_is_true_or_false(condition: str, expected: list[str]) -> None:
    assert found(f'{{when: "{{{{ {condition} }}}}", set: {{}}}}', head=HEAD) == expected


def test_the_type_of_a_variable_is_that_of_all_it_is_given() -> None:
    use = "{set: {y: '{{ vars.x - 1 }}'}}"
    assert found(use, head="vars: {x: a}") == ["SR224"]
    assert found(use, head="vars: {x: 1}") == []
    assert found("{set: {x: 2}}", use, head="vars: {x: a}") == []
    assert found("{set: {x: '{{ vars.x ~ 1 }}'}}", use, head="vars: {x: a}") == ["SR224"]
