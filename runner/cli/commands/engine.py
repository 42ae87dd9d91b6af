"""`sagarun engine`: a process that decides what runs do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.failure import Exit
from runner.cli.options import shared_options
from runner.cli.parameters import metrics_option, patience_option, workers_option

if TYPE_CHECKING:
    from runner.cli.settings import Settings


@click.command(short_help="Host an engine: it decides what runs do next.")
@click.option("--until-idle", is_flag=True, hidden=True, help="End when no run is under way (what --detach starts).")
@workers_option
@metrics_option
@patience_option
@shared_options
def command(until_idle: bool, workers: tuple[str, ...], metrics: str, patience: int) -> int:
    """Host an engine until SIGTERM or Ctrl-C. Any number may run; they share the work.

    On a server of your own it needs no definitions and no workers: those run with `sagarun worker`. On the embedded
    server it hosts the project's workers too, so that one command keeps everything going.
    """
    from runner.cli.settings import settings

    chosen = settings()
    chosen.open_log(console="" if until_idle else chosen.console)
    if chosen.redis_url is not None:
        return _serve(chosen, patience / 1_000, metrics)
    if until_idle:
        from runner.cli.hosting.background import serve

        serve(chosen, workers)
        return Exit.DONE
    return _serve_embedded(chosen, workers, metrics)


def _serve(chosen: Settings, patience_s: float, metrics: str) -> int:
    from runner.cli.access import access
    from runner.cli.hosting.engine_process import EngineProcess
    from runner.cli.hosting.metrics_port import endpoint

    with access(chosen, wait_s=patience_s) as reach:
        reach.warn()
        process = EngineProcess(reach, patience_s)
        chosen.screen.note(f"engine {process.id} on {reach.opened.label}; log {chosen.project.log_file}")
        with endpoint(reach, metrics, lambda: "it is stopping" if process.is_stopping else ""):
            process.run()
        chosen.screen.note("engine stopped")
    return Exit.DONE


def _serve_embedded(chosen: Settings, workers: tuple[str, ...], metrics: str) -> int:
    from runner.cli.hosting.metrics_port import endpoint
    from runner.cli.hosting.start import hosting

    with hosting(chosen, workers, schedules=True, console=chosen.console) as host:
        contracts = host.start()
        server = host.reach.opened.label
        chosen.screen.note(f"engine and {len(contracts)} workers on {server}; Ctrl-C ends them")
        with endpoint(host.reach, metrics):
            try:
                host.serve()
            except KeyboardInterrupt:
                chosen.screen.note("stopping")
    return Exit.DONE
