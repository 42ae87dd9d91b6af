"""The barrier over a real PostgreSQL: what SQLite cannot show, because it locks a file and PostgreSQL locks rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from runner.errors import AlreadyUndone, ConfigError, SagarunError
from runner.testing import fake_context
from runner.worker.barrier import create_table
from runner.worker.barrier_rows import rows_of
from tests.servers import until


@pytest.fixture
def url(postgres_url: str) -> str:
    with psycopg.connect(postgres_url) as connection:
        create_table(connection)
    return postgres_url


@pytest.fixture(params=["psycopg", "sqlalchemy connection", "sqlalchemy session"])
def connection(request: pytest.FixtureRequest, url: str) -> Iterator[Any]:
    """In a transaction, that nobody has committed."""
    if request.param == "psycopg":
        with psycopg.connect(url) as made:
            yield made
        return
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() if request.param.endswith("connection") else Session(engine) as made:
        yield made
    engine.dispose()


def test_an_operation_is_done_once(connection: Any):
    for again in (False, True):
        with fake_context(phase="action", path="hold").barrier(connection) as once:
            assert once.done is again
            assert (once.result if once.done else once.save({"hold": 1})) == {"hold": 1}
        connection.commit()


def test_an_undo_that_came_first_keeps_the_action_out(connection: Any):
    with fake_context(phase="compensate", path="hold").barrier(connection) as once:
        assert (once.done, once.empty) == (True, True)
    connection.commit()
    with pytest.raises(AlreadyUndone), fake_context(phase="action", path="hold").barrier(connection):
        pytest.fail("it was let in")


def test_what_was_rolled_back_was_never_there(connection: Any):
    with fake_context(phase="action", path="hold").barrier(connection) as once:
        once.save(1)
    connection.rollback()
    with fake_context(phase="action", path="hold").barrier(connection) as once:
        assert not once.done
        once.save(2)


def test_a_repeat_does_not_end_the_transaction(connection: Any):
    """In PostgreSQL a failed statement would: nothing after it would be done."""
    rows = rows_of(connection)
    assert [rows.insert("r/s", "action", "action") for _ in range(2)] == [True, False]
    assert rows.find("r/s") == {"action": ("action", None)}


def test_a_ref_may_be_as_long_as_definitions_nest(connection: Any):
    assert rows_of(connection).insert("r/" + "block_of_steps/" * 100, "action", "action")


def test_the_second_waits_for_the_first_and_sees_what_it_saved(url: str):
    answers: list[tuple[bool, Any]] = []
    with psycopg.connect(url) as first, psycopg.connect(url) as second, psycopg.connect(url, autocommit=True) as spy:
        with fake_context(phase="action", path="hold").barrier(first) as once:
            once.save("by the first")

        def repeat() -> None:
            with fake_context(phase="action", path="hold").barrier(second) as again:
                answers.append((again.done, again.result))

        thread = threading.Thread(target=repeat)
        thread.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        until(lambda: spy.execute(waits, [second.info.backend_pid]).fetchone() == (1,), "the second waits")
        first.commit()
        thread.join()
    assert answers == [(True, "by the first")]


@pytest.mark.parametrize("phase", ["action", "compensate", "verify"])
def test_without_the_table_it_is_said_how_to_make_it(postgres_url: str, phase: str):
    with (
        psycopg.connect(postgres_url) as connection,
        pytest.raises(ConfigError, match="create_table"),
        fake_context(phase=phase, path="hold").barrier(connection),
    ):
        pytest.fail("it was let in")


def test_what_commits_by_itself_is_refused(url: str):
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with psycopg.connect(url, autocommit=True) as plain, engine.connect() as wrapped, Session(engine) as session:
        for connection in (plain, wrapped, session):
            with pytest.raises(SagarunError, match="commits every statement by itself"):
                rows_of(connection)
        with plain.transaction():
            assert rows_of(plain).insert("r/s", "action", "action")
    engine.dispose()
