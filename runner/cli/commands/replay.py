"""`sagarun replay`: step through a bundle's history, offline, and see whether it leads to the state that was stored."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.failure import Exit
from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.cli.screen import Line, Screen
    from runner.interpreter.event import AnyEvent
    from runner.interpreter.state import Run
    from runner.monitor.bundle import Bundle

MAX_BYTES = 500_000_000


@click.command(short_help="Step through an exported run, offline, and check its history.")
@click.argument("bundle", type=click.Path())
@click.option("--until", type=click.IntRange(1), metavar="N", help="Stop after so many events, and show the run then.")
@click.option("--step", default="", metavar="STEP", help="Only the events of this step: its id, or its path.")
@shared_options
def command(bundle: str, until: int | None, step: str) -> int:
    """Replay BUNDLE, a file that `sagarun export` wrote (or - for standard input). Nothing is asked but the file.

    Each event is shown with what became of its step and of the run. At the end the state that the history leads to is
    compared with the one that was stored: exit code 1 if they differ.
    """
    from runner.cli.settings import settings
    from runner.errors import UsageError
    from runner.monitor.bundle import read_bundle

    chosen = settings()
    try:
        read = read_bundle(_bytes(bundle))
    except ValueError as error:
        raise UsageError(f"{bundle}: {error}") from None
    plan, stored = read.plan(), read.run()
    if plan is None or stored is None:
        missing = "no definition" if plan is None else "no state: no engine ever took the run up"
        raise UsageError(f"{bundle}: there is nothing to be replayed, it has {missing}")
    return _replay(read, stored, chosen.screen, until, step)


def _bytes(file: str) -> bytes:
    from runner.errors import UsageError

    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{file} has more than {MAX_BYTES:,} bytes")
    return data


def _replay(read: Bundle, stored: Run, screen: Screen, until: int | None, step: str) -> int:
    from runner.errors import UsageError
    from runner.interpreter.replay import differences, replay

    plan = read.plan()
    assert plan is not None
    events = read.events()
    rows: list[dict[str, Any]] = []
    run = None
    try:
        for number, (event, run) in enumerate(replay(plan, events[:until]), 1):
            if not step or _is_of(event, step):
                rows.append(_row(number, event, run))
                if screen.format != "json":
                    _show_row(rows[-1], event, events[0].at_ms, screen)
    except Exception as error:
        raise UsageError(f"an event does not follow from those before it, of {len(events)}: {error}") from error
    if step and not rows:
        raise UsageError(f"there is no event of a step {step!r} in it")
    is_whole = until is None or until >= len(events)
    unlike = differences(run, stored) if is_whole and run is not None else []
    if screen.format == "json":
        screen.json({
            "run_id": read.run_id, "workflow": read.summary.get("workflow", ""), "events": rows,
            "replayed": len(events[:until]), "of": len(events), "same": not unlike if is_whole else None,
            "differences": unlike,
        })  # fmt: skip
    else:
        _conclude(read, run, events, until if not is_whole else None, unlike, screen)
    return Exit.NEGATIVE if unlike else Exit.DONE


def _is_of(event: AnyEvent, step: str) -> bool:
    from runner.interpreter.paths import static

    path = getattr(event, "path", None)
    return path is not None and (path == step or static(path).rpartition("/")[2] == step)


def _row(number: int, event: AnyEvent, run: Run) -> dict[str, Any]:
    path = getattr(event, "path", "")
    node = run.nodes.get(path) if path else None
    return {
        "number": number, "at_ms": event.at_ms, "event": type(event).__name__, "path": path,
        "step_status": node.status.value if node is not None else "", "run_status": run.header.status.value,
    }  # fmt: skip


def _show_row(row: dict[str, Any], event: AnyEvent, began_at_ms: int, screen: Screen) -> None:
    import msgspec

    from runner.cli.wording import STATUS_STYLES, error_text, one_line

    if screen.format == "jsonl":
        screen.json({**row, "told": msgspec.to_builtins(event)})
        return
    error = one_line(error_text(getattr(event, "error", None)))
    after_s = (event.at_ms - began_at_ms) / 1_000
    line: Line = [
        (f"{row['number']:>5}  {after_s:>9.3f} s  ", "dim"), (f"{row['event']:<16} ", "cyan"),
        (f"{row['path']:<20} ", ""), (f"{row['step_status']:<12} ", STATUS_STYLES.get(row["step_status"], "")),
        (f"run {row['run_status']}", STATUS_STYLES.get(row["run_status"], "")), (f"  {error}" if error else "", "dim"),
    ]  # fmt: skip
    screen.data(line)


def _conclude(
    read: Bundle, run: Run | None, events: Sequence[AnyEvent], until: int | None, unlike: Sequence[str], screen: Screen
) -> None:
    from runner.cli.wording import plural

    if until is not None:
        _show_state(read, run, events[:until], screen)
        screen.story(f"· {until} of {plural(len(events), 'event')} replayed")
        return
    if not unlike:
        screen.story([("✔ ", "green"), (f"{plural(len(events), 'event')} lead to the state that was stored", "")])
    for line in unlike:
        screen.story([("✘ ", "red"), (line, "")])


def _show_state(read: Bundle, run: Run | None, events: Sequence[AnyEvent], screen: Screen) -> None:
    """The run as `show` would have shown it then."""
    from msgspec.structs import replace

    from runner.cli.story.tree import step_lines
    from runner.monitor.views import view_run

    if run is None:
        return
    then = replace(read.stored(), status=run.header.status.value, terminal=run.is_terminal, broken=b"", parked=0)
    for line in step_lines(view_run(then, run, read.plan(), events), now_ms=events[-1].at_ms):
        screen.story(line)
