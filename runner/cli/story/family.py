"""The stories of a run and of the runs below it, read and told as one.

Rule: nothing is told before everything that belongs to it was read, so that a server that goes away in between costs
no line. A family may be large: at most AT_ONCE children are followed at a time, and none in a loop of many items.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from runner.cli.screen import Line
from runner.cli.story.layout import Layout
from runner.cli.story.narrator import Narrator
from runner.cli.story.reading import plan_of, read_view
from runner.client import Client
from runner.errors import RecordTampered, RunNotFound
from runner.interpreter import event as ev
from runner.interpreter.plan import Plan
from runner.interpreter.record import decode_events
from runner.monitor.shapes import RunView

AT_ONCE = 10
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5  # between looks at a child that says nothing


@dataclass(slots=True)
class Voice:
    """One run of the family, as far as it was read."""

    run_id: str
    path: str  # the step that started it, in the run above; "" for the root
    narrator: Narrator
    told: int = 0  # so many entries of its history
    read: int = 0  # with those that are read and not told yet
    ends: bool = False  # its end was read
    is_over: bool = False  # … and told
    below: list[Voice] = field(default_factory=list)
    next_look: float = 0.0
    pause_s: float = 0.0

    def has(self, run_id: str) -> bool:
        return any(voice.run_id == run_id for voice in self.below)

    def family(self) -> Iterator[Voice]:
        yield self
        for voice in self.below:
            yield from voice.family()


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and the lines that it is worth."""

    event: ev.AnyEvent
    lines: list[Line]
    is_own: bool  # of the run itself, not of one below it
    is_known: bool  # to who reads


class Family:
    """Reads on in all histories with `news`, and looks at all runs with `view`."""

    def __init__(self, client: Client, run_id: str, *, verbose: bool = False, skip: int = 0) -> None:
        self._client = client
        plan = plan_of(client, client.stored(run_id))
        narrator = Narrator(plan, verbose=verbose, layout=Layout.of(plan, self._plan))
        self.root = Voice(run_id, "", narrator)
        self._skip = skip  # so many events of the root are known to who reads
        self._known_until_ms = 0

    # -- telling ------------------------------------------------------------------------------------
    def news(self) -> list[Told]:
        """What happened since the last call, by its time. Raises StoreUnavailable; then nothing is lost."""
        read: dict[str, list[ev.AnyEvent]] = {}
        self._read(self.root, read, is_due=True)
        return list(self._tell(self.root, read))

    def _read(self, voice: Voice, read: dict[str, list[ev.AnyEvent]], *, is_due: bool) -> None:
        """What is new of a run, and of those below it: of a child oftener while its parent moves."""
        now = time.monotonic()
        events: list[ev.AnyEvent] = []
        voice.read = voice.told  # what was read before an outage was not told: it is read again
        if not voice.is_over and (is_due or now >= voice.next_look):
            events = self._events(voice)
            voice.pause_s = 0.0 if events else min(LONGEST_PAUSE_S, voice.pause_s * 2 or FIRST_PAUSE_S)
            voice.next_look = now + voice.pause_s
        read[voice.run_id] = events
        for event in events:
            voice.ends = voice.ends or isinstance(event, ev.RunFinished)
            if isinstance(event, ev.ChildStarted):
                self._join(voice, event)
        for child in voice.below:
            self._read(child, read, is_due=bool(events))

    def _events(self, voice: Voice) -> list[ev.AnyEvent]:
        try:
            entries = self._client.store.history(voice.run_id, start=voice.told)
            redaction = self._client.redaction(voice.run_id)
        except RunNotFound:  # it was over long ago, and is forgotten
            voice.is_over = voice.ends = True
            return []
        voice.read += len(entries)
        return [redaction.of(event) for event in decode_events(entries, {})]

    def _join(self, above: Voice, event: ev.ChildStarted) -> None:
        place = above.narrator.place(event.path)
        living = sum(not voice.ends for voice in self.root.family()) - 1
        if place is None or place.child is None or living >= AT_ONCE or above.has(event.run_id):
            return
        narrator = above.narrator.below(event.path, self._plan(place.child.digest))
        above.below.append(Voice(event.run_id, event.path, narrator))

    def _tell(self, voice: Voice, read: dict[str, list[ev.AnyEvent]], *, is_quiet: bool = False) -> Iterator[Told]:
        """The events of a run with those below it in between. Of one among many nothing is told."""
        told = [self._own(voice, event, is_quiet=is_quiet) for event in read[voice.run_id]]
        voice.told = voice.read
        for child in voice.below:
            is_one_of_many = is_quiet or voice.narrator.is_left_out(child.path)
            told = _woven(told, child, list(self._tell(child, read, is_quiet=is_one_of_many)))
        yield from told

    def _own(self, voice: Voice, event: ev.AnyEvent, *, is_quiet: bool) -> Told:
        lines = voice.narrator.tell(event)
        voice.is_over = voice.is_over or isinstance(event, ev.RunFinished)
        if voice is self.root:
            is_known = self._skip > 0
            self._skip -= is_known
            self._known_until_ms = event.at_ms if is_known else self._known_until_ms
        else:  # when the last that is known of the root happened, this had happened too
            is_known = event.at_ms <= self._known_until_ms
        return Told(event, [] if is_known or is_quiet else lines, voice is self.root, is_known)

    def _plan(self, digest: str) -> Plan | None:
        try:
            return self._client.catalogue.plan(digest)
        except RecordTampered:
            return None

    # -- looking ------------------------------------------------------------------------------------
    def view(self) -> RunView:
        """The run as it is now, with those below it that are followed."""
        return self._view(self.root)

    def _view(self, voice: Voice) -> RunView:
        view = read_view(self._client, voice.run_id, voice.narrator.story)
        children = {}
        for child in voice.below:
            try:
                children[child.path] = self._view(child)
            except RunNotFound:
                continue
        return replace(view, children=children) if children else view


def read_family(client: Client, run_id: str) -> RunView:
    """A run as it is now, with those below it: at most AT_ONCE, and none of a loop of many. Raises RunNotFound."""
    family = Family(client, run_id)
    family.news()
    return family.view()


def _woven(own: list[Told], child: Voice, below: list[Told]) -> list[Told]:
    """A child's events between those of its parent, by their times. Where these are equal: what the child does by
    itself before, what its parent asks for after."""
    woven: list[Told] = []
    left = deque(below)
    asked = sum(_is_asking(told.event, child.path) for told in own)
    has_begun = not any(isinstance(told.event, ev.ChildStarted) and told.event.run_id == child.run_id for told in own)
    for told in own:
        while left and has_begun and left[0].event.at_ms <= told.event.at_ms:
            if asked and _is_answer(left[0].event) and left[0].event.at_ms == told.event.at_ms:
                break
            woven.append(left.popleft())
        woven.append(told)
        asked -= _is_asking(told.event, child.path)
        has_begun = has_begun or (isinstance(told.event, ev.ChildStarted) and told.event.run_id == child.run_id)
    return [*woven, *left]


def _is_asking(event: ev.AnyEvent, path: str) -> bool:
    return isinstance(event, ev.ChildAsked) and event.path == path


def _is_answer(event: ev.AnyEvent) -> bool:
    return isinstance(event, ev.RequestAccepted) and event.by.startswith("run ")
