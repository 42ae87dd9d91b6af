"""What a history tells of each step: when it began and ended, every attempt, the pause it is in.

A fold over events, as `evolve` is, but for people: it keeps what a view shows and decides nothing.
Events of kinds it does not know are passed over, so a newer engine's history can still be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from runner.interpreter import event as ev
from runner.wire import ErrorRecord


@dataclass(slots=True)
class Attempt:
    """One try of a step's action, verification or compensation. `outcome` is "" while it is out."""

    phase: str
    number: int  # of its phase, from the run's beginning to its end
    worker: str
    asked_at_ms: int
    outcome: str = ""
    error: ErrorRecord | None = None
    verdict: str = ""
    process: str = ""
    duration_ms: float | None = None  # what its worker measured, else from its claim to its end
    max_attempts: int = 0
    claimed_at_ms: int = 0  # 0: nobody has claimed it, as far as the history knows
    started_at_ms: int = 0  # by the worker's clock, where that fits between the store's two times
    settled_at_ms: int = 0  # 0: it is out
    log: str = ""  # the last lines that it logged
    fresh: bool = False  # the first of its phase, as the event says: part of what its span is called
    told: int = 0  # what its worker was told: a step that is resumed is tried with a fresh budget, from 1 on

    @property
    def queue_ms(self) -> int | None:
        return self.claimed_at_ms - self.asked_at_ms if self.claimed_at_ms else None

    @property
    def total_ms(self) -> int | None:
        return self.settled_at_ms - self.asked_at_ms if self.settled_at_ms else None

    @property
    def word(self) -> str:
        """How it ended, as people say it; "" while it is out."""
        code = self.error.code if self.error is not None else ""
        if self.outcome == "revoked":
            return "taken back"
        if code in _WORDS and self.outcome != "completed":
            return _WORDS[code]
        return self.verdict.replace("_", " ") or {"unknown": "ended unknown"}.get(self.outcome, self.outcome)


_WORDS = {"timeout": "timed out", "worker_lost": "lost", "queue_timeout": "not claimed in time", "cancelled": "stopped"}


@dataclass(slots=True)
class Standstill:
    """A time in which a step was stuck, until it was asked again, settled by hand, or the run ended."""

    role: Literal["forward", "undo", "confirm"]
    began_ms: int
    ended_ms: int = 0  # 0: it lasts
    settled: str = ""  # as what a person settled it


@dataclass(slots=True)
class Chapter:
    """One step's part of the story."""

    path: str
    started_at_ms: int = 0
    ended_at_ms: int = 0
    undo_started_at_ms: int = 0
    undo_ended_at_ms: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    standstills: list[Standstill] = field(default_factory=list)
    wait_until_ms: int = 0  # of a wait, and of a signal that has a timeout
    retry_at_ms: int = 0  # when the next attempt is due; 0: it is not waiting

    def of_phase(self, phase: str) -> list[Attempt]:
        """Attempts that were begun: a task that was taken back before anybody claimed it was none."""
        return [attempt for attempt in self.attempts if attempt.phase == phase and attempt.outcome != "revoked"]

    def stuck_ms(self, role: str) -> int:
        """For how long it waited for a person: not its own time."""
        return sum(each.ended_ms - each.began_ms for each in self.standstills if each.role == role and each.ended_ms)

    def settled(self, role: str) -> str:
        """As what a person settled it; "": nobody did."""
        return next((each.settled for each in self.standstills[::-1] if each.role == role), "")

    def go_on(self, at_ms: int, settled: str = "") -> None:
        """If it was stuck, it is so no longer."""
        if self.standstills and not self.standstills[-1].ended_ms:
            self.standstills[-1].ended_ms, self.standstills[-1].settled = at_ms, settled


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked of the run, and the answer: accepted, held or refused. `start` is how it began."""

    at_ms: int
    verb: str
    by: str
    reason: str = ""
    answer: str = "accepted"
    why: str = ""
    what: str = ""  # resolve: which step, as what


class Story:
    """Chapters by path. `tell` takes the next event."""

    def __init__(self, events: Iterable[ev.AnyEvent] = ()) -> None:
        self.chapters: dict[str, Chapter] = {}
        self.asked: list[Asked] = []
        self.is_decided = False
        for event in events:
            self.tell(event)

    def chapter(self, path: str) -> Chapter:
        return self.chapters.setdefault(path, Chapter(path))

    def tell(self, event: ev.AnyEvent) -> None:
        apply = _TELL.get(type(event))
        if apply is not None:
            apply(self, event)


    def go_on(self, chapter: Chapter, at_ms: int, settled: str) -> None:
        """`settled`: by what somebody has just asked."""
        chapter.go_on(at_ms, settled)
        if settled and self.asked and self.asked[-1].verb == "resolve":
            self.asked[-1] = replace(self.asked[-1], what=f"{chapter.path} as {settled}")


def _begun(story: Story, event: ev.RunStarted) -> None:
    by = event.by or (f"run {event.parent}" if event.parent else "")
    story.asked.append(Asked(event.at_ms, "start", by, event.reason))


def _accepted(story: Story, event: ev.RequestAccepted) -> None:
    story.asked.append(Asked(event.at_ms, event.verb, event.by, event.reason))


def _refused(story: Story, event: ev.RequestRefused) -> None:
    story.asked.append(Asked(event.at_ms, event.verb, event.by, event.reason, "refused", event.why))


def _started(story: Story, event: ev.StepStarted) -> None:
    story.chapter(event.path).started_at_ms = event.at_ms


def _ended(story: Story, event: Any) -> None:
    chapter = story.chapter(event.path)
    chapter.ended_at_ms = event.at_ms
    chapter.started_at_ms = chapter.started_at_ms or event.at_ms
    resolved = getattr(event, "resolved", False)
    story.go_on(chapter, event.at_ms, _SETTLED.get(type(event), str(resolved)) if resolved else "")


def _dispatched(story: Story, event: ev.TaskDispatched) -> None:
    chapter = story.chapter(event.path)
    chapter.retry_at_ms = 0
    if event.phase == "compensate" and not chapter.undo_started_at_ms:
        chapter.undo_started_at_ms = event.at_ms
    chapter.attempts.append(Attempt(
        event.phase, len(chapter.of_phase(event.phase)) + 1, event.worker, event.at_ms, fresh=event.fresh,
        max_attempts=event.max_attempts, told=event.attempt,
    ))  # fmt: skip


def _settled(story: Story, event: ev.TaskSettled) -> None:
    attempts = story.chapter(event.path).attempts
    if not attempts:
        return  # the beginning of this history was compacted away
    attempt = attempts[-1]
    attempt.outcome, attempt.error, attempt.verdict = event.outcome, event.error, event.verdict
    attempt.process, attempt.log = event.process, event.log
    attempt.claimed_at_ms, attempt.settled_at_ms = event.claimed_at_ms, event.at_ms
    if event.claimed_at_ms <= event.started_at_ms <= event.at_ms:  # else its clock and the store's differ by more
        attempt.started_at_ms = event.started_at_ms
    # The worker measured it; an attempt that was lost has only the store's two times.
    if event.duration_ms:
        attempt.duration_ms = event.duration_ms
    elif event.claimed_at_ms:
        attempt.duration_ms = float(event.at_ms - event.claimed_at_ms)


def _retry_scheduled(story: Story, event: ev.RetryScheduled) -> None:
    story.chapter(event.path).retry_at_ms = event.due_at_ms


def _wait_started(story: Story, event: ev.WaitStarted) -> None:
    story.chapter(event.path).wait_until_ms = event.due_at_ms


def _timer_dropped(story: Story, event: ev.TimerDropped) -> None:
    story.chapter(event.path).retry_at_ms = 0


def _undo_started(story: Story, event: ev.UndoStarted) -> None:
    story.chapter(event.path).undo_started_at_ms = event.at_ms


def _stuck(story: Story, event: ev.StepStuck) -> None:
    chapter = story.chapter(event.path)
    is_undoing = chapter.undo_started_at_ms and not chapter.undo_ended_at_ms
    role: Literal["forward", "undo", "confirm"] = "undo" if is_undoing else "forward"
    chapter.standstills.append(Standstill("confirm" if story.is_decided else role, event.at_ms))


def _resumed(story: Story, event: ev.StepResumed) -> None:
    story.chapter(event.path).go_on(event.at_ms)


def _undone(story: Story, event: ev.StepUndone) -> None:
    chapter = story.chapter(event.path)
    chapter.undo_ended_at_ms = event.at_ms
    story.go_on(chapter, event.at_ms, "skipped" if event.skipped else "compensated" if event.resolved else "")


def _confirmed(story: Story, event: ev.StepConfirmed) -> None:
    story.go_on(story.chapter(event.path), event.at_ms, event.resolved)


def _decided(story: Story, _event: ev.RunDecided) -> None:
    story.is_decided = True


def _finished(story: Story, event: ev.RunFinished) -> None:
    for chapter in story.chapters.values():
        chapter.go_on(event.at_ms)


_SETTLED: dict[type, str] = {ev.StepCompleted: "completed", ev.StepFailed: "failed", ev.StepSkipped: "skipped"}
_TELL: dict[type, Callable[[Story, Any], None]] = {
    ev.RunStarted: _begun,
    ev.RequestAccepted: _accepted,
    ev.RequestRefused: _refused,
    ev.StepStarted: _started,
    ev.StepSkipped: _ended,
    ev.StepCompleted: _ended,
    ev.StepFailed: _ended,
    ev.StepCaught: _ended,
    ev.StepHalted: _ended,
    ev.TaskDispatched: _dispatched,
    ev.TaskSettled: _settled,
    ev.RetryScheduled: _retry_scheduled,
    ev.WaitStarted: _wait_started,
    ev.TimerDropped: _timer_dropped,
    ev.UndoStarted: _undo_started,
    ev.StepStuck: _stuck,
    ev.StepResumed: _resumed,
    ev.StepUndone: _undone,
    ev.StepConfirmed: _confirmed,
    ev.RunDecided: _decided,
    ev.RunFinished: _finished,
}
