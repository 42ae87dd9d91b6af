"""The type of what an expression gives, as far as it is certain without a run, and what in it can never work.

Rule: what is not known stays unknown. A finding is made of two things that are certain, never of one and a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jinja2 import nodes

from runner.expression.compiled import Expression
from runner.expression.paths import Key
from runner.expression.template import Slot, sole, split
from runner.expression.tree import Tree, columns

Kinds = frozenset[str]  # object, array, string, number, boolean, null
_NO_KINDS: Kinds = frozenset()
_WORDS = {
    "object": "a mapping", "array": "a list", "string": "a text", "number": "a number", "boolean": "true or false",
    "null": "none",
}  # fmt: skip
_OF_TYPE: Mapping[type, str] = {
    bool: "boolean", int: "number", float: "number", str: "string", type(None): "null", list: "array", dict: "object",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """Of a value: the types that it may have (none: nobody knows), and the values, where those are few and listed.

    `is_fractional`: it is known that as a number it need not be a whole one.
    """

    kinds: Kinds = _NO_KINDS
    values: tuple[Any, ...] | None = None
    is_fractional: bool = False

    @property
    def typed(self) -> Known:
        """The same without the values."""
        return Known(self.kinds, None, self.is_fractional)

    @property
    def words(self) -> str:
        return " or ".join(_WORDS[kind] for kind in _WORDS if kind in self.kinds)

    def is_none_of(self, *kinds: str) -> bool:
        """Whether it is certain that it is nothing of these types."""
        return bool(self.kinds) and self.kinds.isdisjoint(kinds)

    def either(self, other: Known) -> Known:
        if not self.kinds or not other.kinds:
            return ANYTHING
        listed = None if self.values is None or other.values is None else (*self.values, *other.values)
        return Known(self.kinds | other.kinds, listed, self.is_fractional or other.is_fractional)


ANYTHING = Known()
Look = Callable[[tuple[Key, ...]], Known]


@dataclass(frozen=True, slots=True)
class Clash:
    """A part of an expression that fails whenever it is evaluated, or always gives the same. Columns are of the source
    at first, of the whole string in what `inferred` gives."""

    what: Literal["operation", "comparison"]
    message: str
    column: int
    length: int
    word: str = ""  # the constant that nothing is equal to
    instead: tuple[str, ...] = ()  # what there is to compare with


def known_constant(value: Any) -> Known:
    kind = _OF_TYPE.get(type(value))
    return ANYTHING if kind is None else Known(frozenset({kind}), (value,), isinstance(value, float) and value % 1 != 0)


def inferred(value: Any, look: Look) -> tuple[Known, list[Clash]]:
    """Of a template: any JSON value whose strings may hold expressions that can be compiled."""
    if not isinstance(value, str) or "{{" not in value:
        known = known_constant(value)
        return (known.typed if isinstance(value, (list, dict)) else known), []
    parts = split(value)
    only = sole(parts)
    if only is not None:
        return _of_slot(only, look)
    clashes: list[Clash] = []
    for slot in parts:
        if isinstance(slot, Slot):
            known, found = _of_slot(slot, look)
            clashes += found
            if known.is_none_of("string", "number", "boolean"):
                message = f"{known.words} cannot be part of a text"
                length = len(slot.expression.source)
                clashes.append(Clash("operation", message, slot.offset + 1, length, instead=("tojson",)))
    return Known(frozenset({"string"})), clashes


def _of_slot(slot: Slot, look: Look) -> tuple[Known, list[Clash]]:
    known, found = infer(slot.expression, look)
    if not found:
        return known, found
    moved = [Clash(c.what, c.message, slot.offset + c.column, c.length, c.word, c.instead) for c in found]
    return known, moved


def infer(expression: Expression, look: Look) -> tuple[Known, list[Clash]]:
    """Of one expression. `look` says what is known of a path."""
    reader = _Reader(expression.tree, look)
    return reader.of(expression.tree.root), reader.clashes


class _Reader:
    def __init__(self, tree: Tree, look: Look) -> None:
        self.tree, self.look = tree, look
        self.clashes: list[Clash] = []

    def of(self, node: nodes.Node | None) -> Known:
        if node is None:
            return ANYTHING
        if isinstance(node, (nodes.Name, nodes.Getattr, nodes.Getitem)):
            path = self.tree.path_of(node)
            if path is not None:
                return self.look(path.segments)
        rule = _RULES.get(type(node))
        if rule is not None:
            return rule(self, node)
        for below in node.iter_child_nodes():
            self.of(below)
        return ANYTHING

    # -- what gives a type of its own -------------------------------------------------------------------
    def constant(self, node: nodes.Const) -> Known:
        return known_constant(node.value)

    def display(self, node: nodes.List | nodes.Dict) -> Known:
        for below in node.iter_child_nodes():
            self.of(below)
        return Known(frozenset({"array" if isinstance(node, nodes.List) else "object"}))

    def addition(self, node: nodes.Add) -> Known:
        left, right = self.of(node.left), self.of(node.right)
        for known, operand in ((left, node.left), (right, node.right)):
            if known.is_none_of("number", "string", "array"):
                self.clash(operand, f"+ needs numbers, texts or lists, and this is {known.words}")
                return ANYTHING
        if not left.kinds or not right.kinds:
            return ANYTHING
        both = left.kinds & right.kinds
        if not both:
            also = "; join texts with ~" if "string" in left.kinds | right.kinds else ""
            self.clash(node.right, f"{right.words} cannot be added to {left.words}{also}")
        return Known(both, None, left.is_fractional or right.is_fractional)

    def arithmetic(self, node: nodes.BinExpr) -> Known:
        is_fractional = self.numbers(_SIGNS[type(node)], node.left, node.right) or isinstance(node, nodes.Div)
        return Known(_NUMBER.kinds, None, is_fractional and not isinstance(node, nodes.FloorDiv))

    def sign(self, node: nodes.UnaryExpr) -> Known:
        return Known(_NUMBER.kinds, None, self.numbers("-" if isinstance(node, nodes.Neg) else "+", node.node))

    def numbers(self, sign: str, *operands: nodes.Node) -> bool:
        """Whether any of them need not be a whole number."""
        is_fractional = False
        for operand in operands:
            known = self.of(operand)
            is_fractional = is_fractional or known.is_fractional
            if known.is_none_of("number"):
                self.clash(operand, f"{sign} needs numbers, and this is {known.words}")
        return is_fractional

    def concatenation(self, node: nodes.Concat) -> Known:
        for operand in node.nodes:
            known = self.of(operand)
            if known.is_none_of("string", "number", "boolean"):
                self.clash(operand, f"~ joins texts, and this is {known.words}", "tojson")
        return _TEXT

    def truth(self, node: nodes.Node) -> Known:
        for below in node.iter_child_nodes():
            self.of(below)
        return _BOOLEAN

    def choice(self, node: nodes.And | nodes.Or) -> Known:
        return self.of(node.left).either(self.of(node.right))

    def condition(self, node: nodes.CondExpr) -> Known:
        self.of(node.test)
        return self.of(node.expr1).either(self.of(node.expr2))

    def subscript(self, node: nodes.Getitem) -> Known:
        value = self.of(node.node)
        self.of(node.arg)
        return value.typed if isinstance(node.arg, nodes.Slice) else ANYTHING

    def filter(self, node: nodes.Filter) -> Known:
        value = self.of(node.node)
        given = [self.of(argument) for argument in (*node.args, *(keyword.value for keyword in node.kwargs))]
        if node.name in ("default", "d"):
            return value.either(given[0] if given else known_constant(""))
        if node.name in ("int", "float"):
            read = Known(_NUMBER.kinds, None, node.name == "float" and (value.is_fractional or "string" in value.kinds))
            return read.either(given[0]) if given else read
        takes = _TAKES.get(node.name)
        if takes and node.node is not None and value.is_none_of(*takes):
            self.clash(node.node, f"{node.name} needs {Known(takes).words}, and this is {value.words}")
        if node.name == "round":
            return Known(_NUMBER.kinds, None, value.is_fractional and _has_digits(node))
        return value.typed if node.name == "abs" and value.kinds else _GIVES.get(node.name, ANYTHING)

    # -- comparisons ------------------------------------------------------------------------------------
    def comparison(self, node: nodes.Compare) -> Known:
        first = node.expr
        left = self.of(first)
        for operand in node.ops:
            right = self.of(operand.expr)
            if operand.op in ("eq", "ne"):
                self.equality(first, left, operand.expr, right)
            elif operand.op in ("in", "notin"):
                self.membership(first, left, operand.expr, right)
            else:
                self.order(left, operand.expr, right)
            first, left = operand.expr, right
        return _BOOLEAN

    def equality(self, one: nodes.Node, left: Known, other: nodes.Node, right: Known) -> None:
        if isinstance(one, nodes.Const) and isinstance(other, nodes.Const):
            return
        if isinstance(one, nodes.Const):
            one, left, other, right = other, right, one, left
        if not left.kinds or not right.kinds or "null" in left.kinds | right.kinds:
            return  # asking whether something is none is never wrong
        name = self.tree.label_of(one)
        if not left.kinds & right.kinds:
            self.differ(other, f"{name} is {left.words}, which is never equal to {right.words}")
        elif left.values is not None and right.values is not None and not _meet(left.values, right.values):
            self.never(name, left.values, other, right)

    def membership(self, one: nodes.Node, left: Known, other: nodes.Node, right: Known) -> None:
        if right.is_none_of("array", "object", "string"):
            self.clash(other, f"in needs a list, a mapping or a text to look in, and this is {right.words}")
        elif right.kinds == {"string"} and left.is_none_of("string"):
            self.clash(one, f"in looks for a text in a text, and this is {left.words}")
        if isinstance(other, nodes.List) and left.values is not None:
            for item in other.items:
                if isinstance(item, nodes.Const) and not _meet(left.values, (item.value,)):
                    self.never(self.tree.label_of(one), left.values, item, known_constant(item.value))

    def never(self, name: str, values: tuple[Any, ...], other: nodes.Node, right: Known) -> None:
        column, length = self.place(other)
        listed = tuple(value for value in values if isinstance(value, str))
        given = right.values if right.values is not None else ()
        word = given[0] if len(given) == 1 and isinstance(given[0], str) else ""
        what = f'"{word}"' if word else "equal to this"
        self.clashes.append(Clash("comparison", f"{name} is never {what}", column, length, word, listed))

    def differ(self, node: nodes.Node, message: str) -> None:
        self.clashes.append(Clash("comparison", message, *self.place(node)))

    def order(self, left: Known, other: nodes.Node, right: Known) -> None:
        if not left.kinds or not right.kinds:
            return
        if not any({kind} <= left.kinds and {kind} <= right.kinds for kind in ("number", "string")):
            message = f"two numbers or two texts can be compared, not {left.words} and {right.words}"
            self.clash(other, message)

    # -- places -----------------------------------------------------------------------------------------
    def clash(self, node: nodes.Node, message: str, *instead: str) -> None:
        self.clashes.append(Clash("operation", message, *self.place(node), instead=instead))

    def place(self, node: nodes.Node) -> tuple[int, int]:
        """Column and length of a path or a constant; of anything else, where it begins."""
        path = self.tree.path_of(node)
        if path is not None:
            return path.column, path.length
        column = min(columns(node))
        index = self.tree.at.get(column)
        return column, len(self.tree.lexemes[index].text) if index is not None else 1


def _has_digits(node: nodes.Filter) -> bool:
    """Whether `round` may leave digits behind the point. Jinja2 counts them from 0; -2 rounds to hundreds."""
    digits = [*node.args[:1], *(each.value for each in node.kwargs if each.key == "precision")]
    return any(not isinstance(each, nodes.Neg) and getattr(each, "value", None) != 0 for each in digits)


def _meet(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    return any(type(one) is type(other) and one == other for one in some for other in others) or any(
        isinstance(value, float) for value in (*some, *others)
    )


_NUMBER, _TEXT, _BOOLEAN = (Known(frozenset({kind})) for kind in ("number", "string", "boolean"))
_SIGNS: Mapping[type[nodes.Node], str] = {
    nodes.Sub: "-", nodes.Mul: "*", nodes.Div: "/", nodes.FloorDiv: "//", nodes.Mod: "%",
}  # fmt: skip
_RULES: Mapping[type[nodes.Node], Callable[[_Reader, Any], Known]] = {
    nodes.Const: _Reader.constant,
    nodes.List: _Reader.display,
    nodes.Dict: _Reader.display,
    nodes.Add: _Reader.addition,
    **dict.fromkeys(_SIGNS, _Reader.arithmetic),
    nodes.Neg: _Reader.sign,
    nodes.Pos: _Reader.sign,
    nodes.Concat: _Reader.concatenation,
    nodes.Compare: _Reader.comparison,
    nodes.Not: _Reader.truth,
    nodes.Test: _Reader.truth,
    nodes.And: _Reader.choice,
    nodes.Or: _Reader.choice,
    nodes.CondExpr: _Reader.condition,
    nodes.Getitem: _Reader.subscript,
    nodes.Filter: _Reader.filter,
}
_OF_LISTS = ("join", "sum", "min", "max", "sort", "unique", "map", "select", "reject", "selectattr", "rejectattr")
_MAKE_LISTS = ("sort", "unique", "map", "select", "reject", "selectattr", "rejectattr", "list")
_TAKES: Mapping[str, Kinds] = {
    **dict.fromkeys(("lower", "upper", "trim", "replace"), frozenset({"string"})),
    **dict.fromkeys(("round", "abs"), frozenset({"number"})),
    **dict.fromkeys(("length", "count"), frozenset({"string", "array", "object"})),
    **dict.fromkeys(_OF_LISTS, frozenset({"array"})),
    **dict.fromkeys(("first", "last"), frozenset({"array", "string"})),
    "list": frozenset({"array", "object"}),
}
_GIVES: Mapping[str, Known] = {
    **dict.fromkeys(("lower", "upper", "trim", "replace", "join", "string", "tojson"), _TEXT),
    **dict.fromkeys(("abs", "length", "count", "sum"), _NUMBER),
    **dict.fromkeys(_MAKE_LISTS, Known(frozenset({"array"}))),
}
