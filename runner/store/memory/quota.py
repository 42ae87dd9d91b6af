"""Quotas of queues in memory; the twin of the functions of the same names in exchange_tasks.lua.

Slots are counted by who holds them and looked at only when all are taken; a rate by the times of the last claims.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from runner.store.limits import MAX_RATE
from runner.store.memory.state import MemoryState, Ref
from runner.store.ports import Completion, Quota


def end_all(
    tables: MemoryState, quotas: Mapping[str, Quota], process: str, completions: Iterable[Completion]
) -> set[str]:
    """The process has nothing to do with these tasks any more; the queues in which a slot is free now."""
    freed = set()
    for completion in completions:
        holder = ((completion.run_id, completion.path, completion.token), process)
        for queue, quota in quotas.items():
            if quota.max_concurrency and tables.busy.get(queue, {}).pop(holder, None) is not None:
                freed.add(queue)
    return freed


def room(
    tables: MemoryState, queue: str, quota: Quota, wanted: int, now: int, lease_ms: int
) -> tuple[int, int]:
    """How many of the wanted tasks may be taken now; and, where the rate keeps others back, when the next one may."""
    most = wanted
    if quota.max_concurrency:
        most = min(most, quota.max_concurrency - _count_busy(tables, queue, quota.max_concurrency, now, lease_ms))
    if not quota.rate or most <= 0:
        return max(most, 0), 0
    most = min(most, quota.rate)
    times = tables.pace.get(queue, deque())
    first = max(0, len(times) - quota.rate)
    counting = list(islice(times, first, max(0, len(times) - quota.rate + most)))
    open_ = most - len(counting)
    for time in counting:
        if now - time < quota.window_ms:
            return open_, quota.window_ms - (now - time)
        open_ += 1
    return open_, quota.window_ms if open_ == quota.rate < wanted else 0


def take(
    tables: MemoryState, queue: str, quota: Quota, process: str, refs: Sequence[Ref], now: int, *, is_closed: bool,
    next_ms: int,
) -> int:
    """Count what was claimed. When to ask again, if the rate holds back what is left."""
    if quota.max_concurrency:
        tables.busy.setdefault(queue, {}).update({(ref, process): 0 for ref in refs})
    if quota.rate:
        tables.pace.setdefault(queue, deque(maxlen=MAX_RATE)).extend(now for _ in refs)
    if not tables.queues.get(queue) or not is_closed:
        tables.hushed.discard(queue)
        return 0
    if next_ms and refs:
        tables.hushed.discard(queue)
    else:
        tables.hushed.add(queue)
    return max(next_ms, 2 * len(tables.processes)) if next_ms else 0


def _count_busy(tables: MemoryState, queue: str, slots: int, now: int, lease_ms: int) -> int:
    busy = tables.busy.get(queue, {})
    if len(busy) < slots:
        return len(busy)
    for (ref, process), free_at_ms in list(busy.items()):
        if ref in tables.deadlines:
            continue
        if process not in tables.processes or 0 < free_at_ms <= now:
            del busy[ref, process]
        elif not free_at_ms:
            busy[ref, process] = now + lease_ms
    return len(busy)
