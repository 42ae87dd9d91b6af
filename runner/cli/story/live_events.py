"""What the engines commit, as lines for a person or a program: filtered, redacted, and with what was missed said.

Rule: a line is printed only once it is known what of the run nobody may see. What is known of runs is bounded: of one
that was forgotten it is read again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from runner.cli.access import Access
from runner.cli.failure import did_you_mean
from runner.cli.story.event_words import style_of
from runner.cli.story.events import is_about, moment_json, moment_words
from runner.cli.wording import duration
from runner.client import Client
from runner.clock import wall_ms
from runner.definition.inputs import has_secrets
from runner.definition.secret_input import NOTHING_SECRET, Redaction
from runner.errors import RecordTampered, RunNotFound, StoreUnavailable, UsageError
from runner.interpreter import event as ev
from runner.interpreter.paths import ROOT
from runner.interpreter.record import decode_events
from runner.interpreter.state import TERMINAL
from runner.monitor.lifecycle import Moment
from runner.monitor.performance import known_workflows
from runner.monitor.story import Attempt, Story
from runner.store.ports import EventStream

KNOWN_RUNS = 2_000
READ_S = 0.25
RETRY_S = 0.5
# For programs: what a person reads already from the events around it.
_NOISE = (ev.Continued, ev.TimerFired, ev.StepStarted, ev.UndoStarted, ev.StepHalted, ev.HaltAsked, ev.ChildrenHalted)
_ENDS = (ev.StepCompleted, ev.StepFailed, ev.StepUndone)
_WORDS = (
    "started", "dispatched", "completed", "failed", "timed out", "lost", "not claimed in time", "ended unknown",
    "stopped", "taken back", "landed", "not landed", "pending", "will be retried", "waits", "skipped",
    "step begins", "step completed", "undo begins", "undone", "confirmed", "caught", "child started", "child says",
    "signal sent", "signal received", "signal taken", "turns back", "decided", "holds", "stuck", "resumed", "alert",
    "finished",
)  # fmt: skip
_NAMES = {kind.__name__.lower() for kind in ev.AnyEvent.__args__}


@dataclass(frozen=True, slots=True)
class Filter:
    """Of each kind any of these; of all kinds all. Nothing: everything. `whole`: also what is only for programs."""

    workflows: Sequence[str] = ()
    runs: Sequence[str] = ()
    steps: Sequence[str] = ()
    events: Sequence[str] = ()
    statuses: Sequence[str] = ()
    whole: bool = False

    def check(self) -> None:
        """Raises UsageError: nothing would ever fit."""
        for name in self.events:
            if name.lower() not in _WORDS and name.lower() not in _NAMES:
                kinds = [kind.__name__ for kind in ev.AnyEvent.__args__]
                advice = did_you_mean(name, [*_WORDS, *kinds])
                there_are = ", ".join(_WORDS)
                raise UsageError(f"there is no event {name!r}.{advice}\nthere are {there_are}; and the types of JSON")
        for status in self.statuses:
            if status == "stuck":
                raise UsageError("a stuck run has not ended; to see runs get stuck, say --event stuck")
            if status not in TERMINAL:
                raise UsageError(f"no run ends {status!r}; --status is one of {', '.join(sorted(TERMINAL))}")

    def wants_run(self, run_id: str) -> bool:
        return not self.runs or any(run_id.startswith(run) for run in self.runs)

    def wants(self, told: Moment, what: str) -> bool:
        event = told.event
        if self.steps and not any(told.path and is_about(told.path, step) for step in self.steps):
            return False
        if self.statuses and not (isinstance(event, ev.RunFinished) and event.status in self.statuses):
            return False
        if self.events:
            return bool({what, type(event).__name__.lower()} & {name.lower() for name in self.events})
        return self.whole or not self._is_noise(told)

    def is_echo(self, told: Moment) -> bool:
        """Of a step whose attempt was just said to have ended so."""
        return not self.whole and not self.events and isinstance(told.event, _ENDS)

    def _is_noise(self, told: Moment) -> bool:
        if isinstance(told.event, _NOISE):
            return True
        is_step = isinstance(told.event, _ENDS)
        # Scopes come to rest as steps do.
        last = told.path.rpartition("/")[2]
        return is_step and (told.path == ROOT or not {".", "#", "~"}.isdisjoint(last))


@dataclass(slots=True)
class _Known:
    """What is known of a run."""

    workflow: str
    version: str
    redaction: Redaction
    story: Story = field(default_factory=Story)


class LiveEvents:
    """Follows the stream until somebody has enough."""

    def __init__(self, reach: Access, wanted: Filter, *, logs: bool = False) -> None:
        self._reach = reach
        self._screen = reach.settings.screen
        self._wanted = wanted
        self._logs = logs
        self._runs: OrderedDict[str, _Known] = OrderedDict()
        self._shown = 0
        self._workflow_width, self._path_width = 8, 12

    def follow(self, limit: int | None = None, timeout_s: float | None = None) -> None:
        """Until so many events were shown, the time is over, or nobody reads. Raises StoreUnavailable at first only."""
        end_at = None if timeout_s is None else time.monotonic() + timeout_s
        stream = self._reach.client.store.listen()
        self._say_unknown()
        self._screen.note("· listening; Ctrl-C ends it")
        try:
            while not self._screen.is_gone and (end_at is None or time.monotonic() < end_at):
                try:
                    news = stream.read(READ_S)
                except StoreUnavailable as error:
                    stream = self._again(stream, error, end_at)
                    continue
                for run_id, entry in news:
                    self._show(run_id, entry, limit)
                    if limit is not None and self._shown >= limit:
                        return
        finally:
            stream.close()

    def _say_unknown(self) -> None:
        """A workflow of which there never was a run may get its first one now, so it is no error."""
        known = known_workflows(self._reach.client.store) if self._wanted.workflows else set()
        for name in self._wanted.workflows:
            if name not in known:
                self._screen.note(f"· no run of workflow {name!r} was ever started here.{did_you_mean(name, known)}")

    def _again(self, lost: EventStream, error: StoreUnavailable, end_at: float | None) -> EventStream:
        """Another stream, as soon as there can be one. What was missed is said."""
        lost.close()
        lost_at_ms = wall_ms()
        self._screen.note(f"! the connection was lost ({error}); what happens now is missing here")
        while True:
            try:
                stream = self._reach.client.store.listen()
            except StoreUnavailable:
                if end_at is not None and time.monotonic() >= end_at:
                    raise
                self._reach.recover()
                time.sleep(RETRY_S)
                continue
            gap_ms = wall_ms() - lost_at_ms
            # What is known of the runs may be old now, and attempts of theirs may have ended.
            self._runs.clear()
            self._screen.note(
                f"! listening again; events of the last {duration(gap_ms)} or more may be missing here, and are in "
                "`sagarun show RUN --events`"
            )
            if self._screen.format != "text":
                self._screen.json({"type": "EventsMissed", "at_ms": lost_at_ms, "until_ms": wall_ms()})
            return stream

    # -- one entry of a history -----------------------------------------------------------------------
    def _show(self, run_id: str, entry: bytes, limit: int | None) -> None:
        if not self._wanted.wants_run(run_id):
            return
        events = decode_events([entry], {})
        known = self._known(run_id, events)
        if known is None:  # it is gone already, and what of it may be shown with it
            return
        if self._wanted.workflows and known.workflow not in self._wanted.workflows:
            return
        if any(isinstance(event, ev.RunFinished) for event in events):
            del self._runs[run_id]
        settled = ""
        for told in _moments(known, events):
            what, detail = moment_words(told)
            if not self._wanted.wants(told, what) or (settled == told.path and self._wanted.is_echo(told)):
                continue
            settled = told.path if isinstance(told.event, ev.TaskSettled) else settled
            if limit is not None and self._shown >= limit:
                return
            self._shown += 1
            if self._screen.format == "text":
                self._line(run_id, known, told, what, detail)
            else:
                self._json(run_id, known, told)

    def _line(self, run_id: str, known: _Known, told: Moment, what: str, detail: str) -> None:
        # Columns grow with what comes, up to a bound, so that lines below each other line up.
        self._workflow_width = max(self._workflow_width, min(24, len(known.workflow)))
        self._path_width = max(self._path_width, min(32, len(told.path)))
        at = datetime.fromtimestamp(told.at_ms / 1_000).strftime("%H:%M:%S.%f")[:-3]
        about = f"{at}  {known.workflow:<{self._workflow_width}}  {run_id}  "
        self._screen.data([
            (about, "dim"), (f"{told.path:<{self._path_width}}  ", ""), (f"{what:<14}", style_of(what)),
            (f"  {detail}" if detail else "", ""),
        ])  # fmt: skip
        if self._logs and isinstance(told.event, ev.TaskSettled):
            for line in told.event.log.splitlines():
                self._screen.data([(f"              {line}", "dim")])

    def _json(self, run_id: str, known: _Known, told: Moment) -> None:
        document: dict[str, Any] = {"run_id": run_id, "workflow": known.workflow, "version": known.version}
        document |= moment_json(told)
        if not self._logs:
            document.pop("log", None)
        self._screen.json(document)

    # -- what is known of a run -----------------------------------------------------------------------
    def _known(self, run_id: str, events: Sequence[ev.AnyEvent]) -> _Known | None:
        known = self._runs.pop(run_id, None)
        if known is None:
            known = _read(self._reach.client, run_id, events)
            if known is None:
                return None
        self._runs[run_id] = known
        if len(self._runs) > KNOWN_RUNS:
            self._runs.popitem(last=False)
        return known


def _moments(known: _Known, events: Sequence[ev.AnyEvent]) -> Iterator[Moment]:
    """Each with the attempt that it is about, where its dispatch was heard."""
    for raw in events:
        event = known.redaction.of(raw)
        known.story.tell(event)
        path = getattr(event, "path", "")
        attempt: Attempt | None = None
        if isinstance(event, ev.TaskSettled) and (attempts := known.story.chapter(path).attempts):
            attempt = attempts.pop()  # nothing more is said of it
        yield Moment(event.at_ms, path, event, attempt=attempt)


def _read(client: Client, run_id: str, events: Sequence[ev.AnyEvent]) -> _Known | None:
    begun = next((event for event in events if isinstance(event, ev.RunStarted)), None)
    try:
        if begun is not None:
            workflow, version, digest = begun.workflow, begun.version, begun.digest
        else:
            info = msgspec.json.decode(client.stored(run_id).summary)
            workflow, version, digest = info["workflow"], info["version"], info["definition"]
        return _Known(workflow, version, _redaction(client, run_id, digest))
    except (RunNotFound, RecordTampered):
        return None


def _redaction(client: Client, run_id: str, digest: str) -> Redaction:
    """Most definitions mark nothing, and then the run need not be read."""
    schema = client.catalogue.definition(digest).input_schema
    if not has_secrets(schema):
        return NOTHING_SECRET
    run = client.state(client.stored(run_id))
    return Redaction(schema, run.payloads.get("~input") if run is not None else None)
