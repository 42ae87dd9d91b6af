"""What the threads of a supervisor share. Everything here is read and written under `lock`, and nothing waits under it.

Three conditions on the one lock, so that the busy threads do not wake the others: `business` (the exchange has
something to do), `quiet` (it has nothing to do: listen for work), `changed` (whoever waits for a state).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runner.store.ports import Quota
from runner.worker.identity import new_process_id
from runner.worker.ledger import Ledger
from runner.worker.uptime import uptime_s

STRAYS_S = 10.0  # between two looks at the queues in which nothing should be


@dataclass(frozen=True, slots=True)
class Options:
    """How a worker process is run. Times end in their units."""

    modules: tuple[str, ...]
    queues: tuple[str, ...] | None = None  # None: those of all its workers
    children: int = 1
    slots: int = 64  # attempts in one child at a time
    lease_ms: int = 15_000
    beat_s: float = 3.0
    stop_grace_s: float = 0.5  # between asking an attempt to stop and killing its child
    start_timeout_s: float = 60.0
    hook: str = ""  # "module:function", called in every child before the worker modules are imported
    lock_path: str = ""  # of a file that this process holds locked: its proof of life on this machine
    inherited: tuple[int, ...] = ()  # descriptors for the children; that of the lock: they are part of its life


@dataclass(slots=True, eq=False)
class State:
    """Of one supervisor."""

    process_id: str = field(default_factory=new_process_id)
    ledger: Ledger = field(default_factory=Ledger)
    queues: tuple[str, ...] = ()
    quotas: Mapping[str, Quota] = field(default_factory=dict)  # of those of the queues that have one
    # Where engines put tasks for workers of whose queue they do not know yet: the queues with the workers' own names.
    strays: tuple[str, ...] = ()
    strays_due_s: float = 0.0
    contracts: dict[str, bytes] | None = None  # known from the first child that is ready
    start_error: Exception | None = None
    is_claiming: bool = False  # new tasks are wanted
    is_asking: bool = False  # a call is under way that may bring some
    is_closing: bool = False  # children have to end now
    finished: threading.Event = field(default_factory=threading.Event)  # nothing is left but to stop
    must_register: bool = False
    may_have_tasks: bool = True  # the queues were not found empty since somebody said otherwise
    wakes: int = 0  # how often somebody said otherwise
    again_at_s: float = math.inf  # when a rate lets the next task through
    leased_at_s: float = field(default_factory=uptime_s)  # when the last heartbeat that was answered was sent
    failure: BaseException | None = None  # a thread broke: a bug
    lock: threading.Lock = field(default_factory=threading.Lock)
    business: threading.Condition = field(init=False)
    quiet: threading.Condition = field(init=False)
    changed: threading.Condition = field(init=False)

    def __post_init__(self) -> None:
        self.business = threading.Condition(self.lock)
        self.quiet = threading.Condition(self.lock)
        self.changed = threading.Condition(self.lock)

    @property
    def is_at_rest(self) -> bool:
        """Nothing is held, and nothing may be on its way."""
        return self.ledger.is_idle and not self.is_asking

    def is_leased(self, now_s: float, lease_ms: int) -> bool:
        """Nobody else can have been given what this process holds. Otherwise nothing is claimed or begun: after an
        outage or a standstill it would be fenced off at once, for want of a heartbeat that was answered."""
        return (now_s - self.leased_at_s) * 1_000 < lease_ms

    def wake_all(self) -> None:
        for condition in (self.business, self.quiet, self.changed):
            condition.notify_all()

    def rotate_queues(self) -> Sequence[str]:
        """All of them, another one first each time: no queue is starved by the one in front of it.

        And now and then those in which nothing should be: a run that was started before the first process with its
        workers must not wait for ever.
        """
        self.queues = (*self.queues[1:], *self.queues[:1])
        if not self.strays or uptime_s() < self.strays_due_s:
            return self.queues
        self.strays_due_s = uptime_s() + STRAYS_S
        return (*self.queues, *self.strays)
