"""Effects as rows of a SQLite file that no kill of the server can reach, behind the barrier.

Rule: one row, one effect, in the barrier's own transaction; `seq` is the order in which they happened. A few attempts
break before or after their effect by themselves, the same ones in every chaos of one seed.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from runner import BusinessError, Context, Landed, NotLanded, worker

_LEDGER = os.environ["CHAOS_LEDGER"]
_HAS_BARRIER = os.environ.get("CHAOS_BARRIER", "on") == "on"  # off: to see that the verdict finds what that does
_TROUBLE = 25  # one in so many attempts breaks before its effect, and one after it
_turn = threading.Lock()  # SQLite's own way of waiting for the writer in front is not fair
_connections: list[sqlite3.Connection] = []


@contextmanager
def _transaction() -> Iterator[sqlite3.Connection]:
    with _turn:
        if not _connections:
            made = sqlite3.connect(_LEDGER, timeout=8, isolation_level="IMMEDIATE", check_same_thread=False)
            made.execute("PRAGMA synchronous = NORMAL")  # with WAL: what is committed outlives every kill of a process
            _connections.append(made)
        with _connections[0] as connection:
            yield connection


def _trouble(ctx: Context, when: str) -> None:
    chance = zlib.crc32(f"{ctx.idempotency_key}/{ctx.attempt}/{when}".encode())
    if ctx.attempt <= 3 and chance % _TROUBLE == 0:
        raise RuntimeError(f"broken {when} the effect")


def _write(connection: sqlite3.Connection, ctx: Context, run: int, label: str, op: str) -> None:
    connection.execute(
        "INSERT INTO effects (run, label, op, step_ref, attempt, pid) VALUES (?, ?, ?, ?, ?, ?)",
        (run, label, op, ctx.step_ref, ctx.attempt, os.getpid()),
    )


def _once(ctx: Context, run: int, label: str, op: str, result: object, *, refused: bool = False) -> None:
    _trouble(ctx, "before")
    with _transaction() as connection:
        if not _HAS_BARRIER:
            if refused:
                raise BusinessError("refused", f"{label} of {run}")
            _write(connection, ctx, run, label, op)
        else:
            with ctx.barrier(connection) as once:
                if not once.done:
                    if refused:
                        raise BusinessError("refused", f"{label} of {run}")
                    _write(connection, ctx, run, label, op)
                    once.save(result)
    _trouble(ctx, "after")


@worker("ledger.do", queue="ledger", raises=["refused"])
def do(ctx: Context, run: int, label: str, fail: str) -> dict[str, str]:
    """One effect, unless this is the step that is to fail."""
    result = {"label": label}
    _once(ctx, run, label, "do", result, refused=label == fail)
    return result


@worker("ledger.undo", queue="undo")
def undo(ctx: Context, run: int, label: str) -> None:
    """Take it back."""
    _once(ctx, run, label, "undo", None)


@worker("ledger.confirm", queue="ledger")
def confirm(ctx: Context, run: int, label: str) -> None:
    """The run is decided."""
    _once(ctx, run, label, "confirm", None)


@worker("ledger.look", queue="undo")
def look(ctx: Context) -> Landed[dict[str, str]] | NotLanded:
    """Whether it took effect; the last question keeps it from doing so later."""
    with _transaction() as connection, ctx.barrier(connection) as once:
        return Landed(once.result) if once.done else NotLanded()
