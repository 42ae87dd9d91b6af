"""`sagarun worker`: a process that runs the project's workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.failure import Exit
from runner.cli.options import shared_options
from runner.cli.parameters import duration_ms, metrics_option, patience_option

if TYPE_CHECKING:
    from runner.cli.access import Access


@click.command(short_help="Host the project's workers.")
@click.argument("modules", nargs=-1, metavar="[MODULE]...")
@click.option("--children", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that run code.")
@click.option("--slots", type=click.IntRange(1, 1_000), default=64, show_default=True, help="Tasks at once in each.")
@click.option("--queue", "queues", multiple=True, metavar="QUEUE", help="Serve only this queue; may be repeated.")
@click.option(
    "--grace", metavar="DURATION", callback=duration_ms, default="25s", show_default=True,
    help="On SIGTERM, how long running tasks may take to finish.",
)
@metrics_option
@patience_option
@shared_options
def command(
    modules: tuple[str, ...], children: int, slots: int, queues: tuple[str, ...], grace: int, metrics: str,
    patience: int,
) -> int:
    """Host the workers of these MODULEs (default: the project's) until SIGTERM or Ctrl-C, which drain."""
    from runner.cli.access import access
    from runner.cli.settings import settings

    chosen = settings()
    with access(chosen, wait_s=patience / 1_000) as reach:
        chosen.open_log(console=chosen.console)
        reach.warn()
        return _serve(reach, modules, children, slots, queues, grace / 1_000, metrics)


def _serve(
    reach: Access, modules: tuple[str, ...], children: int, slots: int, queues: tuple[str, ...], grace_s: float,
    metrics: str,
) -> int:
    from runner.cli.hosting.collector import spare_the_collector
    from runner.cli.hosting.metrics_port import endpoint
    from runner.cli.hosting.workshop import import_failure, modules_of, worker_process
    from runner.errors import ConfigError
    from runner.monitor.logs import name_process
    from runner.store.process_lock import ProcessLock, forget_unknown
    from runner.worker.identity import new_process_id

    project, screen = reach.settings.project, reach.settings.screen
    lock = ProcessLock(project.state / "processes", new_process_id())
    try:
        forget_unknown(lock.path.parent, (process.lock for process in reach.client.store.processes()))
        workers = worker_process(
            reach.opened.store, project, modules_of(project, modules), children=children, slots=slots,
            queues=queues or None, lock=lock, console=reach.settings.console,
        )
        name_process(workers.process_id)
        screen.note(f"worker process {workers.process_id} on {reach.opened.label}; log {project.log_file}")
        spare_the_collector()
        with endpoint(reach, metrics, lambda: "" if workers.is_claiming else "it does not claim tasks"):
            try:
                drained = workers.run(grace_s)
            except ConfigError as error:
                raise import_failure(error, project) from error
        screen.note("worker process stopped" if drained else "worker process stopped; what still ran was killed")
    finally:
        lock.release()
    return Exit.DONE
