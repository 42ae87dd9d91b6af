"""The commands that end a run before its time, `cancel` and `abandon`: they differ in what they ask, and no further."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from runner.cli.many import Act, act_on_many, one_run, query_options
from runner.cli.options import shared_options
from runner.cli.parameters import by_option, reason_option, workers_option


def ending_command(verb: str, ask: Callable[..., Any], short_help: str, help: str) -> click.Command:
    """`ask(client, run_id, reason=, by=[, timeout=])` gives the verdict."""

    @click.command(verb, short_help=short_help, help=help)
    @click.argument("run", required=False)
    @query_options
    @reason_option
    @by_option
    @workers_option
    @shared_options
    def command(
        run: str | None, query: str | None, yes: bool, reason: str, by: str, workers: tuple[str, ...]
    ) -> int:
        from runner.cli.asking import ask_and_follow

        one = one_run(run, query)
        if one is not None:
            return ask_and_follow(one, verb, lambda client, id: ask(client, id, reason=reason, by=by), workers)
        act = Act(verb, lambda client, id, wait_s: (ask(client, id, reason=reason, by=by, timeout=wait_s), ""))
        return act_on_many(act, query or "", workers, yes=yes)

    return command
