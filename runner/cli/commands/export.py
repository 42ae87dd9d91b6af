"""`sagarun export`: a run with all that is needed to look at it elsewhere, as one file."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.options import shared_options


@click.command(short_help="Write a run with all that belongs to it into one file.")
@click.argument("run")
@click.option("--output", "-o", "file", metavar="FILE", help="Where to; else, or with -, standard output.")
@shared_options
def command(run: str, file: str | None) -> None:
    """Write RUN as a bundle: its definition, input, state, history, and the contracts of its workers, as JSON.

    What the input's schema marks x-secret is hidden in it, and cannot be exported. `sagarun replay` reads it.
    """
    from runner.archive.archiver import make_bundle
    from runner.cli.access import access, require_runs
    from runner.cli.archived import find_bundle
    from runner.cli.settings import settings
    from runner.errors import RunNotFound, UsageError

    chosen = settings()
    require_runs(chosen, run)
    with access(chosen) as reach:
        try:
            bundle = make_bundle(reach.client, reach.client.find(run))
        except RunNotFound:
            archived = find_bundle(chosen, run)
            if archived is None:
                raise
            bundle = archived
    if file is None or file == "-":
        chosen.screen.data(bundle.encoded().decode())
        return
    try:
        Path(file).write_bytes(bundle.encoded() + b"\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None
    hidden = "; what is x-secret is hidden" if bundle.redacted else ""
    chosen.screen.note(f"· run {bundle.run_id} is in {file}{hidden}; look at it with: sagarun replay {file}")

