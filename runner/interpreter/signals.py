"""Signals: what somebody outside tells a run, kept first in first out until a `wait_for` takes it.

Rule: each is taken once. A `match` is asked once for each signal and each step that waits: when the signal comes, or
when the step begins to wait. One that cannot be evaluated does not match, and raises an alert.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.errors import ExpressionError
from runner.interpreter import event as ev
from runner.interpreter.paths import order, static
from runner.interpreter.plan import Plan
from runner.interpreter.scope import scope_at
from runner.interpreter.sizes import MAX_STATE, MAX_VALUE, size_of
from runner.interpreter.state import Run

MAX_SIGNALS = 1_000  # of a run that nobody has taken yet


def kept_for(plan: Plan, run: Run, path: str, at_ms: int) -> tuple[str | None, Sequence[ev.AlertRaised]]:
    """The id of the first signal that is kept and that this step takes; and what is wrong with its `match`."""
    signal = plan.steps[path].signal
    kept = (run.payloads.get("~signals") or {}).get(signal.name, ()) if signal is not None else ()
    doubts: list[ev.AlertRaised] = []
    for entry in kept:
        if _matches(plan, run, path, entry["data"], at_ms, doubts):
            return entry["id"], doubts[:1]
    return None, doubts[:1]


def arrived(plan: Plan, run: Run, signal: ev.SignalSent) -> Sequence[ev.AnyEvent]:
    """It is kept; and whoever waits for it, the longest waiting first, takes it at once."""
    signal_id = signal.signal_id or signal.nonce
    if any(entry["id"] == signal_id for entry in (run.payloads.get("~signals") or {}).get(signal.name, ())):
        return ()  # it was sent twice, and the first is still here
    kept = ev.SignalKept(signal.at_ms, signal.name, signal_id, signal.data, size_of(signal.data))
    doubts: list[ev.AlertRaised] = []
    for path in _waiting(plan, run, signal.name):
        if _matches(plan, run, path, signal.data, signal.at_ms, doubts):
            return (kept, *doubts[:1], ev.SignalTaken(signal.at_ms, path, signal.name, signal_id))
    return (kept, *doubts[:1])


def why_refused(plan: Plan, run: Run, signal: ev.SignalSent) -> str:
    """Why nobody would ever take it, or it can't be kept, or ""."""
    header = run.header
    if header.is_terminal:
        return f"the run is {header.status} already"
    if header.ending:
        return "the run goes back"
    if header.decided or header.provisional:
        return "the run has done its last step"
    if signal.name not in plan.signals:
        return f"the workflow waits for no signal {signal.name!r}"
    if header.signals >= MAX_SIGNALS:
        return f"{header.signals} signals are kept for the run already"
    size = size_of(signal.data)
    if size + header.kept > MAX_VALUE or size + header.size > MAX_STATE:
        return f"its data of {size:,} bytes is more than the run can keep"
    return ""


def _waiting(plan: Plan, run: Run, name: str) -> list[str]:
    places = set(plan.signals[name])
    waiting = [
        node for path, node in run.nodes.items()
        if node.waiting and not node.halt and not node.stuck and static(path) in places
    ]
    return [node.path for node in sorted(waiting, key=lambda node: (node.started_at_ms, order(node.path)))]


def _matches(
    plan: Plan, run: Run, path: str, data: Any, at_ms: int, doubts: list[ev.AlertRaised]
) -> bool:
    signal = plan.steps[path].signal
    if signal is None or signal.match is None:
        return signal is not None
    try:
        return signal.match.evaluate(scope_at(plan, run, path, result=data))
    except ExpressionError as error:
        doubts.append(ev.AlertRaised(at_ms, f"a signal {signal.name!r} was passed over by {path}: match: {error}"))
        return False
