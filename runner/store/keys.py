"""Every key of the store, and every field of a run's record. No other module spells one.

All keys share one hash tag, so that scripts may derive keys on a cluster too. Lua spells the same names:
each script's header lists its KEYS and what it derives.

Fields of `run:<run id>`: nonce, digest, summary (set by start) · etag, state, status, fence, updated,
again, end ("1" when terminal) · created · head, tail and i:<n> (the inbox: entries head … tail-1) ·
w:<name> (written by commits) · w:<payload>> (an output, by the exchange) · t:<path> (a task's record, with its
message) · c:<path> (what comes after it, see _pack_successor) · z:<timer> (when due) · timed ("1": it had one) ·
parked, park_nonce, broken · requests, r:<nonce> (requests taken) · slot (H, W or F, and its name: see prelude.lua) ·
released ("1": its record is not held any more).
"""

from __future__ import annotations

from collections.abc import Mapping

PARTITION = "00"
WRITE, TASK, INBOX, REQUEST, SUCCESSOR = "w:", "t:", "i:", "r:", "c:"


class Keys:
    """The keys of one namespace."""

    def __init__(self, namespace: str) -> None:
        if "{" in namespace or "}" in namespace:
            raise ValueError(f"namespace {namespace!r}: no braces, which mark the part of a key that chooses its slot")
        self.prefix = prefix = f"{{{namespace}:{PARTITION}}}:"
        self.clock = prefix + "clock"  # hash: the clock that never runs backwards, the last tick, the grace
        self.ready = prefix + "ready"  # zset: run id -> since when something waits in its inbox
        self.watch = prefix + "watch"  # zset: every run that is not terminal -> when somebody must look after it
        self.deadlines = prefix + "deadlines"  # zset: run id|path|token of open tasks -> lease, queue time, repair
        self.timers = prefix + "timers"  # zset: run id|name -> when due
        self.runs = prefix + "runs"  # zset: every run -> created at
        self.expiring = prefix + "expiring"  # zset: terminal run -> when its record goes
        self.queues = prefix + "queues"  # set: names of queues that ever held a task
        self.procs = prefix + "procs"  # zset: process id -> when it counts as dead
        self.reaped = prefix + "reaped"  # zset: id of a dead process -> when it was reaped
        self.definitions = prefix + "definitions"  # hash: digest -> document
        self.workers = prefix + "workers"  # hash: worker name -> contract
        self.schedules = prefix + "schedules"  # hash: workflow -> its schedule
        self.fires = prefix + "fires"  # hash: workflow -> its latest fire time|what became of it
        self.faults = prefix + "faults"  # zset: group of faults -> when it was seen last
        self.alerts = prefix + "alerts"  # hash: name of an alert -> whether it fires, since when, told when, what
        self.wake_runs = prefix + "wake:runs"  # list: tokens that idle engines block on
        self.events = prefix + "events"  # no key, but a channel: run id and history entry of every commit

    def wake_queue(self, queue: str) -> str:
        return f"{self.prefix}wake:q:{queue}"

    def queue(self, queue: str) -> str:
        return f"{self.prefix}q:{queue}"

    def busy(self, queue: str) -> str:
        """zset: run id|path|token|process of what runs under a max_concurrency -> 0, or when it is given up."""
        return f"{self.prefix}busy:{queue}"

    def pace(self, queue: str) -> str:
        """list: when the last tasks were claimed under a rate, oldest first."""
        return f"{self.prefix}pace:{queue}"

    def run(self, run_id: str) -> str:
        return f"{self.prefix}run:{run_id}"

    def figures(self, span: str) -> str:
        """hash: name -> how much was counted, in `m:<minute>`, in `t:<ten minutes>`, in `all`; or `last` when."""
        return f"{self.prefix}figures:{span}"

    def slot(self, name: str) -> str:
        return f"{self.prefix}slot:{name}"

    def holders(self, name: str) -> str:
        return f"{self.prefix}holders:{name}"

    def line(self, name: str) -> str:
        return f"{self.prefix}line:{name}"

    def fault(self, group: str) -> str:
        """hash: about, count, first, last, state, note, regressed; h:<hour of the ring>, m:<mark>, s:<sample>; marks
        and samples, how many there are or were."""
        return f"{self.prefix}fault:{group}"

    def history(self, run_id: str) -> str:
        return f"{self.prefix}history:{run_id}"

    def process(self, process: str) -> str:
        return f"{self.prefix}process:{process}"

    def held(self, process: str) -> str:
        return f"{self.prefix}held:{process}"


def fields_of(record: Mapping[bytes, bytes], kind: str) -> dict[str, bytes]:
    """The fields of one kind, by their names without the kind."""
    mark = kind.encode()
    return {name[len(mark) :].decode(): value for name, value in record.items() if name.startswith(mark)}
