"""Where in the source each part of a tree stands."""

from __future__ import annotations

import pytest
from jinja2 import nodes

from runner.expression.grammar import parse
from runner.expression.paths import Path


@pytest.mark.parametrize(
    ("source", "segments", "pieces"),
    [
        ("input", ("input",), ["input"]),
        ("input.items[0].sku", ("input", "items", 0, "sku"), ["input", "items", "0", "sku"]),
        ("input['a b'][-1]", ("input", "a b", -1), ["input", "'a b'", "-1"]),
        ("input . x [ - 1 ]", ("input", "x", -1), ["input", "x", "- 1"]),
        ("input.0", ("input", 0), ["input", "0"]),
        ("(input).x", ("input", "x"), ["input", "x"]),
        ("input['a' 'b']", ("input", "ab"), ["input", "'a' 'b'"]),
        ("input[('a')]", ("input", "a"), ["input", "('a')"]),
    ],
)
def test_a_static_path_knows_the_place_of_each_segment(source: str, segments: tuple[str | int, ...], pieces: list[str]):
    tree = parse(source)
    path = tree.path_of(tree.root)
    assert path is not None
    assert path.segments == segments
    assert [source[column - 1 : column - 1 + length] for column, length in path.places] == pieces


@pytest.mark.parametrize(
    "source",
    ["a[b]", "a[1.5]", "a[true]", "a[none]", "a[1:2]", "a[0] + 1", "'a'[0]", "(a or b).c", "[a][0]", "1", "a[-'x']"],
)
def test_what_is_not_static_is_no_path(source: str):
    tree = parse(source)
    assert tree.path_of(tree.root) is None


def test_the_place_of_a_path_spans_all_of_it():
    path = Path(("a", "bc"), ((3, 1), (5, 2)))
    assert (path.column, path.length, path.text) == (3, 4, "a.bc")


@pytest.mark.parametrize(
    ("source", "label"),
    [("a.b[c].d[e]", "a.b[…].d[…]"), ("(a or b).c", "(…).c"), ("a['x y'][b]", 'a["x y"][…]'), ("[1][0]", "(…)[0]")],
)
def test_a_computed_look_up_is_called_by_its_static_parts(source: str, label: str):
    tree = parse(source)
    assert tree.label_of(tree.root) == label


def test_the_operator_before_an_operand_is_found_through_parentheses():
    tree = parse("a  - ((b + c))")
    assert isinstance(tree.root, nodes.Sub)
    assert tree.operator_before(tree.root.right).column == 4
