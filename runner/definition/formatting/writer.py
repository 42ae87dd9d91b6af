"""Writes nodes in the canonical form: two more columns a level, one space after a colon, keys in their order.

What a scalar says is never touched. What is in brackets on several lines stays so, and only moves with its line.
"""

from __future__ import annotations

from runner.definition.formatting import order
from runner.definition.formatting.nodes import Entry, Node

_STEP = 2  # columns a level


class Writer:
    """One text, written anew into `lines`."""

    def __init__(self, text: str, *, in_order: bool = True) -> None:
        self.text = text
        self.in_order = in_order
        self.lines: list[str] = []

    def root(self, node: Node, place: str) -> None:
        if node.is_block:
            if node.anchor:
                self.lines.append(f"--- {node.anchor}")
            self.block(node, 0, place)
        else:
            self.lines += self.value(node, "", node.start - self.text.rfind("\n", 0, node.start) - 1, 0, place)
            self.lines += [line for line in node.after if line]

    def block(self, node: Node, indent: int, place: str, dash: str = "") -> None:
        """`dash`: what comes before the first entry, in its line: the dashes of the lists that begin there."""
        for index, entry in enumerate(self.ordered(node, place)):
            if dash and index == 0:
                self.above(entry, len(dash) - len(dash.lstrip()), is_first=False)
            else:
                self.above(entry, indent, is_first=index == 0)
            self.entry(node, entry, indent, place, dash if index == 0 else "")
        self.comments(node.after, indent)

    def above(self, entry: Entry, indent: int, *, is_first: bool) -> None:
        """The blank lines that open a block are left out."""
        lines = entry.before
        while is_first and lines and not lines[0]:
            lines = lines[1:]
        self.comments(lines, indent)

    def comments(self, lines: list[str], indent: int) -> None:
        for line in lines:
            if line or (self.lines and self.lines[-1]):
                self.lines.append(f"{' ' * indent}{line}" if line else "")

    def entry(self, node: Node, entry: Entry, indent: int, place: str, dash: str) -> None:
        begin = dash or " " * indent
        value = entry.value
        if entry.key is None:
            begin += "-"
            inside = order.below(place, "")
        else:
            begin += f"{self.scalar(entry.key)}:"
            inside = order.below(place, self.name(entry.key))
        if not value.is_block:
            lines = [""] if value.is_empty else self.value(value, begin + " ", node.column, indent, inside)
            lines[0] = begin + (f" {lines[0]}" if lines[0] else "")
            lines[-1] += entry.key_comment + entry.comment
            self.lines += lines
        elif entry.key is None and not value.anchor and not entry.comment:
            self.block(value, indent + _STEP, inside, begin + " ")
        else:
            anchor = f" {value.anchor}" if value.anchor else ""
            self.lines.append(f"{begin}{anchor}{entry.key_comment}")
            self.block(value, indent + _STEP, inside)

    def value(self, node: Node, begin: str, column: int, indent: int, place: str) -> list[str]:
        """The lines of what is no block. `column` is where its entry stood, `indent` where it will."""
        raw = self.text[node.start : node.end]
        if "\n" not in raw:
            return [self.flow(node, place)]
        first, *rest = raw.split("\n")
        if raw[0] in "|>":
            return [" ".join(first.split(None, 1)), *_moved(rest, indent - column, keeps_blanks=True)]
        before = node.start - self.text.rfind("\n", 0, node.start) - 1
        is_flow = node.kind in ("map", "list")
        moved = _moved(rest, len(begin) - before if is_flow else indent - column, keeps_blanks=False)
        return [first.rstrip(), *(line.rstrip() for line in moved)]

    def flow(self, node: Node, place: str) -> str:
        """On one line; as it stands where it is written in an unusual way."""
        written = self.one_line(node, place)
        return self.text[node.start : node.end] if written is None else written

    def one_line(self, node: Node, place: str) -> str | None:
        if node.kind == "alias":
            return self.text[node.start : node.end]
        if node.kind == "scalar":
            return None if node.is_empty else self.scalar(node)
        opening, closing = "{}" if node.kind == "map" else "[]"
        begin = f"{node.anchor} " if node.anchor else ""
        if not self.text[node.start + len(node.anchor) : node.end].lstrip(" ").startswith(opening):
            return None
        parts = []
        for entry in self.ordered(node, place):
            value = self.one_line(entry.value, order.below(place, "" if entry.key is None else self.name(entry.key)))
            if value is None or (entry.key is not None and (entry.key.kind == "alias" or entry.key.is_empty)):
                return None
            parts.append(value if entry.key is None else f"{self.scalar(entry.key)}: {value}")
        return f"{begin}{opening}{', '.join(parts)}{closing}"

    def ordered(self, node: Node, place: str) -> list[Entry]:
        if node.kind == "list" or not self.in_order:
            return node.entries
        keys = [self.name(entry.key) for entry in node.entries if entry.key is not None]
        return order.in_order(place, node.entries, keys)

    def name(self, key: Node) -> str:
        """What a key says, as far as the order of keys is concerned."""
        return self.text[key.start : key.end].strip("\"'")

    def scalar(self, node: Node) -> str:
        """Double quotes for single ones, where the text in them is the same."""
        raw = self.text[node.start : node.end]
        plain = raw[1:-1]
        is_simple = raw[:1] == "'" and raw[-1:] == "'" and not any(char in plain for char in "\"'\\\n")
        return f'"{plain}"' if is_simple else raw


def _moved(lines: list[str], by: int, *, keeps_blanks: bool) -> list[str]:
    """The lines of one value, `by` columns to the right. Spaces in a blank line may be part of a text."""
    width = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
    moved = []
    for line in lines:
        if not line.strip() and not (keeps_blanks and len(line) > width):
            moved.append("")
        elif by >= 0:
            moved.append(" " * by + line)
        else:
            moved.append(line[min(-by, len(line) - len(line.lstrip(" "))) :])
    return moved
