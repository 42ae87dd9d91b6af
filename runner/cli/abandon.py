"""`sagarun abandon`: end a run without undoing anything."""

from __future__ import annotations

import click

from runner.cli.options import shared_options
from runner.cli.parameters import reason_option, workers_option


@click.command(short_help="End a run without undoing anything.")
@click.argument("run")
@reason_option
@workers_option
@shared_options
def command(run: str, reason: str, workers: tuple[str, ...]) -> int:
    """End RUN as it is. Nothing is undone; `show` lists what stands."""
    from runner.cli.asking import ask_and_follow

    return ask_and_follow(run, "abandon", lambda client, run_id: client.abandon(run_id, reason=reason), workers)
