"""`sagarun cancel`: stop a run and undo what it did."""

from __future__ import annotations

import click

from runner.cli.many import Act, act_on_many, one_run, query_options
from runner.cli.options import shared_options
from runner.cli.parameters import by_option, reason_option, workers_option


@click.command(short_help="Stop a run and undo what it did.")
@click.argument("run", required=False)
@query_options
@reason_option
@by_option
@workers_option
@shared_options
def command(
    run: str | None, query: str | None, yes: bool, reason: str, by: str, workers: tuple[str, ...]
) -> int:
    """Stop RUN, or what --query fits, and undo it. Refused after its point of no return, and while it is stuck."""
    from runner.cli.asking import ask_and_follow

    one = one_run(run, query)
    if one is not None:
        return ask_and_follow(one, "cancel", lambda client, id: client.cancel(id, reason=reason, by=by), workers)
    act = Act("cancel", lambda client, id, wait_s: (client.cancel(id, reason=reason, by=by, timeout=wait_s), ""))
    return act_on_many(act, query or "", workers, yes=yes)
