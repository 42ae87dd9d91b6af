"""`sagarun stats`: how workers, processes, queues and workflows do. Reads only."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.cli.settings import Settings
    from runner.client import Client

WINDOWS = ("1m", "15m", "1h", "24h", "all")
EVERY_S = 2.0


@click.command(short_help="How workers, processes, queues and workflows do.")
@click.option("--window", type=click.Choice(WINDOWS), default="15m", show_default=True, help="What is counted.")
@click.option("--watch", is_flag=True, help="Look again every 2 s, until Ctrl-C.")
@shared_options
def command(window: str, watch: bool) -> None:
    """Show counts, rates, percentiles and health, for workers, processes, queues and workflows.

    A window holds whole minutes (24h: tens of minutes), so a little more than it says; `since` is exact.
    """
    from runner.cli.access import access, has_runs
    from runner.cli.settings import require_format, settings

    chosen = settings()
    require_format(chosen.format, ("text", "json", "jsonl") if watch else ("text", "json"))
    if not has_runs(chosen):
        chosen.screen.note(f"nothing was ever run in project {chosen.project.name}")
        if chosen.format == "json":
            chosen.screen.json(None)
        return
    with access(chosen) as reach:
        if watch:
            _watch(chosen, reach.client, window)
        else:
            _print(chosen, reach.client, window)


def _print(chosen: Settings, client: Client, window: str) -> None:
    import msgspec

    from runner.cli.stats_lines import stats_lines
    from runner.monitor.performance import read_stats

    stats = read_stats(client.store, window)
    if chosen.format != "text":
        chosen.screen.json(msgspec.to_builtins(stats))
        return
    for line in stats_lines(stats, verbose=chosen.screen.verbose):
        chosen.screen.data(line)


def _watch(chosen: Settings, client: Client, window: str) -> None:
    """On a terminal in place; piped, one after the other."""
    if chosen.format != "text" or not chosen.screen.is_live:
        while True:
            _print(chosen, client, window)
            time.sleep(EVERY_S)
    from rich.console import Group
    from rich.live import Live

    from runner.cli.stats_lines import stats_lines
    from runner.monitor.performance import read_stats

    screen = chosen.screen
    with Live(console=screen.console, auto_refresh=False, screen=True) as live:
        while True:
            lines = stats_lines(read_stats(client.store, window), verbose=screen.verbose)
            shown = [screen.text([(line, "")] if isinstance(line, str) else line, one_row=True) for line in lines]
            live.update(Group(*shown[: screen.console.height - 1]), refresh=True)
            time.sleep(EVERY_S)
