"""`sagarun show`: one run in full. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.cli.access import Access
    from runner.cli.screen import Screen
    from runner.interpreter.event import AnyEvent
    from runner.monitor.shapes import RunView


@click.command(short_help="Show a run: every step, what stands, what can be done.")
@click.argument("run")
@click.option("--events", is_flag=True, help="The whole history, with what was sent and answered.")
@click.option("--all", "whole", is_flag=True, help="Every item of every loop, however many there are.")
@shared_options
def command(run: str, events: bool, whole: bool) -> None:
    """Show RUN (its id, or the beginning of it): steps, attempts, errors, undo, what stands, and what can be done."""
    from runner.cli.access import access, require_runs
    from runner.cli.family import read_family
    from runner.cli.reading import read_view
    from runner.cli.settings import settings

    chosen = settings()
    require_runs(chosen, run)
    with access(chosen) as reach:
        run_id = reach.client.find(run)
        if events:
            _show_events(reach, run_id, chosen.screen)
            return
        if chosen.format == "text":
            _show(read_family(reach.client, run_id), chosen.screen, reach.client.store.now_ms(), whole=whole)
        else:
            chosen.screen.json(_json(read_view(reach.client, run_id)))


def _show(view: RunView, screen: Screen, now_ms: int, *, whole: bool) -> None:
    from runner.cli.report import attempt_lines, summary_lines
    from runner.cli.screen import json_text
    from runner.cli.tree import step_lines
    from runner.cli.wording import line_text, moment, status

    screen.data([(f"{view.workflow} {view.version} · run {view.run_id} · ", ""), *status(view.status)])
    facts = [
        ("started", moment(view.started_at_ms)),
        ("key", view.key),
        ("rerun of", view.rerun_of),
        ("child of", f"run {view.parent}, step {view.parent_step}" if view.parent else ""),
        ("input", json_text(view.input)),
        ("waits for", "" if view.line is None else line_text(view.line)),
    ]
    for name, text in facts:
        if text:
            screen.data([(f"  {name:<9} ", "dim"), (text, "")])
    for line in step_lines(view, now_ms=0 if view.terminal else now_ms, whole=whole):
        screen.data(line)
    for line in summary_lines(view)[:-1]:
        screen.data(line)
    if view.pending_verb:
        screen.data(f"  a {view.pending_verb} waits until it is known whether the pivot took effect")
    attempts = attempt_lines(view, whole=screen.verbose)
    if attempts:
        screen.data([("  attempts", "dim")])
    for line in attempts:
        screen.data(line)
    if view.broken and screen.verbose:
        screen.data(view.broken)


def _json(view: RunView) -> dict[str, Any]:
    from runner.cli.report import attempts_json, run_json

    document = run_json(view)
    for step, told in zip(view.steps, document["steps"], strict=True):
        told["tries"] = attempts_json(step)
    return document


def _show_events(reach: Access, run_id: str, screen: Screen) -> None:
    from runner.interpreter.record import decode_events

    stored = reach.client.stored(run_id)
    run = reach.client.state(stored)
    redaction = reach.client.redaction(run_id)
    payloads = {**run.payloads, "~input": redaction.input} if run is not None else {}
    told = [redaction.of(event) for event in decode_events(reach.client.store.history(run_id), payloads)]
    if screen.format == "json":
        screen.json([msgspec.to_builtins(event) for event in told])
        return
    started_at_ms = told[0].at_ms if told else 0
    for event in told:
        if screen.format == "jsonl":
            screen.json(msgspec.to_builtins(event))
        else:
            screen.data(_event_line(event, started_at_ms))


def _event_line(event: AnyEvent, started_at_ms: int) -> list[tuple[str, str]]:
    from runner.cli.screen import json_text

    fields = msgspec.to_builtins(event)
    path = fields.pop("path", "")
    fields.pop("type", None)
    at_ms = fields.pop("at_ms")
    rest = "  ".join(f"{name}={json_text(value)}" for name, value in fields.items() if value not in (None, "", False))
    return [
        (f"{(at_ms - started_at_ms) / 1000:>10.3f} s  ", "dim"), (f"{type(event).__name__:<16} ", "cyan"),
        (f"{path:<16} ", ""), (rest, "dim"),
    ]  # fmt: skip
