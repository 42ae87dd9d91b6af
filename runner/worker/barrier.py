"""`ctx.barrier(connection)`: an operation takes effect once, and not at all after it was undone or fenced.

One row per (step_ref, phase) in the table `sagarun_barrier`, written in the user's own transaction: the row and the
effect are committed together or not at all. The row of the action doubles as the tombstone: whoever inserts it first,
the action, the undo of an action that never ran, or the last verification, decides for good (`by`).

    with database.transaction() as db, ctx.barrier(db) as once:
        if once.done:              # a repeat, or an undo with nothing to undo
            return once.result
        ...
        return once.save(result)

The barrier never commits and never rolls back. Make the table beforehand: `create_table(connection)`; SQLite alone does
without, because there the table can be made inside any transaction.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from runner.errors import AlreadyUndone, SagarunError
from runner.worker.barrier_rows import BarrierRows, rows_of
from runner.worker.payload import decode_json

if TYPE_CHECKING:
    from runner.worker.context import Context

T = TypeVar("T")


class Barrier:
    """A context manager; what its block asks is `done`, what it ends with is `save`."""

    __slots__ = ("_context", "_planted", "_rows", "_saved", "done", "empty", "result")

    def __init__(self, context: Context, rows: BarrierRows) -> None:
        self.done = False  # nothing is left to do: return `result`
        self.empty = False  # of an undo: its action never took effect, and never will
        self.result: Any = None  # of the first time, when `done`; in phase verify: of the action
        self._context = context
        self._rows = rows
        self._saved = False
        self._planted = False

    def save(self, result: T) -> T:
        """Store the result with the effect, and give it back. In phase verify there is nothing to save."""
        context = self._context
        if context.phase == "verify":
            raise SagarunError("a verification changes nothing, so there is nothing to save: return its verdict")
        if self.done or self._saved:
            raise SagarunError("save() was called for an operation that is done already")
        self._rows.update(context.step_ref, context.phase, context._encode(result).decode())
        self._saved = True
        return result

    def __enter__(self) -> Barrier:
        step_ref = self._context.step_ref
        if self._context.phase == "action":
            self._enter_action(step_ref)
        elif self._context.phase == "compensate":
            self._enter_undo(step_ref)
        elif self._context.phase == "verify":
            self._enter_verification(step_ref)
        else:
            self._claim(step_ref, self._context.phase)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        if self._context.phase == "verify":
            # Only now: a block that raises is rolled back, and its tombstone with it.
            self._context._fenced = self._context._fenced or self._planted
        elif not self.done and not self._saved:
            raise SagarunError(
                "the block of ctx.barrier was left without save(): a repeat could not be told from the first time"
            )

    def _enter_action(self, step_ref: str) -> None:
        if self._rows.insert(step_ref, "action", "action"):
            return
        present = self._rows.find(step_ref)
        by, stored = present["action"]
        if by != "action":
            raise AlreadyUndone(f"{step_ref} was {'undone' if by == 'compensate' else 'fenced'} before it ran")
        if "compensate" in present:
            raise AlreadyUndone(f"{step_ref} ran and was undone")
        self._repeat(stored)

    def _enter_undo(self, step_ref: str) -> None:
        if self._rows.insert(step_ref, "action", "compensate"):
            self.empty = True
        else:
            self.empty = self._rows.find(step_ref)["action"][0] != "action"
        if self.empty:
            self.done = True
        else:
            self._claim(step_ref, "compensate")

    def _enter_verification(self, step_ref: str) -> None:
        if self._context.fencing:
            self._planted = self._rows.insert(step_ref, "action", "verify")
            if self._planted:
                return
        by, stored = self._rows.find(step_ref).get("action", ("", None))
        if by == "action":
            self._repeat(stored)
        elif by:
            self._planted = True  # a tombstone is there already, and keeps the action out just as well

    def _claim(self, step_ref: str, phase: str) -> None:
        if not self._rows.insert(step_ref, phase, phase):
            self._repeat(self._rows.find(step_ref)[phase][1])

    def _repeat(self, stored: str | None) -> None:
        if stored is None:
            raise SagarunError(
                f"the barrier row of {self._context.idempotency_key} was committed without a result: the connection "
                "commits by itself, so its transaction protects nothing"
            )
        self.done = True
        self.result = decode_json(stored)


def open_barrier(context: Context, connection: Any) -> Barrier:
    """Behind `ctx.barrier`. Raises SagarunError for a connection that cannot carry one."""
    return Barrier(context, rows_of(connection))


def create_table(connection: Any) -> None:
    """Make the table, if it is missing, and commit. On a connection of its own: this ends its transaction."""
    rows_of(connection, transaction=False).create()
