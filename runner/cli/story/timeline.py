"""`sagarun show RUN --timeline`: a run drawn over time, as wide as the terminal, readable without colour.

Long stretches in which nobody worked (a wait of days) are folded, or all that happened would be one column wide.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.cli.screen import Line, Screen
from runner.cli.story.events import is_about
from runner.cli.story.report import MOST
from runner.cli.wording import STATUS_STYLES, duration, moment, seconds
from runner.figures.series import error_type
from runner.monitor.shapes import RunView
from runner.monitor.story import Attempt
from runner.monitor.timeline import Row, Span, timeline

PIPED_WIDTH = 110
NARROWEST = 20  # columns of the drawing
LONGEST_LABEL = 36
FOLD = 3  # columns of a stretch that is folded
FOLD_FROM_MS = 1_000
_CHARS = {"block": "━", "wait": "─", "pause": "·", "stuck": "!", "queue": "░", "work": "█", "undo": "▒"}
_MEANS = {
    "queue": "in its queue", "work": "at work", "undo": "undo", "pause": "pause before the next attempt",
    "stuck": "stuck, waiting for a person",
    "wait": "waits", "block": "has steps of its own",
}
_ENDS = {"failed": ("✗", "red"), "": ("▶", "cyan")}
_OPEN_END = ("?", "yellow")


def show_timeline(view: RunView, screen: Screen, now_ms: int, *, step: str = "", whole: bool = False) -> None:
    rows = [row for row in timeline(view, now_ms) if is_about(row.path, step)]
    if screen.format != "text":
        document = [_row_json(row, view.started_at_ms) for row in rows]
        if screen.format == "json":
            screen.json({"run_id": view.run_id, "status": view.status, "started_at_ms": view.started_at_ms,
                         "duration_ms": view.duration_ms, "rows": document})  # fmt: skip
        for each in document if screen.format == "jsonl" else ():
            screen.json(each)
        return
    width = screen.console.width if screen.is_live else int(os.environ.get("COLUMNS", "") or PIPED_WIDTH)
    for line in timeline_lines(view, rows, max(width, 60), whole=whole):
        screen.data(line)


def timeline_lines(view: RunView, rows: Sequence[Row], width: int, *, whole: bool = False) -> Iterator[Line]:
    took = f" in {seconds(view.duration_ms)}" if view.duration_ms is not None else ""
    yield [(f"{view.workflow} {view.version} · run {view.run_id} · ", ""),
           (view.status, STATUS_STYLES.get(view.status, "")), (took, "")]  # fmt: skip
    yield [(f"  began {moment(view.started_at_ms)}", "dim")]
    if not rows:
        yield [("  nothing has run yet", "dim")]
        return
    shown, left_out = (rows, 0) if whole else _without_crowds(rows)
    people = _People()
    labels = [_label(row) for row in shown]
    notes = [_note(row, people) for row in shown]
    label_width = min(LONGEST_LABEL, max(map(len, labels)))
    note_width = min(max(map(len, notes)), width - label_width - NARROWEST - 6)
    scale = _Scale(shown, max(NARROWEST, width - label_width - note_width - 6))
    yield [(f"  {'':<{label_width}}  {scale.ruler()}", "dim")]
    for row, label, note in zip(shown, labels, notes, strict=True):
        yield [(f"  {_cut(label, label_width):<{label_width}}  ", ""), *_bar(row, scale),
               (f"  {_cut(note, note_width, keep_end=False)}", "red" if row.error else "dim")]  # fmt: skip
    if left_out:
        yield [(f"  … {left_out:,} more rows: --all, or --step PATH", "dim")]
    yield from _legend(shown, scale, people)


def _without_crowds(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """The first rows of each long loop."""
    counts: dict[str, int] = {}
    kept = []
    for row in rows:
        loop = f"{row.depth}{row.role}{row.path.partition('#')[0]}" if "#" in row.path else ""
        counts[loop] = counts.get(loop, 0) + 1
        if not loop or counts[loop] <= MOST:
            kept.append(row)
    return kept, len(rows) - len(kept)


def _label(row: Row) -> str:
    name = row.path.removeprefix("~finally/")
    indent = "  " * row.depth
    return f"{indent}{'↩ ' if row.role == 'undo' else '✓ ' if row.role == 'confirm' else ''}{name}"


def _note(row: Row, people: _People) -> str:
    """How long it took in all, who did it and where, and what went wrong."""
    took = duration(row.took_ms)
    if not row.tries:
        return f"{took:>9}  {row.kind}{f'  {row.error}' if row.error else ''}"
    where = ",".join(dict.fromkeys(people.mark(attempt) for attempt in row.tries if attempt.process))
    times = f" ×{len(row.tries)}" if len(row.tries) > 1 else ""
    error = f"  {row.error}" if row.error else ""
    if not row.error and len(row.tries) > 1:
        codes = dict.fromkeys(error_type(attempt.error) for attempt in row.tries if attempt.error is not None)
        error = f"  after {', '.join(codes)}" if codes else ""
    settled = f"  settled by hand: {row.settled}" if row.settled else ""
    return f"{took:>9}  {row.worker}{f' @{where}' if where else ''}{times}{error}{settled}"


def _cut(text: str, width: int, *, keep_end: bool = True) -> str:
    if len(text) <= width:
        return text
    return f"…{text[len(text) - width + 1 :]}" if keep_end else f"{text[: width - 1]}…"


class _People:
    """The processes that did something, numbered as they come."""

    def __init__(self) -> None:
        self.attempts: dict[str, int] = {}

    def mark(self, attempt: Attempt) -> str:
        self.attempts[attempt.process] = self.attempts.get(attempt.process, 0) + 1
        return str(list(self.attempts).index(attempt.process) + 1)


@dataclass(frozen=True, slots=True)
class _Stretch:
    start_ms: int
    end_ms: int
    first: float  # column
    last: float
    is_folded: bool


class _Scale:
    """Where a moment is in the drawing."""

    def __init__(self, rows: Sequence[Row], columns: int) -> None:
        self.columns = columns
        self.begin_ms = min(row.start_ms for row in rows)
        self.end_ms = max(max(row.end_ms for row in rows), self.begin_ms + 1)
        self._stretches = list(self._laid_out(_busy(rows, self.begin_ms, self.end_ms)))

    def _laid_out(self, busy: list[tuple[int, int]]) -> Iterator[_Stretch]:
        bounds: list[tuple[int, int, bool]] = []
        busy_ms = sum(end - start for start, end in busy)
        at_ms = self.begin_ms
        for start, end in [*busy, (self.end_ms, self.end_ms)]:
            is_folded = start - at_ms > max(FOLD_FROM_MS, 2 * busy_ms) and len(bounds) < self.columns // 4
            if start > at_ms:
                bounds.append((at_ms, start, is_folded))
            if end > start:
                bounds.append((start, end, False))
            at_ms = max(at_ms, end)
        linear_ms = sum(end - start for start, end, is_folded in bounds if not is_folded)
        room = self.columns - FOLD * sum(is_folded for *_, is_folded in bounds)
        column = 0.0
        for start, end, is_folded in bounds:
            wide = FOLD if is_folded else room * (end - start) / max(1, linear_ms)
            yield _Stretch(start, end, column, column + wide, is_folded)
            column += wide

    def column(self, at_ms: int) -> float:
        for stretch in self._stretches:
            if at_ms <= stretch.end_ms:
                part = (at_ms - stretch.start_ms) / max(1, stretch.end_ms - stretch.start_ms)
                return stretch.first + max(0.0, part) * (stretch.last - stretch.first)
        return float(self.columns)

    @property
    def folds(self) -> list[_Stretch]:
        return [stretch for stretch in self._stretches if stretch.is_folded]

    def ruler(self) -> str:
        """Times since the beginning, at round values, where there is room for them."""
        text = [" "] * self.columns
        free_from = 0
        for at_ms, label in self._ticks():
            column = min(int(self.column(at_ms)), self.columns - 1)
            if column >= free_from and column + len(label) <= self.columns:
                text[column : column + len(label)] = label
                free_from = column + len(label) + 2
        return "".join(text).rstrip()

    def _ticks(self) -> Iterator[tuple[int, str]]:
        yield self.begin_ms, "0"
        was_folded = False
        for stretch in self._stretches:
            if stretch.is_folded:
                was_folded = True
                yield stretch.end_ms, f"+{duration(stretch.end_ms - self.begin_ms)}"
            if was_folded:  # round values since the beginning would all read the same there
                continue
            span_ms = stretch.end_ms - stretch.start_ms
            count = max(1, int((stretch.last - stretch.first) // 14))
            pace = _round_up(span_ms / count)
            first = math.ceil((stretch.start_ms - self.begin_ms) / pace) * pace
            at_ms = self.begin_ms + first
            while at_ms <= stretch.end_ms and pace:
                if at_ms > self.begin_ms:
                    yield at_ms, duration(at_ms - self.begin_ms)
                at_ms += pace


def _round_up(ms: float) -> int:
    """To 1, 2 or 5 times a power of ten; from a minute on to what a clock has."""
    for pace in (60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000):
        if pace / 2 < ms <= pace:
            return pace
    power = 10 ** math.floor(math.log10(max(1.0, ms)))
    return int(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= max(1.0, ms)))


def _busy(rows: Iterable[Row], begin_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """When anything was in a queue or at work, and the very ends of the drawing, apart and in order."""
    spans = sorted(
        (span.start_ms, span.end_ms) for row in rows for span in row.spans if span.kind in ("queue", "work")
    )
    found: list[tuple[int, int]] = []
    for start, end in [*spans, (end_ms, end_ms)]:
        if found and start <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((max(start, begin_ms), end))
    return found


def _bar(row: Row, scale: _Scale) -> Line:
    cells: list[tuple[str, str]] = [(" ", "")] * scale.columns
    for fold in scale.folds:
        cells[min(int(fold.first) + FOLD // 2, scale.columns - 1)] = ("≈", "dim")
    for span in sorted(row.spans, key=lambda span: span.kind == "work"):
        first = min(int(scale.column(span.start_ms)), scale.columns - 1)
        last = min(max(first + 1, math.ceil(scale.column(span.end_ms))), scale.columns)
        char = _CHARS["undo" if span.kind == "work" and row.role == "undo" else span.kind]
        cells[first:last] = [(char, _style(span, row))] * (last - first)
        if span.kind == "work" and span.attempt is not None and span.attempt.outcome != "completed":
            cells[last - 1] = _ENDS.get(span.attempt.outcome, _OPEN_END)
    return _joined(cells)


def _style(span: Span, row: Row) -> str:
    if span.kind != "work" or span.attempt is None:
        return {"queue": "dim", "pause": "dim", "wait": "cyan", "stuck": "red"}.get(span.kind, "")
    if span.attempt.outcome == "completed":
        return "yellow" if row.role == "undo" else "green"
    return {"failed": "red", "": "cyan"}.get(span.attempt.outcome, "yellow")


def _joined(cells: Iterable[tuple[str, str]]) -> Line:
    line: list[tuple[str, str]] = []
    for char, style in cells:
        if line and line[-1][1] == style:
            line[-1] = (line[-1][0] + char, style)
        else:
            line.append((char, style))
    return line


def _legend(rows: Sequence[Row], scale: _Scale, people: _People) -> Iterator[Line]:
    kinds: set[str] = {span.kind for row in rows for span in row.spans if row.role != "undo" or span.kind != "work"}
    kinds |= {"undo"} if any(row.role == "undo" for row in rows) else set()
    signs = [f"{_CHARS[kind]} {meaning}" for kind, meaning in _MEANS.items() if kind in kinds]
    outcomes = {attempt.outcome for row in rows for attempt in row.tries}
    signs += ["✗ failed"] if "failed" in outcomes else []
    signs += ["? not known what came of it"] if "unknown" in outcomes else []
    signs += ["▶ under way"] if any(row.is_open for row in rows) else []
    yield [(f"  {'   '.join(signs)}", "dim")]
    for fold in scale.folds:
        yield [(f"  ≈ {duration(fold.end_ms - fold.start_ms)} in which nobody worked, folded", "dim")]
    for number, (process, count) in enumerate(people.attempts.items(), start=1):
        yield [(f"  @{number} {process}, {count} attempt{'s'[: count > 1]}", "dim")]


def _row_json(row: Row, begin_ms: int) -> dict[str, Any]:
    return {
        "path": row.path, "depth": row.depth, "role": row.role, "kind": row.kind, "worker": row.worker,
        "error": row.error,
        "spans": [
            {
                "kind": span.kind, "start_ms": span.start_ms - begin_ms, "end_ms": span.end_ms - begin_ms,
                **({} if span.attempt is None else {
                    "attempt": span.attempt.number, "phase": span.attempt.phase, "process": span.attempt.process,
                    "ended": span.attempt.word,
                }),
            }
            for span in row.spans
        ],
    }
