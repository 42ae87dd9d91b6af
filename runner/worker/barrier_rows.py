"""The barrier's SQL, over whatever connection the user has: SQLite, any DB-API connection, SQLAlchemy.

Inserts are ON CONFLICT DO NOTHING and the row count is read: a failed INSERT would abort a PostgreSQL transaction, and
the first statement must be the write, or SQLite could not wait for the writer in front of it. So nothing is looked up
before it is inserted.
"""

from __future__ import annotations

import inspect
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from runner.errors import ConfigError, SagarunError

TABLE = "sagarun_barrier"
_CREATE = (
    f'CREATE TABLE IF NOT EXISTS {TABLE} (step_ref TEXT NOT NULL, phase VARCHAR(16) NOT NULL, '
    '"by" VARCHAR(16) NOT NULL, result TEXT, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, '
    "PRIMARY KEY (step_ref, phase))"
)
_INSERT = f'INSERT INTO {TABLE} (step_ref, phase, "by") VALUES (?, ?, ?) ON CONFLICT DO NOTHING'
_FIND = f'SELECT phase, "by", result FROM {TABLE} WHERE step_ref = ?'
_UPDATE = f"UPDATE {TABLE} SET result = ? WHERE step_ref = ? AND phase = ?"

_COMMITS = "this connection commits every statement by itself: begin a transaction before ctx.barrier"
_PLACEHOLDERS = {"qmark": "?", "format": "%s", "pyformat": "%s", "numeric": ":{}", "named": ":p{}"}


class _Answer:
    """Row count, and the rows of a SELECT."""

    __slots__ = ("count", "rows")

    def __init__(self, count: int, rows: Sequence[Any]) -> None:
        self.count = count
        self.rows = rows


class _Connection(Protocol):
    def execute(self, sql: str, values: Sequence[str], *, reads: bool = False) -> _Answer: ...

    def commit(self) -> None: ...


class BarrierRows:
    """The four statements of the barrier."""

    __slots__ = ("_connection", "_makes_table")

    def __init__(self, connection: _Connection, *, makes_table: bool) -> None:
        self._connection = connection
        self._makes_table = makes_table

    def insert(self, step_ref: str, phase: str, by: str) -> bool:
        """True: it was not there. Waits for another transaction that is writing the same row."""
        values = (step_ref, phase, by)
        try:
            return self._connection.execute(_INSERT, values).count == 1
        except Exception as error:
            self._expect_missing_table(error)
        self._connection.execute(_CREATE, ())
        return self._connection.execute(_INSERT, values).count == 1

    def find(self, step_ref: str) -> dict[str, tuple[str, str | None]]:
        """(by, result) by phase."""
        try:
            rows = self._connection.execute(_FIND, (step_ref,), reads=True).rows
        except Exception as error:
            self._expect_missing_table(error)
            return {}
        plain = [tuple(row.values()) if isinstance(row, Mapping) else tuple(row) for row in rows]
        return {phase: (by, result) for phase, by, result in plain}

    def _expect_missing_table(self, error: Exception) -> None:
        """Returns where the table can be made now."""
        if not _is_missing_table(error):
            raise error
        if not self._makes_table:
            raise ConfigError(
                f"the table {TABLE} is missing: call runner.worker.barrier.create_table(connection) once, "
                "on a connection of its own"
            ) from error

    def update(self, step_ref: str, phase: str, result: str) -> None:
        if self._connection.execute(_UPDATE, (result, step_ref, phase)).count != 1:
            raise SagarunError(f"the barrier row of {step_ref} is gone: was the transaction rolled back in between?")

    def create(self) -> None:
        self._connection.execute(_CREATE, ())
        self._connection.commit()


def rows_of(connection: Any, *, transaction: bool = True) -> BarrierRows:
    """The rows over this connection. `transaction`: refuse one that commits every statement by itself."""
    if hasattr(connection, "execute_command"):
        raise SagarunError("this is a Redis client: runner.worker.barrier_redis.run_once is its barrier")
    if inspect.iscoroutinefunction(getattr(connection, "execute", None)) or hasattr(connection, "run_sync"):
        raise SagarunError(
            "the barrier needs a synchronous connection; with SQLAlchemy: await session.run_sync(lambda s: …)"
        )
    if hasattr(connection, "exec_driver_sql") or hasattr(connection, "get_bind"):
        # A session's connection() begins its transaction; a DB-API cursor behind its back would not.
        bound = connection.connection() if hasattr(connection, "get_bind") else connection
        if transaction and _is_autocommit(bound):
            raise SagarunError(_COMMITS)
        return BarrierRows(_SqlAlchemy(bound, connection), makes_table=bound.dialect.name == "sqlite")
    raw = getattr(connection, "dbapi_connection", None) or connection
    if transaction and _commits_by_itself(raw):
        raise SagarunError(_COMMITS)
    return BarrierRows(_DbApi(raw), makes_table=isinstance(raw, sqlite3.Connection))


class _DbApi:
    __slots__ = ("_connection", "_style")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._style = _parameter_style(connection)

    def execute(self, sql: str, values: Sequence[str], *, reads: bool = False) -> _Answer:
        cursor = self._connection.cursor()
        try:
            cursor.execute(_with_placeholders(sql, self._style), _parameters(values, self._style))
            return _Answer(cursor.rowcount, cursor.fetchall() if reads else ())
        finally:
            cursor.close()

    def commit(self) -> None:
        self._connection.commit()


class _SqlAlchemy:
    __slots__ = ("_bound", "_owner", "_style")

    def __init__(self, bound: Any, owner: Any) -> None:
        self._bound = bound
        self._owner = owner
        self._style = bound.dialect.paramstyle

    def execute(self, sql: str, values: Sequence[str], *, reads: bool = False) -> _Answer:
        parameters = _parameters(values, self._style)
        answer = self._bound.exec_driver_sql(_with_placeholders(sql, self._style), parameters or None)
        return _Answer(answer.rowcount, answer.fetchall() if reads else ())

    def commit(self) -> None:
        self._owner.commit()


def _parameter_style(connection: Any) -> str:
    """DB-API modules say it; the connection's class, or a class that it derives from, says which module."""
    for cls in type(connection).__mro__:
        parts = cls.__module__.split(".")
        for length in range(len(parts), 0, -1):
            style = getattr(sys.modules.get(".".join(parts[:length])), "paramstyle", None)
            if style in _PLACEHOLDERS:
                return str(style)
    raise SagarunError(f"{type(connection).__qualname__} is no DB-API connection: its module has no paramstyle")


def _with_placeholders(sql: str, style: str) -> str:
    placeholder = _PLACEHOLDERS[style]
    head, *rest = sql.split("?")
    return head + "".join(placeholder.format(position) + part for position, part in enumerate(rest, 1))


def _parameters(values: Sequence[str], style: str) -> Any:
    if style == "named":
        return {f"p{position}": value for position, value in enumerate(values, 1)}
    return tuple(values)


def _commits_by_itself(connection: Any) -> bool:
    if isinstance(connection, sqlite3.Connection):
        mode = getattr(connection, "autocommit", -1)  # since Python 3.12; -1 stands for the older isolation_level
        begins = mode is False or (mode is not True and connection.isolation_level is not None)
        return not begins and not connection.in_transaction
    if getattr(connection, "autocommit", False) is not True:
        return False
    # psycopg commits by itself only outside of `with connection.transaction()`.
    status = getattr(getattr(connection, "info", None), "transaction_status", None)
    return status is None or int(status) == 0


def _is_autocommit(bound: Any) -> bool:
    """Of a SQLAlchemy connection. SQLite's is not asked: it begins when its first statement comes, later than this."""
    raw = getattr(getattr(bound, "connection", None), "dbapi_connection", None)
    return raw is not None and not isinstance(raw, sqlite3.Connection) and _commits_by_itself(raw)


def _is_missing_table(error: Exception) -> bool:
    original = getattr(error, "orig", None) or error  # SQLAlchemy wraps, and adds the statement to the text
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    return state == "42P01" or f"no such table: {TABLE}" in str(original)
