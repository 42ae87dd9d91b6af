"""The store's bounds and times, and the checks of what callers hand in; every store uses these.

A refusal here comes before anything is sent: a bad argument must never reach a half-written batch.
Names become parts of keys, of queue refs (`run|path|token|payload`) and of inbox headers, so `|` and
control characters would let one name pass for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

from runner.errors import StoreError
from runner.store.ports import (
    MAX_BATCH,
    Commit,
    Completion,
    Dispatch,
    NewRun,
    ProcessInfo,
    Quota,
    Request,
    Slot,
)

MAX_LOOPS = 100  # of one engine
MAX_DISPATCHES = 100  # of one commit; it asks to be handed out `again` for the rest
MAX_REVOKES = 1_000  # of one commit
MAX_STARTS = 100  # of one commit
MAX_FAULTS = 100  # of one commit
MAX_MARKS = 10  # of one fault
MAX_PARTS = 4_000  # writes, timers, history entries or tells of one commit
MAX_SUCCESSORS = 32  # of one commit
MAX_SUCCESSOR_PARTS = 33  # of the input of one
MAX_WAITING = 1_000  # entries in one inbox; more requests are refused
MAX_REQUESTS = 10_000  # ever taken by one run: their nonces are kept
MAX_VALUE_BYTES = 2 * 1024 * 1024  # one document, payload or entry
MAX_CALL_BYTES = 1024 * 1024  # of one call of a script; a batch is split there (one item may exceed it)
MAX_NAME = 512
MAX_NUMBER = 2**53 - 1  # Lua and sorted sets count in doubles
MAX_CONCURRENCY = 1_000  # of a queue with a quota: when all slots are taken, each is looked at
MAX_RATE = 10_000  # claims in a window: so many are remembered, one number each
MAX_WINDOW_MS = 3_600_000
MAX_SERIES = 10_000  # names in one hash of figures; what is beyond them is summed up as `other`
MAX_COUNTED = 4_000  # names in one call of a script; likewise
MINUTE_MS, TENS_MS = 60_000, 600_000  # figures are kept by the minute for an hour, by ten minutes for a day
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

LEASE_MS = 15_000
TICK_MS = 1_000
WATCH_MS = 60_000  # how soon somebody looks after a run in which nothing happens
MAX_WATCH_MS = 3_600_000
# A new run is handed out as if it had come so much later: what has begun is finished first, so few runs are under way
# at once, and a flood of new ones neither pushes the others out of the engines' caches nor delays them.
FRESH_MS = 60_000
REPAIR_MS = 30_000  # how soon somebody looks after a queued task that nobody claimed
MAX_REPAIR_MS = 600_000
REAPED_MS = 86_400_000  # how long the id of a reaped process is remembered
NEVER_MS = 9_000_000_000_000_000  # the watch time of a run that only a request wakes

T = TypeVar("T")


def check_name(what: str, name: str) -> None:
    """Raises ValueError: names come from our own code, so a bad one is a bug and not a user's mistake."""
    if not name or len(name) > MAX_NAME or "|" in name or not name.isprintable():
        raise ValueError(f"{what} {name!r}: 1 to {MAX_NAME} printable characters without '|' are needed")


@lru_cache(maxsize=4096)
def check_place(what: str, name: str) -> None:
    """The same for names that come again and again: of steps, queues and payloads."""
    check_name(what, name)


def check_number(what: str, number: int, high: int = MAX_NUMBER) -> None:
    if type(number) is not int or not 0 <= number <= high:
        raise ValueError(f"{what} {number!r}: a whole number from 0 to {high:,} is needed")


def check_size(what: str, value: bytes) -> None:
    if len(value) > MAX_VALUE_BYTES:
        raise StoreError(f"{what} has {len(value):,} bytes; at most {MAX_VALUE_BYTES:,} can be stored")


def fence_of(token: str) -> int:
    """A token is `<fence>-<etag of its commit>`; fences of a run strictly increase."""
    return int(token.partition("-")[0])


def check_new_run(run: NewRun) -> None:
    for wanted in run.definitions:
        check_name("definition", wanted)
    check_name("run id", run.run_id)
    check_name("nonce", run.nonce)
    check_size(f"the summary of run {run.run_id}", run.summary)
    check_size(f"the input of run {run.run_id}", run.body)
    if run.slot is not None:
        check_slot(run.slot)


def check_slot(slot: Slot) -> None:
    """A name is the end of a key and of a field, so it may hold `|`, as the values do that users make it of."""
    if not slot.name or len(slot.name) > MAX_NAME or not slot.name.isprintable():
        raise ValueError(f"slot {slot.name!r}: 1 to {MAX_NAME} printable characters are needed")
    if slot.limit < 1:
        raise ValueError(f"slot {slot.name!r}: limit {slot.limit}; at least 1 is needed")
    check_number("limit", slot.limit)


def check_schedule(workflow: str, body: bytes) -> None:
    check_name("workflow", workflow)
    check_size(f"the schedule of {workflow}", body)


def check_alert(name: str, nonce: str, cool_down_ms: int, body: bytes) -> None:
    check_name("alert", name)
    check_name("nonce", nonce)
    check_number("cool_down_ms", cool_down_ms)
    check_size(f"alert {name}", body)


def check_request(request: Request) -> None:
    check_name("run id", request.run_id)
    check_name("nonce", request.nonce)
    check_size(f"the request to run {request.run_id}", request.body)


def check_commit(commit: Commit) -> int:
    """Its size in bytes, by which batches are split. Sizes of parts are looked at only where they could matter."""
    check_name("run id", commit.run_id)
    check_name("etag", commit.etag)
    check_number("entries_seen", commit.entries_seen, MAX_PARTS)
    check_number("retention_ms", commit.retention_ms)
    if bool(commit.last_seen) != bool(commit.entries_seen):
        raise ValueError(f"run {commit.run_id}: {commit.last_seen!r} is the last of {commit.entries_seen} entries")
    if len(commit.dispatches) > MAX_DISPATCHES:
        raise ValueError(f"run {commit.run_id}: {len(commit.dispatches)} dispatches; one commit takes {MAX_DISPATCHES}")
    parts = max(map(len, (commit.writes, commit.timers, commit.timers_cleared, commit.history, commit.paths)))
    if len(commit.revokes) > MAX_REVOKES or parts > MAX_PARTS:
        raise ValueError(f"run {commit.run_id}: one commit takes {MAX_REVOKES} revokes and {MAX_PARTS} of all else")
    if commit.paths and not commit.terminal:
        raise ValueError(f"run {commit.run_id}: where it had tasks is said when it ends")
    if len(commit.dispatches) > 1 and len({dispatch.path for dispatch in commit.dispatches}) < len(commit.dispatches):
        raise ValueError(f"run {commit.run_id}: a path is dispatched twice in one commit")
    for dispatch in commit.dispatches:
        check_dispatch(dispatch)
    for path, _ in commit.revokes:
        check_name("path", path)
    for name, due_at_ms in commit.timers:
        check_name("timer", name)
        check_number("due_at_ms", due_at_ms)
    if commit.successors:
        check_successors(commit)
    size = len(commit.state) + sum(map(len, commit.writes.values())) + sum(map(len, commit.history))
    for dispatch in commit.dispatches:
        size += len(dispatch.message)
    for successor in commit.successors:
        size += len(successor.message) + sum(map(len, successor.parts))
    if len(commit.counts) > MAX_PARTS:
        raise ValueError(f"run {commit.run_id}: one commit takes {MAX_PARTS} counts")
    if commit.starts or commit.tells:
        size += _check_others(commit)
    if commit.faults:
        size += _check_faults(commit)
    if size > MAX_VALUE_BYTES:
        _check_sizes(commit)
    return size


def _check_others(commit: Commit) -> int:
    """What a commit does to other runs; the size of that."""
    if len(commit.starts) > MAX_STARTS or len(commit.tells) > MAX_PARTS:
        raise ValueError(f"run {commit.run_id}: one commit takes {MAX_STARTS} starts and {MAX_PARTS} tells")
    if len({run.run_id for run in commit.starts} | {commit.run_id}) <= len(commit.starts):
        raise ValueError(f"run {commit.run_id}: one commit starts a run twice, or itself")
    if any(run.slot for run in commit.starts):
        raise ValueError(f"run {commit.run_id}: what a commit starts takes no slot; it belongs to what has begun")
    for run in commit.starts:
        check_new_run(run)
    for run_id, body in commit.tells:
        check_name("run id", run_id)
        if run_id == commit.run_id:
            raise ValueError(f"run {run_id} tells itself something")
        check_size(f"what run {commit.run_id} tells run {run_id}", body)
    return sum(len(run.summary) + len(run.body) for run in commit.starts) + sum(len(body) for _, body in commit.tells)


def _check_faults(commit: Commit) -> int:
    if len(commit.faults) > MAX_FAULTS or any(len(fault.marks) > MAX_MARKS for fault in commit.faults):
        raise ValueError(f"run {commit.run_id}: one commit takes {MAX_FAULTS} faults, each with {MAX_MARKS} marks")
    for fault in commit.faults:
        check_place("group", fault.group)
        check_number("count", fault.count)
        for mark in fault.marks:
            check_place("mark", mark)
        check_size(f"what is said of the faults {fault.group}", fault.about)
    return sum(len(fault.about) for fault in commit.faults)


def _check_sizes(commit: Commit) -> None:
    check_size(f"the state of run {commit.run_id}", commit.state)
    for name, value in commit.writes.items():
        check_size(f"field {name!r} of run {commit.run_id}", value)
    for dispatch in commit.dispatches:
        check_size(f"the message to {dispatch.path}", dispatch.message)
    for entry in commit.history:
        check_size(f"a history entry of run {commit.run_id}", entry)


def check_dispatch(dispatch: Dispatch) -> None:
    check_place("path", dispatch.path)
    check_place("queue", dispatch.queue)
    check_place("payload", dispatch.payload)
    if dispatch.queue_timeout_ms:
        check_number("queue_timeout_ms", dispatch.queue_timeout_ms)


def check_successors(commit: Commit) -> None:
    if len(commit.successors) > MAX_SUCCESSORS:
        raise ValueError(f"run {commit.run_id}: {len(commit.successors)} successors; one commit takes {MAX_SUCCESSORS}")
    for one in commit.successors:
        _check_successor(one.after, one.path, one.queue, one.payload, one.parts, one.queue_timeout_ms)
        if len(one.message) > MAX_VALUE_BYTES:
            check_size(f"the message to {one.path}", one.message)
    for dispatch in commit.dispatches:
        if any(one.path == dispatch.path for one in commit.successors):
            raise ValueError(f"run {commit.run_id}: {dispatch.path} is dispatched, and said to come later")


@lru_cache(maxsize=128)
def _check_successor(
    after: str, path: str, queue: str, payload: str, parts: tuple[str, ...], queue_timeout_ms: int
) -> None:
    """Most runs of a definition have the same."""
    for name in (after, path, queue, payload):
        check_place("path, queue or payload of a successor", name)
    check_number("queue_timeout_ms", queue_timeout_ms)
    if not 0 < len(parts) <= MAX_SUCCESSOR_PARTS or len(parts) % 2 == 0 or sum(map(len, parts)) > MAX_VALUE_BYTES:
        raise ValueError(f"the input of {path} is not text, payload, text … of a size: {len(parts)} parts")
    for name in parts[1::2]:
        check_place("payload in the input of a successor", name)


def check_completion(completion: Completion) -> None:
    if len(completion.body) > MAX_VALUE_BYTES or len(completion.output) > MAX_VALUE_BYTES:
        check_size(f"the outcome of {completion.run_id}/{completion.path}", completion.body)
        check_size(f"the output of {completion.run_id}/{completion.path}", completion.output)


def check_quota(queue: str, quota: Quota) -> None:
    check_name("queue", queue)
    check_number("max_concurrency", quota.max_concurrency, MAX_CONCURRENCY)
    check_number("rate", quota.rate, MAX_RATE)
    check_number("window_ms", quota.window_ms, MAX_WINDOW_MS)
    if quota.rate and not quota.window_ms:
        raise ValueError(f"queue {queue}: a rate of {quota.rate} in no time")


def check_process(process: ProcessInfo) -> None:
    check_name("process id", process.id)
    for queue in process.queues:
        check_name("queue", queue)


def batches(items: Sequence[T], size: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Split into calls of at most MAX_BATCH items and about MAX_CALL_BYTES."""
    begin = weight = 0
    for position, item in enumerate(items):
        weight += size(item)
        if position > begin and (weight > MAX_CALL_BYTES or position - begin >= MAX_BATCH):
            yield items[begin:position]
            begin, weight = position, size(item)
    if begin < len(items):
        yield items[begin:]
