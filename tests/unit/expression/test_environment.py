"""The second wall: even code that was not lowered reaches nothing."""

from __future__ import annotations

import pytest
from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError

from runner.expression.environment import ENVIRONMENT, generate


@pytest.mark.parametrize(
    "source",
    ["x.y", "x['y']", "x[0]", "x + 1", "1 - x", "x * 9", "x / 1", "x // 1", "x % 1", "2 ** x", "-x", "+x", "x()",
     "''.__class__", "x.append(1)"],
)  # fmt: skip
def test_code_that_was_not_lowered_is_refused(source: str):
    with pytest.raises((SecurityError, TypeError)):
        ENVIRONMENT.compile_expression(source)(x=[1])


@pytest.mark.parametrize(
    "source", ["x is defined", "x | attr('y')", "x | format", "x | upper", "lipsum", "range(3)", "cycler"]
)
def test_filters_tests_and_globals_of_jinja2_do_not_exist(source: str):
    with pytest.raises((TemplateError, TypeError)):
        str(ENVIRONMENT.compile_expression(source, undefined_to_none=False)(x="a"))


def test_nothing_is_global():
    assert ENVIRONMENT.globals == {}


def test_constants_are_not_computed_while_compiling():
    called = []
    ENVIRONMENT.filters["spy"] = lambda *values: called.append(values) or values  # what folding would run
    try:
        compute = generate(nodes.Filter(nodes.Const(1), "spy", [nodes.Const(2)], [], None, None))
        assert called == []
        assert compute({}) == (1, 2)
    finally:
        del ENVIRONMENT.filters["spy"]


def test_every_operation_that_jinja2_would_do_itself_is_intercepted():
    assert ENVIRONMENT.intercepted_binops == {"+", "-", "*", "/", "//", "%", "**"}
    assert ENVIRONMENT.intercepted_unops == {"+", "-"}
