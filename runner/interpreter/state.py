"""The saga state machine: every legal move of a run and of a step, and the record they move in.

Rule 1: a status changes only through `move_run` and `move_step`, which look the move up in the two
tables below; an absent pair is a bug and raises. The diagrams in docs/state_machine.md are made from
these tables. Nothing here reads a clock or Redis, so a history replays to the same state anywhere.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from runner.wire import ErrorRecord


class RunStatus(StrEnum):
    """Where a run is. The last four are terminal."""

    __hash__ = str.__hash__  # an enum's own is Python code, and every table below is looked up by it

    RUNNING = "running"
    COMPENSATING = "compensating"
    STUCK = "stuck"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


class StepStatus(StrEnum):
    """Where a step is."""

    __hash__ = str.__hash__

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"


TERMINAL = frozenset({RunStatus.COMPLETED, RunStatus.COMPENSATED, RunStatus.CANCELLED, RunStatus.ABANDONED})

RUN_TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.RUNNING: frozenset({RunStatus.COMPENSATING, RunStatus.STUCK, RunStatus.COMPLETED, RunStatus.ABANDONED}),
    RunStatus.COMPENSATING: frozenset(
        {RunStatus.STUCK, RunStatus.COMPENSATED, RunStatus.CANCELLED, RunStatus.ABANDONED}
    ),
    RunStatus.STUCK: frozenset({RunStatus.RUNNING, RunStatus.COMPENSATING, RunStatus.ABANDONED}),
    RunStatus.COMPLETED: frozenset(),
    RunStatus.COMPENSATED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
    RunStatus.ABANDONED: frozenset(),
}

STEP_TRANSITIONS: dict[StepStatus, frozenset[StepStatus]] = {
    StepStatus.PENDING: frozenset({StepStatus.RUNNING, StepStatus.SKIPPED}),
    StepStatus.RUNNING: frozenset({StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.SKIPPED}),
    # A block that failed still holds completed steps, so it is undone like a completed one; a caught
    # failure ends completed when its handler gave another way forward.
    StepStatus.FAILED: frozenset({StepStatus.COMPENSATING, StepStatus.COMPLETED}),
    StepStatus.UNKNOWN: frozenset({StepStatus.COMPENSATING, StepStatus.COMPLETED}),
    StepStatus.COMPLETED: frozenset({StepStatus.COMPENSATING}),
    StepStatus.SKIPPED: frozenset(),
    StepStatus.COMPENSATING: frozenset({StepStatus.COMPENSATED, StepStatus.COMPENSATION_FAILED}),
    StepStatus.COMPENSATION_FAILED: frozenset({StepStatus.COMPENSATING, StepStatus.COMPENSATED}),
    StepStatus.COMPENSATED: frozenset({StepStatus.COMPLETED, StepStatus.COMPENSATING}),
}


# How firmly nothing new is begun: DRAIN lets what is claimed come to its end, CANCEL has it ended.
DRAIN, CANCEL = 1, 2


class IllegalMove(Exception):
    """The interpreter tried a move that the tables do not have: a bug, never a user's mistake."""


class Node(msgspec.Struct, omit_defaults=True, gc=False):
    """One node of a run's tree: a step, or a scope (the root "", a handler, a branch, an item, finally)."""

    path: str
    status: StepStatus = StepStatus.RUNNING
    # The task in hand. At most one is out for a node at any time.
    phase: str = ""  # action, verify, compensate or confirm: of the task that is out, or was last
    open: bool = False  # a task is out: queued or claimed
    sent_at_ms: int = 0  # when that task, or the last one, was dispatched
    revoking: bool = False  # it is to be taken back if nobody has claimed it
    killing: bool = False  # and ended if somebody has
    timer: str = ""  # the timer it waits for
    due: bool = False  # that timer fired: the next attempt may go out
    last: str = ""  # how the last attempt ended: completed, failed, unknown, revoked; "" while one is out
    hint_ms: int = 0  # the delay that the worker asked for
    verdict: str = ""
    fencing: bool = False
    fenced: bool = False
    # Budgets.
    spent: int = 0  # action attempts of the present budget
    asked: int = 0  # verification attempts of the present question
    undo_spent: int = 0
    confirm_spent: int = 0
    tries: int = 0  # action attempts in all
    undo_tries: int = 0
    lost: int = 0  # attempts in a row that ended with a lost process
    patient: bool = False  # the budget is the patient one (on_unknown: retry)
    resumed: bool = False  # a person asked for another try though the run goes back
    resumed_at_ms: int = 0  # its total_timeout counts from here, if not from its start
    # What is known of it.
    unknown: bool = False  # some attempt may have had an effect, and nothing has settled it
    effect: bool = False  # its own action took effect, or may have; the status alone can't say, once caught
    error: ErrorRecord | None = None
    verify_error: ErrorRecord | None = None
    undo_error: ErrorRecord | None = None
    confirm_error: ErrorRecord | None = None
    has_output: bool = False
    # Where it goes.
    halt: int = 0  # nothing new is begun below: DRAIN or CANCEL
    told: int = 0  # parallel and loop: the halt that its children know of
    rest: bool = False  # done going forward, well or badly
    fault: bool = False  # at rest with `error` on its way up to whoever catches it
    stuck: bool = False
    undo: str = ""  # "", undoing, undone
    rolling: bool = False  # the undo in hand is a catch's rollback; a handler follows
    rolled_back: bool = False
    handler: int = -1  # the catch that took its failure
    cursor: int = 0  # sequence: the child in hand; loop: items begun
    undo_cursor: int = -1
    gate: bool = False  # its `when` is still to be evaluated
    faulted: str = ""  # parallel and loop: the first child that came to rest at fault
    winner: str = ""  # parallel, join any: the first child that completed
    waits: int = 0  # timers set so far, so that each has a name of its own
    waiting: bool = False  # wait and wait_for: it waits; a signal may come
    taken: str = ""  # wait_for: the id of the signal that it got
    active: int = 0  # parallel and loop: children on their way (forward or back)
    count: int = 0  # loop: items
    settling: int = 0  # a catch that keeps what completed: unknown operations below that are not settled yet
    confirm: str = ""  # "", done, skipped
    # subworkflow: the child run.
    child: str = ""  # its id
    child_status: str = ""  # running, held (it has done its last step, provisionally), refused, or how it ended
    child_stuck: str = ""  # the run in which a person must act: the child, or one below it
    resolved: str = ""  # what an operator made of it
    started_at_ms: int = 0
    ended_at_ms: int = 0
    undo_started_at_ms: int = 0
    undo_ended_at_ms: int = 0


class Standing(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An effect that is still there at the end, and why."""

    step: str
    reason: str


class Header(msgspec.Struct, omit_defaults=True, gc=False):
    """What is known of a run as a whole."""

    run_id: str = ""
    workflow: str = ""
    version: str = ""
    digest: str = ""  # of the definition it finishes with
    status: RunStatus = RunStatus.RUNNING
    key: str = ""
    rerun_of: str = ""
    started_at_ms: int = 0
    updated_at_ms: int = 0
    ended_at_ms: int = 0
    error: ErrorRecord | None = None  # why it goes back
    ending: str = ""  # the status it is to end with, once it goes back
    pending: str = ""  # cancel or timeout, held until a pivot in flight is settled
    pending_nonce: str = ""
    pending_reason: str = ""
    overdue: bool = False  # its timeout has passed, and nothing has come of that yet
    decided: bool = False
    finishing: bool = False  # the finally steps run
    pivot: str = ""  # "", in_flight, passed
    parent: str = ""  # the run that started it
    parent_path: str = ""  # the step there
    holds: bool = False  # its end is provisional until the root is decided
    traceparent: str = ""  # of whoever started it: the trace that it is part of
    provisional: bool = False  # its last step is done, and the root is not decided yet
    told_stuck: str = ""  # the run of which the parent was told that a person must act there
    told_pivot: bool = False  # the parent was told that nothing here goes back any more
    stuck_children: tuple[str, ...] = ()  # steps whose child needs a person
    skipped_undo: bool = False
    stuck: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    standing: tuple[Standing, ...] = ()
    busy: int = 0  # open tasks and pauses between attempts: while there are any, the run is not yet stuck
    confirming: int = 0  # confirmations still to be given
    signals: int = 0  # kept, and taken by nobody yet
    spins: int = 0  # commits in a row that were full and dispatched nothing
    kept: int = 0  # bytes of those signals
    size: int = 0  # bytes of payload taken in
    made: int = 0  # bytes of payload that expressions made
    agenda: tuple[str, ...] = ()  # left over when a commit was full

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def waits_for_person(self) -> bool:
        """Nothing more comes of it before a person has acted: here, or in a child run that is stuck."""
        return self.status is RunStatus.STUCK or (bool(self.stuck_children) and self.busy == 0)

    @property
    def status_to_be(self) -> str:
        """How it will end, as far as is known now. An undo that was skipped is never called compensated."""
        return "abandoned" if self.skipped_undo else self.ending or "completed"


_NOTHING: Any = object()  # there was no such payload before


class Run:
    """A run: header, nodes by path, payloads by name. Only `evolve` changes one, and `advance` gives it a copy.

    Payload names: "~input" "~vars" "~setters" "~signals" "~output" and, for a node, "<path>:action", ":undo",
    ":verify", ":confirm", ":result", ":output", ":items", ":before".
    """

    __slots__ = ("_later", "agenda", "changed", "dirty", "header", "kept", "nodes", "payloads")

    nodes: dict[str, Node]
    payloads: dict[str, Any]

    def __init__(self, header: Header, nodes: dict[str, Node], payloads: dict[str, Any]) -> None:
        self.header = header
        self.nodes = nodes
        self.payloads = payloads
        self.agenda: dict[str, None] = dict.fromkeys(header.agenda)
        # What `draft` was changed in since, with what was there before.
        self.changed: dict[str, Node | None] = {}
        self.dirty: dict[str, Any] = {}
        self.kept: set[str] = set()  # of those payloads, the ones that the store has where it took them in
        self._later: Run | None = None

    def draft(self) -> Run:
        """A copy to be changed. It takes the two mappings over, for to copy them would cost more with every step.

        This version stays as it was: should anybody read it again, it is made anew, of the later one and its changes.
        Only one thread may have the versions of a run.
        """
        draft = Run(self.header.__copy__(), self.nodes, self.payloads)  # type: ignore[attr-defined]
        self._later = draft
        del self.nodes, self.payloads
        self.__class__ = _Past
        return draft

    def edit(self, path: str) -> Node:
        """The node, as this draft's own."""
        node = self.nodes[path]
        if path not in self.changed:
            self.changed[path] = node
            node = self.nodes[path] = node.__copy__()  # type: ignore[attr-defined]
        return node

    def add(self, node: Node) -> Node:
        self.changed[node.path] = self.nodes.get(node.path)
        self.nodes[node.path] = node
        return node

    def due(self, path: str) -> None:
        """The node there, or the run itself, may have something to do: `decide` is to look at it."""
        self.agenda.setdefault(path)

    def put(self, name: str, value: Any, *, kept: bool = False) -> None:
        """`kept`: the store has it already, so it is not written again. A value that was written hides it, though."""
        before = self.payloads.get(name, _NOTHING)
        self.dirty.setdefault(name, before)
        if kept and before is _NOTHING:
            self.kept.add(name)
        else:
            self.kept.discard(name)
        self.payloads[name] = value

    def drop(self, name: str) -> None:
        """Nobody needs the payload any more; where it is stored it may stay."""
        if name in self.payloads:
            self.dirty.setdefault(name, self.payloads.pop(name))

    @property
    def is_terminal(self) -> bool:
        return self.header.status in TERMINAL


class _Past(Run):
    """A version whose mappings its draft has taken over. Run has no `__getattr__`: that would slow every access."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """Of an attribute that is not there: the mappings, made anew."""
        if name not in ("nodes", "payloads"):
            raise AttributeError(name)
        versions: list[Run] = [self]
        while (later := versions[-1]._later) is not None:
            versions.append(later)
        nodes, payloads = versions[-1].nodes.copy(), versions[-1].payloads.copy()
        for version in reversed(versions[1:]):
            _restore(nodes, version.changed, None)
            _restore(payloads, version.dirty, _NOTHING)
        self.nodes, self.payloads, self._later = nodes, payloads, None
        self.__class__ = Run  # type: ignore[assignment]
        return getattr(self, name)


def _restore(now: dict[str, Any], before: dict[str, Any], nothing: Any) -> None:
    for name, value in before.items():
        if value is nothing:
            now.pop(name, None)
        else:
            now[name] = value


def move_run(header: Header, status: RunStatus) -> None:
    if status not in RUN_TRANSITIONS[header.status]:
        raise IllegalMove(f"run {header.run_id}: {header.status} → {status}")
    header.status = status


def move_step(node: Node, status: StepStatus) -> None:
    if status not in STEP_TRANSITIONS[node.status]:
        raise IllegalMove(f"step {node.path!r}: {node.status} → {status}")
    node.status = status
