"""A run told line by line, as its events come in: what a pipe, a log or a person without a terminal gets.

Lines are only ever added. What is told is what the history says, in its order, so that two who watch read the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.cli.screen import Line, Span
from runner.cli.wording import duration, error_text, one_line, plural
from runner.interpreter import event as ev
from runner.interpreter.paths import static
from runner.interpreter.plan import Plan, StepPlan
from runner.monitor.story import Attempt, Story

LONG_PAUSE_MS = 2_000  # a shorter pause before a retry is not worth a line


@dataclass(frozen=True, slots=True)
class Layout:
    """How wide the columns of a definition's steps are."""

    step: int
    worker: int

    @classmethod
    def of(cls, plan: Plan | None) -> Layout:
        places = list(plan.steps.values()) if plan else []
        workers = [
            call.worker for place in places if place.worker
            for call in (place.worker.call, place.worker.compensate) if call
        ]  # fmt: skip
        ids = [place.step.id for place in places if place.step]
        return cls(max(map(len, ids), default=8), max(map(len, workers), default=12))

    def line(self, symbol: Span, step: str, worker: str, took: str, remark: str = "", *, depth: int = 0) -> Line:
        text = f" {step:<{self.step}}  {worker:<{self.worker}}  {took:>8}"
        line: list[Span] = [("  " * (depth + 1), ""), symbol]
        return [*line, (text, ""), (f"   {remark}", "dim")] if remark else [*line, (text.rstrip(), "")]


DONE: Span = ("✓", "green")
FAILED: Span = ("✗", "red")
STUCK: Span = ("‼", "bold red")
SKIPPED: Span = ("-", "dim")
NOTE: Span = ("·", "dim")


def attempts_text(attempts: Sequence[Attempt]) -> str:
    """'2 attempts (timeout, then ok)'; nothing for a single one."""
    ended = [attempt for attempt in attempts if attempt.outcome]
    if len(ended) < 2:
        return ""
    words = [_outcome_word(attempt) for attempt in ended]
    if len(set(words)) == 1:
        return f"{len(words)} attempts"
    before = f"…, {words[-2]}" if len(words) > 4 else ", ".join(words[:-1])
    return f"{len(words)} attempts ({before}, then {words[-1]})"


def _outcome_word(attempt: Attempt) -> str:
    if attempt.outcome == "completed":
        return "ok"
    return attempt.error.code if attempt.error else attempt.outcome


def remarks(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


@dataclass(slots=True)
class Narrator:
    """Tells one run. `plan` is None where its definition cannot be had."""

    plan: Plan | None
    verbose: bool = False
    story: Story = field(default_factory=Story)
    _layout: Layout = field(init=False)
    _stands: dict[str, None] = field(default_factory=dict)  # steps whose effect would have to be undone

    def __post_init__(self) -> None:
        self._layout = Layout.of(self.plan)

    def tell(self, event: ev.AnyEvent) -> list[Line]:
        """The lines that this event adds."""
        self.story.tell(event)
        told = _TELL.get(type(event))
        return list(told(self, event)) if told else []

    def place(self, path: str) -> StepPlan | None:
        return self.plan.steps.get(static(path)) if self.plan else None

    def step_line(self, symbol: Span, path: str, worker: str, took_ms: float | None, remark: str = "") -> Line:
        place = self.place(path)
        name = place.step.id if place and place.step else path
        depth = path.removeprefix("~finally/").count("/")
        return self._layout.line(symbol, name, worker, duration(took_ms), one_line(remark), depth=depth)

    def worker_of(self, path: str, *, undo: bool = False) -> str:
        """"" for a step that asks nobody."""
        place = self.place(path)
        if place is None or place.worker is None:
            return ""
        call = place.worker.compensate if undo else place.worker.call
        return call.worker if call else ""

    def took(self, path: str) -> int:
        chapter = self.story.chapter(path)
        return chapter.ended_at_ms - chapter.started_at_ms

    def tries(self, path: str, phase: str = "action") -> str:
        return attempts_text(self.story.chapter(path).of_phase(phase))

    def is_shown(self, path: str) -> bool:
        """What is no step (the whole of the run, its `finally`) has no name, and no line."""
        place = self.place(path)
        if place is None or place.step is None:
            return place is None and bool(path)
        return place.kind in ("worker", "set", "fail") or self.verbose

    @property
    def stands(self) -> dict[str, None]:
        return self._stands


def _step_started(teller: Narrator, event: ev.StepStarted) -> Sequence[Line]:
    place = teller.place(event.path)
    if place is None or place.kind not in ("steps", "parallel", "for_each"):
        return ()
    return (teller.step_line(NOTE, event.path, "", None),)


def _step_skipped(teller: Narrator, event: ev.StepSkipped) -> Sequence[Line]:
    remark = "skipped by hand" if event.resolved else "skipped"
    return (teller.step_line(SKIPPED, event.path, teller.worker_of(event.path), None, remark),)


def _step_completed(teller: Narrator, event: ev.StepCompleted) -> Sequence[Line]:
    if teller.worker_of(event.path, undo=True):
        teller.stands[event.path] = None
    if not teller.is_shown(event.path) and not _is_its_own(teller, event):
        return ()
    verified = teller.story.chapter(event.path).of_phase("verify")[-1:]
    remark = remarks(
        teller.tries(event.path),
        "its verification found that it had landed" if verified and verified[0].verdict == "landed" else "",
        "settled by hand" if event.resolved else "",
        error_text(event.error),
    )
    symbol = DONE if event.error is None else FAILED
    return (teller.step_line(symbol, event.path, teller.worker_of(event.path), teller.took(event.path), remark),)


def _step_failed(teller: Narrator, event: ev.StepFailed) -> Sequence[Line]:
    if event.unknown and teller.worker_of(event.path, undo=True):
        teller.stands[event.path] = None
    if not teller.is_shown(event.path) and not _is_its_own(teller, event):
        return ()
    remark = remarks(
        error_text(event.error),
        teller.tries(event.path),
        "it is not known whether it took effect" if event.unknown else "",
        "settled by hand" if event.resolved else "",
        _caught_text(teller, event),
    )
    return (teller.step_line(FAILED, event.path, teller.worker_of(event.path), teller.took(event.path), remark),)


def _is_its_own(teller: Narrator, event: ev.StepCompleted | ev.StepFailed) -> bool:
    """A block that broke by itself: no line of a step in it says why."""
    place = teller.place(event.path)
    return event.error is not None and place is not None and place.step is not None and (
        event.error.step == place.step.id
    )


def _caught_text(teller: Narrator, event: ev.StepFailed) -> str:
    place = teller.place(event.path)
    if event.caught < 0 or place is None:
        return ""
    return "caught" if place.catches[event.caught].has_steps or event.unknown else "the run goes on"


def _step_caught(teller: Narrator, event: ev.StepCaught) -> Sequence[Line]:
    return (teller.step_line(NOTE, event.path, "", None, "the run goes on"),) if event.handled else ()


def _step_stuck(teller: Narrator, event: ev.StepStuck) -> Sequence[Line]:
    attempts = teller.story.chapter(event.path).attempts
    undoing = bool(attempts) and attempts[-1].phase == "compensate"
    worker = attempts[-1].worker if attempts else teller.worker_of(event.path)
    count = plural(len(teller.story.chapter(event.path).of_phase(attempts[-1].phase)), "attempt") if attempts else ""
    remark = remarks("the undo is stuck" if undoing else "stuck", count, error_text(event.error))
    return (teller.step_line(STUCK, event.path, worker, None, remark),)


def _step_resumed(teller: Narrator, event: ev.StepResumed) -> Sequence[Line]:
    return (teller.step_line(NOTE, event.path, "", None, "asked again"),)


def _step_undone(teller: Narrator, event: ev.StepUndone) -> Sequence[Line]:
    teller.stands.pop(event.path, None)
    worker = teller.worker_of(event.path, undo=True)
    if event.nothing or not worker:
        return ()
    if event.skipped:
        return (teller.step_line(SKIPPED, event.path, worker, None, "not undone: skipped by hand"),)
    chapter = teller.story.chapter(event.path)
    remark = remarks(teller.tries(event.path, "compensate"), "settled by hand" if event.resolved else "")
    return (teller.step_line(DONE, event.path, worker, event.at_ms - chapter.undo_started_at_ms, remark),)


def _run_failing(teller: Narrator, _event: ev.RunFailing) -> Sequence[Line]:
    return ([("  ↩ ", "yellow"), (f"undoing {plural(len(teller.stands), 'step')}", "")],) if teller.stands else ()


def _retry_scheduled(teller: Narrator, event: ev.RetryScheduled) -> Sequence[Line]:
    pause = event.due_at_ms - event.at_ms
    if pause < LONG_PAUSE_MS and not teller.verbose:
        return ()
    attempts = teller.story.chapter(event.path).attempts
    why = error_text(attempts[-1].error) if attempts else ""
    what = {"action": "", "verify": "verification ", "compensate": "undo "}[event.phase]
    worker = attempts[-1].worker if attempts else ""
    return (teller.step_line(NOTE, event.path, worker, None, remarks(why, f"{what}again in {duration(pause)}")),)


def _alert_raised(_teller: Narrator, event: ev.AlertRaised) -> Sequence[Line]:
    return ([("  ! ", "yellow"), (one_line(event.message), "")],)


def _request_accepted(_teller: Narrator, event: ev.RequestAccepted) -> Sequence[Line]:
    by, reason = (f" by {event.by}" if event.by else ""), (f": {one_line(event.reason)}" if event.reason else "")
    return ([("  · ", "dim"), (f"{event.verb} asked for{by}{reason}", "")],)


def _request_held(_teller: Narrator, event: ev.RequestHeld) -> Sequence[Line]:
    return ([("  · ", "dim"), (f"the {event.verb} waits until it is known whether the pivot took effect", "")],)


_TELL: dict[type, Callable[[Narrator, Any], Sequence[Line]]] = {
    ev.StepStarted: _step_started,
    ev.StepSkipped: _step_skipped,
    ev.StepCompleted: _step_completed,
    ev.StepFailed: _step_failed,
    ev.StepCaught: _step_caught,
    ev.StepStuck: _step_stuck,
    ev.StepResumed: _step_resumed,
    ev.StepUndone: _step_undone,
    ev.RunFailing: _run_failing,
    ev.RetryScheduled: _retry_scheduled,
    ev.AlertRaised: _alert_raised,
    ev.RequestAccepted: _request_accepted,
    ev.RequestHeld: _request_held,
}
