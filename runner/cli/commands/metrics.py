"""`sagarun metrics`: print what Prometheus would scrape. Reads only."""

from __future__ import annotations

import click

from runner.cli.options import shared_options


@click.command(short_help="Print the metrics as Prometheus scrapes them.")
@shared_options
def command() -> None:
    """Print the metrics of this project, as `/metrics` of an engine or worker process answers them.

    The textfile collector of node_exporter takes the output as it is.
    """
    from runner import __version__
    from runner.cli.access import access
    from runner.cli.settings import require_format, settings
    from runner.monitor.exposition import exposition

    chosen = settings()
    require_format(chosen.format, ("text",))
    with access(chosen) as reach:
        for line in exposition(reach.client.store, __version__).decode().splitlines():
            chosen.screen.data(line)
