"""Gives every comment to what it is about: the entry above which it stands, the line it ends, the block it closes.

A comment below the last entry of a block belongs to that block if it is indented as far; else it is about what follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runner.definition.formatting.nodes import Entry, Node

_COMMENT = re.compile(r"(?:^|(?<=[\s]))#.*$")


@dataclass(frozen=True, slots=True)
class _Line:
    """A comment on a line of its own, or a blank line (then the text is "")."""

    text: str
    column: int


def attach(text: str, root: Node) -> list[str]:
    """Puts the comments into the nodes, and answers with the lines above all of them."""
    reader = _Comments(text)
    head = [line.text for line in reader.lines(0, _opening(text, root), is_head=True)]
    reader.at = _opening(text, root)
    if root.is_block:
        reader.block(root, [])
    else:
        reader.at, reader.path = root.end, []
    reader.rest(root)
    return head


def _opening(text: str, root: Node) -> int:
    """Where the first word or dash stands."""
    if root.is_block and root.kind == "list":
        return text.index("-", text.rfind("\n", 0, root.start) + 1)
    return root.start


class _Comments:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0  # behind the last word
        self.path: list[Node] = []  # the blocks that it is in, the outermost first
        self.last: tuple[Entry, str] | None = None  # whose it is, and which of its comments ends the line

    def block(self, node: Node, around: list[Node]) -> None:
        chain = [*around, node]
        for entry in node.entries:
            entry.before = self.gap(entry.start, chain)
            if entry.key is not None:
                self.word(entry.key, entry, "key_comment", chain)
            value = entry.value
            if value.is_block:
                self.block(value, chain)
            elif not value.is_empty:
                if entry.key is not None:  # a comment between a key and its value: there is no place but above
                    entry.before += [line for line in self.gap(value.start, chain) if line]
                    entry.before += [entry.key_comment.strip()] if entry.key_comment else []
                    entry.key_comment = ""
                self.word(value, entry, "comment", chain)

    def word(self, node: Node, entry: Entry, comment: str, chain: list[Node]) -> None:
        self.at, self.path, self.last = node.end, chain, (entry, comment)

    def gap(self, end: int, chain: list[Node]) -> list[str]:
        """The lines above the next word; those before them that close a block are given to it."""
        self.end_line(end)
        before: list[str] = []
        blanks: list[str] = []
        for line in self.lines(self.at, end):
            if not line.text:
                blanks = [""]
                continue
            closed = self.closed_by(line.column, chain) if not before else None
            target = before if closed is None else closed.after
            target += [*blanks, line.text]
            blanks = []
        self.at, self.last = end, None  # an item and the first pair in it begin at one place: they are the item's
        return [*before, *blanks]

    def closed_by(self, column: int, chain: list[Node]) -> Node | None:
        """The block that ends here and is indented no farther than this; None if only blocks that go on are."""
        inner = next((node for node in reversed(self.path) if node.column <= column), None)
        return None if inner is None or inner in chain else inner

    def end_line(self, end: int) -> None:
        if self.last is None:
            return
        rest = self.text[self.at : end].partition("\n")[0]
        found = _COMMENT.search(rest)
        if found:
            spaces = len(rest[: found.start()]) - len(rest[: found.start()].rstrip())
            setattr(self.last[0], self.last[1], " " * max(spaces, 1) + found[0].rstrip())

    def lines(self, start: int, end: int, *, is_head: bool = False) -> Iterator[_Line]:
        """The lines between two words that are blank or have a comment; not the rest of the first word's line."""
        lines = self.text[start:end].split("\n")
        for line in lines[:-1] if is_head else lines[1:-1]:
            found = _COMMENT.search(line)
            if is_head:
                yield _Line(line.rstrip(), 0)
            elif found:
                is_own = not line[: found.start()].strip()
                yield _Line(found[0].rstrip(), found.start() if is_own else -1)
            elif not line.strip():
                yield _Line("", 0)
        if is_head and lines[-1].strip():
            yield _Line(lines[-1].strip(), 0)

    def rest(self, root: Node) -> None:
        """What stands below the last word."""
        left = self.text[self.at :]
        root.after += self.gap(len(self.text) + 1, [])
        unfinished = left.split("\n")[-1] if "\n" in left else ""
        found = _COMMENT.search(unfinished)
        if found:  # a comment in a last line that does not end
            root.after.append(found[0].rstrip())


def comments_of(node: Node) -> Iterator[str]:
    """All that were given to a node and what is in it, without the lines above the first."""
    yield from (line for line in node.after if line)
    for entry in node.entries:
        yield from (line for line in entry.before if line)
        yield from (comment.strip() for comment in (entry.key_comment, entry.comment) if comment)
        yield from comments_of(entry.value)
