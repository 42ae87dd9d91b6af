"""What an expression reads, and where."""

from __future__ import annotations

import pytest

from runner.expression.evaluate import Reference, compile_condition, compile_expression, compile_template


def read(source: str) -> list[str]:
    return [".".join(map(str, reference.path)) for reference in compile_expression(source).references]


def guarded(source: str) -> dict[str, bool]:
    return {
        ".".join(map(str, reference.path)): reference.guarded for reference in compile_expression(source).references
    }


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("1 + 2", []),
        ("input", ["input"]),
        ("steps.charge.output.total * 2", ["steps.charge.output.total"]),
        ("a.b + c[0].d", ["a.b", "c.0.d"]),
        ("prices[input.sku].amount", ["prices", "input.sku"]),
        ("a[b[c]]", ["a", "b", "c"]),
        ("[a, {'k': b, c: 1}]", ["a", "b", "c"]),
        ("x if y else z", ["x", "y", "z"]),
        ("items | selectattr('qty', 'gt', limits.low) | map(attribute='sku')", ["items", "limits.low"]),
        ("a | round(precision=b)", ["a", "b"]),
        ("a is divisibleby b", ["a", "b"]),
        ("a < b < c", ["a", "b", "c"]),
        ("a ~ b ~ a", ["a", "b", "a"]),
        ("(a or b).c", ["a", "b"]),
        ("a[b:c]", ["a", "b", "c"]),
        ("'input.x'", []),
    ],
)
def test_every_path_is_listed_in_the_order_of_the_source(source: str, paths: list[str]):
    assert read(source) == paths


def test_a_reference_knows_its_place_and_that_of_each_segment():
    source = "1 + steps.chrage.output['total']"
    assert compile_expression(source).references == (
        Reference(
            path=("steps", "chrage", "output", "total"),
            column=5,
            length=27,
            guarded=False,
            segments=((5, 5), (11, 6), (18, 6), (25, 7)),
        ),
    )
    assert source[10:16] == "chrage"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a.b", {"a.b": False}),
        ("a.b | default(c.d)", {"a.b": True, "c.d": False}),
        ("a.b | d(1)", {"a.b": True}),
        ("a | default(b) | default(c)", {"a": True, "b": True, "c": False}),
        ("a | lower | default('')", {"a": False}),
        ("(a + 1) | default(0)", {"a": False}),
        ("(a if b else c) | default(0)", {"a": True, "b": False, "c": True}),
        ("(a or b) | default(0)", {"a": False, "b": True}),
        ("a[b].c | default(0)", {"a": True, "b": False}),
        ("a[b:] | default(0)", {"a": False, "b": False}),
        ("a.b is defined", {"a.b": True}),
        ("a.b is not undefined", {"a.b": True}),
        ("a.b is none", {"a.b": False}),
        ("[a] | default(0)", {"a": False}),
    ],
)
def test_a_path_is_guarded_where_its_absence_is_provided_for(source: str, expected: dict[str, bool]):
    assert guarded(source) == expected


@pytest.mark.parametrize(
    ("source", "flags"),
    [
        ("a.b is defined and a.b > 1", [True, True]),
        ("a.b is defined and a > 1", [True, True]),
        ("a.b is defined and a.b.c > 1", [True, False]),
        ("a.b is defined or a.b > 1", [True, False]),
        ("a.b is undefined or a.b > 1", [True, True]),
        ("not a.b is defined or a.b > 1", [True, True]),
        ("a.b if a.b is defined else 0", [True, True]),
        ("0 if a.b is undefined else a.b", [True, True]),
        ("0 if a.b is defined else a.b", [True, False]),
        ("(a is defined and b is defined) and a > b", [True, True, True, True]),
        ("(a is defined or b is defined) and a > 1", [True, True, False]),
        ("a > 1 and a is defined", [False, True]),
        ("a is defined and (x or a)", [True, False, True]),
        ("a is defined and [a]", [True, True]),
        ("a is string and a > 'b'", [False, False]),
    ],
)
def test_a_test_guards_what_is_only_evaluated_after_it(source: str, flags: list[bool]):
    assert [reference.guarded for reference in compile_expression(source).references] == flags


def test_references_of_a_template_know_their_string_and_their_offset_in_it():
    template = compile_template({"a/b": [{"~": "to {{ input.x }} and {{  steps.y }}"}], "c": "{{ z }}", "d": 1})
    places = [
        (reference.pointer, reference.offset, reference.column, reference.path) for reference in template.references
    ]
    assert places == [
        ("/a~1b/0/~0", 6, 1, ("input", "x")),
        ("/a~1b/0/~0", 25, 1, ("steps", "y")),
        ("/c", 3, 1, ("z",)),
    ]
    text = template.source["a/b"][0]["~"]
    assert text[25 : 25 + 7] == "steps.y"


def test_references_of_a_condition_know_their_offset():
    (reference,) = compile_condition("{{ 1 < input.x }}").references
    assert (reference.offset, reference.column, reference.pointer) == (3, 5, "")


@pytest.mark.parametrize(
    ("source", "if_true", "if_false"),
    [
        ("a.b", set(), set()),
        ("a.b is defined", {("a", "b")}, set()),
        ("a.b is not defined", set(), {("a", "b")}),
        ("a is undefined", set(), {("a",)}),
        ("a.ok | default(false)", {("a", "ok")}, set()),
        ("a.ok | default(true)", set(), set()),
        ("a.b == 'x'", {("a", "b", "x")}, set()),
        ("'x' == a.b", {("a", "b", "x")}, set()),
        ("a.b != 'x'", set(), {("a", "b", "x")}),
        ("a.b == 5", set(), set()),
        ("a.b == 'x' == c", set(), set()),
        ("a is defined and b == 'x'", {("a",), ("b", "x")}, set()),
        ("a is defined or b is defined", set(), set()),
        ("not (a is undefined or b is undefined)", {("a",), ("b",)}, set()),
    ],
)
def test_what_an_expression_makes_certain(source: str, if_true: set[tuple[str, ...]], if_false: set[tuple[str, ...]]):
    facts = compile_expression(source).facts
    assert (set(facts.if_true), set(facts.if_false)) == (if_true, if_false)
    assert compile_condition(f"{{{{ {source} }}}}").facts == facts


def test_a_reference_knows_what_is_certain_where_it_is_read():
    *_, last = compile_expression("a.b if a.status == 'done' and c is defined else d").references
    first = compile_expression("a.b if a.status == 'done' else d").references[0]
    assert first.known == {("a", "status", "done")}
    assert last.known == frozenset()
