"""`sagarun trace`: the OpenTelemetry trace of runs: its id, and sent once more."""

from __future__ import annotations

import click

from runner.cli.failure import Exit
from runner.cli.options import shared_options


@click.command(short_help="Send the traces of runs that are over once more, or say their ids.")
@click.argument("runs", nargs=-1, metavar="[RUN...]")
@click.option("--query", metavar="QUERY", help="All runs that it fits, instead: 'since:2h status:over'.")
@click.option("--id", "only_id", is_flag=True, help="Only say which trace each run is in; nothing is sent.")
@shared_options
def command(runs: tuple[str, ...], query: str | None, only_id: bool) -> int:
    """Send the traces of these RUNs (ids, or their beginnings) to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names.

    Engines do that by themselves when a run ends; this is for what they could not send, say while the collector was
    away. Ids of traces and spans are derived from the run, so a collector that has them already gets the same again.
    """
    from runner.cli.access import access, require_runs
    from runner.cli.hosting.tracing import required_export
    from runner.cli.many import MAX_RUNS
    from runner.cli.settings import settings
    from runner.errors import UsageError
    from runner.query import parse_query
    from runner.trace import run_span

    chosen = settings()
    if bool(runs) is (query is not None):
        raise UsageError("say which RUNs, or which ones with --query QUERY")
    parse_query(query or "", 1)  # also where there is nothing to be looked for
    for run in runs or ("",):
        require_runs(chosen, run)
    with access(chosen) as reach:
        client, screen = reach.client, chosen.screen
        found = [client.find(run) for run in runs]
        found += [run.run_id for run in client.list(query, limit=MAX_RUNS)] if query is not None else []
        states = [client.state(client.stored(run_id)) for run_id in found]
        rows = [
            {
                "run_id": run_id, "over": state is not None and state.is_terminal,
                "trace_id": run_span(run_id, state.header.traceparent if state is not None else "").trace_id,
            }
            for run_id, state in zip(found, states, strict=True)
        ]
        for row in rows if screen.format != "json" else []:
            if screen.format == "jsonl":
                screen.json(row)
            else:
                screen.data(f"{row['run_id']}  {row['trace_id']}{'' if row['over'] else '  (not over yet)'}")
        if screen.format == "json":
            screen.json(rows)
        if only_id:
            return Exit.DONE
        export = required_export(reach.settings.project, client.store)
        over = [str(row["run_id"]) for row in rows if row["over"]]
        is_sent = export.send(over)
        export.close(0)
        screen.note(f"sent: {len(over)} of {len(rows)}" if is_sent else "error: the collector did not take them")
        return Exit.DONE if is_sent and len(over) == len(rows) else Exit.NEGATIVE
