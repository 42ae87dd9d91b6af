"""`sagarun watch`: follow a run that was started elsewhere. Reads only: it never starts an engine."""

from __future__ import annotations

import click

from runner.cli.failure import Exit
from runner.cli.options import shared_options
from runner.cli.parameters import duration_ms


@click.command(short_help="Follow a run that was started elsewhere.")
@click.argument("run")
@click.option("--wait", metavar="DURATION", callback=duration_ms, help="Not longer than this (60s); then exit code 5.")
@shared_options
def command(run: str, wait: int | None) -> int:
    """Follow RUN (its id, or the beginning of it) to its end. The exit code is that of `run`."""
    from runner.cli.access import access, require_runs
    from runner.cli.ending import conclude, interrupted, timed_out
    from runner.cli.follow import Follower
    from runner.cli.settings import settings

    chosen = settings()
    require_runs(chosen, run)
    with access(chosen) as reach:
        run_id = reach.client.find(run)
        if not reach.client.stored(run_id).terminal and not reach.living("engine"):
            chosen.screen.note("no engine is running, so nothing will move: start one with `sagarun engine`")
        try:
            follower = Follower(reach.client, run_id, chosen.screen, recover=reach.recover)
            view = follower.follow(None if wait is None else wait / 1_000)
        except KeyboardInterrupt:
            interrupted(chosen.screen, run_id)
            return Exit.INTERRUPTED
        if view is None:
            return timed_out(chosen.screen, run_id)
        return conclude(chosen.screen, view)
