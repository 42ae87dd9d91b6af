"""`sagarun tail`: what happens to all runs, as it happens. Reads only."""

from __future__ import annotations

import click

from runner.cli.failure import Exit
from runner.cli.options import shared_options
from runner.cli.parameters import duration_ms


@click.command(short_help="Follow the events of all runs, as they happen.")
@click.option("--workflow", "workflows", multiple=True, metavar="NAME", help="Only its runs; repeatable, as all these.")
@click.option("--run", "runs", multiple=True, metavar="RUN", help="Only this run (the beginning of its id).")
@click.option("--step", "steps", multiple=True, metavar="PATH", help="Only this step, and what is below it.")
@click.option("--event", "events", multiple=True, metavar="EVENT", help="Only this: failed, claimed, TaskSettled …")
@click.option("--status", "statuses", multiple=True, metavar="STATUS", help="Only runs that end so, when they end.")
@click.option("--logs", is_flag=True, help="With what attempts logged, when they end.")
@click.option("--limit", type=click.IntRange(1), help="End after so many events.")
@click.option("--wait", metavar="DURATION", callback=duration_ms, help="End after this time (60s).")
@shared_options
def command(
    workflows: tuple[str, ...], runs: tuple[str, ...], steps: tuple[str, ...], events: tuple[str, ...],
    statuses: tuple[str, ...], logs: bool, limit: int | None, wait: int | None,
) -> int:
    """Follow what happens to all runs, from now on: one line an event, or one JSON object a line (--format jsonl).

    An event that is not here is not lost: each run's history has it (`sagarun show RUN --events`). Without -v, what is
    only of use to programs is left out. Ctrl-C ends it.
    """
    from runner.cli.access import access
    from runner.cli.settings import settings
    from runner.cli.story.live_events import Filter, LiveEvents

    chosen = settings()
    wanted = Filter(workflows, runs, steps, events, statuses, whole=chosen.screen.verbose or chosen.format != "text")
    wanted.check()
    with access(chosen) as reach:
        live = LiveEvents(reach, wanted, logs=logs)
        try:
            live.follow(limit, None if wait is None else wait / 1_000)
        except KeyboardInterrupt:
            chosen.screen.note("")  # the terminal shows ^C on this line
    return Exit.DONE
