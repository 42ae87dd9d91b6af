"""Tasks without an engine: a run per task, committed with one dispatch, and what came back of it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from runner.store.ports import Commit, Dispatch, InboxEntry, NewRun, Store
from runner.wire import Outcome, TaskMessage


def seed(
    store: Store, worker: str, arguments: Any, *, count: int = 1, queue: str = "", timeout_ms: int = 10_000,
    **fields: Any,
) -> list[str]:
    """The ids of `count` new runs, each with one task for `worker`."""
    run_ids = [secrets.token_hex(8) for _ in range(count)]
    store.start([NewRun(run_id, run_id, "d", b"{}", b"{}") for run_id in run_ids])
    started = [(run.run_id, run.entries[0].mark) for run in store.load_runs(run_ids) if run is not None]
    commits = [_dispatch(*each, worker, arguments, queue or worker, timeout_ms, fields) for each in started]
    for begin in range(0, count, 100):
        assert set(store.commit(commits[begin : begin + 100])) == {"ok"}
    return run_ids


def _dispatch(
    run_id: str, mark: str, worker: str, arguments: Any, queue: str, timeout_ms: int, fields: Any
) -> Commit:
    known = {"phase": "action", "attempt": 1, "max_attempts": 1}
    message = TaskMessage(
        worker=worker, run_id=run_id, workflow="test", version="1", path="step", step="step", timeout_ms=timeout_ms,
        step_ref=f"{run_id}/step", idempotency_key=f"{run_id}/step:action", **(known | fields),
    )
    return Commit(
        run_id, etag_read="", etag="e1", entries_seen=1, last_seen=mark, state=b"{}",
        status="running",
        writes={"input:step": msgspec.json.encode(arguments)},
        dispatches=(Dispatch("step", queue, msgspec.json.encode(message), "input:step"),),
    )


def outcomes(store: Store, run_ids: Sequence[str] = ()) -> dict[str, Outcome | str]:
    """What each run got back: an Outcome, or the kind of the entry that came instead ("lost")."""
    found: dict[str, Outcome | str] = {}
    wanted = list(run_ids) or [row.run_id for row in store.list_runs(limit=1000)]
    for stored in store.load_runs(wanted):
        assert stored is not None
        for entry in stored.entries:
            if entry.kind != "started":
                found[stored.run_id] = _outcome(entry) if entry.kind == "outcome" else entry.kind
    return found


def _outcome(entry: InboxEntry) -> Outcome:
    outcome = msgspec.json.decode(entry.body, type=Outcome)
    return msgspec.structs.replace(outcome, output=msgspec.Raw(entry.output)) if entry.output else outcome
