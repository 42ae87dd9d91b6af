"""`sagarun cancel`: stop a run and undo what it did."""

from __future__ import annotations

import click

from runner.cli.options import shared_options
from runner.cli.parameters import reason_option, workers_option


@click.command(short_help="Stop a run and undo what it did.")
@click.argument("run")
@reason_option
@workers_option
@shared_options
def command(run: str, reason: str, workers: tuple[str, ...]) -> int:
    """Stop RUN and undo what it did. Refused after its point of no return, and while it is stuck."""
    from runner.cli.asking import ask_and_follow

    return ask_and_follow(run, "cancel", lambda client, run_id: client.cancel(run_id, reason=reason), workers)
