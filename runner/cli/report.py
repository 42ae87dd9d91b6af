"""A run in full: its steps, how it ended, what stands, and the commands that help. As text lines, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from runner.cli.narrator import DONE, FAILED, NOTE, SKIPPED, STUCK, attempts_text, remarks
from runner.cli.screen import Line, Span
from runner.cli.wording import columns, duration, error_text, one_line, pairs, plural, seconds
from runner.monitor.story import Attempt
from runner.monitor.views import RunView, StepView, UndoView
from runner.store.ports import SlotInfo
from runner.wire import ErrorRecord

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
_UNDO_WORDS = {"completed": "undone", "running": "undoing", "skipped": "not undone: skipped by hand"}


# -- steps --------------------------------------------------------------------------------------------
def step_lines(view: RunView, *, now_ms: int = 0) -> list[Line]:
    """A line for every step, and one for its undo below it. `now_ms` (the store's) times what is under way."""
    rows: list[Sequence[Line | str]] = []
    for step in view.steps:
        rows.append(_step_row(step, now_ms))
        if step.compensation is not None:
            rows.append(_undo_row(step, step.compensation, now_ms))
    return columns(rows)


def _step_row(step: StepView, now_ms: int) -> Sequence[Line | str]:
    symbol = STUCK if step.stuck and not step.compensation else _SYMBOLS.get(step.status, NOTE)
    if symbol[0] == DONE[0] and step.error is not None:
        symbol = FAILED  # it took effect, or may have, and broke all the same
    took = step.duration_ms
    if took is None and now_ms and step.has_begun and step.started_at_ms:
        took = max(0, now_ms - step.started_at_ms)
    remark = remarks(
        attempts_text(_of_phase(step, "action")),
        _status_remark(step),
        error_text(step.error) if step.status != "completed" or step.error else "",
        f"settled by hand: {step.resolved}" if step.resolved else "",
        _waiting(step, now_ms),
    )
    name: Line = [("  " * (step.depth + 1), ""), symbol, (f" {step.id}", "" if step.has_begun else "dim")]
    return name, step.worker or step.kind, f"{duration(took):>8}", [(one_line(remark), "dim")]


def _undo_row(step: StepView, undo: UndoView, now_ms: int) -> Sequence[Line | str]:
    took = undo.duration_ms
    if took is None and now_ms and undo.started_at_ms and undo.status == "running":
        took = max(0, now_ms - undo.started_at_ms)
    waiting = _waiting(step, now_ms) if step.status == "compensating" else ""
    remark = remarks(
        _UNDO_WORDS.get(undo.status, "stuck"),
        attempts_text(_of_phase(step, "compensate")),
        error_text(undo.error) if undo.status != "completed" else "",
        waiting,
    )
    name: Line = [("  " * (step.depth + 2), ""), _UNDO_SYMBOLS.get(undo.status, NOTE), (" undo", "dim")]
    return name, undo.worker, f"{duration(took):>8}", [(one_line(remark), "dim")]


def _status_remark(step: StepView) -> str:
    if step.status == "unknown":
        return "it is not known whether it took effect"
    if step.status == "skipped":
        return "skipped"
    if step.handler >= 0:
        return "failed, and was caught"
    return "stuck" if step.stuck and not step.compensation else ""


def _waiting(step: StepView, now_ms: int) -> str:
    if step.retry_at_ms:
        return f"again in {duration(max(0, step.retry_at_ms - now_ms))}" if now_ms else "waits to be asked again"
    if step.phase and step.queued:
        return "waits for a worker"
    if step.phase == "verify":
        return "asking whether it landed"
    return ""


def attempt_lines(view: RunView) -> list[Line]:
    """Every attempt of every step, for who wants to know exactly."""
    rows: list[Sequence[Line | str]] = []
    for step in view.steps:
        for attempt in step.tries:
            outcome, took = _attempt_outcome(attempt), f"{duration(attempt.duration_ms):>8}"
            error = one_line(error_text(attempt.error))
            number = f"#{attempt.number}"
            rows.append((f"  {step.path}", attempt.phase, number, outcome, attempt.worker, took, error))
    return columns(rows)


def _of_phase(step: StepView, phase: str) -> list[Attempt]:
    return [attempt for attempt in step.tries if attempt.phase == phase and attempt.outcome != "revoked"]


def _attempt_outcome(attempt: Attempt) -> Line:
    word = attempt.verdict or attempt.outcome or "under way"
    style = {"completed": "green", "landed": "green", "failed": "red", "unknown": "yellow"}.get(word, "")
    return [(word, style)]


# -- the end ------------------------------------------------------------------------------------------
def summary_lines(view: RunView) -> list[Line]:
    """How it ended (or where it is stuck), and what to look at or do next."""
    lines = [_headline(view)]
    if view.output is not None and view.status == "completed":
        lines.append([("  output  ", "dim"), (pairs(view.output), "")])
    if view.status != "completed" and view.error is not None and view.failed_step is None:
        lines.append([("  error   ", "dim"), (one_line(error_text(view.error)), "")])
    for alert in view.alerts:
        lines.append([("  alert   ", "yellow"), (one_line(alert), "")])
    lines.extend(_standing_lines(view))
    if view.status == "stuck":
        lines.extend(help_lines(view))
    lines.append([("  more    ", "dim"), (f"sagarun show {view.run_id}", "")])
    return lines


def _headline(view: RunView) -> Line:
    took = f" in {seconds(view.duration_ms)}" if view.duration_ms is not None else ""
    if view.status == "completed":
        return [("✔ ", "bold green"), (f"completed{took}", "bold")]
    if view.status == "compensated":
        where = f"failed at {view.error.step}" if view.error and view.error.step else "failed"
        return [("✘ ", "bold red"), (f"{where}{_undone(view, took)}", "bold")]
    if view.status == "cancelled":
        return [("✘ ", "bold yellow"), (f"cancelled{_undone(view, took)}", "bold")]
    if view.status == "abandoned":
        rest = plural(len(view.standing), "effect") if view.standing else "nothing"
        return [("✘ ", "bold red"), (f"abandoned{took}, {rest} left standing", "bold")]
    if view.status == "stuck":
        return [("‼ ", "bold red"), (f"stuck: {_stuck_text(view)}", "bold")]
    return [("· ", "dim"), (view.status, "bold")]


def _undone(view: RunView, took: str) -> str:
    """A step that has no undo may still stand; then it is not `everything`."""
    if view.standing:
        return f", what can be undone is undone{took}"
    if any(step.compensation for step in view.steps):
        return f", everything undone{took}"
    return f"{took}, nothing had to be undone"


def _stuck_text(view: RunView) -> str:
    if not view.stuck:
        return "sagarun failed to interpret it" if view.broken else "a person is needed"
    return ", ".join(f"the undo of {stuck.step}" if stuck.undoing else stuck.step for stuck in view.stuck)


def _standing_lines(view: RunView) -> list[Line]:
    rows: list[Sequence[Line | str]] = [(standing.step, one_line(standing.reason)) for standing in view.standing]
    return [
        [("  stands  " if index == 0 else " " * 10, "yellow"), *line] for index, line in enumerate(columns(rows))
    ]


def help_lines(view: RunView) -> list[Line]:
    """What a person can do about a stuck run."""
    lines: list[Line] = []
    said = " ".join(standing.reason for standing in view.standing)
    for stuck in view.stuck:
        if stuck.error is not None and stuck.error.message not in said:
            lines.append([("  error   ", "dim"), (f"{stuck.step}: {one_line(error_text(stuck.error))}", "")])
    if view.broken:
        lines.append([("  error   ", "dim"), (view.broken.strip().splitlines()[-1], "")])
    rows: list[Sequence[Line | str]] = [(f"sagarun resume {view.run_id}", "ask again, once the cause is mended")]
    for stuck in view.stuck:
        answers = "compensated|skipped" if stuck.undoing else "completed|failed"
        rows.append((f"sagarun resolve {view.run_id} {stuck.step} --as {answers}", "say how it was settled by hand"))
    rows.append((f"sagarun abandon {view.run_id}", "end it; what stands stays"))
    return lines + [
        [("  help    " if index == 0 else " " * 10, "dim"), *line] for index, line in enumerate(columns(rows))
    ]


# -- JSON ---------------------------------------------------------------------------------------------
def run_json(view: RunView) -> dict[str, Any]:
    """The object of `--format json`. Names are part of the interface: docs/operating.md lists them."""
    return {
        "run_id": view.run_id,
        "workflow": view.workflow,
        "version": view.version,
        "status": view.status,
        "key": view.key,
        "rerun_of": view.rerun_of,
        "input": view.input,
        "output": view.output,
        "error": error_json(view.error),
        "steps": [step_json(step) for step in view.steps],
        "standing": [{"step": standing.step, "reason": standing.reason} for standing in view.standing],
        "stuck": [
            {"step": stuck.step, "undoing": stuck.undoing, "error": error_json(stuck.error)}
            for stuck in view.stuck
        ],
        "alerts": list(view.alerts),
        "waits_for": line_json(view.line),
        "started_at_ms": view.started_at_ms,
        "duration_ms": view.duration_ms,
    }


def step_json(step: StepView) -> dict[str, Any]:
    undo = step.compensation
    return {
        "id": step.id,
        "path": step.path,
        "worker": step.worker,
        "kind": step.kind,
        "status": step.status,
        "attempts": step.attempts,
        "started_at_ms": step.started_at_ms,
        "duration_ms": step.duration_ms,
        "output": step.output,
        "error": error_json(step.error),
        "compensation": undo and {
            "worker": undo.worker,
            "status": undo.status,
            "attempts": undo.attempts,
            "error": error_json(undo.error),
        },
    }


def line_json(line: SlotInfo | None) -> dict[str, Any] | None:
    """What a pending run waits for."""
    return None if line is None else {
        "slot": line.name, "limit": line.limit, "held": line.held, "holders": list(line.holders), "ahead": line.ahead,
    }


def error_json(error: ErrorRecord | None) -> dict[str, Any] | None:
    """Every field, also those that are at their default: a reader must not have to know the defaults."""
    return None if error is None else {name: getattr(error, name) for name in ErrorRecord.__struct_fields__}


def attempts_json(step: StepView) -> list[dict[str, Any]]:
    return [{**asdict(attempt), "error": error_json(attempt.error)} for attempt in step.tries]
