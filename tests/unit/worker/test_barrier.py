"""The barrier on SQLite: once, and not at all after an undo or a fencing verification."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.errors import AlreadyUndone, SagarunError
from runner.worker.barrier import Barrier, create_table
from runner.worker.context import Context, fake_context


class Shop:
    """A database with one table of effects, and a worker's typical block around the barrier."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self.transaction() as db:
            db.execute("CREATE TABLE effects (what TEXT)")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def run(self, context: Context, result: Any = "done") -> tuple[bool, bool, Any]:
        """(done, empty, result), as the worker sees it."""
        with self.transaction() as db, context.barrier(db) as once:
            if once.done:
                return True, once.empty, once.result
            db.execute("INSERT INTO effects VALUES (?)", (context.phase,))
            return False, once.empty, once.save(result)

    def verify(self, context: Context) -> tuple[bool, Any]:
        with self.transaction() as db, context.barrier(db) as once:
            return once.done, once.result

    def effects(self) -> list[str]:
        with self.transaction() as db:
            return [what for (what,) in db.execute("SELECT what FROM effects")]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop.db")


def action(**fields: Any) -> Context:
    return fake_context(phase="action", **fields)


def undo(**fields: Any) -> Context:
    return fake_context(phase="compensate", **fields)


def verification(**fields: Any) -> Context:
    return fake_context(phase="verify", **fields)


def test_the_first_time_is_run(shop: Shop):
    assert shop.run(action(), {"id": 1}) == (False, False, {"id": 1})
    assert shop.effects() == ["action"]


def test_a_repeat_gives_the_stored_result_and_has_no_effect(shop: Shop):
    shop.run(action(), {"id": 1})
    assert shop.run(action(attempt=2), {"id": 2}) == (True, False, {"id": 1})
    assert shop.effects() == ["action"]


def test_a_result_of_null_is_a_result(shop: Shop):
    shop.run(action(), None)
    assert shop.run(action()) == (True, False, None)


def test_another_operation_is_not_a_repeat(shop: Shop):
    shop.run(action(path="lines#1/ship"))
    assert shop.run(action(path="lines#2/ship"))[0] is False


def test_an_undo_of_an_action_that_ran_is_run(shop: Shop):
    shop.run(action())
    assert shop.run(undo(), "undone") == (False, False, "undone")
    assert shop.effects() == ["action", "compensate"]


def test_a_repeated_undo_gives_the_stored_result(shop: Shop):
    shop.run(action())
    shop.run(undo(), "undone")
    assert shop.run(undo(), "again") == (True, False, "undone")


def test_an_undo_of_an_action_that_never_ran_has_nothing_to_do(shop: Shop):
    assert shop.run(undo()) == (True, True, None)
    assert shop.effects() == []


def test_a_repeated_empty_undo_has_nothing_to_do_either(shop: Shop):
    shop.run(undo())
    assert shop.run(undo()) == (True, True, None)


def test_an_action_that_arrives_after_its_empty_undo_is_refused(shop: Shop):
    shop.run(undo())
    with pytest.raises(AlreadyUndone, match="was undone before it ran"):
        shop.run(action())
    assert shop.effects() == []


def test_an_action_that_arrives_again_after_its_undo_is_refused(shop: Shop):
    shop.run(action())
    shop.run(undo())
    with pytest.raises(AlreadyUndone, match="ran and was undone"):
        shop.run(action())


def test_except_exception_does_not_swallow_the_refusal():
    assert not issubclass(AlreadyUndone, Exception)


def test_an_action_that_fails_leaves_nothing_behind(shop: Shop):
    with pytest.raises(RuntimeError), shop.transaction() as db, action().barrier(db):
        raise RuntimeError("broken")
    assert shop.run(undo()) == (True, True, None)


def test_an_undo_that_fails_leaves_no_tombstone(shop: Shop):
    with pytest.raises(RuntimeError), shop.transaction() as db, undo().barrier(db):
        raise RuntimeError("broken")
    assert shop.run(action())[0] is False


def test_a_verification_sees_what_landed(shop: Shop):
    shop.run(action(), {"id": 1})
    assert shop.verify(verification()) == (True, {"id": 1})


def test_a_verification_that_does_not_fence_leaves_the_action_its_chance(shop: Shop):
    context = verification(fencing=False)
    assert shop.verify(context) == (False, None)
    assert not context._fenced
    assert shop.run(action())[0] is False


def test_a_fencing_verification_keeps_a_late_action_out(shop: Shop):
    context = verification(fencing=True)
    assert shop.verify(context) == (False, None)
    assert context._fenced
    with pytest.raises(AlreadyUndone, match="was fenced before it ran"):
        shop.run(action())


def test_a_fencing_verification_that_is_repeated_is_fenced_too(shop: Shop):
    shop.verify(verification(fencing=True))
    context = verification(fencing=True, attempt=2)
    assert shop.verify(context) == (False, None)
    assert context._fenced


def test_a_fencing_verification_of_what_landed_fences_nothing(shop: Shop):
    shop.run(action(), "paid")
    context = verification(fencing=True)
    assert shop.verify(context) == (True, "paid")
    assert not context._fenced


def test_a_verification_that_fails_has_not_fenced(shop: Shop):
    context = verification(fencing=True)
    with pytest.raises(RuntimeError), shop.transaction() as db, context.barrier(db):
        raise RuntimeError("broken")
    assert not context._fenced
    assert shop.run(action())[0] is False


def test_an_undo_after_a_fence_has_nothing_to_do(shop: Shop):
    shop.verify(verification(fencing=True))
    assert shop.run(undo()) == (True, True, None)


def test_a_confirmation_happens_once_too(shop: Shop):
    shop.run(action())
    assert shop.run(fake_context(phase="confirm"), 1) == (False, False, 1)
    assert shop.run(fake_context(phase="confirm"), 2) == (True, False, 1)


def test_leaving_without_save_is_an_error_and_nothing_is_kept(shop: Shop):
    with pytest.raises(SagarunError, match=r"left without save\(\)"), shop.transaction() as db, action().barrier(db):
        db.execute("INSERT INTO effects VALUES ('x')")
    assert shop.effects() == []


def test_saving_twice_is_an_error(shop: Shop):
    with shop.transaction() as db, action().barrier(db) as once:
        once.save(1)
        with pytest.raises(SagarunError, match="is done already"):
            once.save(2)


def test_a_verification_has_nothing_to_save(shop: Shop):
    with shop.transaction() as db, verification().barrier(db) as once, pytest.raises(SagarunError, match="verdict"):
        once.save(1)


def test_a_result_that_is_no_json_is_refused_before_anything_is_committed(shop: Shop):
    with pytest.raises(TypeError, match="object is not JSON"):
        shop.run(action(), object())
    assert shop.effects() == []


def test_a_row_without_result_betrays_a_connection_that_commits_by_itself(shop: Shop):
    with shop.transaction() as db:
        with contextlib.suppress(RuntimeError), action().barrier(db):
            raise RuntimeError("broken")
        db.commit()
    with pytest.raises(SagarunError, match="committed without a result"):
        shop.run(action())


def test_the_table_can_be_made_beforehand(shop: Shop):
    connection = sqlite3.connect(shop.path)
    create_table(connection)
    create_table(connection)
    assert connection.execute("SELECT count(*) FROM sagarun_barrier").fetchone() == (0,)
    connection.close()


def test_the_block_is_a_barrier(shop: Shop):
    with shop.transaction() as db:
        assert isinstance(action().barrier(db), Barrier)
