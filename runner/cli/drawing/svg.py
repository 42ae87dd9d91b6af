"""A definition as an SVG picture. Steps run down the left, what undoes them stands to the right of each.

Drawn in one pass over measured boxes: a box knows its size before it is placed, so nothing overlaps. Widths of texts
are estimated; a text that would not fit is cut, and whole in its tooltip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from runner.cli.drawing.flow import Flow, Lane, Node

_CHAR, _LINE, _PAD, _GAP = 6.7, 17, 12, 26
_BETWEEN = 46  # from a step to its undo
_NARROWEST, _WIDEST = 120, 300
_HEADER = 26  # of a frame's and of a lane's title
_COLORS = {
    "readonly": ("#eef2f6", "#8696a7"),
    "compensatable": ("#e3f1e6", "#4b8b5a"),
    "pivot": ("#fde9b8", "#b27b00"),
    "retriable": ("#dff0f2", "#3b8590"),
    "none": ("#ffffff", "#8696a7"),
    "": ("#ffffff", "#8696a7"),
}
_INK, _FAINT, _UNDO = "#1c2733", "#5b6b7b", "#b5573a"
_STYLE = (
    "text{font:12px 'DejaVu Sans',Verdana,sans-serif;fill:#1c2733}.b{font-weight:bold}.s{fill:#5b6b7b;font-size:11px}"
    ".u{fill:#8c3d24}.f{stroke:#5b6b7b;stroke-width:1.5;fill:none}"
    ".r{stroke:#b5573a;stroke-width:1.5;stroke-dasharray:5 4;fill:none}"
)
_MARKERS = "".join(
    f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0 8 4 0 8z" fill="{color}"/></marker>'
    for name, color in (("to", _FAINT), ("back", _UNDO))
)


def text(flow: Flow) -> str:
    parts = [_Sequence(flow.nodes)]
    head = 44 if flow.summary else 28
    if flow.finally_:
        parts.append(_Sequence((Node("finally", "whatever happened", lanes=(Lane("", flow.finally_),)),)))
    width = max([*(part.width for part in parts), _text_width(flow.title, bold=True), _text_width(flow.summary)]) + 32
    height = head + sum(part.height + _GAP for part in parts) + 8
    canvas = _Canvas()
    canvas.write(16, 22, flow.title, "b")
    if flow.summary:
        canvas.write(16, 40, flow.summary, "s")
    y: float = head + 12
    for part in parts:
        part.draw(canvas, 16, y)
        y += part.height + _GAP
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(flow.title)}</title><style>{_STYLE}</style><defs>{_MARKERS}</defs>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            *canvas.under, *canvas.over,
            "</svg>",
        ]
    )  # fmt: skip


@dataclass(slots=True)
class _Canvas:
    """Frames and lines are below boxes and texts."""

    under: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)

    def write(self, x: float, y: float, words: str, style: str = "", *, room: float = 10_000) -> None:
        fits = max(1, int(room / (_CHAR * (1.12 if style == "b" else 1))))
        shown = words if len(words) <= fits else f"{words[: fits - 1]}…"
        title = "" if shown == words else f"<title>{escape(words)}</title>"
        self.over.append(f'<text x="{x:.0f}" y="{y:.0f}" class="{style}">{escape(shown)}{title}</text>')

    def box(self, x: float, y: float, width: float, height: float, colors: tuple[str, str], extra: str = "",
            radius: int = 6) -> None:  # fmt: skip
        shape = f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}"'
        self.over.append(f'{shape} rx="{radius}" fill="{colors[0]}" stroke="{colors[1]}"{extra}/>')

    def frame(self, x: float, y: float, width: float, height: float, color: str, dash: str = "") -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        shape = f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}"'
        self.under.append(f'{shape} rx="8" fill="#fff" stroke="{color}"{dashed}/>')

    def arrow(self, path: str, *, back: bool = False) -> None:
        style, marker = ("r", "back") if back else ("f", "to")
        self.under.append(f'<path d="{path}" class="{style}" marker-end="url(#{marker})"/>')


def _text_width(words: str, *, bold: bool = False) -> float:
    return len(words) * _CHAR * (1.12 if bold else 1)


class _Sequence:
    """Nodes below each other. Its steps are equally wide, and so are their undos, in a column of their own."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        leaves = [node for node in nodes if not node.lanes]
        self._step = max([_NARROWEST, *(_step_width(node) for node in leaves)])
        undos = [_text_width(node.undo) + 2 * _PAD for node in nodes if node.undo]
        goes_back = bool(undos) or sum(node.is_undone for node in nodes) > 1
        self._undo = max(undos, default=2 * _PAD if goes_back else 0)
        column = self._step + (_BETWEEN + self._undo if goes_back else 0)
        self._frames = {id(node): _Frame(node) for node in nodes if node.lanes}
        # A frame reaches the middle of the undo column, so that the way back meets it.
        floor = column if goes_back else self._step
        for frame in self._frames.values():
            frame.width = max(frame.width, floor)
        self._handlers = {id(node): [_Handler(lane) for lane in node.handlers] for node in nodes if node.handlers}
        self.width = max([column, *(frame.width for frame in self._frames.values())], default=column)
        beside = [sum(each.width + 24 for each in handlers) for handlers in self._handlers.values()]
        self._aside = self.width + 24
        self.width += max(beside, default=0)
        self._heights = [self._height(node) for node in nodes]
        self.height = sum(self._heights) + _GAP * max(0, len(nodes) - 1)

    def _height(self, node: Node) -> float:
        own = self._frames[id(node)].height if node.lanes else _leaf_height(node)
        return max([own, *(handler.height for handler in self._handlers.get(id(node), ()))])

    def draw(self, canvas: _Canvas, x: float, y: float) -> None:
        middle = x + self._step / 2
        back = x + self._step + _BETWEEN + self._undo / 2
        left: float | None = None  # where the last undoable ended, at the bottom
        ended: float | None = None
        for node, room in zip(self._nodes, self._heights, strict=True):
            height = self._frames[id(node)].height if node.lanes else _leaf_height(node)
            if ended is not None:
                canvas.arrow(f"M{middle:.0f} {ended:.0f}V{y - 1:.0f}")
            if node.lanes:
                self._frames[id(node)].draw(canvas, x, y)
            else:
                _leaf(canvas, node, x, y, self._step, height)
            if node.undo:
                self._draw_undo(canvas, node, x, y, height)
            if node.is_pivot:
                left = None
            elif node.is_undone and self._undo:
                top = y + height / 2 - 13 if node.undo and not node.lanes else y
                if left is not None:
                    canvas.arrow(f"M{back:.0f} {top:.0f}V{left + 1:.0f}", back=True)
                left = y + height / 2 + 13 if node.undo and not node.lanes else y + height
            self._draw_handlers(canvas, node, x, y, height)
            if node is not self._nodes[-1]:
                self._draw_way_on(canvas, node, x, y, y + room + _GAP / 2)
            ended = None if node.ends else y + height
            y += room + _GAP

    def _draw_undo(self, canvas: _Canvas, node: Node, x: float, y: float, height: float) -> None:
        start, top = x + self._step, y + height / 2
        at = start + _BETWEEN
        canvas.arrow(f"M{start:.0f} {top:.0f}H{at - 1:.0f}", back=True)
        canvas.box(at, top - 13, self._undo, 26, ("#fbe6df", _UNDO), radius=13)
        canvas.write(at + _PAD, top + 4, node.undo, "u")

    def _draw_handlers(self, canvas: _Canvas, node: Node, x: float, y: float, height: float) -> None:
        """From the step, or its undo, to the first of them, and from each to the next: the first that fits is taken."""
        at = x + self._aside
        level = y + height / 2 if node.undo and not node.lanes else y + min(14.0, height / 2)
        edge = x + (self._frames[id(node)].width if node.lanes else self._step)
        if node.undo and not node.lanes:
            edge = x + self._step + _BETWEEN + self._undo
        for handler in self._handlers.get(id(node), ()):
            canvas.arrow(f"M{edge:.0f} {level:.0f}H{at - 1:.0f}", back=True)
            handler.draw(canvas, at, y)
            edge = at + handler.width
            at = edge + 24

    def _draw_way_on(self, canvas: _Canvas, node: Node, x: float, y: float, level: float) -> None:
        """From a handler that does not fail itself back to where the run goes on."""
        at = x + self._aside
        for handler in self._handlers.get(id(node), ()):
            if handler.goes_on:
                start = at + handler.width / 2
                path = f"M{start:.0f} {y + handler.height:.0f}V{level:.0f}H{x + self._step / 2:.0f}V{level + 12:.0f}"
                canvas.arrow(path)
            at += handler.width + 24


class _Frame:
    """A step with lanes in it, side by side."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.width: float
        self._lanes = [(lane.label, _Sequence(lane.nodes)) for lane in node.lanes]
        self._top = _HEADER + _LINE * len(node.notes) + 4
        inner = sum(sequence.width for _, sequence in self._lanes) + 28 * (len(self._lanes) - 1)
        title = _text_width(node.name, bold=True) + 10 + _text_width(node.does)
        self.width = max(inner, min(title, 2 * _WIDEST)) + 2 * _PAD + 4
        labelled = _HEADER - 6 if any(label for label, _ in self._lanes) else 0
        self._label = labelled
        self.height = self._top + labelled + max(sequence.height for _, sequence in self._lanes) + _PAD

    def draw(self, canvas: _Canvas, x: float, y: float) -> None:
        canvas.frame(x, y, self.width, self.height, "#8696a7")
        canvas.write(x + _PAD, y + 18, self._node.name, "b")
        start = x + _PAD + _text_width(self._node.name, bold=True) + 10
        canvas.write(start, y + 18, self._node.does, "s", room=x + self.width - start - 4)
        for index, note in enumerate(self._node.notes):
            canvas.write(x + _PAD, y + 18 + _LINE * (index + 1), note, "s", room=self.width - 2 * _PAD)
        at = x + _PAD + 2
        for label, sequence in self._lanes:
            if label:
                canvas.write(at, y + self._top + 12, label, "s", room=sequence.width + 20)
            sequence.draw(canvas, at, y + self._top + self._label)
            at += sequence.width + 28


class _Handler:
    """What is done about a failure, in a dashed frame beside the step."""

    def __init__(self, lane: Lane) -> None:
        self._label = lane.label
        self._sequence = _Sequence(lane.nodes)
        self.goes_on = not lane.nodes or not lane.nodes[-1].ends
        self.width = max(self._sequence.width, min(_text_width(lane.label), _WIDEST)) + 2 * _PAD
        self.height = _HEADER + (self._sequence.height + _PAD if lane.nodes else 2)

    def draw(self, canvas: _Canvas, x: float, y: float) -> None:
        canvas.frame(x, y, self.width, self.height, _UNDO, "5 4")
        canvas.write(x + _PAD, y + 18, self._label, "s", room=self.width - 2 * _PAD)
        self._sequence.draw(canvas, x + _PAD, y + _HEADER)


def _step_width(node: Node) -> float:
    widths = [_text_width(node.name, bold=True), *(_text_width(words) for words in (node.does, *node.notes))]
    return min(_WIDEST, max(widths) + 2 * _PAD)


def _leaf_height(node: Node) -> float:
    return _LINE * (2 + len(node.notes)) + 10


def _leaf(canvas: _Canvas, node: Node, x: float, y: float, width: float, height: float) -> None:
    extra = {"pivot": ' stroke-width="3"', "none": ' stroke-dasharray="4 3"'}.get(node.kind, "")
    canvas.box(x, y, width, height, _COLORS[node.kind], extra)
    room = width - 2 * _PAD + 6
    canvas.write(x + _PAD, y + 19, node.name, "b", room=room)
    canvas.write(x + _PAD, y + 19 + _LINE, node.does, "", room=room)
    for index, note in enumerate(node.notes):
        canvas.write(x + _PAD, y + 19 + _LINE * (index + 2), note, "s", room=room)
