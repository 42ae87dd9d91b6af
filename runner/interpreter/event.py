"""What happened to a run: facts, past tense, each with its time. A run is the fold of its events.

The first group comes from outside (the store's inbox); `decide` proposes the second; `evolve` applies
both, and nothing else changes a run. `at_ms` of a proposed event is that of the event that caused it.
(gc=False: events never hold each other, and an engine makes some hundred thousand a second.)
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from runner.interpreter.state import Standing
from runner.wire import ErrorRecord


class Event(msgspec.Struct, frozen=True, tag_field="type", tag=True, omit_defaults=True, gc=False):
    """Something that happened."""

    at_ms: int


# -- from outside -------------------------------------------------------------------------------------
class RunStarted(Event, frozen=True, tag=True, gc=False):
    """Somebody asked for a run of this definition with this input."""

    run_id: str
    workflow: str
    version: str
    digest: str
    input: Any = None
    key: str = ""
    rerun_of: str = ""
    by: str = ""
    reason: str = ""
    parent: str = ""  # the run that started it
    parent_path: str = ""  # the step there
    holds: bool = False  # its end is provisional until the root is decided
    traceparent: str = ""  # of whoever started it


class TaskSettled(Event, frozen=True, tag=True, gc=False):
    """An attempt is over. `revoked`: it was taken back before anybody claimed it."""

    path: str
    outcome: Literal["completed", "failed", "unknown", "revoked"]
    output: Any = None
    error: ErrorRecord | None = None
    verdict: str = ""
    fenced: bool = False
    hint_ms: int = 0
    claimed_at_ms: int = 0
    process: str = ""
    size: int = 0  # bytes of the outcome
    duration_ms: float = 0.0
    kept: bool = False  # its output is stored already, and need not be written again
    log: str = ""  # the last lines that it logged
    started_at_ms: int = 0  # the worker's own clock: for people, never for decisions


class TimerFired(Event, frozen=True, tag=True, gc=False):
    """A timer that this run had set is due."""

    name: str


class Continued(Event, frozen=True, tag=True, gc=False):
    """The last commit was full; what was left over goes on."""


class Request(Event, frozen=True, gc=False):
    """Something an operator or an application asks of the run; judged before it counts."""

    nonce: str = ""
    by: str = ""
    reason: str = ""


class CancelRequested(Request, frozen=True, tag=True, gc=False):
    """Stop and undo."""


class AbandonRequested(Request, frozen=True, tag=True, gc=False):
    """Stop without undo."""


class ResumeRequested(Request, frozen=True, tag=True, gc=False):
    """Ask the stuck operations again, each with a fresh budget."""


class ResolveRequested(Request, frozen=True, tag=True, gc=False):
    """A person settled a stuck operation by hand."""

    step: str = ""  # id or path
    as_: str = ""  # completed, failed, compensated, skipped
    output: Any = None


class SignalSent(Request, frozen=True, tag=True, gc=False):
    """Somebody outside tells the run something. Whoever sends it has held the data against the schema."""

    name: str = ""
    signal_id: str = ""
    data: Any = None


# -- between a run and its children -------------------------------------------------------------------
class ChildTold(Event, frozen=True, tag=True, gc=False):
    """A child run says what became of it. `completed`: provisionally, with its output. `refused`: it never began."""

    path: str
    run_id: str
    news: Literal["completed", "ended", "refused", "passed", "stuck", "resumed"]
    status: str = ""  # of one that ended, or is to end so once the root is decided
    output: Any = None
    error: ErrorRecord | None = None
    standing: tuple[Standing, ...] = ()
    stuck_run: str = ""  # the run in which a person must act: the child, or one below it
    size: int = 0  # bytes of all this


class ParentTold(Request, frozen=True, tag=True, gc=False):
    """The parent run says what is to become of this one; judged like a request, for it may have gone another way."""

    verb: Literal["cancel", "undo", "decided", "abandon"] = "cancel"
    kill: bool = False  # cancel: what is claimed is ended too
    error: ErrorRecord | None = None  # undo: what made it necessary
    ending: Literal["compensated", "cancelled"] = "compensated"  # undo: how the run is to end


# -- proposed by decide -------------------------------------------------------------------------------
class StepStarted(Event, frozen=True, tag=True, gc=False):
    """A step, or a scope, begins."""

    path: str
    gated: bool = False  # its `when` could not be evaluated, so it has not really begun


class ItemsListed(Event, frozen=True, tag=True, gc=False):
    """A loop knows its items. A history entry leaves them out, and says how many there are."""

    path: str
    items: list[Any]
    count: int = 0
    size: int = 0  # bytes of what is kept because of it; likewise below


class StepSkipped(Event, frozen=True, tag=True, gc=False):
    """Its condition was false, or an operator said so; its output is absent."""

    path: str
    resolved: bool = False


class ChildStarted(Event, frozen=True, tag=True, gc=False):
    """The step's child run begins. `undo`: the input of the step's own compensation, if it has one."""

    path: str
    run_id: str
    workflow: str
    version: str
    input: Any = None
    undo: Any = None
    size: int = 0  # bytes of both


class ChildAsked(Event, frozen=True, tag=True, gc=False):
    """The child is told what its parent wants of it."""

    path: str
    verb: Literal["cancel", "undo", "decided"]
    kill: bool = False


class NewsSent(Event, frozen=True, tag=True, gc=False):
    """The parent of this run is told that a person must act, that it goes on, or that the pivot is passed."""

    news: Literal["passed", "stuck", "resumed"]
    stuck_run: str = ""
    error: ErrorRecord | None = None


class TaskDispatched(Event, frozen=True, tag=True, gc=False):
    """An attempt goes out. Inputs are given with the first attempt of a phase and kept under the node."""

    path: str
    phase: Literal["action", "verify", "compensate", "confirm"]
    worker: str
    attempt: int
    max_attempts: int
    timeout_ms: int
    queue_timeout_ms: int = 0
    fencing: bool = False
    patient: bool = False
    input: Any = None
    undo: Any = None  # the undo's input as far as it is known now, recorded before the action can run
    fresh: bool = False  # input and undo are in this event
    size: int = 0


class RevokeAsked(Event, frozen=True, tag=True, gc=False):
    """The task that is out is to be taken back; with `kill` also ended, if somebody has claimed it."""

    path: str
    kill: bool = False


class OutcomeIgnored(Event, frozen=True, tag=True, gc=False):
    """An outcome that nothing waits for any more: it is on record, and changes nothing."""

    path: str
    outcome: Literal["completed", "failed", "unknown", "revoked"]
    error: ErrorRecord | None = None
    process: str = ""


class RetryScheduled(Event, frozen=True, tag=True, gc=False):
    """The next attempt waits for its time."""

    path: str
    phase: Literal["action", "verify", "compensate", "confirm"]
    timer: str
    due_at_ms: int
    patient: bool = False  # a new, patient budget begins


class WaitStarted(Event, frozen=True, tag=True, gc=False):
    """A `wait` or `wait_for` waits. Without a timer: for a signal, for ever."""

    path: str
    timer: str = ""
    due_at_ms: int = 0


class SignalKept(Event, frozen=True, tag=True, gc=False):
    """A signal came, and is kept until a `wait_for` takes it."""

    name: str
    signal_id: str
    data: Any = None
    size: int = 0  # bytes of the data


class SignalTaken(Event, frozen=True, tag=True, gc=False):
    """A `wait_for` takes a signal that is kept; nobody else gets it."""

    path: str
    name: str
    signal_id: str


class TimerDropped(Event, frozen=True, tag=True, gc=False):
    """The wait of a node is over because nothing new is to begin."""

    path: str
    timer: str


class StepCompleted(Event, frozen=True, tag=True, gc=False):
    """It took effect. With `error`, something of ours failed afterwards: it stands, and its scope fails."""

    path: str
    output: Any = None
    has_output: bool = True
    undo: Any = None  # late parts of the undo's input
    error: ErrorRecord | None = None
    resolved: bool = False
    size: int = 0


class StepFailed(Event, frozen=True, tag=True, gc=False):
    """It failed: for certain (`unknown` false), or so that it has to be undone. `caught`: the catch that takes it."""

    path: str
    error: ErrorRecord
    unknown: bool = False
    caught: int = -1
    undo: bool = False  # that catch rolls back first
    resolved: bool = False


class StepCaught(Event, frozen=True, tag=True, gc=False):
    """Its failure was dealt with; the run goes on. Without `handled` nothing replaced the step."""

    path: str
    handled: bool = False
    output: Any = None
    has_output: bool = False
    resolved: str = ""  # what an operator made of it
    size: int = 0


class StepHalted(Event, frozen=True, tag=True, gc=False):
    """It comes to rest because the run goes back."""

    path: str


class StepStuck(Event, frozen=True, tag=True, gc=False):
    """An operation gave up; a person must act. `took_effect`: it did its work, and what we made of that is wrong."""

    path: str
    error: ErrorRecord
    took_effect: bool = False


class StepResumed(Event, frozen=True, tag=True, gc=False):
    """A stuck operation is asked again with a fresh budget."""

    path: str


class FaultRecorded(Event, frozen=True, tag=True, gc=False):
    """A finally step failed; that is recorded and said, and the next one goes on."""

    path: str


class VarsSet(Event, frozen=True, tag=True, gc=False):
    """Run variables changed; `before` holds what they were."""

    path: str
    values: dict[str, Any]
    before: dict[str, Any]
    size: int = 0


class HaltAsked(Event, frozen=True, tag=True, gc=False):
    """Nothing new is to begin below this node; with `kill` what is claimed is ended too."""

    path: str
    kill: bool = False


class ChildrenHalted(Event, frozen=True, tag=True, gc=False):
    """The same for every child of a parallel or a loop that is still on its way."""

    path: str
    kill: bool = False


class UndoStarted(Event, frozen=True, tag=True, gc=False):
    """The walk back reaches this node."""

    path: str


class StepUndone(Event, frozen=True, tag=True, gc=False):
    """Nothing of it is left, or there was `nothing` to undo, or an operator had it `skipped`."""

    path: str
    nothing: bool = False
    skipped: bool = False
    resolved: bool = False


class StepConfirmed(Event, frozen=True, tag=True, gc=False):
    """A step that stands was told that the run is decided, or a person said that it need not be."""

    path: str
    resolved: str = ""


class RunFailing(Event, frozen=True, tag=True, gc=False):
    """The run turns back."""

    error: ErrorRecord
    ending: Literal["compensated", "cancelled"]
    kill: bool = True  # what is claimed is ended too


class RootResolved(Event, frozen=True, tag=True, gc=False):
    """A person gave the output that could not be rendered."""


class RunDecided(Event, frozen=True, tag=True, gc=False):
    """The last step has completed: no cancel, no undo any more."""

    output: Any = None


class RunProvisional(Event, frozen=True, tag=True, gc=False):
    """The last step of a child has completed; whether that counts is for the root to decide."""

    output: Any = None


class RunStuck(Event, frozen=True, tag=True, gc=False):
    """Nothing more can be done without a person."""


class RunFinished(Event, frozen=True, tag=True, gc=False):
    """The run is over."""

    status: Literal["completed", "compensated", "cancelled", "abandoned"]
    standing: tuple[Standing, ...] = ()


class AlertRaised(Event, frozen=True, tag=True, gc=False):
    """Something a person should know, though the run goes on."""

    message: str
    overdue: bool = False  # it is about the run's timeout


class RequestHeld(Event, frozen=True, tag=True, gc=False):
    """A cancel waits until it is known whether the pivot took effect."""

    verb: Literal["cancel"]
    nonce: str = ""
    reason: str = ""


class RequestAccepted(Event, frozen=True, tag=True, gc=False):
    """What was asked will be done."""

    verb: str
    nonce: str = ""
    by: str = ""
    reason: str = ""


class RequestRefused(Event, frozen=True, tag=True, gc=False):
    """What was asked cannot be done now."""

    verb: str
    nonce: str = ""
    why: str = ""
    by: str = ""
    reason: str = ""


Proposed = (
    StepStarted | ItemsListed | StepSkipped | ChildStarted | ChildAsked | NewsSent | RunProvisional
    | TaskDispatched | RevokeAsked | OutcomeIgnored | RetryScheduled
    | WaitStarted | SignalKept | SignalTaken | TimerDropped | StepCompleted | StepFailed | StepCaught | StepHalted
    | StepStuck | StepResumed | FaultRecorded | VarsSet | HaltAsked | ChildrenHalted | UndoStarted | StepUndone
    | StepConfirmed | RunFailing | RootResolved | RunDecided | RunStuck | RunFinished | AlertRaised | RequestHeld
    | RequestAccepted | RequestRefused
)
External = (
    RunStarted | TaskSettled | TimerFired | Continued | CancelRequested | AbandonRequested | ResumeRequested
    | ResolveRequested | SignalSent | ChildTold | ParentTold
)
AnyEvent = External | Proposed
