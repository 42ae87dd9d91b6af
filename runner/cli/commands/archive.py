"""`sagarun archive`: copy what is over to the archive now, and say what is there."""

from __future__ import annotations

import click

from runner.cli.options import shared_options


@click.command(short_help="Copy runs that are over to the archive, now.")
@shared_options
def command() -> None:
    """Copy all runs that are over, and are not there yet, to the archive that sagarun.yaml names.

    Engines do the same by themselves. This also takes what ended before there was an archive, and will expire.
    """
    from runner.archive.archive import Archive
    from runner.archive.archiver import Archiver
    from runner.archive.database import open_database
    from runner.cli.access import access, has_runs
    from runner.cli.settings import settings
    from runner.cli.wording import plural
    from runner.errors import ConfigError

    chosen = settings()
    project = chosen.project
    if not project.archive:
        raise ConfigError("there is no archive: say in sagarun.yaml where it is, as archive: sqlite:///archive.db")
    runs = groups = 0
    if has_runs(chosen):
        with access(chosen) as reach:
            archive = Archive(open_database(project.archive, project.root), project.namespace)
            try:
                archiver = Archiver(reach.client, archive, project.retention.of)
                reach.client.store.hold_ended()
                while copied := archiver.step():
                    runs += copied
                groups = archiver.copy_errors()
            finally:
                archive.close()
    if chosen.format == "text":
        chosen.screen.data(f"archived {plural(runs, 'run')} and {plural(groups, 'error group')}")
    else:
        chosen.screen.json({"runs": runs, "error_groups": groups})
