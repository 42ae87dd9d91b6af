"""`sagarun engine`: a process that decides what runs do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.failure import Exit
from runner.cli.options import shared_options
from runner.cli.parameters import workers_option

if TYPE_CHECKING:
    from runner.cli.access import Access


@click.command(short_help="Host an engine: it decides what runs do next.")
@click.option("--until-idle", is_flag=True, hidden=True, help="End when no run is under way (what --detach starts).")
@workers_option
@shared_options
def command(until_idle: bool, workers: tuple[str, ...]) -> int:
    """Host an engine until SIGTERM or Ctrl-C. Any number may run; they share the work.

    On a server of your own it needs no definitions and no workers: those run with `sagarun worker`. On the embedded
    server it hosts the project's workers too, so that one command keeps everything going.
    """
    from runner.cli.access import access
    from runner.cli.settings import settings

    chosen = settings()
    with access(chosen) as reach:
        chosen.open_log()
        if not reach.opened.is_embedded:
            return _serve(reach)
        if until_idle:
            from runner.cli.background import serve

            serve(reach, workers)
            return Exit.DONE
        return _serve_embedded(reach, workers)


def _serve(reach: Access) -> int:
    from runner.cli.engine_process import EngineProcess

    process = EngineProcess(reach)
    reach.settings.screen.note(f"engine {process.id} on {reach.opened.label}; log {reach.settings.project.log_file}")
    process.run()
    reach.settings.screen.note("engine stopped")
    return Exit.DONE


def _serve_embedded(reach: Access, workers: tuple[str, ...]) -> int:
    from runner.cli.host import Host

    screen = reach.settings.screen
    with Host(reach, workers) as host:
        contracts = host.start()
        screen.note(f"engine and {len(contracts)} workers on {reach.opened.label}; Ctrl-C ends them")
        try:
            host.serve()
        except KeyboardInterrupt:
            screen.note("stopping")
    return Exit.DONE
