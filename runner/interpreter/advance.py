"""`advance`: one thing happened to a run; everything that follows from it, until nothing more is due.

Pure: the run that comes in is not changed. `decide` proposes, `evolve` changes, and they alternate.
Calling it again after a crash with the same run and event gives the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runner.interpreter import event as ev
from runner.interpreter.child import hear, is_late_news
from runner.interpreter.command import COMMANDS, Command
from runner.interpreter.decide import decide
from runner.interpreter.evolve import EVOLVE, new_run
from runner.interpreter.family import news
from runner.interpreter.forward import go_forward, is_plain_end
from runner.interpreter.judge import judge
from runner.interpreter.paths import RUN
from runner.interpreter.plan import Plan
from runner.interpreter.state import TERMINAL, Header, Node, Run

# What one commit holds, so that the store takes it: the rest follows after a `Continued`. What follows from one look at
# one node is never torn apart, so there may be a thousand more events and writes than this.
MAX_DISPATCHES = 100
MAX_REVOKES = 1_000
MAX_EVENTS = 2_500
MAX_WRITES = 2_500
MAX_SPINS = 1_000  # commits in a row that were full and dispatched nothing; more can only be a loop of ours
_GOES_OUT = frozenset({ev.TaskDispatched, ev.ChildStarted, ev.ChildAsked})


@dataclass(slots=True)
class Room:
    """What a commit still holds. Several transitions of one run that go into one commit share it, and their draft."""

    dispatches: int
    revokes: int
    events: int
    writes: int

    def is_left(self, run: Run) -> bool:
        writes = len(run.changed) + len(run.dirty)
        return self.dispatches > 0 and self.revokes > 0 and self.events > 0 and self.writes > writes

    def is_wide(self, run: Run) -> bool:
        """Whether a few more events cannot fill it."""
        return self.events > 20 and self.writes - 20 > len(run.changed) + len(run.dirty)


def room_of_commit() -> Room:
    return Room(MAX_DISPATCHES, MAX_REVOKES, MAX_EVENTS, MAX_WRITES)


class Transition(NamedTuple):
    """The run as it is now, what happened (the first event is the one given), and what is to be done."""

    run: Run  # shared by the transitions of one commit: it goes on with the next of them
    events: tuple[ev.AnyEvent, ...]
    commands: tuple[Command, ...]
    settled: Node | None = None  # whose attempt is over, as it was while its task was out

    @property
    def is_full(self) -> bool:
        """More is due: give the run a `Continued`."""
        return bool(self.run.agenda)


def advance(
    plan: Plan, run: Run | None, event: ev.External, room: Room | None = None, *, dispatched: str = ""
) -> Transition:
    """`room`: what is left of the commit that this goes into. When it is used up, the event is only taken in.

    `dispatched`: the path of a task that is out already, with its input, as an earlier commit said it would be.
    Raises IllegalMove, KeyError … only for a bug or a record that does not fit the plan.
    """
    return go_on(plan, draft_for(run, event), event, room_of_commit() if room is None else room, dispatched=dispatched)


def draft_for(run: Run | None, event: ev.External) -> Run:
    """What this event, and others after it, may change."""
    if isinstance(event, ev.RunStarted):
        return new_run(event)
    if run is None:
        raise ValueError(f"{type(event).__name__} for a run that never started")
    return run.draft()


def go_on(plan: Plan, draft: Run, event: ev.External, room: Room, *, dispatched: str = "") -> Transition:
    """The same on a draft, which it changes: for several events that go into one commit."""
    header, agenda, at_ms = draft.header, draft.agenda, event.at_ms
    header.updated_at_ms = at_ms
    events: list[ev.AnyEvent] = []
    commands: list[Command] = []
    settled = None
    if isinstance(event, ev.TaskSettled) and event.path in draft.nodes:
        settled = draft.nodes[event.path].__copy__()  # type: ignore[attr-defined]
        if room.is_wide(draft) and is_plain_end(plan, draft, event):
            events += go_forward(plan, draft, event)
            room.events -= len(events)
    if not events:
        _apply(plan, draft, _first(plan, draft, event), events, commands, dispatched, room)
    left, has_room = room.dispatches, room.is_left(draft)
    while agenda and room.is_left(draft) and header.status not in TERMINAL:
        path = next(iter(agenda))
        del agenda[path]
        proposals = decide(plan, draft, path, at_ms)
        _apply(plan, draft, proposals, events, commands, dispatched, room)
        if not agenda and path != RUN and _concerns_the_run(header):
            # The whole is looked at last: whether it is stuck depends on everything else being at rest.
            agenda[RUN] = None
    if header.parent:
        _apply(plan, draft, news(draft, at_ms), events, commands, dispatched, room)
    header.agenda = tuple(agenda)
    if has_room and (agenda or header.spins):
        _count_spins(draft, events, has_dispatched=room.dispatches < left)
    return Transition(draft, tuple(events), tuple(commands), settled)


def _first(plan: Plan, draft: Run, event: ev.External) -> Sequence[ev.AnyEvent]:
    """What is made of the event itself."""
    if isinstance(event, ev.ChildTold):
        return () if draft.is_terminal or is_late_news(draft, event) else hear(draft, event)
    if isinstance(event, ev.Request):
        return judge(plan, draft, event)
    if not _is_late(draft, event):
        return (event,)
    if isinstance(event, ev.TaskSettled):
        return (ev.OutcomeIgnored(event.at_ms, event.path, event.outcome, event.error, event.process),)
    return ()


def _apply(
    plan: Plan, draft: Run, proposals: Sequence[ev.AnyEvent], events: list[ev.AnyEvent], commands: list[Command],
    dispatched: str, room: Room,
) -> None:
    events += proposals
    room.events -= len(proposals)
    for proposed in proposals:
        kind = type(proposed)
        EVOLVE[kind](plan, draft, proposed)
        if kind not in COMMANDS:
            continue
        if kind in _GOES_OUT:
            room.dispatches -= 1
        elif kind is ev.RevokeAsked:
            room.revokes -= 1
        if dispatched and kind is ev.TaskDispatched and proposed.path == dispatched:  # type: ignore[union-attr]
            draft.kept.add(f"{dispatched}:action")
        else:
            commands += COMMANDS[kind](plan, draft, proposed)


def _concerns_the_run(header: Header) -> bool:
    """Not while it just goes forward: then the root's coming to rest puts the run on the agenda."""
    return bool(header.stuck or header.pending or header.ending or header.decided)


def _count_spins(run: Run, events: list[ev.AnyEvent], *, has_dispatched: bool) -> None:
    header = run.header
    header.spins = header.spins + 1 if run.agenda and not has_dispatched else 0
    if header.spins > MAX_SPINS:
        raise RuntimeError(f"run {header.run_id} does not come to rest: {events[-3:]!r}")


def _is_late(run: Run, event: ev.External) -> bool:
    """A fact about something that is over. The store refuses old tokens; a timer may cross its own end."""
    if run.is_terminal:
        return True
    if isinstance(event, ev.TaskSettled):
        node = run.nodes.get(event.path)
        return node is None or not node.open
    return False
