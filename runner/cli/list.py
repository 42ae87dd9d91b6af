"""`sagarun list`: runs, the newest first. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.cli.screen import Line
    from runner.client import RunInfo

STATUSES = ("pending", "running", "compensating", "stuck", "completed", "compensated", "cancelled", "abandoned")


@click.command(short_help="List runs, the newest first.")
@click.option("--status", type=click.Choice(STATUSES), help="Only runs with this status.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many at most.")
@shared_options
def command(status: str | None, limit: int) -> None:
    """List the runs of this project, the newest first."""
    from runner.cli.access import access, has_runs
    from runner.cli.settings import settings
    from runner.cli.wording import columns

    chosen = settings()
    runs: Sequence[RunInfo] = ()
    if has_runs(chosen):
        with access(chosen) as reach:
            runs = reach.client.list(limit=limit, status=status or "")
    if chosen.format == "json":
        chosen.screen.json([msgspec.to_builtins(run) for run in runs])
    elif chosen.format == "jsonl":
        for run in runs:
            chosen.screen.json(msgspec.to_builtins(run))
    else:
        for line in columns([_row(run) for run in runs]):
            chosen.screen.data(line)
        if not runs:
            chosen.screen.note(f"no runs{f' that are {status}' if status else ''} in project {chosen.project.name}")


def _row(run: RunInfo) -> Sequence[Line | str]:
    from runner.cli.wording import moment, status

    origin = f"key {run.key}" if run.key else ""
    again = f"rerun of {run.rerun_of}" if run.rerun_of else ""
    below = f"child of {run.parent}" if run.parent else ""
    waits = f"waits for {run.waits_for}" if run.waits_for else ""
    name = f"{run.workflow} {run.version}"
    remarks = "  ".join(filter(None, (waits, origin, again, below)))
    return run.run_id, status(run.status), name, moment(run.created_at_ms), remarks
