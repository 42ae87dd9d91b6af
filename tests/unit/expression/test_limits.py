"""Every limit at its edge: what is just within works, what is just past it is a fault that names the limit."""

from __future__ import annotations

from typing import Any

import pytest

from runner.expression.evaluate import ExpressionFault, compile_expression, compile_template


def evaluate(source: str, **scope: Any) -> Any:
    return compile_expression(source).evaluate(scope)


def refused(source: str, **scope: Any) -> str:
    with pytest.raises(ExpressionFault) as caught:
        evaluate(source, **scope)
    return caught.value.message


def test_source_of_1024_characters():
    assert evaluate("'" + "a" * 1_022 + "'") == "a" * 1_022
    assert refused("'" + "a" * 1_023 + "'") == "the expression is longer than 1,024 characters"
    assert compile_template("{{ '" + "a" * 1_022 + "' }}").render({}) == "a" * 1_022


def test_syntax_trees_of_200_nodes():
    assert len(evaluate("[" + "1," * 199 + "]")) == 199
    assert refused("[" + "1," * 200 + "]").startswith("the expression has more than 200 parts")


def test_syntax_trees_40_deep():
    assert evaluate("1" + "+1" * 39) == 40
    assert refused("1" + "+1" * 40).startswith("the expression is nested deeper than 40")


@pytest.mark.parametrize(
    ("begin", "middle", "again"),
    [("1", "", " + 1"), ("x", "", " | abs"), ("x", "", ".a"), ("x", "", "[x.b]"), ("x", "", " or x"),
     ("", "not not x", " or y"), ("'a'", "", " | replace('a', 'b')")],
)  # fmt: skip
def test_whatever_is_40_deep_compiles(begin: str, middle: str, again: str):
    """Python's own compiler nests at most 200 parentheses, and the ones here recurse."""
    compile_expression(begin + middle + again * 36)


def test_16_open_brackets():
    assert evaluate("(" * 16 + "1" + ")" * 16) == 1
    assert refused("(" * 17 + "1" + ")" * 17) == "more than 16 brackets are open here"
    assert evaluate("[" * 16 + "]" * 16) is not None


def test_two_signs_in_a_row():
    assert evaluate("1 - -1") == 2
    assert refused("1 - - -1") == "more than two signs in a row"


def test_computed_results_of_64_kib_of_json():
    half = "x" * 32_766
    assert len(evaluate("a ~ a", a=half)) == 65_532
    assert len(evaluate("a ~ a ~ 'xx'", a=half)) == 65_534  # and two quotes
    assert refused("a ~ a ~ 'xxx'", a=half) == "the result is larger than 64 KiB of JSON"


def test_texts_of_64_kib_of_json():
    template = compile_template("-{{ a }}")
    assert len(template.render({"a": "x" * 65_533})) == 65_534
    with pytest.raises(ExpressionFault, match="larger than 64 KiB") as caught:
        template.render({"a": "x" * 65_534})
    assert caught.value.source == ""
    with pytest.raises(ExpressionFault, match="longer than 65,536 characters"):
        template.render({"a": "x" * 70_000})


def test_bytes_count_and_not_characters():
    assert refused("a ~ ''", a="ü" * 33_000) == "the result is larger than 64 KiB of JSON"


def test_what_is_only_looked_up_may_be_larger():
    order = {"lines": [{"sku": "x" * 100}] * 5_000}
    assert evaluate("input", input=order) is order
    assert evaluate("input.lines | default([])", input=order) is order["lines"]
    assert evaluate("input.lines or []", input=order) is order["lines"]
    assert evaluate("input.lines | map(attribute='sku') | list | length", input=order) == 5_000
    assert refused("[input]", input=order) == "the result is larger than 64 KiB of JSON"


def test_texts_on_the_way_of_65536_characters():
    half = "x" * 32_768
    for source in ("a + a", "a ~ a", "[a, a] | join", "'y' | replace('y', a) ~ a", "(a ~ a) | upper", "(a ~ a)[0:]"):
        assert evaluate(f"({source}) | length", a=half) == 65_536
    for source in (
        "a + b",
        "a ~ b",
        "[a, b] | join",
        "a | replace('x', 'xyz')",
        "(a ~ b) | upper",
        "c | upper",
        "c[0:]",
        "c | string",
    ):
        text = refused(f"({source}) | length", a=half, b=half + "x", c=half * 3)
        assert text == "the text would be longer than 65,536 characters"


def test_lists_on_the_way_of_32768_items():
    half = list(range(16_384))
    assert evaluate("(a + a) | length", a=half) == 32_768
    assert refused("(a + a + [1]) | length", a=half) == "the list is longer than 32,768 items"
    assert evaluate("(a + a) | sum", a=half) == 2 * sum(half)
    longer = [*half, *half, 1]
    for name in ("sum", "max", "select | length", "map(attribute='x') | length", "join | length"):
        assert "takes at most 32,768 items, not 32,769" in refused(f"a | {name}", a=longer)


@pytest.mark.parametrize("name", ["sort", "unique"])
def test_sorting_of_10000_items(name: str):
    assert evaluate(f"a | {name} | length", a=list(range(10_000))) == 10_000
    assert refused(f"a | {name} | length", a=list(range(10_001))) == f"{name} takes at most 10,000 items, not 10,001"


def test_integers_of_64_bits():
    assert evaluate("9223372036854775807") == 2**63 - 1
    assert evaluate("-9223372036854775807 - 1") == -(2**63)
    for source in (
        "9223372036854775807 + 1",
        "-9223372036854775807 - 2",
        "4294967296 * 4294967296",
        "[9223372036854775807, 1] | sum",
    ):
        assert refused(source) == "the number does not fit into 64 bits"


def test_a_larger_integer_passes_through_and_is_not_computed_with():
    assert evaluate("a", a=2**80) == 2**80
    assert refused("a + 1", a=2**80) == "the number does not fit into 64 bits"
    assert refused("a * 1.5", a=10**400) == "this cannot be computed: int too large to convert to float"


def test_floats_stay_finite():
    assert refused("1e308 * 10") == "the result is not a finite number"
    assert refused("1e308 - -1e308") == "the result is not a finite number"


def test_100_expressions_in_a_text():
    assert compile_template("{{ 1 }}," * 100).render({}) == "1," * 100
    with pytest.raises(ExpressionFault, match="more than 100 expressions in one text"):
        compile_template("{{ 1 }}," * 101)
