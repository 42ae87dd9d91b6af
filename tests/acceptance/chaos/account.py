"""What is left when a chaos is over, read from the ledger and from the store, before anybody judges it."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from runner.client import Client
from tests.servers import PATIENCE_S

TERMINAL = ("completed", "compensated", "cancelled", "abandoned")
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Effect:
    """A row of the ledger."""

    seq: int
    label: str
    op: str  # do, undo, confirm


@dataclass(slots=True)
class StoredAccount:
    """What the store says of one run. `twice`: outcomes on record beyond the first, by operation."""

    run_id: str
    status: str
    error: str = ""
    twice: Sequence[str] = ()
    attempts: Sequence[int] = ()  # of each operation
    lost: int = 0  # attempts that ended with their process


@dataclass(slots=True)
class Account:
    """Everything: effects by run number, roots by run number, children by id."""

    effects: Mapping[int, Sequence[Effect]] = field(default_factory=dict)
    roots: Mapping[int, StoredAccount] = field(default_factory=dict)
    children: Sequence[StoredAccount] = ()


def create_ledger(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE effects (seq INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER, label TEXT, op TEXT, "
            "step_ref TEXT, attempt INTEGER, pid INTEGER, at REAL DEFAULT (julianday('now')))"
        )
        connection.commit()


def read_effects(path: Path) -> dict[int, list[Effect]]:
    effects: dict[int, list[Effect]] = defaultdict(list)
    with closing(sqlite3.connect(path, timeout=PATIENCE_S)) as connection:
        for seq, run, label, op in connection.execute("SELECT seq, run, label, op FROM effects ORDER BY seq"):
            effects[run].append(Effect(seq, label, op))
    return effects


def read_account(client: Client, ledger: Path, by_id: Mapping[str, int]) -> Account:
    """`by_id`: the numbers of the runs whose start was acknowledged."""
    roots: dict[int, StoredAccount] = {}
    children: list[StoredAccount] = []
    offset = 0
    while rows := client.list(limit=_PAGE, offset=offset):
        offset += len(rows)
        for row in rows:
            read = _read_run(client, row.run_id)
            if row.run_id in by_id:
                roots[by_id[row.run_id]] = read
            elif row.parent:
                children.append(read)
            else:
                raise AssertionError(f"run {row.run_id} ({row.workflow}, key {row.key}) was started by nobody")
    return Account(read_effects(ledger), roots, children)


def _read_run(client: Client, run_id: str) -> StoredAccount:
    stored = client.stored(run_id)
    state = client.state(stored)
    error = state.header.error if state is not None else None
    account = StoredAccount(run_id, stored.status or "pending", f"{error.code}: {error.message}" if error else "")
    _read_history(client, account)
    return account


def _read_history(client: Client, account: StoredAccount) -> None:
    """An attempt that went out has one outcome; a step completes, is undone and confirmed once; a run ends once."""
    out: dict[str, str] = {}
    attempts: dict[str, int] = defaultdict(int)
    settled: dict[str, int] = defaultdict(int)
    twice: list[str] = []
    for event in client.get(account.run_id).events():
        kind, path = type(event).__name__, getattr(event, "path", "")
        if kind == "TaskDispatched":
            if path in out:
                twice.append(f"{path}: sent out again while it was out")
            out[path] = event.phase
            attempts[f"{path}:{event.phase}"] += 1
        elif kind == "TaskSettled":
            if out.pop(path, None) is None:
                twice.append(f"{path}: an outcome of nothing that was out")
            account.lost += event.error is not None and event.error.code == "worker_lost"
        elif kind in ("StepCompleted", "StepUndone", "StepConfirmed", "RunDecided", "RunFinished"):
            settled[f"{kind} {path}"] += 1
    twice += [f"{what}: {times} times" for what, times in settled.items() if times > 1]
    account.twice, account.attempts = twice, list(attempts.values())
