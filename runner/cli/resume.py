"""`sagarun resume`: ask the stuck operations of a run again."""

from __future__ import annotations

import click

from runner.cli.options import shared_options
from runner.cli.parameters import reason_option, workers_option


@click.command(short_help="Ask the stuck operations of a run again.")
@click.argument("run")
@reason_option
@workers_option
@shared_options
def command(run: str, reason: str, workers: tuple[str, ...]) -> int:
    """Ask what is stuck in RUN again, each operation with a fresh budget of attempts. Mend the cause first."""
    from runner.cli.asking import ask_and_follow

    return ask_and_follow(run, "resume", lambda client, run_id: client.resume(run_id, reason=reason), workers)
