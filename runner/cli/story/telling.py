"""What each event of a run is worth telling: a line, a few, or none. One function an event, one line in the table.

Rule: a line says what happened, and leaves what follows from it to the event that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runner.cli.screen import Line
from runner.cli.story.crowd import Tally
from runner.cli.story.layout import DONE, FAILED, NOTE, SKIPPED, STUCK, attempts_text, remarks
from runner.cli.story.waits import signal_command, wait_text
from runner.cli.wording import duration, error_text, items_text, one_line, plural
from runner.definition.model import RepeatAction, SignalAction, SwitchAction
from runner.interpreter import event as ev
from runner.interpreter.paths import parent

if TYPE_CHECKING:
    from runner.cli.story.narrator import Narrator

LONG_PAUSE_MS = 2_000  # a shorter pause before a retry is not worth a line


def _run_started(teller: Narrator, event: ev.RunStarted) -> Sequence[Line]:
    teller.run_id = event.run_id
    return ()


def _step_started(teller: Narrator, event: ev.StepStarted) -> Sequence[Line]:
    if teller.is_left_out(event.path):
        return ()
    place = teller.place(event.path)
    if place is None:
        return ()
    if place.step is None:
        return _part_started(teller, event.path)
    if place.kind == "steps":
        return (teller.step_line(NOTE, event.path, "", None),)
    if place.kind == "parallel":
        return (teller.kind_line(event.path, items_text(len(place.children), "branch")),)
    if isinstance(place.step.action, RepeatAction):
        return (teller.kind_line(event.path, f"at most {items_text(place.step.action.max_rounds, 'round')}"),)
    return ()


def _part_started(teller: Narrator, path: str) -> Sequence[Line]:
    """The case that a switch has chosen. Branches, items and rounds are in the names of their steps."""
    owner = parent(path)
    place = teller.place(owner) if owner in teller.story.chapters else None
    if place is None or place.step is None or not isinstance(place.step.action, SwitchAction):
        return ()
    name = path[len(owner) + 1 :]
    when = "" if name == "else" else place.step.action.cases[int(name)].when or ""
    return (teller.kind_line(owner, remarks(f"case {name}", when)),)


def _items_listed(teller: Narrator, event: ev.ItemsListed) -> Sequence[Line]:
    teller.crowd.tally(event.path).total = event.count
    return () if teller.is_left_out(event.path) else (teller.kind_line(event.path, items_text(event.count, "item")),)


def _child_started(teller: Narrator, event: ev.ChildStarted) -> Sequence[Line]:
    if teller.is_left_out(event.path):
        return ()
    return (teller.kind_line(event.path, f"run {event.run_id}, {event.workflow} {event.version}"),)


def _step_skipped(teller: Narrator, event: ev.StepSkipped) -> Sequence[Line]:
    if teller.is_left_out(event.path):
        return ()
    remark = "skipped by hand" if event.resolved else "skipped"
    return (teller.step_line(SKIPPED, event.path, teller.worker_of(event.path), None, remark),)


def _first_branch(teller: Narrator, path: str) -> Sequence[Line]:
    """The branch that decides a `join: any`: what the others did is undone."""
    owner = parent(path)
    place = teller.place(owner) if path[len(owner) : len(owner) + 1] == "." else None
    if place is None or not place.joins_any or owner in teller.won:
        return ()
    teller.won.add(owner)
    return (teller.kind_line(owner, f"{path[len(owner) + 1 :]} is first"),)


def _step_completed(teller: Narrator, event: ev.StepCompleted) -> Sequence[Line]:
    if teller.worker_of(event.path, "compensate"):
        teller.stands[event.path] = None
    counted = [*_counted(teller, event.path, failed=False), *_first_branch(teller, event.path)]
    if not teller.is_shown(event.path) and not _is_its_own(teller, event):
        return counted
    if teller.is_left_out(event.path) and event.error is None:
        return counted
    chapter = teller.story.chapter(event.path)
    verified = chapter.of_phase("verify")[-1:]
    remark = remarks(
        _items_done(teller, event.path),
        teller.tries(event.path),
        "its verification found that it had landed" if verified and verified[0].verdict == "landed" else "",
        "settled by hand" if event.resolved else "",
        "no signal came in time" if teller.worker_of(event.path) == "wait_for" and not event.has_output else "",
        error_text(event.error),
    )
    symbol = DONE if event.error is None else FAILED
    line = teller.step_line(symbol, event.path, teller.worker_of(event.path), teller.took(event.path), remark)
    return (*counted, line)


def _step_failed(teller: Narrator, event: ev.StepFailed) -> Sequence[Line]:
    if event.unknown and teller.worker_of(event.path, "compensate"):
        teller.stands[event.path] = None
    counted = _counted(teller, event.path, failed=True)
    if not teller.is_shown(event.path) and not _is_its_own(teller, event):
        return counted
    if not teller.went_wrong(event.path):
        return counted
    remark = remarks(
        error_text(event.error),
        teller.tries(event.path),
        "it is not known whether it took effect" if event.unknown else "",
        "settled by hand" if event.resolved else "",
        _caught_text(teller, event),
    )
    line = teller.step_line(FAILED, event.path, teller.worker_of(event.path), teller.took(event.path), remark)
    return (*counted, line)


def _step_halted(teller: Narrator, event: ev.StepHalted) -> Sequence[Line]:
    return _counted(teller, event.path, failed=False)  # it came to rest because of another


def _counted(teller: Narrator, path: str, *, failed: bool) -> Sequence[Line]:
    """How far a loop of many items is, when another tenth of them is done."""
    tally = teller.crowd.part_ended(path, failed=failed)
    if tally is None or teller.verbose:
        return ()
    return (teller.kind_line(path.rpartition("#")[0], _tally_text(tally)),)


def _tally_text(tally: Tally) -> str:
    of = f"/{tally.total} items" if tally.total else " rounds"
    return f"{tally.done}{of}" + (f", {tally.failed} failed" if tally.failed else "")


def _items_done(teller: Narrator, path: str) -> str:
    tally = teller.crowd.tallies.get(path)
    if tally is None or not tally.done:
        return ""
    text = items_text(tally.done, "item" if tally.total else "round")
    return f"{text}, {tally.failed} failed" if tally.failed else text


def _wait_started(teller: Narrator, event: ev.WaitStarted) -> Sequence[Line]:
    place = teller.place(event.path)
    if teller.is_left_out(event.path) or place is None or place.step is None:
        return ()
    signal = place.step.action if isinstance(place.step.action, SignalAction) else None
    if signal is None and event.due_at_ms - event.at_ms < LONG_PAUSE_MS and not teller.verbose:
        return ()
    text = wait_text(signal, event.due_at_ms, event.at_ms)
    if signal is not None and teller.run_id:
        text += f"; {signal_command(teller.run_id, signal)}"
    return (teller.kind_line(event.path, text),)


def _signal_kept(teller: Narrator, event: ev.SignalKept) -> Sequence[Line]:
    return (teller.run_line(NOTE, f"signal {event.name} came"),)


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
    if teller.is_left_out(event.path):
        return ()
    return (teller.step_line(NOTE, event.path, "", None, "the run goes on"),) if event.handled else ()


def _step_stuck(teller: Narrator, event: ev.StepStuck) -> Sequence[Line]:
    if not teller.went_wrong(event.path):
        return ()
    attempts = teller.story.chapter(event.path).attempts
    what = _STUCK.get(attempts[-1].phase, "stuck") if attempts else "stuck"
    worker = attempts[-1].worker if attempts else teller.worker_of(event.path)
    count = plural(len(teller.story.chapter(event.path).of_phase(attempts[-1].phase)), "attempt") if attempts else ""
    remark = remarks(what, count, error_text(event.error))
    return (teller.step_line(STUCK, event.path, worker, None, remark),)


_STUCK = {"compensate": "the undo is stuck", "confirm": "its confirmation is stuck"}


def _step_resumed(teller: Narrator, event: ev.StepResumed) -> Sequence[Line]:
    return (teller.step_line(NOTE, event.path, "", None, "asked again"),)


def _step_undone(teller: Narrator, event: ev.StepUndone) -> Sequence[Line]:
    teller.stands.pop(event.path, None)
    worker = teller.worker_of(event.path, "compensate")
    if event.nothing or not worker:
        return ()
    if teller.is_left_out(event.path) and not event.skipped:
        counted = teller.crowd.step_undone(event.path)
        return (teller.kind_line(counted[0], f"{plural(counted[1].undone, 'step')} undone"),) if counted else ()
    if event.skipped:
        return (teller.step_line(SKIPPED, event.path, worker, None, "not undone: skipped by hand"),)
    chapter = teller.story.chapter(event.path)
    remark = remarks(teller.tries(event.path, "compensate"), "settled by hand" if event.resolved else "")
    took = event.at_ms - chapter.undo_started_at_ms - chapter.stuck_ms("undo")
    return (teller.step_line(DONE, event.path, worker, took, remark),)


def _step_confirmed(teller: Narrator, event: ev.StepConfirmed) -> Sequence[Line]:
    place = teller.place(event.path)
    if teller.is_left_out(event.path) or (place is not None and place.child is not None):
        return ()  # a child run tells its confirmations itself
    attempts = teller.story.chapter(event.path).of_phase("confirm")
    took = event.at_ms - attempts[0].asked_at_ms if attempts else None
    remark = remarks("confirmed", attempts_text(attempts), "settled by hand" if event.resolved else "")
    return (teller.step_line(DONE, event.path, teller.worker_of(event.path, "confirm"), took, remark),)


def _run_failing(teller: Narrator, _event: ev.RunFailing) -> Sequence[Line]:
    return (teller.run_line(("↩", "yellow"), f"undoing {plural(len(teller.stands), 'step')}"),) if teller.stands else ()


def _retry_scheduled(teller: Narrator, event: ev.RetryScheduled) -> Sequence[Line]:
    pause = event.due_at_ms - event.at_ms
    if (pause < LONG_PAUSE_MS and not teller.verbose) or teller.is_left_out(event.path):
        return ()
    attempts = teller.story.chapter(event.path).attempts
    why = error_text(attempts[-1].error) if attempts else ""
    what = {"action": "", "verify": "verification ", "compensate": "undo ", "confirm": "confirmation "}[event.phase]
    worker = attempts[-1].worker if attempts else ""
    return (teller.step_line(NOTE, event.path, worker, None, remarks(why, f"{what}again in {duration(pause)}")),)


def _alert_raised(teller: Narrator, event: ev.AlertRaised) -> Sequence[Line]:
    return (teller.run_line(("!", "yellow"), one_line(event.message)),)


def _request_accepted(teller: Narrator, event: ev.RequestAccepted) -> Sequence[Line]:
    if event.verb == "signal" or (teller.prefix and event.by.startswith("run ")):
        return ()  # the next event tells it better; and what a parent wants is told of the parent
    if event.verb == "decided":
        return (teller.run_line(NOTE, f"{event.by}, which started it, is decided"),)
    by, reason = (f" by {event.by}" if event.by else ""), (f": {one_line(event.reason)}" if event.reason else "")
    return (teller.run_line(NOTE, f"{event.verb} asked for{by}{reason}"),)


def _request_held(teller: Narrator, event: ev.RequestHeld) -> Sequence[Line]:
    return (teller.run_line(NOTE, f"the {event.verb} waits until it is known whether the pivot took effect"),)


TELL: dict[type, Callable[[Narrator, Any], Sequence[Line]]] = {
    ev.RunStarted: _run_started,
    ev.StepStarted: _step_started,
    ev.ItemsListed: _items_listed,
    ev.WaitStarted: _wait_started,
    ev.ChildStarted: _child_started,
    ev.SignalKept: _signal_kept,
    ev.StepHalted: _step_halted,
    ev.StepConfirmed: _step_confirmed,
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
