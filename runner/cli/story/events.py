"""`sagarun show RUN --events`: everything that happened to a run, in words or as JSON, each attempt with its times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from runner.cli.screen import Line, Screen
from runner.cli.story.event_words import settled_words, style_of, words_of
from runner.cli.wording import columns, duration, moment
from runner.client import Client
from runner.interpreter import event as ev
from runner.interpreter.record import decode_events
from runner.monitor.lifecycle import Moment, moments


def show_events(client: Client, run_id: str, screen: Screen, *, step: str = "") -> None:
    everything = read_moments(client, run_id)
    begun_ms = everything[0].at_ms if everything else 0
    told = [each for each in everything if is_about(each.path, step)]
    if screen.format == "json":
        screen.json([moment_json(each) for each in told])
    elif screen.format == "jsonl":
        for each in told:
            screen.json(moment_json(each))
    else:
        for line in event_lines(told, begun_ms):
            screen.data(line)


def read_moments(client: Client, run_id: str) -> list[Moment]:
    """The history with the payloads that it left out, as it may be shown."""
    stored = client.stored(run_id)
    run = client.state(stored)
    redaction = client.redaction(run_id)
    payloads = {**run.payloads, "~input": redaction.input} if run is not None else {}
    events = [redaction.of(event) for event in decode_events(client.store.history(run_id), payloads)]
    return moments(events, stored.tasks)


def is_about(path: str, step: str) -> bool:
    """`step`: a step's path, the end of it, or "" for everything. What lies below it belongs to it."""
    if not step:
        return True
    return path == step or path.startswith((f"{step}/", f"{step}.", f"{step}#")) or path.endswith(f"/{step}")


def event_lines(told: list[Moment], begun_ms: int) -> list[Line]:
    """The date once, then the time of each event, how long after the run's beginning it was, where, and what."""
    if not told:
        return [[("nothing has happened yet", "dim")]]
    lines: list[Line] = [[(f"  began {moment(begun_ms)}", "dim")]]
    rows = []
    for each in told:
        what, detail = moment_words(each)
        after = f"+{duration(each.at_ms - begun_ms)}" if each.at_ms > begun_ms else ""
        times = [(f"  {_time(each.at_ms)}  {after:>11}", "dim")]
        rows.append((times, each.path, [(what, style_of(what))], detail))
    return lines + columns(rows)


def moment_words(each: Moment) -> tuple[str, str]:
    attempt = each.attempt
    if each.event is None and attempt is not None:
        if each.what == "started":
            return "started", ""
        waited = f"after {duration(attempt.queue_ms)} in its queue" if attempt.queue_ms is not None else ""
        return "claimed", f"by {attempt.process} {waited}".rstrip()
    if isinstance(each.event, ev.TaskSettled):
        return settled_words(each.event, attempt)
    return words_of(each.event) if each.event is not None else (each.what, "")


def moment_json(each: Moment) -> dict[str, Any]:
    """An event as it is stored; claims and starts in the same form; the end of an attempt with its times."""
    attempt = each.attempt
    if each.event is None:
        what = f"Task{each.what.capitalize()}"
        return {"type": what, "at_ms": each.at_ms, "path": each.path, **dict(_about(attempt))}
    told: dict[str, Any] = msgspec.to_builtins(each.event)
    if isinstance(each.event, ev.TaskSettled) and attempt is not None:
        times = {"queue_ms": attempt.queue_ms, "processing_ms": attempt.duration_ms, "total_ms": attempt.total_ms}
        told |= {"ended": attempt.word, **dict(_about(attempt)), **times}
    return told


def _about(attempt: Any) -> Iterator[tuple[str, Any]]:
    if attempt is not None:
        yield from (("phase", attempt.phase), ("attempt", attempt.number), ("worker", attempt.worker))
        yield "process", attempt.process


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000).strftime("%H:%M:%S.%f")[:-3]
