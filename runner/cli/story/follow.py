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

from runner.cli.screen import Line, Screen, json_text, plain
from runner.cli.story.family import Family, Told
from runner.cli.story.report import signal_lines
from runner.cli.story.tree import live_lines, step_lines
from runner.cli.wording import line_text
from runner.client import Client
from runner.clock import wall_ms
from runner.errors import StoreUnavailable
from runner.interpreter import event as ev
from runner.monitor.shapes import RunView

if TYPE_CHECKING:
    from rich.live import Live

FIRST_POLL_S, LAST_POLL_S = 0.02, 0.1
DRAW_S = 0.1  # between two drawings on a terminal
LOOK_S = 1.0  # between looks at what the history does not tell: a run that broke, a queue that nobody serves
LOOK_SHARE = 5  # times as long as a look took, nobody looks again: a run of a thousand items is not read all the time
PATIENCE_S = 30.0  # how long an outage of the server is waited for
T = TypeVar("T")


@dataclass(slots=True)
class Follower:
    """Shows one run until it rests. `recover` is called when the server is away; `look` about once a second."""

    client: Client
    run_id: str
    screen: Screen
    recover: Callable[[], None] = lambda: None
    look: Callable[[RunView], None] = lambda _view: None
    is_enough: Callable[[RunView], bool] = lambda _view: False  # it need not be followed on, though it does not rest
    skip: int = 0  # so many events of its history are known to who reads
    _seen: RunView = field(init=False)
    _family: Family = field(init=False)
    _look_at: float = 0.0
    _rest_until: float = 0.0
    _draw_at: float = 0.0
    _drawn: list[Line] = field(default_factory=list)
    _clock_offset_ms: int = 0

    def follow(self, timeout_s: float | None = None) -> RunView | None:
        """The run when it has ended or is stuck; None when the time is over."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._family = self._patiently(
            lambda: Family(self.client, self.run_id, verbose=self.screen.verbose, skip=self.skip)
        )
        self._seen = self._read()
        if self._seen.line is not None:
            self.screen.note(f"· it waits to begin: {line_text(self._seen.line)}")
        self._clock_offset_ms = self._patiently(self.client.store.now_ms) - wall_ms()
        live = None
        try:
            with self._live() as live:
                return self._until_rest(live, deadline)
        finally:  # also when the time is over, or at an interrupt: the live one is gone from the screen
            if live is not None:
                self._show_tree(self._seen)

    def _until_rest(self, live: Live | None, deadline: float | None) -> RunView | None:
        pause_s = FIRST_POLL_S
        self._look_at = time.monotonic() + LOOK_S
        while True:
            news = self._catch_up(live)
            rests = any(isinstance(told.event, ev.RunFinished | ev.RunStuck) for told in news)
            if rests or time.monotonic() >= self._look_at:
                self._look()
                if self._seen.rests or self._patiently(lambda: self.is_enough(self._seen)):
                    self._catch_up(live)  # the last events may have come between the look at the history and at the run
                    self._seen = self._read()
                    return self._seen
                self._patiently(lambda: self.look(self._seen))
            elif news and live is not None:
                self._look_at = min(self._look_at, max(self._rest_until, time.monotonic() + DRAW_S))
            if live is not None and time.monotonic() >= self._draw_at:
                self._draw_at = time.monotonic() + DRAW_S
                self._draw(live, self._seen)
            if deadline is not None and time.monotonic() >= deadline:
                return None
            pause_s = FIRST_POLL_S if news else min(pause_s * 1.5, LAST_POLL_S)
            time.sleep(pause_s)

    def _read(self) -> RunView:
        return self._patiently(self._family.view)

    def _look(self) -> None:
        began = time.monotonic()
        self._seen = self._read()
        now = time.monotonic()
        self._rest_until = now + LOOK_SHARE * (now - began)
        self._look_at = max(self._rest_until, now + LOOK_S)

    def _catch_up(self, live: Live | None) -> list[Told]:
        """Read on in the histories, and tell what is new."""
        news = self._patiently(self._family.news)
        for told in news:
            if self.screen.format == "jsonl":
                if told.is_own and not told.is_known:
                    self.screen.data(json_text(msgspec.to_builtins(told.event)))
            elif live is None:
                for line in told.lines:
                    self.screen.story(line)
        return news

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

        console, below = self.screen.console, signal_lines(view)  # to be copied, so they are not cut
        rows = sum(len(plain(line)) // console.width + 1 for line in below)
        # One row is the cursor's, and one more is left: what scrolls off a screen that is full cannot be taken back.
        above = live_lines(view, now_ms=self._now_ms, height=max(1, console.height - 2 - rows))
        if [*above, *below] == self._drawn:
            return
        self._drawn = [*above, *below]
        texts = [self.screen.text(line, one_row=True) for line in above] + [self.screen.text(line) for line in below]
        live.update(Group(*texts), refresh=True)

    def _show_tree(self, view: RunView) -> None:
        lines = step_lines(view, now_ms=0 if view.terminal else self._now_ms)
        for line in [*lines, *([] if view.status == "stuck" else signal_lines(view))]:
            self.screen.data(line)

    @property
    def _now_ms(self) -> int:
        """The store's clock."""
        return wall_ms() + self._clock_offset_ms
