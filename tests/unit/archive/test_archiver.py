"""Runs that are over get into the archive before they expire, once, whatever is cut off in between."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.archive.archive import Archive
from runner.archive.archiver import Archiver, ArchiveThread
from runner.archive.database import SqliteFile, open_database
from runner.cli.archived import client_of, groups_of_both, list_both
from runner.cli.story.reading import read_view
from runner.engine.engine import Engine
from runner.errors import ArchiveUnavailable, ConfigError
from runner.monitor.shapes import RunView
from runner.query import parse_query
from runner.store.ports import HELD_MS
from tests.desk import ORDER, Desk

DAY_MS = 86_400_000
DATABASES = ("python's sqlite", "sqlalchemy's sqlite", "postgresql")


def desk_in(root: Path, text: str = ORDER) -> Desk:
    """Its engine holds what is over."""
    desk = Desk(root, text)
    desk._engine = Engine(desk.store, process_id="host:1:engine", retention_of=lambda _status: HELD_MS)
    return desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_in(tmp_path)


@pytest.fixture(params=DATABASES)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    """With what comes with Python, and with SQLAlchemy."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url").replace("postgresql:", "postgresql+psycopg:")
    else:
        url = "sqlite:///a.db" if request.param.startswith("python") else f"sqlite+pysqlite:///{tmp_path}/a.db"
    made = Archive(open_database(url, tmp_path), "desk")
    yield made
    made.close()


def archiver(desk: Desk, archive: Archive, kept: Callable[[str], int] = lambda _status: DAY_MS) -> Archiver:
    return Archiver(desk.client, archive, kept)


def query(asked: Archive | Path, sql: str) -> list[tuple[Any, ...]]:
    """Of an archive, or of the file `a.db` in a folder."""
    if isinstance(asked, Archive):
        return [tuple(row.values()) for row in asked._database.read(sql)]
    with closing(sqlite3.connect(asked / "a.db")) as database:
        return database.execute(sql).fetchall()


def listed(desk: Desk, archive: Archive, text: str = "") -> list[tuple[str, bool]]:
    runs = list_both(desk.client, archive, text, desk.store.now_ms(), limit=100, offset=0)
    return [(run.run_id, run.archived) for run in runs]


def archived_view(desk: Desk, archive: Archive, run_id: str) -> RunView:
    bundle = archive.get(run_id)
    assert bundle is not None
    settings = type("Settings", (), {"project": desk.client.project})
    return read_view(client_of(settings, bundle), run_id)  # type: ignore[arg-type]


def pass_time(desk: Desk, ms: int) -> None:
    desk.clock.advance(ms)
    desk.store.tick()


def test_a_run_that_is_over_is_copied_and_expires_then(desk: Desk, archive: Archive):
    run_id = desk.run()
    assert archiver(desk, archive).step() == 1
    assert query(archive, "SELECT run_id, workflow, status, run_key FROM sagarun_runs") == [
        (run_id, "order", "completed", "A-1"),
    ]  # fmt: skip
    assert query(archive, "SELECT step, worker, status, attempts FROM sagarun_steps WHERE step = 'charge'") == [
        ("charge", "card.charge", "completed", 1),
    ]  # fmt: skip
    assert listed(desk, archive) == [(run_id, False)]
    pass_time(desk, DAY_MS + 1)
    assert desk.client.list() == []
    assert listed(desk, archive) == [(run_id, True)]


def test_nothing_expires_before_it_was_copied(desk: Desk, archive: Archive):
    desk.run()
    pass_time(desk, 400 * DAY_MS)
    assert len(desk.client.list()) == 1
    archiver(desk, archive).step()
    pass_time(desk, 1)
    assert desk.client.list() == []


def test_how_a_run_ended_decides_how_long_it_stays(desk: Desk, archive: Archive):
    desk.run(id="A")
    kept = desk.run(id="B", fail="declined")
    archiver(desk, archive, lambda status: 0 if status == "compensated" else 1_000).step()
    pass_time(desk, 400 * DAY_MS)
    assert [run.run_id for run in desk.client.list()] == [kept]


def test_a_run_under_way_is_not_copied(desk: Desk, archive: Archive):
    desk.start()
    assert archiver(desk, archive).step() == 0


def test_what_was_copied_and_not_released_is_copied_again_and_there_once(
    desk: Desk, archive: Archive, monkeypatch: pytest.MonkeyPatch
):
    desk.run()
    with monkeypatch.context() as patched:
        patched.setattr(desk.store, "release_runs", _killed)
        with pytest.raises(InterruptedError):
            archiver(desk, archive).step()
    assert len(desk.store.ended_runs()) == 1
    assert archiver(desk, archive).step() == 1
    assert query(archive, "SELECT count(*) FROM sagarun_runs") == [(1,)]
    assert query(archive, "SELECT count(*) FROM sagarun_steps") == [(3,)]
    assert desk.store.ended_runs() == []


def _killed(*_: Any, **__: Any) -> None:
    raise InterruptedError


def test_a_transaction_that_breaks_leaves_nothing_and_releases_nothing(desk: Desk, tmp_path: Path):
    class Breaking(SqliteFile):
        def write(self, statements: Sequence[tuple[str, Any]]) -> None:
            super().write([*statements, ("INSERT INTO nowhere VALUES (1)", [{}])])

    desk.run()
    Archive(SqliteFile(tmp_path / "a.db"), "desk").close()
    archive = Archive.__new__(Archive)
    archive._database, archive.project = Breaking(tmp_path / "a.db"), "desk"
    with pytest.raises(ArchiveUnavailable, match="no such table: nowhere"):
        archiver(desk, archive).step()
    archive.close()
    assert query(tmp_path, "SELECT count(*) FROM sagarun_runs") == [(0,)]
    assert len(desk.store.ended_runs()) == 1


def test_an_archived_run_is_shown_as_it_was(desk: Desk, archive: Archive):
    run_id = desk.run(fail="declined", amount=200)
    before = read_view(desk.client, run_id)
    archiver(desk, archive).step()
    pass_time(desk, 2 * DAY_MS)
    assert archived_view(desk, archive, run_id) == before
    assert archive.find(run_id[:6]) == [run_id]
    assert archive.get("absent") is None


def test_archived_runs_are_found_by_queries(desk: Desk, archive: Archive):
    one, two = desk.run(id="A", amount=7), desk.run(id="B", fail="declined")
    archiver(desk, archive).step()
    pass_time(desk, 2 * DAY_MS)
    assert listed(desk, archive, "input.amount:7") == [(one, True)]
    assert listed(desk, archive, "error:declined step:charge status:failed") == [(two, True)]
    assert listed(desk, archive, "since:1d") == []
    assert listed(desk, archive, "status:stuck") == []
    assert {run.run_id for run in archive.runs(parse_query("", desk.store.now_ms()))} == {one, two}


def test_a_run_is_listed_once_while_it_is_in_both(desk: Desk, archive: Archive):
    ids = [desk.run(id=str(number)) for number in range(5)]
    archiver(desk, archive).step()
    assert sorted(listed(desk, archive)) == sorted((run_id, False) for run_id in ids)


def test_more_than_a_batch_is_archived_and_listed(desk: Desk, archive: Archive):
    ids = [desk.run(id=str(number)) for number in range(60)]
    while archiver(desk, archive).step():
        pass
    assert sorted(run.run_id for run in archive.runs(parse_query("", desk.store.now_ms()))) == sorted(ids)


def test_groups_of_errors_outlive_the_server(desk: Desk, archive: Archive):
    desk.run(fail="declined")
    copier = archiver(desk, archive)
    assert copier.copy_errors() == 1
    assert copier.copy_errors() == 0
    (group,) = desk.store.fault_groups()
    assert archive.errors() == [group]
    assert groups_of_both([], archive.errors()) == [group]
    assert groups_of_both([group], archive.errors()) == [group]
    assert archive.errors(since_ms=group.last_at_ms + 1) == []


def test_a_group_that_was_forgotten_and_came_again_is_counted_together(tmp_path: Path, archive: Archive):
    for number in range(2):
        desk = desk_in(tmp_path / str(number))
        desk.clock.advance(1_000 + number * 7_200_000)
        desk.run(fail="declined")
        archiver(desk, archive).copy_errors()
    (group,) = archive.errors()
    assert (group.count, sum(group.hours.values()), len(group.hours)) == (2, 2, 2)


def test_what_a_database_may_refuse_is_archived(tmp_path: Path, archive: Archive):
    """A NUL, half a character, a text longer than a key, a path longer than a key."""
    charge = {"id": "charge", "worker": "card.charge", "with": {"amount": 1, "fail": "declined"}}
    nested: list[dict[str, Any]] = [charge]
    for number in range(8):
        nested = [{"id": f"block{number}_{'x' * 50}", "steps": nested}]
    desk = desk_in(tmp_path, yaml.safe_dump({"workflow": "deep", "version": "1.0.0", "steps": nested}))
    desk.message = "a\0b \ud83d " + "c" * 100_000
    run_id = desk.client.start(desk.definition, {}).id
    desk.work()
    assert archiver(desk, archive).step() == 1
    ((path, message),) = query(
        archive, "SELECT path, error_message FROM sagarun_steps WHERE step = 'charge' AND error_message IS NOT NULL"
    )
    assert len(path) > 255
    assert message.startswith("a\\u0000b ")
    assert archived_view(desk, archive, run_id) == read_view(desk.client, run_id)


def test_a_run_that_the_database_refuses_holds_up_no_other(
    desk: Desk, archive: Archive, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    ids = [desk.run(id=str(number)) for number in range(3)]
    put = archive.put_runs

    def refuse(bundles: Sequence[Any]) -> None:
        if any(bundle.run_id == ids[1] for bundle in bundles):
            raise ArchiveUnavailable("the archive x: too long")
        put(bundles)

    monkeypatch.setattr(archive, "put_runs", refuse)
    copier = archiver(desk, archive)
    assert (copier.step(), copier.step()) == (2, 0)
    assert desk.store.ended_runs() == [(ids[1], desk.store.ended_runs()[0][1])]
    assert "the run cannot be archived, and stays: the archive x: too long" in caplog.text


def test_secrets_are_not_archived(tmp_path: Path, archive: Archive):
    text = ORDER.replace("    fail:", "    card: {type: string, x-secret: true}\n    fail:").replace(
        "with: {id: gift}", 'with: {id: "{{ input.card }}"}')
    desk = desk_in(tmp_path, text)
    desk.run(card="tok_visible", amount=200)
    assert archiver(desk, archive).step() == 1
    tables = ("sagarun_runs", "sagarun_steps", "sagarun_definitions", "sagarun_errors")
    rows = repr([query(archive, f"SELECT * FROM {table}") for table in tables]).encode()
    archive.close()
    everything = b"".join([rows, *(path.read_bytes() for path in tmp_path.glob("a.db*"))])
    assert b"reserve" in everything
    assert b"tok_visible" not in everything


def test_a_thread_copies_what_ended_before_and_meanwhile(desk: Desk, tmp_path: Path):
    desk._engine = Engine(desk.store, process_id="host:1:engine", retention_of=lambda _status: DAY_MS)
    desk.run(id="before")
    desk._engine = Engine(desk.store, process_id="host:1:engine", retention_of=lambda _status: HELD_MS)
    thread = ArchiveThread(desk.client, "sqlite:///a.db", tmp_path, lambda _status: DAY_MS, hold_all=True)
    thread.start()
    desk.run(id="meanwhile")
    thread.finish(30)
    assert not thread.is_alive()
    assert query(tmp_path, "SELECT run_key FROM sagarun_runs ORDER BY run_key") == [("before",), ("meanwhile",)]
    assert desk.store.ended_runs() == []


def test_without_the_database_runs_stay_and_the_thread_says_so(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "a.db").mkdir()
    desk.run()
    thread = ArchiveThread(desk.client, "sqlite:///a.db", tmp_path, lambda _status: 1)
    thread.start()
    thread.finish(30)
    assert not thread.is_alive()
    assert "runs are not archived, so they stay" in caplog.text
    pass_time(desk, DAY_MS)
    assert len(desk.client.list()) == 1


def test_a_database_without_a_driver_is_named_without_its_password(tmp_path: Path):
    with pytest.raises(ArchiveUnavailable, match=r"archive postgresql\+absent") as caught:
        open_database("postgresql+absent://me:hunter2@db/runs", tmp_path)
    assert "hunter2" not in str(caught.value)


def test_without_sqlalchemy_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(ConfigError, match=r"pip install 'sagarun\[archive\]'") as caught:
        open_database("postgresql://me:hunter2@db/runs", tmp_path)
    assert "hunter2" not in str(caught.value)
