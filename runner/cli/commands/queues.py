"""`sagarun queues`: what waits, since when, and who serves it. Reads only."""

from __future__ import annotations

import click

from runner.cli.options import shared_options


@click.command(short_help="What waits in queues, since when, and who serves it.")
@shared_options
def command() -> None:
    """Show each queue: tasks that wait, how long the first has waited, what runs, and the processes that serve it.

    Rates and times are of the last 15 minutes.
    """
    import msgspec

    from runner.cli.access import access, has_runs
    from runner.cli.settings import settings
    from runner.cli.stats_lines import queue_rows
    from runner.cli.wording import columns
    from runner.monitor.performance import read_queues
    from runner.monitor.performance_shapes import QueueStats

    chosen = settings()
    queues: list[QueueStats] = []
    if has_runs(chosen):
        with access(chosen) as reach:
            queues = read_queues(reach.client.store)
    match chosen.format:
        case "json":
            chosen.screen.json(msgspec.to_builtins(queues))
        case "jsonl":
            for queue in queues:
                chosen.screen.json(msgspec.to_builtins(queue))
        case _:
            for line in columns(list(queue_rows(queues, verbose=chosen.screen.verbose))):
                chosen.screen.data(line)
            if chosen.screen.verbose:
                for queue in queues:
                    chosen.screen.data(f"{queue.queue}: workers {', '.join(queue.workers) or 'none'}; "
                                       f"served by {', '.join(queue.processes) or 'nobody'}")
