"""What an expression reads, without evaluating it: each static path with its place in the source.

`guarded` is conservative: it is only true where the expression itself provides for the path being absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import nodes

from runner.expression.paths import Key, Path
from runner.expression.tree import Tree

Segments = tuple[Key, ...]
_NONE: frozenset[Segments] = frozenset()


@dataclass(frozen=True, slots=True)
class Reference:
    """One path that an expression reads. Columns are 1-based in the expression's own source.

    In a template, `pointer` is the JSON pointer of the string and `offset` how many of its characters come before the
    source, so `offset + column` is the 1-based place in the string. A computed subscript ends the path. `known` are the
    facts (see Facts) that hold wherever this is read.
    """

    path: Segments
    column: int
    length: int
    guarded: bool
    segments: tuple[tuple[int, int], ...]  # column and length of each part of the path
    pointer: str = ""
    offset: int = 0
    known: frozenset[Segments] = field(default=_NONE, compare=False)

    def at(self, pointer: str, offset: int) -> Reference:
        return Reference(
            self.path, self.column, self.length, self.guarded, self.segments, pointer, offset, self.known
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What is certain once an expression has given true, and once it has given false: paths that lead to something.

    Of a comparison with a constant the path has the constant at its end: `steps.pay.status == 'completed'` gives
    ("steps", "pay", "status", "completed").
    """

    if_true: frozenset[Segments] = _NONE
    if_false: frozenset[Segments] = _NONE


def facts_of(tree: Tree) -> Facts:
    return Facts(*_Walk(tree).facts(tree.root))


def references_of(tree: Tree) -> tuple[Reference, ...]:
    """In the order of the source."""
    walk = _Walk(tree)
    walk.visit(tree.root, False, _NONE)
    return tuple(sorted(walk.found, key=lambda reference: reference.column))


class _Walk:
    """`tolerant`: an absent value would be accepted here. `known`: paths that a test has found to be there."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.found: list[Reference] = []

    def visit(self, node: nodes.Node, tolerant: bool, known: frozenset[Segments]) -> None:
        path = self.tree.path_of(node)
        if path is not None:
            self._add(path, tolerant or any(there[: len(path.segments)] == path.segments for there in known), known)
            return
        visit = _VISIT.get(type(node))
        if visit is not None:
            visit(self, node, tolerant, known)
            return
        for child in node.iter_child_nodes():
            self.visit(child, False, known)

    def _add(self, path: Path, guarded: bool, known: frozenset[Segments]) -> None:
        self.found.append(Reference(path.segments, path.column, path.length, guarded, path.places, known=known))

    def filter(self, node: nodes.Filter, tolerant: bool, known: frozenset[Segments]) -> None:
        is_default = node.name in ("default", "d")
        if node.node is not None:
            self.visit(node.node, is_default, known)
        for argument in (*node.args, *(keyword.value for keyword in node.kwargs)):
            self.visit(argument, is_default and tolerant, known)

    def test(self, node: nodes.Test, _tolerant: bool, known: frozenset[Segments]) -> None:
        self.visit(node.node, node.name in ("defined", "undefined"), known)
        for argument in node.args:
            self.visit(argument, False, known)

    def subscript(self, node: nodes.Getattr | nodes.Getitem, tolerant: bool, known: frozenset[Segments]) -> None:
        """A look-up reads through what is absent, so long as its own result may be."""
        is_slice = isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice)
        self.visit(node.node, tolerant and not is_slice, known)
        if isinstance(node, nodes.Getitem):
            self.visit(node.arg, False, known)

    def condition(self, node: nodes.CondExpr, tolerant: bool, known: frozenset[Segments]) -> None:
        if_true, if_false = self.facts(node.test)
        self.visit(node.test, False, known)
        self.visit(node.expr1, tolerant, known | if_true)
        if node.expr2 is not None:
            self.visit(node.expr2, tolerant, known | if_false)

    def conjunction(self, node: nodes.And, tolerant: bool, known: frozenset[Segments]) -> None:
        self.visit(node.left, False, known)
        self.visit(node.right, tolerant, known | self.facts(node.left)[0])

    def disjunction(self, node: nodes.Or, tolerant: bool, known: frozenset[Segments]) -> None:
        self.visit(node.left, False, known)
        self.visit(node.right, tolerant, known | self.facts(node.left)[1])

    def facts(self, node: nodes.Node) -> tuple[frozenset[Segments], frozenset[Segments]]:
        """The facts if this is true, and if it is false."""
        match node:
            case nodes.Not():
                if_true, if_false = self.facts(node.node)
                return if_false, if_true
            case nodes.And() | nodes.Or():
                left, right = self.facts(node.left), self.facts(node.right)
                if isinstance(node, nodes.And):
                    return left[0] | right[0], left[1] & right[1]
                return left[0] & right[0], left[1] | right[1]
            case nodes.Test(name="defined"):
                return self._there(node.node), _NONE
            case nodes.Test(name="undefined"):
                return _NONE, self._there(node.node)
            case nodes.Filter(name="default" | "d", args=[nodes.Const(value=value)]) if not value:
                return self._there(node.node), _NONE
            case nodes.Compare(ops=[nodes.Operand(op="eq" | "ne" as operator)]):
                equal = self._equal(node.expr, node.ops[0].expr) | self._equal(node.ops[0].expr, node.expr)
                return (equal, _NONE) if operator == "eq" else (_NONE, equal)
            case _:
                return _NONE, _NONE

    def _there(self, node: nodes.Node | None, *constant: Key) -> frozenset[Segments]:
        path = None if node is None else self.tree.path_of(node)
        return _NONE if path is None else frozenset({(*path.segments, *constant)})

    def _equal(self, node: nodes.Node, constant: nodes.Node) -> frozenset[Segments]:
        if isinstance(constant, nodes.Const) and type(constant.value) is str:
            return self._there(node, constant.value)
        return _NONE


_VISIT: Mapping[type[nodes.Node], Callable[[_Walk, Any, bool, frozenset[Segments]], None]] = {
    nodes.Filter: _Walk.filter,
    nodes.Test: _Walk.test,
    nodes.Getattr: _Walk.subscript,
    nodes.Getitem: _Walk.subscript,
    nodes.CondExpr: _Walk.condition,
    nodes.And: _Walk.conjunction,
    nodes.Or: _Walk.disjunction,
}
