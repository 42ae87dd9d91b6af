"""A run in full: its steps, how it ended, what stands, and the commands that help. As text lines, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from runner.cli.screen import Line
from runner.cli.story.waits import signal_command
from runner.cli.wording import columns, duration, error_text, moment, one_line, pairs, plural, seconds
from runner.monitor.shapes import RunView, StepView, StuckView
from runner.monitor.story import Attempt
from runner.store.ports import SlotInfo
from runner.wire import ErrorRecord

_SETTLED = "completed|failed"
NAMED = 5  # stuck operations that are named one by one
MOST = 20  # lines of one kind that a person reads; the rest is counted


def attempt_lines(view: RunView, *, whole: bool = True) -> list[Line]:
    """Every attempt of every step, for who wants to know exactly; else the first of those that had several."""
    rows: list[Sequence[Line | str]] = []
    for step in view.steps:
        for attempt in step.tries if whole or step.attempts > 1 else ():
            outcome, took = _attempt_outcome(attempt), f"{duration(attempt.duration_ms):>8}"
            error = one_line(error_text(attempt.error))
            number = f"#{attempt.number}"
            rows.append((f"  {step.path}", attempt.phase, number, outcome, attempt.worker, took, error))
    lines = columns(rows)
    return lines if whole else cut(lines, "attempt", f"sagarun show {view.run_id} -v")


def cut(lines: list[Line], noun: str, all_of_them: str) -> list[Line]:
    """The first ones, and how many more there are."""
    more = len(lines) - MOST
    if more <= 0:
        return lines
    return [*lines[:MOST], [(f"  … {more} more {plural(more, noun).partition(' ')[2]}: {all_of_them}", "dim")]]


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
    lines.extend(signal_lines(view))
    if view.stuck_run:
        lines.append([("  help    ", "dim"), (f"sagarun show {view.stuck_run}", "")])
    lines.append([("  more    ", "dim"), (f"sagarun show {view.run_id}", "")])
    return lines


def _headline(view: RunView) -> Line:
    took = f" in {seconds(view.duration_ms)}" if view.duration_ms is not None else ""
    if view.status == "completed":
        return [("✔ ", "bold green"), (f"completed{took}", "bold")]
    if view.status == "compensated":
        where = f"failed at {_failed_at(view)}" if _failed_at(view) else "failed"
        return [("✘ ", "bold red"), (f"{where}{_undone(view, took)}", "bold")]
    if view.status == "cancelled":
        return [("✘ ", "bold yellow"), (f"cancelled{_undone(view, took)}", "bold")]
    if view.status == "abandoned":
        rest = plural(len(view.standing), "effect") if view.standing else "nothing"
        return [("✘ ", "bold red"), (f"abandoned{took}, {rest} left standing", "bold")]
    if view.status == "stuck":
        return [("‼ ", "bold red"), (f"stuck: {_stuck_text(view)}", "bold")]
    if view.stuck_run:
        return [("‼ ", "bold red"), (f"{view.status}: it waits for run {view.stuck_run}, which is stuck", "bold")]
    return [("· ", "dim"), (view.status, "bold")]


def _failed_at(view: RunView) -> str:
    """The step's id; in a loop its path, for the id would not say which item it was."""
    step = view.failed_step
    if step is not None and step.item_path:
        return step.path
    return view.error.step if view.error else ""


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
    names = [_stuck_name(stuck) for stuck in view.stuck]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _stuck_name(stuck: StuckView) -> str:
    if stuck.confirming:
        return f"the confirmation of {stuck.step}"
    return f"the undo of {stuck.step}" if stuck.undoing else stuck.step


def _standing_lines(view: RunView) -> list[Line]:
    rows: list[Sequence[Line | str]] = [(standing.step, one_line(standing.reason)) for standing in view.standing]
    lines: list[Line] = [
        [("  stands  " if index == 0 else " " * 10, "yellow"), *line] for index, line in enumerate(columns(rows))
    ]
    return cut(lines, "effect", f"sagarun show {view.run_id} --format json")


def signal_lines(view: RunView) -> list[Line]:
    """How to send what the run waits for, once for each signal."""
    commands = list(_signal_commands(view))[:NAMED]
    return [
        [("  signal  " if number == 0 else " " * 10, "dim"), (command, "")] for number, command in enumerate(commands)
    ]


def _signal_commands(view: RunView) -> Iterator[str]:
    awaited = [step.wait.signal for step in view.steps if step.wait is not None and step.wait.signal is not None]
    by_name = {signal.signal: signal for signal in awaited}
    yield from (signal_command(view.run_id, signal) for signal in by_name.values())
    for child in view.children.values():
        yield from _signal_commands(child)


def help_lines(view: RunView) -> list[Line]:
    """What a person can do about a stuck run."""
    lines: list[Line] = []
    said = " ".join(standing.reason for standing in view.standing)
    for stuck in view.stuck[:NAMED]:
        if stuck.error is not None and stuck.error.message not in said:
            lines.append([("  error   ", "dim"), (f"{stuck.step}: {one_line(error_text(stuck.error))}", "")])
    if view.broken:
        lines.append([("  error   ", "dim"), (view.broken.strip().splitlines()[-1], "")])
    rows: list[Sequence[Line | str]] = [(f"sagarun resume {view.run_id}", "ask again, once the cause is mended")]
    for stuck in view.stuck[:NAMED]:
        answers = "completed|skipped" if stuck.confirming else "compensated|skipped" if stuck.undoing else _SETTLED
        rows.append((f"sagarun resolve {view.run_id} {stuck.step} --as {answers}", "say how it was settled by hand"))
    rows.append((f"sagarun abandon {view.run_id}", "end it; what stands stays"))
    return lines + [
        [("  help    " if index == 0 else " " * 10, "dim"), *line] for index, line in enumerate(columns(rows))
    ]


# -- JSON ---------------------------------------------------------------------------------------------
def asked_lines(view: RunView) -> list[Line]:
    """What was asked of the run: when, by whom, why, and the answer."""
    lines: list[Line] = []
    for asked in view.asked:
        if asked.verb == "start":
            continue
        by = f" by {asked.by}" if asked.by else ""
        reason = f": {one_line(asked.reason)}" if asked.reason else ""
        refused = f"  refused: {asked.why}" if asked.answer == "refused" else ""
        what = f" {asked.what}" if asked.what else ""
        told = f"{moment(asked.at_ms)}  {asked.verb}{what}{by}{reason}"
        lines.append([("  asked     ", "dim"), (told, ""), (refused, "red")])
    return lines


def run_json(view: RunView) -> dict[str, Any]:
    """The object of `--format json`. Names are part of the interface: docs/commands.md lists them."""
    return {
        "run_id": view.run_id,
        "workflow": view.workflow,
        "version": view.version,
        "status": view.status,
        "key": view.key,
        "rerun_of": view.rerun_of,
        "parent": view.parent,
        "parent_step": view.parent_step,
        "input": view.input,
        "output": view.output,
        "error": error_json(view.error),
        "steps": [step_json(step) for step in view.steps],
        "standing": [{"step": standing.step, "reason": standing.reason} for standing in view.standing],
        "stuck": [
            {
                "step": stuck.step, "path": stuck.path, "undoing": stuck.undoing, "confirming": stuck.confirming,
                "error": error_json(stuck.error),
            }
            for stuck in view.stuck
        ],
        "stuck_run": view.stuck_run,
        "asked": [
            {
                "at_ms": asked.at_ms, "verb": asked.verb, "by": asked.by, "reason": asked.reason,
                "answer": asked.answer, "why": asked.why, "what": asked.what,
            }
            for asked in view.asked
        ],
        "alerts": list(view.alerts),
        "waits_for": line_json(view.line),
        "started_at_ms": view.started_at_ms,
        "duration_ms": view.duration_ms,
    }


def step_json(step: StepView) -> dict[str, Any]:
    undo, told = step.compensation, step.confirmation
    return {
        "id": step.id,
        "path": step.path,
        "item_path": list(step.item_path),
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
        "confirmation": told and {
            "worker": told.worker,
            "status": told.status,
            "attempts": told.attempts,
            "error": error_json(told.error),
        },
        "child": step.child and {
            "run_id": step.child.run_id, "status": step.child.status, "stuck_run": step.child.stuck_run,
        },
        "parts": _parts_json(step),
        "waits": step.wait and {
            "signal": step.wait.signal and step.wait.signal.signal,
            "until_ms": step.wait.until_ms or None,
        },
    }


def line_json(line: SlotInfo | None) -> dict[str, Any] | None:
    """What a pending run waits for."""
    return None if line is None else {
        "slot": line.name, "limit": line.limit, "held": line.held, "holders": list(line.holders), "ahead": line.ahead,
    }
def _parts_json(step: StepView) -> dict[str, Any] | None:
    """How many branches, items or rounds there are, and how many of them have which status; the case of a switch."""
    if step.kind not in ("parallel", "for_each", "repeat", "switch"):
        return None
    if step.kind == "switch":
        return {"chosen": step.choice} if step.choice else None
    first = {"first": step.choice} if step.choice else {}
    return {"count": step.part_count, **first, **Counter(part.status for part in step.parts)}


def error_json(error: ErrorRecord | None) -> dict[str, Any] | None:
    """Every field, also those that are at their default: a reader must not have to know the defaults."""
    return None if error is None else {name: getattr(error, name) for name in ErrorRecord.__struct_fields__}


def attempts_json(step: StepView) -> list[dict[str, Any]]:
    """Every try, with what can be told from its times."""
    return [
        {
            **{name: value for name, value in asdict(attempt).items() if name not in ("fresh", "told")},
            "error": error_json(attempt.error), "log": attempt.log.splitlines(),
            "ended": attempt.word, "queue_ms": attempt.queue_ms, "total_ms": attempt.total_ms,
        }
        for attempt in step.tries
    ]
