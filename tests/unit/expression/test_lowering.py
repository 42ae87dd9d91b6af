"""The first wall: what is generated holds guarded operations and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import nodes

from runner.expression.evaluate import ExpressionFault, compile_expression
from runner.expression.grammar import parse
from runner.expression.lowering import _Lowering, compile_generated, compile_tree
from runner.expression.paths import Path

LEFT_TO_JINJA2 = {nodes.Name, nodes.Const, nodes.Filter, nodes.Keyword, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr}
PARTS = [
    "a.b", "a[b]", "a[b].c", "a[1:b]", "[a, 1]", "{'k': a, a: 2}", "a + b", "a - b", "a * b", "a / b", "a // b",
    "a % b", "-a", "+a", "a ~ b ~ 1", "a < b <= c", "a in b", "a not in b", "a and b", "a or b", "not a",
    "a if b else c", "a | default(b)",
    "a | join(d=b)", "a is defined", "a is not divisibleby b",
]  # fmt: skip


def kinds(node: nodes.Node) -> set[type[nodes.Node]]:
    return {type(node)}.union(*(kinds(child) for child in node.iter_child_nodes()))


@given(st.sampled_from(PARTS), st.sampled_from(PARTS), st.sampled_from(PARTS))
def test_only_guarded_operations_names_and_constants_are_left(one: str, two: str, three: str):
    tree = parse(f"[({one}), ({two}) == ({three})]")
    lowering = _Lowering(tree)
    lowered = lowering.lower(tree.root)
    assert kinds(lowered) <= LEFT_TO_JINJA2
    names = {node.name for node in lowered.find_all(nodes.Name)}
    assert names == {f"p{number}" for number in range(len(lowering.paths))}


def test_lowering_leaves_the_tree_as_it_was():
    tree = parse("a.b + [c | default(1)][0]")
    before = repr(tree.root)
    _Lowering(tree).lower(tree.root)
    assert repr(tree.root) == before


def test_paths_and_constants_do_without_jinja2():
    path = compile_tree(parse("input.a.b"))
    assert isinstance(getattr(path, "__self__", None), Path)
    assert compile_tree(parse("'x'"))({}) == "x"


@pytest.mark.parametrize("source", ["'x'", "1", "1.5", "true", "none", "input.a", "input.items[0]"])
def test_with_and_without_jinja2_the_value_is_the_same(source: str):
    scope = {"input": {"a": "007", "items": [{"b": 1}]}}
    fast, generated = compile_tree(parse(source))(scope), compile_generated(parse(source))(scope)
    assert fast == generated
    assert type(fast) is type(generated)


def test_paths_are_read_before_anything_is_computed_and_unused_absences_do_no_harm():
    assert compile_expression("1 if true else input.x.y").evaluate({"input": {}}) == 1


def test_a_value_in_the_scope_that_is_not_json_is_a_fault():
    with pytest.raises(ExpressionFault, match="a object is not a JSON value"):
        compile_expression("[input.x]").evaluate({"input": {"x": object()}})
    with pytest.raises(ExpressionFault, match="a object is not a JSON value"):
        compile_expression("input.x").evaluate({"input": {"x": object()}})
