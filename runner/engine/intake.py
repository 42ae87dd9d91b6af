"""What the store's inbox says, as events; what a transition wants, as a commit. Pure translation."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import msgspec
from msgspec.structs import replace

from runner.interpreter import event as ev
from runner.interpreter.advance import Room, Transition, draft_for, go_on, room_of_commit
from runner.interpreter.command import ClearTimer, Command, DispatchTask, RevokeTask, SetTimer, StartChild, TellRun
from runner.interpreter.plan import Plan
from runner.interpreter.record import UNREADABLE, changes_of, decode_request, decode_told, encode_events, state_of
from runner.interpreter.relay import Successor
from runner.interpreter.state import Run
from runner.starting import child_run
from runner.store.ports import Commit, Dispatch, InboxEntry, NewRun
from runner.store.successor import Successor as StoreSuccessor
from runner.wire import ErrorRecord, Outcome, last_lines

_OUTCOME = msgspec.json.Decoder(Outcome)
_OUTPUT = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


def _outcome(entry: InboxEntry) -> ev.TaskSettled:
    try:
        outcome = _OUTCOME.decode(entry.body)
        output = _OUTPUT.decode(entry.output or outcome.output)
    except UNREADABLE as error:
        # The worker ran, and nobody can say what came of it.
        wrong = ErrorRecord("invalid_output", message=f"the outcome cannot be read: {error}")
        return _settled(entry, "unknown", wrong)
    return ev.TaskSettled(
        at_ms=entry.at_ms,
        path=entry.path,
        outcome=outcome.outcome,
        output=output,
        error=outcome.error,
        verdict=outcome.verdict,
        fenced=outcome.fenced,
        hint_ms=outcome.after_ms,
        claimed_at_ms=entry.claimed_at_ms,
        process=entry.process,
        size=len(entry.body) + len(entry.output) - len(outcome.log),
        duration_ms=outcome.duration_ms,
        kept=bool(entry.output),
        log=last_lines(outcome.log) if outcome.log else "",
        started_at_ms=outcome.started_at_ms,
    )


def _lost(entry: InboxEntry) -> ev.TaskSettled:
    error = ErrorRecord("worker_lost", message=f"its worker process {entry.process} was lost")
    log = ""
    if entry.body:  # its supervisor lived on, and says what it had logged, and perhaps how the child ended
        with contextlib.suppress(*UNREADABLE):
            told = _OUTCOME.decode(entry.body)
            log = last_lines(told.log)
            if told.error is not None:
                error = replace(error, message=told.error.message, details=told.error.details)
    return replace(_settled(entry, "unknown", error), log=log)


def _settled(
    entry: InboxEntry, outcome: Literal["failed", "unknown", "revoked"], error: ErrorRecord | None = None
) -> ev.TaskSettled:
    return ev.TaskSettled(
        at_ms=entry.at_ms, path=entry.path, outcome=outcome, error=error,
        claimed_at_ms=entry.claimed_at_ms, process=entry.process,
    )


# The event that an inbox entry tells of. Raises msgspec.DecodeError for a request that nobody can read.
_EVENTS: dict[str, Callable[[InboxEntry], ev.External]] = {
    "started": lambda entry: decode_request(entry.body, entry.at_ms),
    "request": lambda entry: decode_request(entry.body, entry.at_ms),
    "timer": lambda entry: ev.TimerFired(entry.at_ms, entry.path),
    "outcome": _outcome,
    "lost": _lost,
    "queue_timeout": lambda entry: _settled(
        entry, "failed", ErrorRecord("queue_timeout", message="no worker took it in time")
    ),
    "revoked": lambda entry: _settled(entry, "revoked"),
    "told": lambda entry: decode_told(entry.body, entry.at_ms),
}


_CALLS_OFF = (ev.CancelRequested, ev.AbandonRequested)


def interpret(
    plan_of: Callable[[str], Plan], run: Run | None, entries: Sequence[InboxEntry],
    prepare: Callable[[StartChild], StartChild | ev.ChildTold] = lambda command: command,
) -> list[Transition]:
    """Everything that follows from these entries, in order. No entries: what was left over goes on.

    `prepare` holds the input of a child against its schema; a refusal is heard of here and now.
    """
    transitions: list[Transition] = []
    unsent: set[str] = set()
    # With each the path of the task that the store dispatched because of it, for it was told what comes next.
    events: deque[tuple[ev.External, str]] = deque(
        [(_EVENTS[entry.kind](entry), entry.next) for entry in _in_order(run, entries)]
    )
    room = room_of_commit()
    # Who left the line of a slot because it was called off has none, so nothing of it may begin: its start is taken in,
    # and what follows from that is asked when it is known that it will not go on.
    is_called_off = run is None and any(isinstance(event, _CALLS_OFF) for event, _ in events)
    if not events and run is not None and run.agenda:
        events.append((ev.Continued(run.header.updated_at_ms), ""))
    draft: Run | None = None
    while events:
        event, went_on_to = events.popleft()
        if draft is None:
            draft = draft_for(run, event)
        is_taken_in = is_called_off and isinstance(event, ev.RunStarted)
        # What the store dispatched already takes no room; and it has to be heard to the end, here and now.
        left = Room(0, 0, 0, 0) if is_taken_in else room_of_commit() if went_on_to else room
        transition = go_on(plan_of(draft.header.digest), draft, event, left, dispatched=went_on_to)
        if went_on_to:
            _check_went_on(transition, went_on_to)
        if transition.commands and any(isinstance(command, StartChild) for command in transition.commands):
            commands, refusals = _prepared(transition.commands, prepare, event.at_ms)
            transition = transition._replace(commands=commands)
            events.extendleft((refusal, "") for refusal in reversed(refusals))
        transitions.append(transition)
        # A task that this very batch dispatched has not left yet, so it is taken back here and now.
        for command in transition.commands:
            if type(command) is DispatchTask:
                unsent.add(command.path)
            elif type(command) is RevokeTask and command.path in unsent:
                unsent.remove(command.path)
                events.appendleft((ev.TaskSettled(event.at_ms, command.path, "revoked"), ""))
    return transitions


def _check_went_on(transition: Transition, path: str) -> None:
    """That this task, which is out already, is what comes next. Anything else would be a defect of ours."""
    dispatched = [event.path for event in transition.events if type(event) is ev.TaskDispatched]
    if dispatched != [path]:
        raise ValueError(f"the store went on to {path!r}, and {dispatched} is what comes next")


def _in_order(run: Run | None, entries: Sequence[InboxEntry]) -> Sequence[InboxEntry]:
    """Times never go back: a run that waited for a slot began when it had it, and what came before came then."""
    latest_ms = run.header.updated_at_ms if run is not None else 0
    ordered: list[InboxEntry] = []
    for entry in entries:
        if entry.at_ms < latest_ms:
            entry = replace(entry, at_ms=latest_ms)
        latest_ms = entry.at_ms
        ordered.append(entry)
    return ordered


def _prepared(
    commands: tuple[Command, ...], prepare: Callable[[StartChild], StartChild | ev.ChildTold], at_ms: int
) -> tuple[tuple[Command, ...], list[ev.ChildTold]]:
    made = [prepare(command) if isinstance(command, StartChild) else command for command in commands]
    refusals = [replace(refusal, at_ms=at_ms) for refusal in made if isinstance(refusal, ev.ChildTold)]
    return tuple(command for command in made if not isinstance(command, ev.ChildTold)), refusals


def commit_of(
    run_id: str, etag_read: str, etag: str, entries: Sequence[InboxEntry], transitions: Sequence[Transition],
    queue_of: Callable[[str], str], *, retention_of: Callable[[str], int] = lambda _status: 0,
    counts: Sequence[tuple[str, int]] = (),
    successors: Sequence[Successor] = (),
    paths: Sequence[str] = (),
) -> Commit:
    """One commit for several transitions that came of these entries of one run, the later on top of the earlier."""
    run = transitions[-1].run
    dispatches: dict[str, Dispatch] = {}
    revokes: dict[str, bool] = {}
    timers: dict[str, int] = {}
    cleared: list[str] = []
    events: list[ev.AnyEvent] = []
    starts: list[NewRun] = []
    tells: list[tuple[str, bytes]] = []
    for transition in transitions:
        events += transition.events
        for command in transition.commands:
            match command:
                case DispatchTask():
                    dispatches[command.path] = Dispatch(
                        command.path,
                        queue_of(command.message.worker),
                        _ENCODER.encode(command.message),
                        f"p:{command.payload}",
                        command.queue_timeout_ms,
                    )
                case RevokeTask():
                    if dispatches.pop(command.path, None) is None:
                        revokes[command.path] = command.kill or revokes.get(command.path, False)
                case StartChild():
                    starts.append(child_run(command.started, command.summary, etag))
                case TellRun():
                    tells.append((command.run_id, _ENCODER.encode(command.told)))
                case SetTimer():
                    timers[command.name] = command.due_at_ms
                case ClearTimer():
                    if timers.pop(command.name, None) is None:
                        cleared.append(command.name)
    return Commit(
        run_id=run_id, etag_read=etag_read, etag=etag, entries_seen=len(entries),
        last_seen=entries[-1].mark if entries else "",
        state=state_of(run), status=run.header.status.value, terminal=run.is_terminal,
        writes=changes_of(run),
        dispatches=tuple(dispatches.values()), revokes=tuple(revokes.items()),
        timers=tuple(timers.items()), timers_cleared=tuple(cleared), history=tuple(encode_events(events)),
        again=transitions[-1].is_full and not run.is_terminal,
        retention_ms=retention_of(run.header.status.value) if run.is_terminal else 0,
        starts=tuple(starts), tells=tuple(tells), counts=tuple(counts),
        successors=tuple(_successor_of(one, queue_of) for one in successors),
        paths=tuple(paths),
    )


def _successor_of(one: Successor, queue_of: Callable[[str], str]) -> StoreSuccessor:
    parts = _stored_parts(one.parts)
    return StoreSuccessor(
        one.after, one.path, queue_of(one.worker), one.message, f"p:{one.payload}", parts, one.queue_timeout_ms
    )


@lru_cache(maxsize=128)
def _stored_parts(parts: tuple[str, ...]) -> tuple[str, ...]:
    """With the names of payloads for the paths of steps; most runs of a definition have the same."""
    return tuple(f"p:{part}:action" if index % 2 else part for index, part in enumerate(parts))
