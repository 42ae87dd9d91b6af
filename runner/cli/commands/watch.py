"""`sagarun watch`: follow a run that was started elsewhere. Reads only: it never starts an engine."""

from __future__ import annotations

import click

from runner.cli.options import shared_options
from runner.cli.parameters import duration_ms


@click.command(short_help="Follow a run that was started elsewhere.")
@click.argument("run")
@click.option("--wait", metavar="DURATION", callback=duration_ms, help="Not longer than this (60s); then exit code 5.")
@shared_options
def command(run: str, wait: int | None) -> int:
    """Follow RUN (its id, or the beginning of it) to its end. The exit code is that of `run`."""
    from runner.cli.access import access, require_runs
    from runner.cli.settings import settings
    from runner.cli.story.elsewhere import follow_elsewhere

    chosen = settings()
    require_runs(chosen, run)
    with access(chosen) as reach:
        return follow_elsewhere(reach, reach.client.find(run), wait)
