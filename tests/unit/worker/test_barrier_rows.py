"""The barrier's statements over different kinds of connections."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from runner.errors import ConfigError, SagarunError
from runner.worker.barrier_rows import rows_of
from tests.servers import PATIENCE_S


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:")
    yield opened
    opened.close()


def test_the_first_insert_wins(connection: sqlite3.Connection):
    rows = rows_of(connection)
    assert rows.insert("r/s", "action", "action")
    assert not rows.insert("r/s", "action", "compensate")
    assert rows.find("r/s") == {"action": ("action", None)}


def test_sqlite_makes_the_table_inside_the_transaction(connection: sqlite3.Connection):
    rows_of(connection).insert("r/s", "action", "action")
    connection.rollback()
    assert rows_of(connection).find("r/s") == {}


def test_looking_does_not_make_the_table(connection: sqlite3.Connection):
    assert rows_of(connection).find("r/s") == {}
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


@pytest.mark.parametrize("factory", [sqlite3.Row, lambda _, row: dict(zip("abc", row, strict=True))])
def test_the_users_row_factory_does_not_matter(connection: sqlite3.Connection, factory: Any):
    connection.row_factory = factory
    rows = rows_of(connection)
    rows.insert("r/s", "action", "action")
    rows.update("r/s", "action", "1")
    assert rows.find("r/s") == {"action": ("action", "1")}


def test_an_update_of_a_row_that_is_gone_is_an_error(connection: sqlite3.Connection):
    rows = rows_of(connection)
    rows.insert("r/s", "action", "action")
    connection.rollback()
    rows.create()
    with pytest.raises(SagarunError, match="is gone"):
        rows.update("r/s", "action", "1")


def test_a_connection_that_commits_every_statement_is_refused():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(SagarunError, match="begin a transaction before"):
        rows_of(connection)
    connection.execute("BEGIN")
    rows_of(connection)
    connection.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has autocommit since Python 3.12")
@pytest.mark.parametrize(("mode", "refused"), [(True, True), (False, False)])
def test_the_autocommit_of_newer_pythons_is_understood(mode: bool, refused: bool):
    connection = sqlite3.connect(":memory:", autocommit=mode)  # type: ignore[call-overload]
    try:
        rows_of(connection)
        assert not refused
    except SagarunError:
        assert refused
    finally:
        connection.close()


def test_two_transactions_on_one_operation_do_not_both_win(tmp_path: Path):
    first = sqlite3.connect(tmp_path / "shop.db", timeout=PATIENCE_S)
    rows_of(first, transaction=False).create()
    rows_of(first).insert("r/s", "action", "action")
    answers: list[bool] = []

    def second() -> None:
        connection = sqlite3.connect(tmp_path / "shop.db", timeout=PATIENCE_S)
        answers.append(rows_of(connection).insert("r/s", "action", "action"))
        connection.commit()
        connection.close()

    thread = threading.Thread(target=second)
    thread.start()
    first.commit()
    thread.join()
    first.close()
    assert answers == [False]


class Recorded:
    """A DB-API connection that writes down what it is asked."""

    def __init__(self, error: Exception | None = None, **attributes: Any) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.error = error
        self.committed = False
        vars(self).update(attributes)

    def cursor(self) -> Any:
        return SimpleNamespace(execute=self._execute, rowcount=1, fetchall=list, close=lambda: None)

    def _execute(self, sql: str, parameters: Any) -> None:
        self.asked.append((sql, parameters))
        if self.error is not None:
            raise self.error

    def commit(self) -> None:
        self.committed = True


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of a driver, whose connections are Recorded."""
    module = ModuleType("some_driver")
    monkeypatch.setitem(sys.modules, "some_driver", module)
    monkeypatch.setattr(Recorded, "__module__", "some_driver.connections")
    return module


@pytest.mark.parametrize(
    ("style", "placeholders", "parameters"),
    [
        ("qmark", "(?, ?, ?)", ("r/s", "action", "verify")),
        ("format", "(%s, %s, %s)", ("r/s", "action", "verify")),
        ("pyformat", "(%s, %s, %s)", ("r/s", "action", "verify")),
        ("numeric", "(:1, :2, :3)", ("r/s", "action", "verify")),
        ("named", "(:p1, :p2, :p3)", {"p1": "r/s", "p2": "action", "p3": "verify"}),
    ],
)
def test_every_parameter_style_is_spoken(driver: ModuleType, style: str, placeholders: str, parameters: Any):
    driver.paramstyle = style
    connection = Recorded()
    assert rows_of(connection).insert("r/s", "action", "verify")
    sql = f'INSERT INTO sagarun_barrier (step_ref, phase, "by") VALUES {placeholders} ON CONFLICT DO NOTHING'
    assert connection.asked == [(sql, parameters)]


def test_making_the_table_commits(driver: ModuleType):
    driver.paramstyle = "qmark"
    connection = Recorded(autocommit=True)
    rows_of(connection, transaction=False).create()
    assert connection.committed
    assert connection.asked[0][0].startswith("CREATE TABLE IF NOT EXISTS sagarun_barrier")


def test_something_that_is_no_connection_is_refused():
    with pytest.raises(SagarunError, match="object is no DB-API connection"):
        rows_of(object())


def test_a_pool_proxy_is_looked_through(driver: ModuleType):
    driver.paramstyle = "qmark"
    connection = Recorded()
    rows_of(SimpleNamespace(dbapi_connection=connection)).find("r/s")
    assert len(connection.asked) == 1


@pytest.mark.parametrize(
    ("attributes", "refused"),
    [
        ({"autocommit": True}, True),
        ({"autocommit": False}, False),
        ({"autocommit": True, "info": SimpleNamespace(transaction_status=0)}, True),
        ({"autocommit": True, "info": SimpleNamespace(transaction_status=2)}, False),
    ],
)
def test_autocommit_is_refused_unless_a_transaction_is_open(driver: ModuleType, attributes: Any, refused: bool):
    driver.paramstyle = "qmark"
    try:
        rows_of(Recorded(**attributes))
        assert not refused
    except SagarunError:
        assert refused


class UndefinedTable(Exception):
    sqlstate = "42P01"


def test_a_missing_table_says_how_to_make_it(driver: ModuleType):
    driver.paramstyle = "qmark"
    with pytest.raises(ConfigError, match="create_table"):
        rows_of(Recorded(error=UndefinedTable("relation is missing"))).insert("r/s", "action", "action")


def test_another_error_of_the_database_goes_through(driver: ModuleType):
    driver.paramstyle = "qmark"
    with pytest.raises(OSError, match="broken"):
        rows_of(Recorded(error=OSError("broken: sagarun_barrier"))).insert("r/s", "action", "action")


def test_a_redis_client_is_sent_to_its_own_form():
    with pytest.raises(SagarunError, match="run_once"):
        rows_of(SimpleNamespace(execute_command=None))


def test_an_asynchronous_connection_is_refused_with_a_way_out():
    class Connection:
        async def execute(self) -> None: ...

    with pytest.raises(SagarunError, match="run_sync"):
        rows_of(Connection())


class Alchemy:
    """The part of a SQLAlchemy connection that the barrier uses, over SQLite."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.dialect = SimpleNamespace(paramstyle="qmark", name="sqlite")
        self._connection = connection

    def exec_driver_sql(self, sql: str, parameters: Any = None) -> Any:
        try:
            return self._connection.execute(sql, parameters or ())
        except sqlite3.Error as error:
            wrapped = RuntimeError(f"{error} [SQL: {sql}]")
            wrapped.orig = error  # type: ignore[attr-defined]
            raise wrapped from error

    def commit(self) -> None:
        self._connection.commit()


class AlchemySession:
    def __init__(self, connection: Alchemy) -> None:
        self._connection = connection

    def connection(self) -> Alchemy:
        return self._connection

    def get_bind(self) -> None: ...

    def commit(self) -> None:
        self._connection.commit()


@pytest.mark.parametrize("wrap", [Alchemy, lambda connection: AlchemySession(Alchemy(connection))])
def test_sqlalchemy_connections_and_sessions_carry_a_barrier(connection: sqlite3.Connection, wrap: Any):
    rows = rows_of(wrap(connection))
    assert rows.insert("r/s", "action", "action")
    rows.update("r/s", "action", "1")
    assert not rows.insert("r/s", "action", "action")
    assert rows.find("r/s") == {"action": ("action", "1")}
    rows.create()
    assert not connection.in_transaction
