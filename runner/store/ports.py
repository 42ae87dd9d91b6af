"""The store's verbs and what each promises. RedisStore has one script a verb; MemoryStore the same verbs.

The store knows bytes and ids, never what they mean. Every verb takes a batch, checks and answers each
item for itself, is all or nothing per item, and may be repeated with the same nonce (or etag) after a
lost reply: the repeat gets the same answer and changes nothing. Times are milliseconds of the store's
own clock, which never runs backwards. tests/conformance/test_store.py holds every store to this page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from runner.store.faults import Fault, FaultGroup, FaultState
from runner.store.observations import AlertRow, Figures, QueueInfo
from runner.store.successor import Successor
from runner.store.vitals import Vitals

MAX_BATCH = 200  # items in one call of a script; the typed verbs split longer lists
MAX_INBOX = 100  # entries of one run handed out at once
OUTPUT = ">"  # behind the name of a payload: the field that holds what the task gave
MAX_HOLDERS = 20  # of a slot, named at once
HELD_MS = 4_000_000_000_000_000  # a retention: the record is kept until it is released, see Store.ended_runs


class Slot(msgspec.Struct, frozen=True, gc=False):
    """At most `limit` runs with this slot are under way at once; the limit of the latest start holds for all.

    queue: the others wait in the slot's line, in the order of their starts. reject: they are not started. A run has
    its place until it is terminal or its status is "stuck"; with the next commit that is neither it has it again,
    without a check.
    """

    name: str
    limit: int
    on_limit: Literal["queue", "reject"] = "queue"


class NewRun(msgspec.Struct, frozen=True, gc=False):
    """A run to be. `body` is the first inbox entry; `digest` is of the input (equality of repeats).

    `definitions`: it is started only where all of these are kept (put_definition). So they are there wherever the run
    is, also on a server that a crash set back.
    """

    run_id: str
    nonce: str  # of the caller; the same nonce again is the same start
    digest: str
    summary: bytes  # JSON for list views: workflow, version, definition, key, …; never changes
    body: bytes
    slot: Slot | None = None
    definitions: tuple[str, ...] = ()  # its own digest, and those of its children


class StartAnswer(msgspec.Struct, frozen=True, gc=False):
    """created: this nonce made the run. existing: it was there, with an equal input. conflict: with another.

    limited: its slot is full and rejects; undefined: a definition is not kept. Nothing was started, so the same
    nonce may get another answer later.

    tampered (here and in every batch verb): what is stored under this item's keys does not fit, for
    instance a key of the wrong type; nothing was written for it, and the other items were answered.
    """

    answer: Literal["created", "existing", "conflict", "limited", "undefined", "tampered"]
    status: str = ""  # of the run that is there
    holders: tuple[str, ...] = ()  # limited: some of those who hold the slot


InboxKind = Literal["started", "outcome", "lost", "queue_timeout", "revoked", "timer", "request", "told"]


class InboxEntry(msgspec.Struct, frozen=True, gc=False):
    """Something that happened to a run, in the order in which the store saw it.

    started (body of NewRun) · outcome (a worker's Outcome JSON) · lost (its process died or its lease
    and one more passed) · queue_timeout (never claimed, token revoked) · revoked (asked for by a commit,
    and it was still unclaimed) · timer (`path` is the timer's name) · request (body of post) · told (by
    another run's commit).
    """

    kind: InboxKind
    at_ms: int
    path: str = ""
    claimed_at_ms: int = 0  # outcome, lost
    process: str = ""  # outcome, lost: who held it
    body: bytes = b""
    output: bytes = b""  # outcome: what was handed in as such, and is in its field
    next: str = ""  # outcome: the path of the successor that the store dispatched because of it

    @property
    def mark(self) -> str:
        """What tells it from any other entry that could be in its place."""
        return f"{self.kind}|{self.at_ms}|{self.path}|"


class TakenRun(msgspec.Struct, frozen=True, gc=False):
    """A run that has something in its inbox. `etag` is "" for one that was never committed."""

    run_id: str
    etag: str
    entries: tuple[InboxEntry, ...]


class StoredRun(msgspec.Struct, frozen=True, gc=False):
    """Everything that is stored of a run, from one moment."""

    run_id: str
    etag: str
    status: str  # "" until the first commit
    terminal: bool
    summary: bytes
    state: bytes  # the interpreter's header; b"" until the first commit
    fields: Mapping[str, bytes]  # written by commits: nodes, payloads
    tasks: Mapping[str, TaskRecord]  # open ones, by path
    entries: tuple[InboxEntry, ...]
    created_at_ms: int
    updated_at_ms: int
    broken: bytes = b""  # why it is parked, if it is
    parked: int = 0  # how often in a row
    slot: str = ""
    in_line: bool = False  # it waits for its slot, and has not begun


class TaskRecord(msgspec.Struct, frozen=True, gc=False):
    """An open task: queued (Q) or running (R) at `process`."""

    token: str
    state: Literal["Q", "R"]
    queue: str
    queued_at_ms: int
    process: str = ""
    claimed_at_ms: int = 0
    cancelled: bool = False  # a commit asked for its end after it was claimed


class Dispatch(msgspec.Struct, frozen=True, gc=False):
    """A task to be put on a queue. `payload` names a field of the run (written in this commit or before)."""

    path: str
    queue: str
    message: bytes
    payload: str
    queue_timeout_ms: int = 0


class Commit(msgspec.Struct, frozen=True, gc=False):
    """One run's next state and everything that follows from it, atomically.

    Refused as stale unless the run's etag is `etag_read` and the entry number `entries_seen` is the one whose `mark` is
    `last_seen`: a server that was set back may have lost some since, and taken others in.
    `revokes`: a task still queued is taken back and answered with a `revoked` entry. The outcome of one that is
    claimed still comes; with `kill` it is marked cancelled (its process hears of it with its next heartbeat), without
    it is left undisturbed.
    `starts`: runs to be, none of which may be there already (tampered). They belong to what has begun, so they do not
    count as new ones. `tells`: bodies for the inboxes of other runs, one `told` entry each; one to a run that is gone,
    over or tampered with is dropped, because what it would say has lost its hearer and this run must go on.
    `counts`: how much named figures grow, once if the commit is accepted, else not. How a name begins says where it is
    kept: `~` in the windows only, `=` in the sum only (it may sink), `@` only when it was last named; any other in
    sum and windows. Figures never hold a run up.
    `faults`: counted once, with the run as a sample, if the commit is accepted; a repeat or a stale one counts nothing.
    `successors`: each comes after the one before it, and is no task that is open already. They hold until the next
    commit, and only while nothing but their own outcomes is in the inbox, which this commit has to leave empty. A run
    that is set aside goes no further, nor does one behind an outcome of more than MAX_RELAYED_BYTES, or RELAY_MS after
    the commit. Where one is dispatched the run is not handed out. A commit that has not seen every entry with a
    successor is refused as stale, and the run is handed out again.
    Terminal: tasks, timers, inbox and the watch entry go, and nothing is dispatched; what is left expires after
    `retention_ms` (0: never). `paths`: of all tasks that the run ever had, if the caller knows; else the store looks.
    """

    run_id: str
    etag_read: str
    etag: str
    entries_seen: int
    state: bytes
    status: str
    terminal: bool = False
    writes: Mapping[str, bytes] = {}
    dispatches: tuple[Dispatch, ...] = ()
    revokes: tuple[tuple[str, bool], ...] = ()  # path, kill
    timers: tuple[tuple[str, int], ...] = ()  # name, due_at_ms
    timers_cleared: tuple[str, ...] = ()
    history: tuple[bytes, ...] = ()
    again: bool = False  # more is due than one commit holds: hand the run out again at once
    retention_ms: int = 0
    starts: tuple[NewRun, ...] = ()
    tells: tuple[tuple[str, bytes], ...] = ()  # run id, body
    last_seen: str = ""  # empty if none was
    counts: tuple[tuple[str, int], ...] = ()  # a name, or several, one a line, that grow alike; by how much
    faults: tuple[Fault, ...] = ()
    successors: tuple[Successor, ...] = ()
    paths: tuple[str, ...] = ()


# tampered: also for a dispatch of a path whose task is still open, or a start of a run that is there already, which
# no sound caller asks for.
CommitAnswer = Literal["ok", "stale", "gone", "tampered"]
PostAnswer = Literal["ok", "gone", "ended", "tampered"]


class Request(msgspec.Struct, frozen=True, gc=False):
    """Something asked of a run from outside: cancel, resume, a signal. Taken once per nonce.

    A run that waits in line looks at it when it begins. `at_once`: it leaves the line and is handed out now, with
    nothing but its start and this request in its inbox.
    """

    run_id: str
    nonce: str
    body: bytes
    at_once: bool = False


class Completion(msgspec.Struct, frozen=True, gc=False):
    """The end of an attempt. `lost` is for a child that is known dead: its output is not used then.

    `output` is kept in a field of the run, named like the task's payload with OUTPUT behind it, once it is recorded.
    """

    run_id: str
    path: str
    token: str
    body: bytes
    lost: bool = False
    output: bytes = b""


class ClaimedTask(msgspec.Struct, frozen=True, gc=False):
    """A task that this process now holds, for one lease, and begins at once."""

    run_id: str
    path: str
    token: str
    fence: int  # strictly increasing over the attempts of a run
    queue: str
    queued_at_ms: int
    claimed_at_ms: int
    message: bytes
    payload: bytes


class Quota(msgspec.Struct, frozen=True, gc=False):
    """What all processes together may take from a queue; 0: as much as there is.

    Each claim is held to the numbers of the process that claims, so those of the others may be passed by where
    processes disagree. A slot is free again when its process hands the task in, or is dead.
    """

    max_concurrency: int = 0  # tasks that run at one time
    rate: int = 0  # claims in any `window_ms`
    window_ms: int = 0


CompletionAnswer = Literal["recorded", "duplicate", "stale", "tampered"]


class ExchangeAnswer(msgspec.Struct, frozen=True, gc=False):
    """`alive` is false for a process that was reaped: it must kill its children and take a new id."""

    alive: bool
    completions: tuple[CompletionAnswer, ...] = ()
    claimed: tuple[ClaimedTask, ...] = ()
    again_ms: int = 0  # a rate holds tasks back: ask again after so long (a slot that gets free wakes, as new tasks do)


BeatAnswer = Literal["held", "lost", "cancelled"]


class ProcessInfo(msgspec.Struct, frozen=True, gc=False):
    """An engine or worker process. `lock` is a file it holds an flock on, where it shares the machine."""

    id: str  # host:pid:nonce; never used again
    kind: Literal["engine", "worker"]
    host: str
    pid: int
    started_at_ms: int = 0
    queues: tuple[str, ...] = ()
    lock: str = ""
    seen_at_ms: int = 0  # set by the store
    held: int = 0  # set by the store: tasks held
    vitals: Vitals | None = None  # set by the store: what came with its latest heartbeat


class RunRow(msgspec.Struct, frozen=True, gc=False):
    """A line of a list."""

    run_id: str
    status: str
    summary: bytes
    created_at_ms: int
    updated_at_ms: int
    waits_for: str = ""  # the slot in whose line it is


class SlotInfo(msgspec.Struct, frozen=True, gc=False):
    """Who has a slot now."""

    name: str
    limit: int
    held: int
    waiting: int
    holders: tuple[str, ...]  # at most MAX_HOLDERS, sorted
    ahead: int = 0  # how many wait before the run that was asked about


class ScheduleRow(msgspec.Struct, frozen=True, gc=False):
    """A schedule as it is kept. `note` says what became of its latest fire time; 0: there was none."""

    workflow: str
    body: bytes
    fired_at_ms: int = 0
    note: bytes = b""


class Ticked(msgspec.Struct, frozen=True, gc=False):
    """What one tick found due. `next_due_ms` is the delay until the next known due time (at most 1,000)."""

    timers: int = 0
    lost: int = 0
    queue_timeouts: int = 0
    requeued: int = 0
    rearmed: int = 0
    grace: bool = False
    next_due_ms: int = 1000
    now_ms: int = 0  # when it was, by the store's clock


class EventStream(Protocol):
    """What is committed from now on, of all runs: (run id, history entry), in the order of each run's history.

    A view, not a record: what happens while nobody listens is in the histories only.
    """

    def read(self, timeout_s: float) -> Sequence[tuple[str, bytes]]:
        """What came meanwhile; empty when nothing did in this time. Raises StoreUnavailable when the connection was
        lost: nothing more comes of this stream, and what is committed until another one listens is missed."""

    def close(self) -> None: ...


class Store(Protocol):
    """What engine, workers and client need of Redis."""

    namespace: str

    # -- definitions ------------------------------------------------------------------------------
    def put_definition(self, digest: str, document: bytes) -> None:
        """Keep a definition under its content hash. The first one stays."""

    def get_definition(self, digest: str) -> bytes | None: ...

    def put_workers(self, contracts: Mapping[str, bytes]) -> None:
        """Publish worker contracts by worker name (JSON with at least `queue`). Later ones replace."""

    def get_workers(self) -> Mapping[str, bytes]: ...

    # -- runs: the engine -------------------------------------------------------------------------
    def start(self, runs: Sequence[NewRun]) -> list[StartAnswer]: ...

    def take_runs(self, engine: str, nonce: str, *, limit: int, lease_ms: int, loop: int = 0) -> list[TakenRun]:
        """Runs with something in their inbox, the longest waiting first; each is watched for `lease_ms`.

        A new run counts as if it had come a minute later: what has begun is finished first.

        Only for a registered engine is what it took remembered: for a repeat, and for when it is reaped. Of each of
        its loops that is what it took last, so a loop takes again when it has committed that.
        """

    def load_runs(self, run_ids: Sequence[str]) -> list[StoredRun | None]:
        """Everything of these runs, each from one moment. Read only."""

    def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]: ...

    def park(self, run_id: str, etag: str, *, delay_ms: int, stuck: bool, error: bytes) -> int:
        """Set aside a run whose interpretation broke; handed out again after the delay (stuck: only on
        a request). The answer is how often in a row it was parked; a successful commit resets it.
        0: the run has another etag by now, ended or is gone; nothing was done."""

    def post(self, requests: Sequence[Request]) -> list[PostAnswer]: ...

    def tick(self) -> Ticked:
        """Fire due timers, expire leases and queue timeouts, repair lost queue entries and runs nobody has."""

    def wait_for_runs(self, timeout_s: float) -> bool:
        """Block until a run may be ready (a wake token), or the time is over."""

    # -- tasks: worker processes --------------------------------------------------------------------
    def exchange(
        self, process: str, nonce: str, *, completions: Sequence[Completion] = (), queues: Sequence[str] = (),
        quotas: Mapping[str, Quota] = {}, capacity: int = 0, lease_ms: int = 15_000,
    ) -> ExchangeAnswer:
        """Hand in what ended, take at most `capacity` tasks from `queues` (in the order given).

        quotas: by queue, and always the same ones: by them it is known too which ends make a slot free.
        """

    def beat(
        self, process: str, tasks: Sequence[tuple[str, str, str]], *, lease_ms: int = 15_000,
        vitals: Vitals | None = None,
    ) -> list[BeatAnswer] | None:
        """Extend the process's and its tasks' (run_id, path, token) leases. None: this process was reaped."""

    def wait_for_tasks(self, queues: Sequence[str], timeout_s: float) -> bool: ...

    # -- what is over -----------------------------------------------------------------------------
    def ended_runs(self, *, limit: int = 100) -> list[tuple[str, int]]:
        """Runs that ended with a retention of HELD_MS and are not released, and when they ended; the oldest first."""

    def hold_ended(self) -> int:
        """Hold what ended with another retention, and was never released, as if it had ended with HELD_MS; how many."""

    def release_runs(self, until_ms: Mapping[str, int]) -> None:
        """From now on these expire at that time (0: never); for good, whatever they ended with."""

    # -- schedules --------------------------------------------------------------------------------
    def put_schedule(self, workflow: str, body: bytes) -> None:
        """Keep it; one that is there is replaced, and what is noted of its fire times stays."""

    def remove_schedule(self, workflow: str) -> bool:
        """False: there was none."""

    def schedules(self) -> list[ScheduleRow]:
        """By workflow."""

    def note_fire(self, workflow: str, at_ms: int, note: bytes) -> bool:
        """What became of a fire time. False, and nothing noted: it or a later one was, or the schedule is gone."""

    # -- faults -----------------------------------------------------------------------------------
    def fault_groups(self, *, since_ms: int = 0) -> list[FaultGroup]:
        """Those that were seen since then, the last seen first."""

    def note_fault(self, group: str, state: FaultState, note: bytes) -> bool:
        """Set the state of a group. A resolved one that is seen again is open, and has regressed; an ignored one stays
        ignored. False: there is no such group (any more)."""

    # -- alerts -----------------------------------------------------------------------------------
    def note_alert(self, name: str, nonce: str, *, firing: bool, cool_down_ms: int, body: bytes) -> bool:
        """Whether the caller is the one to tell of it: that it fires (once in `cool_down_ms` by all), or no more."""

    def alerts(self) -> list[AlertRow]:
        """By name."""

    # -- processes --------------------------------------------------------------------------------
    def register(self, process: ProcessInfo, *, lease_ms: int = 15_000) -> None:
        """Like a task, a process counts as dead when its lease and one more have passed. Its id never
        comes back: StoreError for one that was reaped or retired."""

    def retire(self, process: str) -> None:
        """A clean end: nothing is held any more (what still is, is lost at once, as in reap)."""

    def reap(self, process: str) -> int:
        """This process is known dead: its tasks are lost now, its taken runs are ready now. How many;
        a repeat after a lost reply counts only what was left."""

    def processes(self) -> list[ProcessInfo]: ...

    # -- views ------------------------------------------------------------------------------------
    def list_runs(
        self, *, limit: int = 50, offset: int = 0, status: str = "", since_ms: int = 0, until_ms: int = 0
    ) -> list[RunRow]:
        """Newest first. Status "pending": runs that were never committed. The times are of their creation; 0: any."""

    def load_states(self, run_ids: Sequence[str]) -> list[bytes]:
        """The `state` of each run alone, which is a small part of it; b"" where there is none, or the record was
        tampered with."""

    def find_runs(self, prefix: str, *, limit: int = 10) -> list[str]:
        """Ids that begin so."""

    def slot(self, name: str, *, run_id: str = "") -> SlotInfo | None:
        """None: nobody holds it, and nobody waits for it. `run_id`: whose place in the line is wanted."""

    def history(self, run_id: str, *, start: int = 0) -> list[bytes]: ...

    def queue_depths(self) -> Mapping[str, int]: ...

    def queues(self) -> list[QueueInfo]:
        """By name. Read queue by queue: what moves meanwhile may be in two of the numbers, or in none."""

    def listen(self) -> EventStream:
        """Hear what is committed, until `close`. Raises StoreUnavailable, and ServerRefused without the right to."""

    def figures(self, window_ms: int = 0) -> Figures:
        """What commits counted: since ever (0), or in the last `window_ms` (at most a day) and what of a minute, for
        more than an hour of ten minutes, came before it: whole ones are kept."""

    def count_live(self) -> int:
        """Runs that are not terminal."""

    def now_ms(self) -> int:
        """The store's clock."""

    def close(self) -> None: ...
