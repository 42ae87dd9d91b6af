"""What the engine says in the log about committed transitions: one line for what a person may look for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache

from runner.definition.secret_input import NOTHING_SECRET, Redaction
from runner.interpreter import event as ev
from runner.interpreter.advance import Transition
from runner.interpreter.paths import ROOT
from runner.interpreter.state import Run
from runner.trace import run_span

log = logging.getLogger("sagarun.engine")
log.addHandler(logging.NullHandler())  # who hosts an engine says where its log goes


def report(
    transitions: Sequence[Transition], redaction_of: Callable[[Run], Redaction] = lambda _: NOTHING_SECRET
) -> None:
    """After the commit only: what was not committed did not happen. `redaction_of`: what of a run nobody is to see."""
    said = _said_from(log.getEffectiveLevel())
    for transition in transitions:
        for event in transition.events:
            if type(event) in said and not _is_scope(event):
                level, text = _LINES[type(event)]
                event = redaction_of(transition.run).of(event)
                log.log(level, text, extra=_fields(transition.run, event))


@cache
def _said_from(lowest: int) -> frozenset[type]:
    return frozenset(kind for kind, (level, _) in _LINES.items() if level >= lowest)


def _is_scope(event: ev.AnyEvent) -> bool:
    """The root, finally, handlers, branches and items come to rest like steps do, but nobody looks for them."""
    if not isinstance(event, ev.StepCompleted | ev.StepFailed | ev.StepUndone):
        return False
    return event.path == ROOT or not _SCOPES.isdisjoint(event.path.rpartition("/")[2])


def _fields(run: Run, event: ev.AnyEvent) -> dict[str, object]:
    fields: dict[str, object] = {
        "run_id": run.header.run_id,
        "workflow": run.header.workflow,
        "event": type(event).__name__,
        "trace_id": run_span(run.header.run_id, run.header.traceparent).trace_id,
    }
    for name, shown_as in _FIELDS.items():
        value = getattr(event, name, None)
        if value not in (None, ""):
            fields[shown_as] = value
    if isinstance(event, ev.ChildStarted | ev.ChildTold):
        fields["child"] = event.run_id
    error = getattr(event, "error", None)
    if error is not None:
        fields["error_code"], fields["error_message"] = error.code, error.message
    text = getattr(event, "message", None)
    if text:
        fields["alert"] = text
    return fields


_SCOPES = frozenset(".#~")
_FIELDS = {"path": "step", "name": "signal", "news": "news", "stuck_run": "stuck_run"} | {
    name: name for name in ("phase", "attempt", "worker", "status", "ending", "why", "verb", "due_at_ms", "outcome")
}
_LINES: dict[type, tuple[int, str]] = {
    ev.RunStarted: (logging.INFO, "run started"),
    ev.ChildStarted: (logging.INFO, "child run started"),
    ev.ChildAsked: (logging.INFO, "child run asked"),
    ev.ChildTold: (logging.DEBUG, "child run told"),
    ev.RunProvisional: (logging.INFO, "last step done; the end is for the parent to decide"),
    ev.TaskDispatched: (logging.DEBUG, "task dispatched"),
    ev.TaskSettled: (logging.DEBUG, "task settled"),
    ev.StepCompleted: (logging.INFO, "step completed"),
    ev.StepFailed: (logging.WARNING, "step failed"),
    ev.RetryScheduled: (logging.INFO, "attempt will be repeated"),
    ev.OutcomeIgnored: (logging.INFO, "a late outcome was ignored"),
    ev.WaitStarted: (logging.INFO, "step waits"),
    ev.SignalKept: (logging.INFO, "signal received"),
    ev.SignalTaken: (logging.INFO, "signal taken"),
    ev.StepConfirmed: (logging.INFO, "step confirmed"),
    ev.StepStuck: (logging.ERROR, "step is stuck"),
    ev.StepUndone: (logging.INFO, "step undone"),
    ev.RunFailing: (logging.WARNING, "run turns back"),
    ev.RunStuck: (logging.ERROR, "run is stuck"),
    ev.RunFinished: (logging.INFO, "run finished"),
    ev.AlertRaised: (logging.WARNING, "alert"),
    ev.RequestAccepted: (logging.INFO, "request accepted"),
    ev.RequestRefused: (logging.WARNING, "request refused"),
}
