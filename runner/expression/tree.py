"""A checked expression: its syntax tree, and where in the source each part of it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jinja2 import nodes

from runner.expression.lexer import Lexeme
from runner.expression.paths import Key, Path, written


@dataclass(frozen=True, slots=True)
class Tree:
    """A checked expression."""

    source: str
    root: nodes.Expr
    lexemes: tuple[Lexeme, ...]  # without white space
    at: Mapping[int, int]  # column -> index in lexemes

    def path_of(self, node: nodes.Node) -> Path | None:
        """The static path that this node is: names, fixed subscripts and nothing else."""
        segments: list[Key] = []
        places: list[tuple[int, int]] = []
        while isinstance(node, (nodes.Getattr, nodes.Getitem)):
            key = node.attr if isinstance(node, nodes.Getattr) else constant_key(node.arg)
            if key is None:
                return None
            segments.append(key)
            places.append(self.place_of_segment(node))
            node = node.node
        if not isinstance(node, nodes.Name):
            return None
        segments.append(node.name)
        places.append((node.lineno, len(node.name)))
        return Path(tuple(reversed(segments)), tuple(reversed(places)))

    def label_of(self, node: nodes.Node) -> str:
        """What to call this in a message: its path as far as it is static."""
        path = self.path_of(node)
        if path is not None:
            return path.text
        if not isinstance(node, (nodes.Getattr, nodes.Getitem)):
            return "(…)"
        key = node.attr if isinstance(node, nodes.Getattr) else constant_key(node.arg)
        return self.label_of(node.node) + ("[…]" if key is None else written(key))

    def name_of_test(self, node: nodes.Test) -> Lexeme:
        """The node's own column is that of its `is`."""
        index = self.at[node.lineno] + 1
        return self.lexemes[index + 1 if self.lexemes[index].text == "not" else index]

    def operator_before(self, operand: nodes.Node) -> Lexeme:
        """The operator whose right-hand side this is. Jinja2's nodes only know where their first operand begins."""
        index = self.at[min(columns(operand))] - 1
        while self.lexemes[index].text == "(":
            index -= 1
        return self.lexemes[index]

    def place_of_segment(self, node: nodes.Getattr | nodes.Getitem) -> tuple[int, int]:
        """Column and length of what is looked up. The node's own column is that of its dot or bracket."""
        index = self.at[node.lineno]
        first = last = self.lexemes[index + 1]
        if self.lexemes[index].text == "[":
            while self.lexemes[index + 1].text != "]":
                index += 1
                last = self.lexemes[index]
        return first.column, last.column + len(last.text) - first.column


def constant_key(node: nodes.Node) -> Key | None:
    """The subscript, if it is a string or a whole number, perhaps negative."""
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const) and type(node.node.value) is int:
        return -node.node.value
    if isinstance(node, nodes.Const) and (type(node.value) is str or type(node.value) is int):
        return node.value
    return None


def columns(node: nodes.Node) -> Iterator[int]:
    """The columns of a node and all below it; `operand`s and the like have none."""
    waiting = [node]
    while waiting:
        below = waiting.pop()
        if below.lineno is not None:
            yield below.lineno
        waiting.extend(below.iter_child_nodes())
