"""`sagarun show`: one run in full, or one look at it: events, timeline, values, logs. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from runner.cli.options import shared_options

if TYPE_CHECKING:
    from runner.cli.access import Access
    from runner.cli.screen import Screen
    from runner.monitor.shapes import RunView


@click.command(short_help="Show a run: every step, what stands, what can be done.")
@click.argument("run")
@click.option("--events", "look", flag_value="events", help="Everything that happened, with the times of each attempt.")
@click.option("--timeline", "look", flag_value="timeline", help="Draw what ran when, what waited, and who did it.")
@click.option("--steps", "look", flag_value="steps", help="What each step was given and gave (-v: with tracebacks).")
@click.option("--logs", "look", flag_value="logs", help="The last lines that each attempt logged.")
@click.option("--step", metavar="PATH", default="", help="With one of these: only this step, and what is below it.")
@click.option("--all", "whole", is_flag=True, help="Every item of every loop, however many there are.")
@shared_options
def command(run: str, look: str | None, step: str, whole: bool) -> None:
    """Show RUN (its id, or the beginning of it): steps, attempts, errors, undo, what stands, and what can be done."""
    from dataclasses import replace

    from runner.cli.access import access, require_runs
    from runner.cli.archived import client_of, find_bundle
    from runner.cli.settings import settings
    from runner.errors import RunNotFound, UsageError

    chosen = settings()
    if step and look is None:
        raise UsageError("--step goes with --events, --timeline, --steps or --logs")
    require_runs(chosen, run)
    with access(chosen) as reach:
        try:
            run_id = reach.client.find(run)
        except RunNotFound:
            bundle = find_bundle(chosen, run)
            if bundle is None:
                raise
            run_id, reach = bundle.run_id, replace(reach, client=client_of(chosen, bundle))
            chosen.screen.note("· this run is in the archive, and on the server no more")
        if look is None:
            _show_run(reach, run_id, chosen.screen, whole=whole)
        else:
            _look(reach, run_id, chosen.screen, look, step, whole=whole)


def _show_run(reach: Access, run_id: str, screen: Screen, *, whole: bool) -> None:
    from runner.cli.story.family import read_family
    from runner.cli.story.reading import read_view

    if screen.format == "text":
        _show(read_family(reach.client, run_id), screen, reach.client.store.now_ms(), whole=whole)
    else:
        screen.json(_json(read_view(reach.client, run_id)))


def _look(reach: Access, run_id: str, screen: Screen, look: str, step: str, *, whole: bool) -> None:
    from runner.cli.story.family import read_family
    from runner.cli.story.reading import read_view

    client = reach.client
    view = read_family(client, run_id) if look == "timeline" else read_view(client, run_id)
    _require_step(view, step)
    if look == "timeline":
        from runner.cli.story.timeline import show_timeline

        show_timeline(view, screen, client.store.now_ms(), step=step, whole=whole)
        return
    if look == "events":
        from runner.cli.story.events import show_events

        if screen.format == "text":
            _show_title(view, screen)
        show_events(client, run_id, screen, step=step)
        return
    from runner.cli.story.steps import show_logs, show_steps

    if screen.format == "text":
        _show_title(view, screen)
    if look == "steps":
        show_steps(client, view, screen, step=step)
    else:
        show_logs(view, screen, step=step, log_file=str(reach.settings.project.log_file))


def _require_step(view: RunView, step: str) -> None:
    """Raises UsageError: nothing in the run is called so."""
    from runner.cli.failure import did_you_mean
    from runner.cli.story.events import is_about
    from runner.errors import UsageError

    paths = [each.path for each in view.steps]
    paths += [path for child in view.children.values() for path in (each.path for each in child.steps)]
    if not any(is_about(path, step) for path in paths or [step]):
        advice = did_you_mean(step, [*paths, *(each.id for each in view.steps)])
        raise UsageError(f"run {view.run_id} has no step {step!r}.{advice}")


def _show_title(view: RunView, screen: Screen) -> None:
    from runner.cli.wording import status

    screen.data([(f"{view.workflow} {view.version} · run {view.run_id} · ", ""), *status(view.status)])


def _show(view: RunView, screen: Screen, now_ms: int, *, whole: bool) -> None:
    from runner.cli.screen import json_text
    from runner.cli.story.report import asked_lines, attempt_lines, summary_lines
    from runner.cli.story.tree import step_lines
    from runner.cli.wording import line_text

    _show_title(view, screen)
    facts = [
        ("started", _started(view)),
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
    for line in asked_lines(view):
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
    screen.data([("  more    ", "dim"), (f"sagarun show {view.run_id} --timeline | --events | --steps | --logs", "")])


def _started(view: RunView) -> str:
    from runner.cli.wording import moment

    start = next((asked for asked in view.asked if asked.verb == "start"), None)
    by = f" by {start.by}" if start is not None and start.by else ""
    why = f": {start.reason}" if start is not None and start.reason else ""
    return f"{moment(view.started_at_ms)}{by}{why}"


def _json(view: RunView) -> dict[str, Any]:
    from runner.cli.story.report import attempts_json, run_json

    document = run_json(view)
    for step, told in zip(view.steps, document["steps"], strict=True):
        told["tries"] = attempts_json(step)
    return document
