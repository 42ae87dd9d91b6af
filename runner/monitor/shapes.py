"""What is shown of a run: plain values that say everything a person or a program looks at, and decide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.definition.model import SignalAction
from runner.interpreter.state import Standing, StepStatus
from runner.monitor.story import Asked, Attempt, Standstill
from runner.store.ports import SlotInfo
from runner.wire import ErrorRecord


@dataclass(frozen=True, slots=True)
class UndoView:
    """The compensation of a step, as far as it was asked for."""

    worker: str
    status: str  # running, completed, failed, stuck, skipped
    attempts: int
    error: ErrorRecord | None
    started_at_ms: int
    duration_ms: int | None  # without the times in which it was stuck
    resolved: str = ""  # as what a person settled it


@dataclass(frozen=True, slots=True)
class PartView:
    """A branch, item, round or case that has begun. `name` is as in the path: .fraud, #3"""

    name: str
    path: str
    status: str  # a step's; failed: also when it was undone since; stopped: because of another part, or of the run


@dataclass(frozen=True, slots=True)
class WaitView:
    """What a step waits for that no worker does."""

    signal: SignalAction | None  # None: only for the time
    until_ms: int  # the store's clock; 0: it is not known, or there is no limit


@dataclass(frozen=True, slots=True)
class ConfirmView:
    """That the run is decided, as a step that stands is told it."""

    worker: str
    status: str  # running, completed, stuck
    attempts: int
    error: ErrorRecord | None
    resolved: str = ""  # as what a person settled it


@dataclass(frozen=True, slots=True)
class ChildView:
    """The child run of a subworkflow step, as far as its parent knows."""

    run_id: str
    status: str  # running, held (done, until the root is decided), refused, or how it ended
    stuck_run: str = ""  # the run in which a person must act: this one, or one below it


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of one run; in a loop, of one item or round."""

    id: str
    path: str
    item_path: tuple[int, ...]  # the numbers of the items and rounds around it, outermost first
    kind: str  # of a worker step: readonly, compensatable, pivot, retriable, none; else steps, parallel, set …
    worker: str
    status: str
    attempts: int
    started_at_ms: int
    duration_ms: int | None  # without the times in which it was stuck; None: it has not ended
    output: Any
    error: ErrorRecord | None
    compensation: UndoView | None
    summary: str = ""
    phase: str = ""  # of the task that is out: action, verify, compensate
    queued: bool = False  # … and nobody has claimed it
    held_by: str = ""  # … or who has
    retry_at_ms: int = 0  # the store's clock; 0: it is not waiting
    stuck: bool = False
    resolved: str = ""  # as what a person settled it: the step itself, neither its undo nor its confirmation
    handler: int = -1  # the catch that took its failure
    tries: tuple[Attempt, ...] = ()
    standstills: tuple[Standstill, ...] = ()
    parts: tuple[PartView, ...] = ()
    part_count: int = 0  # of all there will be, as far as that is known
    choice: str = ""  # of a switch: the case that it took ("0", "1", "else"); of `join: any`: the first branch
    choice_when: str = ""  # … and its condition
    wait: WaitView | None = None
    confirmation: ConfirmView | None = None
    child: ChildView | None = None

    @property
    def has_begun(self) -> bool:
        return self.status not in (StepStatus.PENDING, StepStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class StuckView:
    """An operation that gave up. `step` is what `resolve` is told; "output" is the workflow's own output."""

    step: str
    path: str
    undoing: bool
    confirming: bool
    error: ErrorRecord | None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run. `status` is "pending" until an engine took it up."""

    run_id: str
    workflow: str
    version: str
    status: str
    input: Any
    output: Any
    error: ErrorRecord | None
    steps: tuple[StepView, ...]
    standing: tuple[Standing, ...]
    started_at_ms: int
    duration_ms: int | None
    key: str = ""
    rerun_of: str = ""
    definition: str = ""  # digest of what it finishes with
    summary: str = ""
    ending: str = ""  # the status it is to end with, once it goes back
    updated_at_ms: int = 0
    alerts: tuple[str, ...] = ()
    pending_verb: str = ""  # a cancel or a timeout held until the pivot is settled
    broken: str = ""  # the traceback of a run that sagarun itself failed to interpret
    parked: int = 0
    waiting: int = 0  # entries in its inbox: something happened that no engine has looked at
    terminal: bool = False
    stuck: tuple[StuckView, ...] = ()
    line: SlotInfo | None = None  # the slot in whose line it waits, before it begins
    parent: str = ""  # the run that started it
    parent_step: str = ""  # … and the path of the step there
    stuck_run: str = ""  # of one that only waits for a run below it that is stuck: that run
    asked: tuple[Asked, ...] = ()  # by whom it was started, and what was asked of it since
    children: Mapping[str, RunView] = field(default_factory=dict)  # by step, where whoever reads looked at them too

    @property
    def rests(self) -> bool:
        """It is over, or a person has to act before anything comes of it."""
        return self.terminal or self.status == "stuck" or bool(self.stuck_run)

    @property
    def children_under_way(self) -> list[str]:
        """Runs whose end it waits for."""
        steps = [step for step in self.steps if step.child is not None and step.phase]
        return [step.child.run_id for step in steps if step.child is not None and not step.child.stuck_run]

    def only_waits(self, now_ms: int, soon_ms: int) -> bool:
        """Nothing moves, and nothing will for so long, unless somebody sends a signal. Times are the store's.

        What its children do is not looked at: they are `children_under_way`.
        """
        if self.status != "running" or self.waiting:
            return False
        due = [step.retry_at_ms for step in self.steps if step.retry_at_ms]
        due += [step.wait.until_ms for step in self.steps if step.wait is not None and step.wait.until_ms]
        is_asking = any(step.phase for step in self.steps if step.child is None)
        is_busy = is_asking or any(at_ms - now_ms < soon_ms for at_ms in due)
        return not is_busy and (any(step.wait is not None for step in self.steps) or bool(self.children_under_way))

    @property
    def failed_step(self) -> StepView | None:
        """The step whose error turned the run back; in a loop, the first that has this error."""
        if self.error is None:
            return None
        named = [step for step in self.steps if step.id == self.error.step]
        return next((step for step in named if step.error == self.error), named[0] if named else None)
