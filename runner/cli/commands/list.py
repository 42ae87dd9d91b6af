"""`sagarun list`: runs, the newest first. Reads only."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click
import msgspec

from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.cli.screen import Line
    from runner.selection import RunInfo
    from runner.store.ports import Store

_TURNED = re.compile(r"-[a-z_]+(\.[^:]+)?:")
STATUSES = ("pending", "running", "compensating", "stuck", "completed", "compensated", "cancelled", "abandoned")


class QueryCommand(click.Command):
    """Takes -field:value for a part of the query, which for click would be options in a row."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f"!{arg[1:]}" if _TURNED.match(arg) else arg for arg in args])


@click.command(cls=QueryCommand, short_help="List runs, the newest first.")
@click.argument("query", nargs=-1)
@click.option("--status", type=click.Choice(STATUSES), help="Only runs with this status.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many at most.")
@click.option("--page", type=click.IntRange(1), default=1, show_default=True, help="Which part of so many each.")
@shared_options
def command(query: tuple[str, ...], status: str | None, limit: int, page: int) -> None:
    """List the runs of this project that QUERY fits, the newest first.

    \b
    QUERY is terms that all have to fit, field:value or field:one,other:
      workflow:order status:stuck,failed since:1d -key:test* input.customer_id:CUST-7 error:card_declined step:charge
    Fields: run, workflow, version, status, key, parent, rerun_of, error, step, pattern, input.…, output.…, since,
    until (when it was started), changed (when something last happened to it).
    """
    from runner.cli.access import access, has_runs
    from runner.cli.archived import list_both, with_archive
    from runner.cli.settings import settings
    from runner.cli.wording import columns
    from runner.query import parse_query

    chosen = settings()
    wanted = " ".join(_quoted(term) for term in query)
    parse_query(wanted, 1)  # also where there is nothing to be looked for
    runs: Sequence[RunInfo] = ()
    is_more, advice = False, ""
    with ExitStack() as opened:
        client = opened.enter_context(access(chosen)).client if has_runs(chosen) else None
        now_ms = client.store.now_ms() if client is not None else time.time_ns() // 1_000_000
        text = f"{wanted} status:{status}" if status else wanted
        first = (page - 1) * limit
        found = with_archive(
            chosen, lambda archive: list_both(client, archive, text, now_ms, limit=limit + 1, offset=first),
            is_needed=client is None,
        )  # fmt: skip
        runs, is_more = found[:limit], len(found) > limit
        advice = f": nothing was ever run in {chosen.project.root}" if client is None else ""
        advice = advice if runs or client is None else _advice(wanted, client.store)
    if chosen.format == "json":
        chosen.screen.json([msgspec.to_builtins(run) for run in runs])
    elif chosen.format == "jsonl":
        for run in runs:
            chosen.screen.json(msgspec.to_builtins(run))
    else:
        for line in columns([_row(run) for run in runs]):
            chosen.screen.data(line)
        if not runs:
            fitting = f" that are {status}" if status else ""
            fitting += f" that {wanted!r} fits" if wanted else ""
            chosen.screen.note(f"no {'more ' * (page > 1)}runs{fitting} in project {chosen.project.name}{advice}")
    if is_more:
        chosen.screen.note(f"· there are more: --page {page + 1}")


def _advice(wanted: str, store: Store) -> str:
    """Where it asks for a workflow of which there never was a run."""
    from runner.cli.failure import did_you_mean
    from runner.monitor.performance import known_workflows

    known = known_workflows(store)
    asked = set(re.findall(r'(?:^| )workflow:"?([^\s",*]+)', wanted)) - known
    return "".join(f".{advice}" for advice in (did_you_mean(name, known) for name in sorted(asked)) if advice)


def _quoted(term: str) -> str:
    """As the shell gave it: what it held together stays together."""
    field, separator, value = term.partition(":")
    if " " not in term or '"' in term:
        return term
    return f'{field}:"{value}"' if separator and " " not in field else term


def _row(run: RunInfo) -> Sequence[Line | str]:
    from runner.cli.wording import moment, status

    origin = f"key {run.key}" if run.key else ""
    again = f"rerun of {run.rerun_of}" if run.rerun_of else ""
    below = f"child of {run.parent}" if run.parent else ""
    failed = f"{run.error} at {run.error_step}" if run.error_step else run.error
    stuck = f"stuck at {run.stuck_step}{f': {run.stuck}' if run.stuck else ''}" if run.stuck_step else ""
    stands = f"stands: {', '.join(run.standing)}" if run.standing else ""
    stuck = f"waits for run {run.stuck_run}, which is stuck" if run.stuck_run else stuck
    archived = "archived" if run.archived else ""
    waits = f"waits for {run.waits_for}" if run.waits_for else ""
    name = f"{run.workflow} {run.version}"
    remarks = "  ".join(filter(None, (waits, origin, failed, stuck, stands, again, below, archived)))
    return run.run_id, status(run.status), name, moment(run.created_at_ms), remarks
