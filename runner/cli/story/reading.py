"""A run as the commands read it: its definition, its history, and the view of it. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from runner.client import Client
from runner.errors import RecordTampered
from runner.interpreter import event as ev
from runner.interpreter.plan import Plan
from runner.interpreter.record import decode_events
from runner.monitor.shapes import RunView
from runner.monitor.story import Story
from runner.monitor.views import view_run
from runner.store.ports import StoredRun


def plan_of(client: Client, stored: StoredRun) -> Plan | None:
    """None where the definition is not there any more; the run can still be shown."""
    digest = msgspec.json.decode(stored.summary).get("definition", "") if stored.summary else ""
    try:
        return client.catalogue.plan(digest)
    except RecordTampered:
        return None


def read_view(client: Client, run_id: str, events: Iterable[ev.AnyEvent] | Story | None = None) -> RunView:
    """The run as it may be shown now. `events`: its history, if it was read before. Raises RunNotFound."""
    stored = client.stored(run_id)
    told = read_events(client, run_id) if events is None else events
    line = client.store.slot(stored.slot, run_id=run_id) if stored.in_line else None
    view = view_run(stored, client.state(stored), plan_of(client, stored), told, line)
    redaction = client.redaction(run_id)
    return replace(redaction.of(view), input=redaction.input) if redaction.is_needed else view


def read_events(client: Client, run_id: str) -> list[ev.AnyEvent]:
    """As they may be shown, without their payloads."""
    redaction = client.redaction(run_id)
    return [redaction.of(event) for event in decode_events(client.store.history(run_id), {})]
