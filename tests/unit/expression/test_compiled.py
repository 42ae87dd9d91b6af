"""Expressions: caching, purity, what `evaluate` promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runner.expression.compiled import compile_expression
from runner.expression.fault import ExpressionFault


def test_one_source_is_compiled_once():
    assert compile_expression("input.total + 1") is compile_expression("input.total + 1")


def test_the_cache_is_bounded():
    size = compile_expression.cache_info().maxsize
    assert size is not None
    assert size <= 1_024


def test_an_expression_that_reads_nothing_is_constant():
    assert compile_expression("1 + 2").is_constant
    assert not compile_expression("input.a | default(1)").is_constant


def test_a_looked_up_value_is_the_same_object():
    order = {"items": [1, 2]}
    assert compile_expression("input").evaluate({"input": order}) is order
    assert compile_expression("input.items | default([])").evaluate({"input": order}) is order["items"]
    assert compile_expression("input.items if true else 1").evaluate({"input": order}) is order["items"]


def test_an_absent_value_is_never_returned():
    with pytest.raises(ExpressionFault, match=r"input.x is absent") as caught:
        compile_expression(" input.x").evaluate({"input": {}})
    assert (caught.value.source, caught.value.column) == (" input.x", 8)


def test_evaluating_changes_nothing_in_the_scope():
    scope: dict[str, Any] = {"input": {"a": [3, 1], "b": {"c": 1}}}
    for source in (
        "input.a | sort",
        "input.a + [1]",
        "[input.a, input.b]",
        "{'x': input.a}",
        "input.a | unique",
        "input.b | list",
    ):
        compile_expression(source).evaluate(scope)
    assert scope == {"input": {"a": [3, 1], "b": {"c": 1}}}


def test_one_expression_serves_many_threads():
    expression = compile_expression("input.n * 2 + (input.n | string | length)")
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: expression.evaluate({"input": {"n": n}}), range(1_000)))
    assert results == [n * 2 + len(str(n)) for n in range(1_000)]
