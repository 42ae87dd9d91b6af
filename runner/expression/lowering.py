"""A checked tree to generated code in which nothing is left to attack.

Every path becomes a variable (`p0`, `p1`, …) that `Path.read` fills; every operator, subscript, filter and test becomes
a call of a guarded operation that is given its column. What Jinja2 still decides itself is `and`, `or`, `not` and the
inline `if`, with Python's truth. There is no fall-through: a node that is not in the table cannot be lowered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import nodes

from runner.expression.environment import generate, test_operation
from runner.expression.fault import ExpressionFault, Misuse
from runner.expression.paths import Path, is_absent
from runner.expression.tree import Tree
from runner.expression.values import checked_result, plain

Compute = Callable[[Mapping[str, Any]], Any]
_SIZED = frozenset({str, list, dict})


def compile_tree(tree: Tree) -> Compute:
    """The function from a scope to a value or an Absent. Paths and constants do without Jinja2, 50 times faster."""
    if isinstance(tree.root, nodes.Const):
        value = tree.root.value
        return lambda _scope: value
    path = tree.path_of(tree.root)
    return path.read if path is not None else compile_generated(tree)


def compile_generated(tree: Tree) -> Compute:
    """The same by way of Jinja2. A value that was not simply looked up must be within the limit for results."""
    lowering = _Lowering(tree)
    run = generate(lowering.lower(tree.root))
    variables = tuple((_variable(number), path) for number, path in enumerate(lowering.paths))

    def compute(scope: Mapping[str, Any]) -> Any:
        try:
            values = {name: _read(path, scope) for name, path in variables}
            result = run(values)
            if type(result) in _SIZED and all(result is not value for value in values.values()):
                checked_result(result)
        except Misuse as misuse:
            raise ExpressionFault(str(misuse)) from None
        return result

    return compute


def _variable(number: int) -> str:
    return f"p{number}"


def _read(path: Path, scope: Mapping[str, Any]) -> Any:
    value = path.read(scope)
    return value if is_absent(value) else plain(value)


def _call(operation: str, column: int, *operands: nodes.Expr, named: list[nodes.Keyword] | None = None) -> nodes.Expr:
    """A filter, as Jinja2 sees it: the one kind of call that needs no callable in the template's reach."""
    first, *rest = operands
    return nodes.Filter(first, operation, [nodes.Const(column), *rest], named or [], None, None)


class _Lowering:
    """Collects the paths of one expression while its tree is rewritten. The tree itself is left as it is."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.paths: list[Path] = []

    def lower(self, node: nodes.Node) -> nodes.Expr:
        path = self.tree.path_of(node)
        if path is not None:
            self.paths.append(path)
            return nodes.Name(_variable(len(self.paths) - 1), "load")
        return _LOWER[type(node)](self, node)

    def constant(self, node: nodes.Const) -> nodes.Expr:
        return nodes.Const(node.value)

    def attribute(self, node: nodes.Getattr) -> nodes.Expr:
        column, _length = self.tree.place_of_segment(node)
        return _call("item", column, self.lower(node.node), nodes.Const(node.attr), self._label(node.node))

    def subscript(self, node: nodes.Getitem) -> nodes.Expr:
        base = self.lower(node.node)
        if isinstance(node.arg, nodes.Slice):
            return _call("slice", node.lineno, base, self._bound(node.arg.start), self._bound(node.arg.stop))
        column, _length = self.tree.place_of_segment(node)
        return _call("item", column, base, self.lower(node.arg), self._label(node.node))

    def list_display(self, node: nodes.List) -> nodes.Expr:
        return _call("list display", node.lineno, nodes.Const(None), *map(self.lower, node.items))

    def mapping_display(self, node: nodes.Dict) -> nodes.Expr:
        parts = [self.lower(part) for pair in node.items for part in (pair.key, pair.value)]
        return _call("mapping display", node.lineno, nodes.Const(None), *parts)

    def binary(self, node: nodes.BinExpr) -> nodes.Expr:
        sign = self.tree.operator_before(node.right)
        return _call(str(node.operator), sign.column, self.lower(node.left), self.lower(node.right))

    def unary(self, node: nodes.UnaryExpr) -> nodes.Expr:
        operation = "negative" if isinstance(node, nodes.Neg) else "positive"
        return _call(operation, node.lineno, self.lower(node.node))

    def concatenation(self, node: nodes.Concat) -> nodes.Expr:
        sign = self.tree.operator_before(node.nodes[1])
        return _call("~", sign.column, *map(self.lower, node.nodes))

    def comparison(self, node: nodes.Compare) -> nodes.Expr:
        sign = self.tree.operator_before(node.ops[0].expr)
        names = nodes.Const(tuple(operand.op for operand in node.ops))
        others = [self.lower(operand.expr) for operand in node.ops]
        return _call("compare", sign.column, self.lower(node.expr), names, *others)

    def conjunction(self, node: nodes.And | nodes.Or) -> nodes.Expr:
        return type(node)(self.lower(node.left), self.lower(node.right))

    def negation(self, node: nodes.Not) -> nodes.Expr:
        return nodes.Not(self.lower(node.node))

    def condition(self, node: nodes.CondExpr) -> nodes.Expr:
        branches = [self.lower(part) for part in (node.test, node.expr1, node.expr2) if part is not None]
        return nodes.CondExpr(*branches)

    def filter(self, node: nodes.Filter) -> nodes.Expr:
        return self._applied(node.name, node)

    def test(self, node: nodes.Test) -> nodes.Expr:
        return self._applied(test_operation(node.name), node)

    def _applied(self, operation: str, node: nodes.Filter | nodes.Test) -> nodes.Expr:
        named = [nodes.Keyword(keyword.key, self.lower(keyword.value)) for keyword in node.kwargs]
        subject = node.node if node.node is not None else nodes.Const(None)
        operands = [self.lower(operand) for operand in (subject, *node.args)]
        return _call(operation, node.lineno, *operands, named=named)

    def _bound(self, node: nodes.Expr | None) -> nodes.Expr:
        return nodes.Const(None) if node is None else self.lower(node)

    def _label(self, node: nodes.Expr) -> nodes.Expr:
        return nodes.Const(self.tree.label_of(node))


_LOWER: Mapping[type[nodes.Node], Callable[[_Lowering, Any], nodes.Expr]] = {
    nodes.Const: _Lowering.constant,
    nodes.Getattr: _Lowering.attribute,
    nodes.Getitem: _Lowering.subscript,
    nodes.List: _Lowering.list_display,
    nodes.Dict: _Lowering.mapping_display,
    nodes.Add: _Lowering.binary,
    nodes.Sub: _Lowering.binary,
    nodes.Mul: _Lowering.binary,
    nodes.Div: _Lowering.binary,
    nodes.FloorDiv: _Lowering.binary,
    nodes.Mod: _Lowering.binary,
    nodes.Neg: _Lowering.unary,
    nodes.Pos: _Lowering.unary,
    nodes.Concat: _Lowering.concatenation,
    nodes.Compare: _Lowering.comparison,
    nodes.And: _Lowering.conjunction,
    nodes.Or: _Lowering.conjunction,
    nodes.Not: _Lowering.negation,
    nodes.CondExpr: _Lowering.condition,
    nodes.Filter: _Lowering.filter,
    nodes.Test: _Lowering.test,
}
