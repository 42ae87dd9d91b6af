"""A definition as a Mermaid flowchart, which code hosts draw in Markdown. Undo edges are dotted and lead backwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.cli.drawing.flow import Flow, Lane, Node

_CLASSES = {
    "readonly": "fill:#eef2f6,stroke:#8696a7,color:#1c2733",
    "compensatable": "fill:#e3f1e6,stroke:#4b8b5a,color:#1c2733",
    "pivot": "fill:#fde9b8,stroke:#b27b00,stroke-width:3px,color:#1c2733",
    "retriable": "fill:#dff0f2,stroke:#3b8590,color:#1c2733",
    "none": "fill:#ffffff,stroke:#8696a7,stroke-dasharray:4 3,color:#1c2733",
    "plain": "fill:#ffffff,stroke:#8696a7,color:#1c2733",
    "undo": "fill:#fbe6df,stroke:#b5573a,color:#1c2733",
}


def text(flow: Flow) -> str:
    chart = _Chart()
    chart.lines += ["---", f"title: {_quoted(flow.title)}", "---", "flowchart TD"]
    last = chart.sequence(flow.nodes, 1)
    if flow.finally_:
        chart.frame("finally", "finally", [Lane("", flow.finally_)], 1)
        if last:
            chart.edges.append(f"{last} --> finally")
    chart.lines += [f"  {edge}" for edge in chart.edges]
    chart.lines += [f"  classDef {name} {style}" for name, style in _CLASSES.items() if name in chart.used]
    return "\n".join(chart.lines)


@dataclass(slots=True)
class _Chart:
    lines: list[str] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    count: int = 0

    def sequence(self, nodes: Sequence[Node], depth: int) -> str:
        """The id of its last node, "" if there is none."""
        before: list[str] = []  # all that this node comes after: the one before it, and the handlers of that
        undone = name = ""
        for node in nodes:
            name = self.node(node, depth)
            self.edges += [f"{each} --> {name}" for each in before]
            before = [] if node.ends else [name]
            before += [
                f"{name}_catch{number}" for number, lane in enumerate(node.handlers)
                if not lane.nodes or not lane.nodes[-1].ends
            ]
            if node.is_pivot:
                undone = ""  # no undo goes past it
            elif node.is_undone:
                own = f"{name}_undo" if node.undo else name
                if undone:
                    self.edges.append(f"{own} -.-> {undone}")
                undone = own
        return name

    def node(self, node: Node, depth: int) -> str:
        self.count += 1
        name = f"n{self.count}"
        label = "<br/>".join([f"<b>{_escaped(node.name)}</b>", *map(_escaped, (node.does, *node.notes))])
        lanes = [*node.lanes]
        if lanes:
            self.frame(name, label, lanes, depth)
        else:
            kind = node.kind or "plain"
            self.used.add(kind)
            self.lines.append(f'{"  " * depth}{name}["{label}"]:::{kind}')
        if node.undo:
            self.used.add("undo")
            self.lines.append(f'{"  " * depth}{name}_undo(["{_escaped(node.undo)}"]):::undo')
            self.edges.append(f"{name} -. undo .-> {name}_undo")
        for number, lane in enumerate(node.handlers):
            handler = f"{name}_catch{number}"
            if lane.nodes:
                self.frame(handler, _escaped(lane.label), [Lane("", lane.nodes)], depth)
            else:
                self.used.add("plain")
                self.lines.append(f'{"  " * depth}{handler}["{_escaped(lane.label)}"]:::plain')
            self.edges.append(f"{name} -. fails .-> {handler}")
        return name

    def frame(self, name: str, label: str, lanes: Sequence[Lane], depth: int) -> None:
        pad = "  " * depth
        self.lines.append(f'{pad}subgraph {name}["{label}"]')
        for number, lane in enumerate(lanes):
            if lane.label:
                self.lines.append(f'{pad}  subgraph {name}_{number}["{_escaped(lane.label)}"]')
                self.sequence(lane.nodes, depth + 2)
                self.lines.append(f"{pad}  end")
            else:
                self.sequence(lane.nodes, depth + 1)
        self.lines.append(f"{pad}end")


def _escaped(text: str) -> str:
    """Inside of a label in quotes: what Mermaid or HTML would take for something else, as its number."""
    return "".join(char if char.isalnum() or char in " .,:_-/()=+?!'" else f"#{ord(char)};" for char in text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
