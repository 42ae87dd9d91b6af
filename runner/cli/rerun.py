"""`sagarun rerun`: start a run again, with the same definition and input."""

from __future__ import annotations

import click

from runner.cli.options import shared_options
from runner.cli.parameters import duration_ms, workers_option


@click.command(short_help="Start a run again, with the same input.")
@click.argument("run")
@click.option("--wait", metavar="DURATION", callback=duration_ms, help="Not longer than this (60s); then exit code 5.")
@workers_option
@shared_options
def command(run: str, wait: int | None, workers: tuple[str, ...]) -> int:
    """Start a new run with the definition and the input of RUN, which must be over. Its key gets a number (KEY~2)."""
    from runner.cli.access import access, require_runs
    from runner.cli.elsewhere import follow_elsewhere
    from runner.cli.hosting import hosting
    from runner.cli.settings import settings

    chosen = settings()
    require_runs(chosen, run)
    with access(chosen) as reach:
        run_id = reach.client.find(run)
        reach.client.check_applies(run_id, "rerun")
        if not reach.opened.is_embedded:
            handle = reach.client.rerun(run_id)
            chosen.screen.story(f"▶ run {handle.id}, a rerun of {run_id}")
            return follow_elsewhere(reach, handle.id, wait)
        with hosting(chosen, workers) as host:
            host.start()
            handle = host.reach.client.rerun(run_id)
            host.look_after(handle.id)
            chosen.screen.story(f"▶ run {handle.id}, a rerun of {run_id}")
            return host.follow(handle.id, wait)
