"""A run's steps as a tree of lines: what a terminal shows live, and what `show` prints.

Rule: its length does not grow with a loop's items. Of more than MANY only those are shown that a person looks for: what
failed, then what is under way; the loop's own line counts them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from runner.cli.screen import Line, Span
from runner.cli.story.crowd import MANY
from runner.cli.story.layout import DONE, FAILED, NOTE, SKIPPED, STUCK, attempts_text, remarks
from runner.cli.story.waits import wait_text
from runner.cli.wording import columns, duration, error_text, items_text, one_line, plural
from runner.interpreter.paths import FINALLY, ROOT, RUN, parent
from runner.monitor.shapes import ChildView, ConfirmView, PartView, RunView, StepView, UndoView
from runner.monitor.story import Attempt

FEWER = (4, 1, 0)  # items of a loop, where the screen is too small for more
AHEAD = 3  # lines below the last one that moves, on a screen that is too small for all

_SYMBOLS: dict[str, Span] = {
    "completed": DONE,
    "compensated": DONE,
    "failed": FAILED,
    "unknown": ("?", "yellow"),
    "skipped": SKIPPED,
    "pending": NOTE,
    "running": ("▸", "cyan"),
    "compensating": ("✓", "green"),
    "compensation_failed": DONE,
}
_UNDO_SYMBOLS: dict[str, Span] = {
    "completed": ("↩", "green"),
    "running": ("↩", "yellow"),
    "skipped": SKIPPED,
    "stuck": STUCK,
    "failed": FAILED,
}
_CONFIRMED: Span = ("⇧", "green")
_CONFIRM_WORDS = {"completed": "confirmed", "running": "being confirmed", "stuck": "stuck"}
_UNDO_WORDS = {"completed": "undone", "running": "undoing", "skipped": "not undone: skipped by hand"}
_LEFT = "left under way"  # when the run was abandoned
_PARTS = {"parallel": "branch", "for_each": "item", "repeat": "round"}
_PART_WORDS = {
    "failed": "failed",
    "unknown": "unknown",
    "stopped": "stopped",
    "compensating": "being undone",
    "compensated": "undone",
    "compensation_failed": "not undone",
}
# What a person looks for first. The others are only counted.
_TELLING = ("compensation_failed", "unknown", "failed", "compensating", "running")


class Row(NamedTuple):
    """A line to be: its cells, and whether something is under way there."""

    cells: Sequence[Line | str]
    moves: bool = False


def step_lines(view: RunView, *, now_ms: int = 0, whole: bool = False) -> list[Line]:
    """A line for every step, and one for its undo below it. `now_ms` (the store's) times what is under way.

    `whole`: every item of every loop.
    """
    return columns([row.cells for row in _Tree(view, now_ms, whole).rows()])


def live_lines(view: RunView, *, now_ms: int, height: int) -> list[Line]:
    """At most so many: fewer items of loops, and where that is not enough only what is around the last that moves."""
    for many in (MANY, *FEWER):
        rows = list(_Tree(view, now_ms, many=many).rows())
        lines = columns([row.cells for row in rows])
        if len(lines) <= height:
            return lines
    room = max(1, height - 2)
    last = max((number for number, row in enumerate(rows) if row.moves), default=0)
    end = min(len(lines), max(room, last + 1 + AHEAD))
    start = end - room
    above: list[Line] = [[(f"  … {plural(start, 'line')} above", "dim")]] if start else []
    below: list[Line] = [[(f"  … {plural(len(lines) - end, 'line')} below", "dim")]] if end < len(lines) else []
    return [*above, *lines[start:end], *below]


@dataclass(slots=True)
class _Tree:
    """The steps by the sequence they are in, and the sequences by what they belong to."""

    view: RunView
    now_ms: int = 0
    whole: bool = False
    many: int = MANY  # items of a loop that are shown one by one
    _steps: dict[str, list[StepView]] = field(default_factory=dict)  # by the path of their sequence
    _scopes: dict[str, list[str]] = field(default_factory=dict)  # by the path of the step they are below

    def __post_init__(self) -> None:
        for step in self.view.steps:
            scope = parent(step.path)
            if scope not in self._steps:
                self._steps[scope] = []
                self._scopes.setdefault(parent(scope) if _is_part(scope) or "~" in scope else scope, []).append(scope)
            self._steps[scope].append(step)

    def rows(self, indent: int = 1) -> Iterator[Row]:
        for scope in (ROOT, FINALLY):
            yield from self._sequence(scope, indent)

    def _sequence(self, scope: str, indent: int) -> Iterator[Row]:
        for step in self._steps.get(scope, ()):
            yield from self._step(step, indent)

    def _step(self, step: StepView, indent: int, name: str = "") -> Iterator[Row]:
        yield _step_row(step, indent, name, self.now_ms, is_left=self.view.terminal)
        if step.compensation is not None:
            yield _undo_row(step, step.compensation, indent + 1, self.now_ms, is_left=self.view.terminal)
        if step.confirmation is not None:
            yield _confirm_row(step, step.confirmation, indent + 1)
        child = self.view.children.get(step.path)
        if child is not None:
            yield from _Tree(child, self.now_ms, self.whole, self.many).rows(indent + 1)
        shown, hidden = self._telling(step) if not self.whole else (None, 0)
        for scope in self._scopes.get(step.path, ()):
            if shown is None or scope in shown or not _is_part(scope):
                yield from self._scope(step, scope, indent + 1)
        if hidden:
            noun = items_text(hidden, ("more " if shown else "") + _PARTS[step.kind])
            hint = f"… {noun}: sagarun show {self.view.run_id} --all"
            yield Row([[("  " * (indent + 1), ""), (hint, "dim")]])

    def _scope(self, step: StepView, scope: str, indent: int) -> Iterator[Row]:
        """A branch or item with one step is a line; one with several has a heading."""
        if not _is_part(scope) or step.kind == "switch":
            yield from self._sequence(scope, indent)
            return
        steps, name = self._steps[scope], scope[len(step.path) :].removeprefix(".")
        if len(steps) == 1:
            yield from self._step(steps[0], indent, f"{name} ")
        else:
            yield Row([[("  " * indent, ""), (name, "dim")]])
            yield from self._sequence(scope, indent + 1)


    def _telling(self, step: StepView) -> tuple[frozenset[str] | None, int]:
        """Of a loop with many items the paths of those to be shown, and how many are left out. None: all are shown."""
        if len(step.parts) <= self.many or step.kind not in ("for_each", "repeat"):
            return None, 0
        stuck = {part for stuck in self.view.stuck for part in _parts_around(stuck.path)}
        ranks = {part.path: -1 if part.path in stuck else _rank(part) for part in step.parts}
        telling = [part.path for part in step.parts if ranks[part.path] < len(_TELLING)]
        chosen = sorted(telling, key=ranks.__getitem__)[: self.many]
        return frozenset(chosen), len(step.parts) - len(chosen)


def _rank(part: PartView) -> int:
    return _TELLING.index(part.status) if part.status in _TELLING else len(_TELLING)


def _parts_around(path: str) -> Iterator[str]:
    """Every item, round or branch that it lies in."""
    while path not in (ROOT, FINALLY, RUN):
        if _is_part(path):
            yield path
        path = parent(path)


def _is_part(scope: str) -> bool:
    """A branch, item, round or case; no block, handler or the whole run."""
    owner = parent(scope)
    return len(scope) > len(owner) and scope[len(owner)] in ".#"


# -- rows ---------------------------------------------------------------------------------------------
def _step_row(step: StepView, indent: int, name: str, now_ms: int, *, is_left: bool) -> Row:
    """is_left: the run is over, so what was under way when it was abandoned stays as it was."""
    symbol = STUCK if _is_stuck(step) else _SYMBOLS.get(step.status, NOTE)
    is_left = is_left and step.status == "running"
    if is_left:
        symbol = _SYMBOLS["unknown"]
    if symbol[0] == DONE[0] and step.error is not None:
        symbol = FAILED  # it took effect, or may have, and broke all the same
    took = step.duration_ms
    if took is None and now_ms and step.has_begun and step.started_at_ms:
        took = max(0, now_ms - step.started_at_ms)
    remark = remarks(
        parts_text(step),
        attempts_text(_of_phase(step, "action")),
        _LEFT if is_left else _status_remark(step),
        error_text(step.error) if step.status != "completed" or step.error else "",
        _by_hand(step.resolved),
        wait_text(step.wait.signal, step.wait.until_ms, now_ms) if step.wait else "",
        _child_text(step.child) if step.child else "",
        "" if is_left else _waiting(step, now_ms),
    )
    label: Line = [
        ("  " * indent, ""), symbol, (" ", ""), (name, "dim"), (step.id, "" if step.has_begun else "dim"),
    ]  # fmt: skip
    cells = (label, step.worker or step.kind, f"{duration(took):>8}", [(one_line(remark), "dim")])
    return Row(cells, step.status in ("running", "compensating"))


def _by_hand(resolved: str) -> str:
    return f"settled by hand: {resolved}" if resolved else ""


def _child_text(child: ChildView) -> str:
    if child.stuck_run and child.stuck_run != child.run_id:
        return f"run {child.run_id}; run {child.stuck_run} below it is stuck"
    status = "stuck" if child.stuck_run else {"held": "done, not final"}.get(child.status, child.status)
    return f"run {child.run_id}, {status}"


def _undo_row(step: StepView, undo: UndoView, indent: int, now_ms: int, *, is_left: bool) -> Row:
    took = undo.duration_ms
    if took is None and now_ms and undo.started_at_ms and undo.status == "running":
        took = max(0, now_ms - undo.started_at_ms)
    is_left = is_left and undo.status == "running"
    waiting = _waiting(step, now_ms) if step.status == "compensating" and not is_left else ""
    remark = remarks(
        _LEFT if is_left else _UNDO_WORDS.get(undo.status, "stuck"),
        attempts_text(_of_phase(step, "compensate")),
        error_text(undo.error) if undo.status != "completed" else "",
        _by_hand(undo.resolved) if undo.status != "skipped" else "",
        waiting,
    )
    label: Line = [("  " * indent, ""), _UNDO_SYMBOLS.get(undo.status, NOTE), (" undo", "dim")]
    return Row((label, undo.worker, f"{duration(took):>8}", [(one_line(remark), "dim")]), undo.status == "running")


def _confirm_row(step: StepView, told: ConfirmView, indent: int) -> Row:
    label: Line = [("  " * indent, ""), STUCK if told.status == "stuck" else _CONFIRMED, (" confirm", "dim")]
    remark = remarks(
        _CONFIRM_WORDS[told.status],
        attempts_text(_of_phase(step, "confirm")),
        error_text(told.error) if told.status != "completed" else "",
        _by_hand(told.resolved),
    )
    return Row((label, told.worker, "", [(one_line(remark), "dim")]), told.status == "running")


def parts_text(step: StepView) -> str:
    """12/1000 items, 3 running, 1 failed · 3 branches · round 2 of at most 5"""
    if step.kind == "switch":
        if not step.choice:
            return ""
        return remarks(f"case {step.choice}", step.choice_when)
    noun = _PARTS.get(step.kind)
    if noun is None or not step.has_begun:
        return ""
    counts = Counter(part.status for part in step.parts)
    if step.status != "running":
        text = items_text(step.part_count, noun)
    elif step.kind == "repeat":
        text = f"round {len(step.parts)} of at most {step.part_count}"
    else:
        text = f"{counts['completed']}/{items_text(step.part_count, noun)}"
        if counts["running"]:
            text += f", {counts['running']} running"
    if step.choice:
        text += f", {step.choice} was first"
    return ", ".join([text, *(f"{counts[status]} {word}" for status, word in _PART_WORDS.items() if counts[status])])


def _status_remark(step: StepView) -> str:
    if step.status == "unknown":
        return "it is not known whether it took effect"
    if step.status == "skipped":
        return "skipped"
    if step.handler >= 0:
        return "failed, and was caught"
    if step.status == "failed" and step.error is None:
        return "stopped"
    return "stuck" if _is_stuck(step) else ""


def _is_stuck(step: StepView) -> bool:
    """The step itself, not its undo or confirmation."""
    return step.stuck and step.compensation is None and step.confirmation is None


def _waiting(step: StepView, now_ms: int) -> str:
    if step.retry_at_ms:
        return f"again in {duration(max(0, step.retry_at_ms - now_ms))}" if now_ms else "waits to be asked again"
    if step.phase and step.queued:
        return "waits for a worker"
    if step.phase == "verify":
        return "asking whether it landed"
    return ""


def _of_phase(step: StepView, phase: str) -> list[Attempt]:
    return [attempt for attempt in step.tries if attempt.phase == phase and attempt.outcome != "revoked"]
