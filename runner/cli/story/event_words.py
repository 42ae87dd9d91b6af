"""Every event of a history in words: what happened, and what belongs to it. For `show --events` and `tail`.

Pure. An event that is not listed (a newer engine's) is said by its name and fields, so nothing is ever left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from runner.cli.screen import json_text
from runner.cli.wording import duration, error_text, moment, one_line, plural
from runner.interpreter import event as ev
from runner.monitor.story import Attempt

Words = tuple[str, str]  # what happened, in a word or two; and what belongs to it
_STYLES = {
    "completed": "green", "landed": "green", "undone": "green", "confirmed": "green", "failed": "red",
    "timed out": "red", "lost": "red", "not claimed in time": "red", "ended unknown": "yellow", "turns back": "red",
    "stuck": "bold red", "alert": "yellow", "refused": "yellow", "stopped": "yellow",
}


def style_of(what: str) -> str:
    return _STYLES.get(what, "cyan")


def words_of(event: ev.AnyEvent) -> Words:
    say = _WORDS.get(type(event))
    return say(event) if say is not None else (type(event).__name__, _fields(event))


def settled_words(event: ev.TaskSettled, attempt: Attempt | None) -> Words:
    """How an attempt ended, with its times where its dispatch is known."""
    if attempt is None:
        attempt = Attempt("", 0, "", 0, event.outcome, event.error, event.verdict, event.process)
        attempt.claimed_at_ms, attempt.settled_at_ms = event.claimed_at_ms, event.at_ms
        return attempt.word, _joined(f"by {event.process}" if event.process else "", error_text(event.error))
    times = [
        ("queue", attempt.queue_ms), ("processing", attempt.duration_ms), ("total", attempt.total_ms),
    ]  # fmt: skip
    if not attempt.claimed_at_ms:
        times = [("total", attempt.total_ms)]
    said = ", ".join(f"{name} {duration(ms)}" for name, ms in times if ms is not None)
    return attempt.word, _joined(said, error_text(event.error))


def _fields(event: ev.AnyEvent) -> str:
    fields = msgspec.to_builtins(event)
    shown = {name: value for name, value in fields.items() if name not in ("type", "at_ms", "path")}
    return "  ".join(f"{name}={json_text(value)}" for name, value in shown.items() if value not in (None, "", False))


def _joined(*parts: str) -> str:
    return " · ".join(one_line(part) for part in parts if part)


def _by(event: Any) -> str:
    return _joined(f"by {event.by}" if event.by else "", event.reason)


def _value(value: Any) -> str:
    return "" if value is None else json_text(value)


def _started(event: ev.RunStarted) -> Words:
    return "started", _joined(
        f"{event.workflow} {event.version}", f"by {event.by}" if event.by else "",
        f"key {event.key}" if event.key else "", f"rerun of {event.rerun_of}" if event.rerun_of else "",
        f"child of {event.parent}, step {event.parent_path}" if event.parent else "",
        f"input {_value(event.input)}" if event.input is not None else "",
    )


def _phase(phase: str) -> str:
    return "" if phase == "action" else {"compensate": "undo", "verify": "verification"}.get(phase, phase)


def _dispatched(event: ev.TaskDispatched) -> Words:
    return "dispatched", _joined(
        f"to {event.worker}", f"attempt {event.attempt} of {event.max_attempts}", _phase(event.phase),
        "the last question" if event.fencing else "", f"input {_value(event.input)}" if event.input is not None else "",
    )


def _retry(event: ev.RetryScheduled) -> Words:
    return "will be retried", _joined(f"in {duration(event.due_at_ms - event.at_ms)}", _phase(event.phase))


def _waits(event: ev.WaitStarted) -> Words:
    return "waits", f"until {moment(event.due_at_ms)}" if event.due_at_ms else "for a signal"


def _step_failed(event: ev.StepFailed) -> Words:
    what = "ended unknown" if event.unknown else "failed"
    return what, _joined(error_text(event.error), "caught" if event.caught >= 0 else "", _resolved(event))


def _step_completed(event: ev.StepCompleted) -> Words:
    output = f"output {_value(event.output)}" if event.output is not None else ""
    return "step completed", _joined(output, error_text(event.error), _resolved(event))


def _resolved(event: Any) -> str:
    return "said by a person" if event.resolved else ""


def _undone(event: ev.StepUndone) -> Words:
    how = "nothing had to be" if event.nothing else "left standing" if event.skipped else ""
    return "undone", _joined(how, _resolved(event))


def _told(event: ev.ChildTold) -> Words:
    return "child says", _joined(f"{event.news} {event.status}".strip(), event.run_id, error_text(event.error))


def _finished(event: ev.RunFinished) -> Words:
    stands = f"{plural(len(event.standing), 'effect')} left standing" if event.standing else ""
    return "finished", _joined(event.status, stands)


def _halted(event: Any) -> Words:
    return "nothing new begins", "what runs is ended" if event.kill else "what runs may end"


_WORDS: dict[type, Callable[[Any], Words]] = {
    ev.RunStarted: _started,
    ev.TaskSettled: lambda e: settled_words(e, None),
    ev.TimerFired: lambda e: ("timer is due", e.name),
    ev.Continued: lambda _: ("goes on", ""),
    ev.CancelRequested: lambda e: ("cancel asked", _by(e)),
    ev.AbandonRequested: lambda e: ("abandon asked", _by(e)),
    ev.ResumeRequested: lambda e: ("resume asked", _by(e)),
    ev.ResolveRequested: lambda e: ("resolve asked", _joined(f"{e.step} as {e.as_}", _value(e.output), _by(e))),
    ev.SignalSent: lambda e: ("signal sent", _joined(e.name, _value(e.data), _by(e))),
    ev.ChildTold: _told,
    ev.ParentTold: lambda e: ("parent says", _joined(e.verb, _by(e), error_text(e.error))),
    ev.StepStarted: lambda _: ("step begins", ""),
    ev.ItemsListed: lambda e: ("items listed", plural(e.count or len(e.items), "item")),
    ev.StepSkipped: lambda e: ("skipped", _resolved(e)),
    ev.ChildStarted: lambda e: (
        "child started", _joined(f"{e.workflow} {e.version}", f"run {e.run_id}", f"input {_value(e.input)}")
    ),
    ev.ChildAsked: lambda e: ("child asked", f"to {e.verb}" if e.verb != "decided" else "to finish: it is decided"),
    ev.NewsSent: lambda e: ("parent told", _joined(e.news, e.stuck_run, error_text(e.error))),
    ev.RunProvisional: lambda e: ("holds", _joined("its end is for the parent to decide", _value(e.output))),
    ev.TaskDispatched: _dispatched,
    ev.RevokeAsked: lambda e: ("asked back", "and to be ended" if e.kill else ""),
    ev.OutcomeIgnored: lambda e: ("too late", _joined(e.outcome, error_text(e.error))),
    ev.RetryScheduled: _retry,
    ev.WaitStarted: _waits,
    ev.SignalKept: lambda e: ("signal received", _joined(e.name, _value(e.data))),
    ev.SignalTaken: lambda e: ("signal taken", e.name),
    ev.TimerDropped: lambda _: ("wait is over", "nothing new begins"),
    ev.StepCompleted: _step_completed,
    ev.StepFailed: _step_failed,
    ev.StepCaught: lambda e: ("caught", _joined("" if e.handled else "nothing in its place", _value(e.output))),
    ev.StepHalted: lambda _: ("comes to rest", ""),
    ev.StepStuck: lambda e: ("stuck", _joined(error_text(e.error), "it took effect" if e.took_effect else "")),
    ev.StepResumed: lambda _: ("resumed", ""),
    ev.FaultRecorded: lambda _: ("fault recorded", "the run ends all the same"),
    ev.VarsSet: lambda e: ("variables set", _value(e.values)),
    ev.HaltAsked: _halted,
    ev.ChildrenHalted: _halted,
    ev.UndoStarted: lambda _: ("undo begins", ""),
    ev.StepUndone: _undone,
    ev.StepConfirmed: lambda e: ("confirmed", _resolved(e)),
    ev.RunFailing: lambda e: ("turns back", _joined(error_text(e.error), f"to end {e.ending}")),
    ev.RootResolved: lambda _: ("output given", "by a person"),
    ev.RunDecided: lambda e: ("decided", _joined("no undo any more", _value(e.output))),
    ev.RunStuck: lambda _: ("stuck", "a person is needed"),
    ev.RunFinished: _finished,
    ev.AlertRaised: lambda e: ("alert", one_line(e.message)),
    ev.RequestHeld: lambda e: (f"{e.verb} held", "until it is known whether the pivot took effect"),
    ev.RequestAccepted: lambda e: (f"{e.verb} accepted", _by(e)),
    ev.RequestRefused: lambda e: (f"{e.verb} refused", one_line(e.why)),
}
