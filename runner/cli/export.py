"""`sagarun export`: a run with all that is needed to look at it elsewhere, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.client import Client
    from runner.monitor.bundle import Bundle


@click.command(short_help="Write a run with all that belongs to it into one file.")
@click.argument("run")
@click.option("--output", "-o", "file", metavar="FILE", help="Where to; else, or with -, standard output.")
@shared_options
def command(run: str, file: str | None) -> None:
    """Write RUN as a bundle: its definition, input, state, history, and the contracts of its workers, as JSON.

    What the input's schema marks x-secret is hidden in it, and cannot be exported. `sagarun replay` reads it.
    """
    from runner.cli.access import access, require_runs
    from runner.cli.settings import settings
    from runner.errors import UsageError

    chosen = settings()
    require_runs(chosen, run)
    with access(chosen) as reach:
        bundle = make_bundle(reach.client, reach.client.find(run))
    if file is None or file == "-":
        chosen.screen.data(bundle.encoded().decode())
        return
    try:
        Path(file).write_bytes(bundle.encoded() + b"\n")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None
    hidden = "; what is x-secret is hidden" if bundle.redacted else ""
    chosen.screen.note(f"· run {bundle.run_id} is in {file}{hidden}; look at it with: sagarun replay {file}")


def make_bundle(client: Client, run_id: str) -> Bundle:
    """Raises RunNotFound."""
    import msgspec

    from runner.monitor.bundle import bundle_of

    store = client.store
    stored, history = client.stored(run_id), store.history(run_id)
    again = client.stored(run_id)
    while again.etag != stored.etag:
        stored, history = again, store.history(run_id)
        again = client.stored(run_id)
    digest = msgspec.json.decode(stored.summary).get("definition", "") if stored.summary else ""
    return bundle_of(
        stored, history, store.get_definition(digest), client.contracts() or {}, client.redaction(run_id),
        project=store.namespace, now_ms=store.now_ms(),
    )
