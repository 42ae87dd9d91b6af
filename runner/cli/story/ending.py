"""How a command that follows a run ends: what is printed last, and with which exit code."""

from __future__ import annotations

from runner.cli.failure import EXIT_BY_STATUS, Exit
from runner.cli.screen import Screen
from runner.cli.story.report import run_json, summary_lines
from runner.monitor.shapes import RunView


def conclude(screen: Screen, view: RunView) -> Exit:
    """The run rests: its summary, or the one object of `--format json`."""
    if screen.format == "text":
        for line in summary_lines(view):
            screen.data(line)
    else:
        document = run_json(view)
        # The last of many lines says what it is, as the events before it do.
        screen.json({"type": "Run", **document} if screen.format == "jsonl" else document)
        for line in summary_lines(view):
            screen.note(line)
    return Exit.NEEDS_PERSON if view.stuck_run else EXIT_BY_STATUS.get(view.status, Exit.INTERNAL)


def timed_out(screen: Screen, run_id: str) -> Exit:
    screen.note(f"the wait is over; the run goes on: sagarun watch {run_id}")
    return Exit.TIMED_OUT


def interrupted(screen: Screen, run_id: str) -> None:
    screen.note(f"interrupted; the run goes on: sagarun watch {run_id}")
