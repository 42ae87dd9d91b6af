"""`sagarun resume`: ask the stuck operations of a run again."""

from __future__ import annotations

import click

from runner.cli.many import Act, act_on_many, error_option, of_group, one_run, query_options
from runner.cli.options import shared_options
from runner.cli.parameters import by_option, reason_option, workers_option


@click.command(short_help="Ask the stuck operations of a run again.")
@click.argument("run", required=False)
@query_options
@error_option
@reason_option
@by_option
@workers_option
@shared_options
def command(
    run: str | None, query: str | None, yes: bool, group: str | None, reason: str, by: str, workers: tuple[str, ...]
) -> int:
    """Ask what is stuck in RUN again, each operation with a fresh budget of attempts. Mend the cause first.

    With --query or --error: in all those runs.
    """
    from runner.cli.asking import ask_and_follow

    one = one_run(run, query, group)
    if one is not None:
        return ask_and_follow(one, "resume", lambda client, id: client.resume(id, reason=reason, by=by), workers)
    act = Act("resume", lambda client, id, wait_s: (client.resume(id, reason=reason, by=by, timeout=wait_s), ""))
    return act_on_many(act, of_group(query, group, "status:stuck"), workers, yes=yes)
