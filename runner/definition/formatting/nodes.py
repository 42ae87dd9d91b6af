"""A YAML text as it is written: every key and value with its place, and every comment with what it is about.

Rule: only for a text that `read_text` has accepted, so it is one document without tags, merge keys and huge nesting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True, eq=False)
class Node:
    """`start` and `end` are offsets of the text. A block has a column; what is in brackets has none.

    `after` are the comments at the end of a block, below its last entry.
    """

    kind: Literal["scalar", "alias", "map", "list"]
    start: int
    end: int
    is_block: bool = False
    column: int = -1
    anchor: str = ""
    entries: list[Entry] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """A value that nothing is written for: `key:` and no more."""
        return self.kind == "scalar" and self.start == self.end


@dataclass(slots=True, eq=False)
class Entry:
    """One pair of a mapping, or one item of a list.

    `before` are the lines above it: comments, and "" for a blank line. `key_comment` and `comment` stand at the end of
    the line of the key and of the value, with the spaces in front of them.
    """

    value: Node
    key: Node | None = None
    before: list[str] = field(default_factory=list)
    key_comment: str = ""
    comment: str = ""

    @property
    def start(self) -> int:
        """Where its first word begins."""
        return self.key.start if self.key is not None else self.value.start


def read_nodes(text: str) -> Node | None:
    """The outermost node, without comments; None for an empty document."""
    reader = _Reader(text)
    for event in yaml.parse(text, Loader=_LOADER):
        reader.take(event)
    return reader.root


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.root: Node | None = None
        self.open: list[Node] = []
        self.keys: list[Node | None] = []  # of each open mapping: the key whose value comes next

    def take(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        match event:
            case yaml.ScalarEvent():
                if event.style in ("|", ">"):
                    end = start + len(_block_scalar(self.text[start:end]))
                self.add(Node("scalar", start, end))
            case yaml.AliasEvent():
                self.add(Node("alias", start, end))
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                kind: Literal["map", "list"] = "map" if isinstance(event, yaml.MappingStartEvent) else "list"
                is_block = not event.flow_style
                column = end - self.text.rfind("\n", 0, end) - 1 if is_block else -1
                anchor = f"&{event.anchor}" if event.anchor else ""
                node = Node(kind, start, end, is_block, column, anchor)
                self.add(node)
                self.open.append(node)
                self.keys.append(None)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                node = self.open.pop()
                self.keys.pop()
                node.end = end
                if node.is_block and node.entries:
                    first = node.entries[0]
                    node.start = first.start
                    node.column = self.column(first.start) if node.kind == "map" else node.column
                    node.end = node.entries[-1].value.end
            case _:
                pass

    def column(self, offset: int) -> int:
        return offset - self.text.rfind("\n", 0, offset) - 1

    def add(self, node: Node) -> None:
        if not self.open:
            self.root = node
        elif self.open[-1].kind == "list":
            self.open[-1].entries.append(Entry(node))
        elif self.keys[-1] is None:
            self.keys[-1] = node
        else:
            self.open[-1].entries.append(Entry(node, self.keys[-1]))
            self.keys[-1] = None


def _block_scalar(raw: str) -> str:
    """Without the blank lines behind it, which are no part of it, unless it says so with a plus sign."""
    header = raw.partition("\n")[0].partition("#")[0]
    return raw.removesuffix("\n") if "+" in header else raw.rstrip()


def atoms_of(node: Node) -> Iterator[Node]:
    """Keys, scalars, aliases and whatever is in brackets, in the order of the text."""
    if not node.is_block:
        yield node
        return
    for entry in node.entries:
        if entry.key is not None:
            yield entry.key
        yield from atoms_of(entry.value)
