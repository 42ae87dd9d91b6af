"""The canonical form of a definition's text: the same document, the same comments, one way of writing them.

Rule: what the text says never changes. The result is read again and compared, and a text that cannot be written
without a change is refused, not guessed at.
"""

from __future__ import annotations

from typing import Any

from runner.definition.formatting import order
from runner.definition.formatting.comments import attach, comments_of
from runner.definition.formatting.nodes import read_nodes
from runner.definition.formatting.writer import Writer
from runner.definition.problem import Problem
from runner.definition.source import Source, read_text
from runner.errors import DefinitionError


def format_text(text: str, file: str) -> str:
    """The text in canonical form. Raises DefinitionError for one that cannot be read, or not be written so.

    Lines end as the first one does. A text that holds nothing but comments keeps them.
    """
    line_end = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n")
    before = read_text(plain, file)
    root = read_nodes(plain)
    if root is None or root.is_empty:
        return line_end.join(_trimmed(plain.split("\n")))
    head = attach(plain, root)
    comments = sorted([*_remarks(head), *comments_of(root)])
    for in_order in (True, False):  # an alias that would come before its anchor keeps all keys where they are
        writer = Writer(plain, in_order=in_order)
        writer.root(root, _place(before))
        made = "\n".join(_trimmed([*head, *writer.lines]))
        if _is_same(before, made, comments):
            return made.replace("\n", line_end)
    message = "this text cannot be formatted without changing what it says, and is left as it is"
    raise DefinitionError([Problem(file, 1, 1, "SR001", message, hint="write what is unusual in it differently")])


def _place(source: Source) -> str:
    """Which order its keys have: that of a definition, or (a test file, say) none."""
    value = source.value
    return order.ROOT if isinstance(value, dict) and {"workflow", "steps"} & value.keys() else ""


def _trimmed(lines: list[str]) -> list[str]:
    """Without blank lines at the ends; the last line ends."""
    found = ["" if line.isspace() else line for line in lines]
    while found and not found[0]:
        del found[0]
    while found and not found[-1]:
        found.pop()
    return [*found, ""] if found else found


def _is_same(before: Source, made: str, comments: list[str]) -> bool:
    """Whether it says the same, and no comment was lost."""
    try:
        after = read_text(made, before.file)
    except DefinitionError:
        return False
    root = read_nodes(made)
    if root is None or _frozen(before.value, _place(before)) != _frozen(after.value, _place(before)):
        return False
    return sorted([*_remarks(attach(made, root)), *comments_of(root)]) == comments


def _frozen(value: Any, place: str) -> Any:
    """A value to be compared: with its types, and with the order of keys where that is not ours to choose."""
    if isinstance(value, dict):
        pairs = [(key, _frozen(below, order.below(place, key))) for key, below in value.items()]
        return sorted(pairs, key=lambda pair: pair[0]) if order.is_ordered(place) else pairs
    if isinstance(value, list):
        return [_frozen(below, order.below(place, "")) for below in value]
    return type(value).__name__, repr(value)


def _remarks(head: list[str]) -> list[str]:
    return [line for line in head if line.startswith("#")]
