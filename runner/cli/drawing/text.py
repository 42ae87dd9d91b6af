"""A definition as an indented tree: what is done from top to bottom, and beside it what undoes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.cli.drawing.flow import Flow, Lane, Node
from runner.cli.screen import Line

_Row = tuple[str, str, str, str, str]  # indentation, name, what it does, its undo, remarks


def lines(flow: Flow) -> Iterator[Line]:
    yield [(flow.title, "bold"), (f"  {flow.summary}" if flow.summary else "", "dim")]
    rows = list(_sequence(flow.nodes, ""))
    if flow.finally_:
        rows += [("", "finally", "", "", ""), *_sequence(flow.finally_, "")]
    named = max((len(row[0]) + len(row[1]) for row in rows if row[2]), default=0)
    does = max((len(row[2]) for row in rows if row[3]), default=0)
    for indent, name, doing, undo, remarks in rows:
        if not doing:
            yield [(indent, "dim"), (name, "bold" if not indent else "italic")]
            continue
        line = [(indent, "dim"), (f"{name:<{named - len(indent)}}", ""), (f"  {doing:<{does if undo else 0}}", "cyan")]
        line += [(f"  ↩ {undo}", "yellow")] if undo else []
        line += [(f"  {remarks}", "dim")] if remarks else []
        yield line


def _sequence(nodes: Sequence[Node], indent: str, *, more: bool = False) -> Iterator[_Row]:
    """`more`: other lanes hang below, on the same line."""
    for index, node in enumerate(nodes):
        last = index == len(nodes) - 1 and not more
        below = indent + ("   " if last else "│  ")
        remarks = " · ".join(node.notes)
        yield f"{indent}{'└─' if last else '├─'} ", node.name, node.does, node.undo, remarks
        lanes = [*node.lanes, *node.handlers]
        for lane in lanes:
            yield from _lane(lane, below, is_last=lane is lanes[-1])


def _lane(lane: Lane, indent: str, *, is_last: bool) -> Iterator[_Row]:
    if not lane.label:
        yield from _sequence(lane.nodes, indent, more=not is_last)
        return
    yield f"{indent}{'└' if is_last else '├'}╴", lane.label, "", "", ""
    yield from _sequence(lane.nodes, indent + ("   " if is_last else "│  "))
