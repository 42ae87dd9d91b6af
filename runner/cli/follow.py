"""Follows one run to its rest: reads its history as it grows, and shows it. It only reads; who calls it hosts, or not.

A server that goes away for a moment is waited for. On a terminal the run is a tree that is drawn again at most ten
times a second; anywhere else every line is written once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from runner.cli.narrator import Narrator
from runner.cli.report import step_lines
from runner.cli.screen import Screen, json_text
from runner.cli.wording import line_text
from runner.client import Client
from runner.clock import wall_ms
from runner.errors import RecordTampered, StoreUnavailable
from runner.interpreter import event as ev
from runner.interpreter.plan import Plan
from runner.interpreter.record import decode_event
from runner.monitor.views import RunView, view_run
from runner.store.ports import StoredRun

if TYPE_CHECKING:
    from rich.live import Live

FIRST_POLL_S, LAST_POLL_S = 0.02, 0.1
LOOK_S = 1.0  # between looks at what the history does not tell: a run that broke, a queue that nobody serves
PATIENCE_S = 30.0  # how long an outage of the server is waited for
T = TypeVar("T")


def plan_of(client: Client, stored: StoredRun) -> Plan | None:
    """None where the definition is not there any more; the run can still be shown."""
    digest = msgspec.json.decode(stored.summary).get("definition", "") if stored.summary else ""
    try:
        return client.catalogue.plan(digest)
    except RecordTampered:
        return None


def read_view(client: Client, run_id: str, events: list[ev.AnyEvent] | None = None) -> RunView:
    """The run as it is now. Raises RunNotFound."""
    stored = client.stored(run_id)
    told = read_events(client, run_id) if events is None else events
    line = client.store.slot(stored.slot, run_id=run_id) if stored.in_line else None
    return view_run(stored, client.state(stored), plan_of(client, stored), told, line)


def read_events(client: Client, run_id: str, start: int = 0) -> list[ev.AnyEvent]:
    """Without their payloads."""
    return [decode_event(entry, {}) for entry in client.store.history(run_id, start=start)]


@dataclass(slots=True)
class Follower:
    """Shows one run until it rests. `recover` is called when the server is away; `look` about once a second."""

    client: Client
    run_id: str
    screen: Screen
    recover: Callable[[], None] = lambda: None
    look: Callable[[RunView], None] = lambda _view: None
    skip: int = 0  # so many events of its history are known to who reads
    _events: list[ev.AnyEvent] = field(default_factory=list)
    _seen: RunView = field(init=False)
    _clock_offset_ms: int = 0

    def follow(self, timeout_s: float | None = None) -> RunView | None:
        """The run when it has ended or is stuck; None when the time is over."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        view = self._patiently(lambda: read_view(self.client, self.run_id, []))
        if view.line is not None:
            self.screen.note(f"· it waits to begin: {line_text(view.line)}")
        stored = self._patiently(lambda: self.client.stored(self.run_id))
        narrator = Narrator(plan_of(self.client, stored), verbose=self.screen.verbose)
        self._clock_offset_ms = self._patiently(self.client.store.now_ms) - wall_ms()
        live = None
        self._seen = view
        try:
            with self._live() as live:
                return self._until_rest(narrator, live, deadline)
        finally:  # also when the time is over, or at an interrupt: the live one is gone from the screen
            if live is not None:
                self._show_tree(self._seen)

    def _until_rest(self, narrator: Narrator, live: Live | None, deadline: float | None) -> RunView | None:
        pause_s, looked_at = FIRST_POLL_S, time.monotonic()
        while True:
            news = self._patiently(lambda: read_events(self.client, self.run_id, len(self._events)))
            self._events += news
            for event in news:
                self._tell(narrator, event, live)
            rests = any(isinstance(event, ev.RunFinished | ev.RunStuck) for event in news)
            if rests or (news and live is not None) or time.monotonic() - looked_at >= LOOK_S:
                looked_at = time.monotonic()
                self._seen = self._patiently(lambda: read_view(self.client, self.run_id, self._events))
                if self._seen.terminal or self._seen.status == "stuck":
                    self._catch_up(narrator, live)
                    self._seen = self._patiently(lambda: read_view(self.client, self.run_id, self._events))
                    return self._seen
                self.look(self._seen)
            if live is not None:
                self._draw(live, self._seen)
            if deadline is not None and time.monotonic() >= deadline:
                return None
            pause_s = FIRST_POLL_S if news else min(pause_s * 1.5, LAST_POLL_S)
            time.sleep(pause_s)

    def _catch_up(self, narrator: Narrator, live: Live | None) -> None:
        """The last events may have come between the look at the history and the look at the run."""
        news = self._patiently(lambda: read_events(self.client, self.run_id, len(self._events)))
        self._events += news
        for event in news:
            self._tell(narrator, event, live)

    def _tell(self, narrator: Narrator, event: ev.AnyEvent, live: Live | None) -> None:
        lines = narrator.tell(event)
        if self.skip > 0:
            self.skip -= 1
            return
        if self.screen.format == "jsonl":
            self.screen.data(json_text(msgspec.to_builtins(event)))
        elif live is None:
            for line in lines:
                self.screen.story(line)

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Ask the store; while it is away, wait, and say so once."""
        give_up_at = 0.0
        while True:
            try:
                return ask()
            except StoreUnavailable as error:
                if not give_up_at:
                    give_up_at = time.monotonic() + PATIENCE_S
                    self.screen.note(f"! {error}; waiting for it")
                elif time.monotonic() >= give_up_at:
                    raise StoreUnavailable(
                        f"{error}\nwaited {PATIENCE_S:g} s; the run goes on when the server is back: "
                        f"sagarun watch {self.run_id}"
                    ) from error
                self.recover()
                time.sleep(LAST_POLL_S)

    # -- on a terminal ------------------------------------------------------------------------------
    @contextmanager
    def _live(self) -> Iterator[Live | None]:
        if self.screen.format != "text" or not self.screen.is_live or self.screen.quiet:
            yield None
            return
        from rich.live import Live

        # Gone at the end: then the tree is printed once more, whole, where `Live` would cut it to the screen.
        with Live(console=self.screen.console, auto_refresh=False, transient=True) as live:
            yield live

    def _draw(self, live: Live, view: RunView) -> None:
        from rich.console import Group

        now_ms = wall_ms() + self._clock_offset_ms
        lines = step_lines(view, now_ms=now_ms)
        live.update(Group(*(self.screen.text(line) for line in lines)), refresh=True)

    def _show_tree(self, view: RunView) -> None:
        for line in step_lines(view):
            self.screen.data(line)
