"""What the language allows, and how it refuses the rest."""

from __future__ import annotations

import re

import pytest
from jinja2 import nodes

from runner.expression import grammar
from runner.expression.evaluate import ExpressionFault, compile_expression
from runner.expression.grammar import parse
from runner.expression.lowering import _LOWER


@pytest.mark.parametrize(
    ("source", "column", "expected"),
    [
        ("", 1, "the expression is empty"),
        ("  ", 1, "the expression is empty"),
        ("a b", 3, 'unexpected "b" after the expression'),
        ("a = b", 3, 'unexpected "=" after the expression: compare with "=="'),
        ("a }} b", 3, 'unexpected "}}" after the expression'),
        ("a +", 3, "the expression ends too early"),
        ("a.", 2, "expected name or number"),
        ("a | ", 3, "the expression ends too early, expected 'name'."),
        ("2 ** 3", 3, "** does not exist here: multiply"),
        ("(1, 2)", 2, "there are no tuples: write a list, [a, b]"),
        ("()", 2, "there are no tuples: write a list, [a, b]"),
        ("a if b", 1, 'an inline "if" needs an "else"'),
        ("a[1, 2]", 2, "one subscript is needed"),
        ("a[]", 2, "one subscript is needed"),
        ("a[::2]", 2, "a slice has a start and an end, no step"),
        ("a | uper", 5, 'there is no filter "uper"; did you mean "upper"?'),
        ("a | strip", 5, 'there is no filter "strip"; did you mean "trim"?'),
        ("a | json", 5, 'there is no filter "json"; did you mean "tojson"?'),
        ("a is defnd", 6, 'there is no test "defnd"; did you mean "defined"?'),
        ("a is not strng", 10, 'there is no test "strng"; did you mean "string"?'),
        ("a | replace('b')", 5, "replace: missing a required argument: 'new'; it takes old, new"),
        ("a | lower(1)", 5, "lower: too many positional arguments; it takes no arguments"),
        ("a | round(digits=1)", 5, "round: got an unexpected keyword argument 'digits'; it takes precision, method"),
        ("a | round(precision=1, precision=2)", 5, "round: an argument is given twice; it takes precision, method"),
        ("a | join(*b)", 5, "join: * and ** are not allowed in arguments"),
        (
            "a | default(value=1)",
            5,
            "default: got an unexpected keyword argument 'value'; it takes default_value, boolean",
        ),
        ("a | lower(column=1)", 5, "lower: got an unexpected keyword argument 'column'; it takes no arguments"),
        ("a is divisibleby", 6, "divisibleby: missing a required argument: 'num'; it takes num"),
        ("f(1)", 2, "nothing can be called in an expression"),
        ("a.items()", 8, "nothing can be called in an expression"),
        ("len(a)", 4, 'nothing can be called in an expression; there is a filter: "| length"'),
        ("a.upper()", 8, 'nothing can be called in an expression; there is a filter: "| upper"'),
        ("(a | lower)()", 12, "nothing can be called in an expression"),
        ("1e999", 1, "the number is too large"),
        ("9223372036854775808", 1, "the number does not fit into 64 bits"),
        ("0x8000000000000000", 1, "the number does not fit into 64 bits"),
    ],
)
def test_refusals_say_what_where_and_what_would_help(source: str, column: int, expected: str):
    with pytest.raises(ExpressionFault) as caught:
        compile_expression(source)
    assert (caught.value.column, caught.value.message) == (column, expected)
    assert caught.value.source.strip() == source.strip()


def test_an_unknown_name_that_is_like_nothing_is_answered_with_all_there_are():
    with pytest.raises(ExpressionFault, match=r"there are: abs, count, .*, upper"):
        compile_expression("a | xyzzy")


def test_every_kind_of_expression_is_allowed_and_lowered_or_refused():
    """A new kind of node in a later Jinja2 must not slip through."""

    def below(kind: type[nodes.Node]) -> set[type[nodes.Node]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    inside_of_others = {nodes.Slice, nodes.Pair, nodes.Operand, nodes.Keyword}
    abstract = {nodes.Expr, nodes.BinExpr, nodes.UnaryExpr, nodes.Literal, nodes._FilterTestCommon}
    allowed = set(grammar._ALLOWED)
    assert allowed - inside_of_others - {nodes.Name} == set(_LOWER)
    assert nodes.Pow not in allowed
    assert not allowed & abstract
    refused = below(nodes.Expr) - allowed - abstract
    assert {nodes.Call, nodes.Tuple, nodes.Pow, nodes.TemplateData, nodes.EnvironmentAttribute} <= refused


def test_python_names_of_constants_are_known():
    assert [compile_expression(name).evaluate({}) for name in ("true", "True", "false", "none", "None")] == [
        True,
        True,
        False,
        None,
        None,
    ]


@pytest.mark.parametrize("name", ["range", "lipsum", "cycler", "joiner", "namespace", "dict", "self", "loop", "caller"])
def test_there_are_no_globals(name: str):
    with pytest.raises(ExpressionFault, match=f"{name} is absent"):
        compile_expression(f"{name} ~ ''").evaluate({})


def test_a_name_of_the_generated_code_is_an_ordinary_name():
    for name in ("p0", "computed", "context", "environment", "l_0_p0", "t_1", "undefined", "missing"):
        assert compile_expression(f"{name} + p1").evaluate({name: 1, "p1": 2}) == 3


def test_nothing_is_computed_while_compiling():
    """`1 / 0` in constants is found when it is evaluated: were it folded, so were an attack."""
    expression = compile_expression("1 / 0")
    with pytest.raises(ExpressionFault, match="by zero"):
        expression.evaluate({})


def test_columns_in_the_nodes_are_those_of_the_source():
    tree = parse("aa + bbb.c")
    assert isinstance(tree.root, nodes.Add)
    assert [tree.root.left.lineno, tree.operator_before(tree.root.right).column] == [1, 4]


@pytest.mark.parametrize(
    "source",
    [
        "a", "input.total", "steps.a_b.output.total_2", "x.y.z.x.y.z.x.y.z.x.y.z.x.y.z.x", "a.b." * 20 + "c", "null",
        "nothing.is_it", "a.in", "not.a", "true", "none.a", "a.if.b", "is", "and.a", "trueish.a", "a.noneness",
        "inner.a", "a.or", "orders.a",
    ],
)  # fmt: skip
def test_a_path_has_the_tree_that_the_parser_makes_of_it(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> object:
        try:
            tree = grammar.parse(source)
        except ExpressionFault as fault:
            return fault.message, fault.column, fault.length
        nodes_below = list(tree.root.find_all(nodes.Node))
        lines = [node.lineno for node in (tree.root, *nodes_below)]
        return tree.root, lines, tree.lexemes, tree.at, tree.source

    quick = made()
    monkeypatch.setattr(grammar, "_PATH", re.compile("$^"))
    assert quick == made()
