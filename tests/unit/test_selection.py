"""Which runs a query finds, and how little is read for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.query import parse_query
from runner.selection import Selection, with_errors
from runner.store.ports import StoredRun
from tests.desk import ORDER, Desk, desk_of_a_parent


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def select(desk: Desk, text: str) -> Selection:
    return Selection(desk.client.store, desk.client.catalogue, parse_query(text, desk.client.store.now_ms()))


def found(desk: Desk, text: str) -> list[str]:
    return [row.run_id for row in select(desk, text).rows()]


def many(desk: Desk, count: int) -> list[str]:
    """Runs that have not begun, the newest first."""
    handles = desk.client.start_many(
        desk.definition, [{"id": f"k{number}", "amount": number + 1} for number in range(count)]
    )
    return [handle.id for handle in reversed(handles)]


def test_runs_are_found_by_what_a_list_shows(desk: Desk):
    run = desk.start(amount=5)
    assert found(desk, "workflow:order status:pending") == [run.id]
    desk.work()
    assert found(desk, "status:completed") == [run.id]
    assert found(desk, "status:live") == []


def test_runs_are_found_by_their_input_before_and_after_an_engine_took_them_up(desk: Desk):
    run = desk.start(amount=5)
    assert found(desk, "input.amount:5") == [run.id]
    desk.work()
    assert found(desk, "input.amount:>4 output.charged:5") == [run.id]
    assert found(desk, "input.amount:6") == []


def test_a_run_is_found_by_what_stopped_it(desk: Desk):
    run = desk.start(fail="declined")
    desk.work()
    stored = desk.client.stored(run.id)
    assert stored.status == "compensated"
    (group,) = [row.group for row in desk.client.store.fault_groups()]
    code = desk.client.wait(run.id).error.code  # type: ignore[union-attr]
    assert found(desk, f"error:{code} step:charge pattern:{group}") == [run.id]
    assert found(desk, f"-error:{code}") == []


def test_only_runs_that_fit_so_far_are_loaded(desk: Desk):
    many(desk, 30)
    selection = select(desk, "key:k7 input.amount:8")
    assert len(list(selection.rows())) == 1
    assert (selection.looked_at, selection.loaded) == (30, 1)


def test_nothing_is_read_behind_the_last_run_that_is_wanted(desk: Desk):
    ids = many(desk, 200)
    selection = select(desk, "workflow:order")
    rows = selection.rows()
    assert {next(rows).run_id for _ in range(3)} <= set(ids)
    assert selection.looked_at == 50


def test_every_run_is_found_once(desk: Desk):
    ids = many(desk, 700)
    assert sorted(found(desk, "")) == sorted(ids)


def test_behind_the_last_live_run_nobody_looks_for_more(desk: Desk):
    many(desk, 5)
    desk.work()
    assert desk.client.store.count_live() == 0
    selection = select(desk, "status:stuck")
    assert list(selection.rows()) == []
    assert selection.looked_at == 0


def test_secrets_are_not_found(tmp_path: Path):
    text = ORDER.replace("amount: {type: integer", "amount: {x-secret: true, type: integer", 1)
    assert text != ORDER
    desk = Desk(tmp_path, text)
    desk.start(amount=4321)
    assert found(desk, "input.amount:4321") == []
    desk.work()
    assert found(desk, "input.amount:4321") == []
    assert found(desk, "output.charged:4321") == []


def test_a_list_reads_whole_runs_only_where_a_person_must_act(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    desk.start(id="no", fail="declined")
    stuck = desk.run(id="stuck", fail="undo")
    loaded: list[str] = []
    load_runs = desk.store.load_runs

    def loading(run_ids: list[str]) -> list[StoredRun | None]:
        loaded.extend(run_ids)
        return load_runs(run_ids)

    monkeypatch.setattr(desk.store, "load_runs", loading)
    runs = with_errors(desk.store, desk.client.catalogue, desk.client.list())
    assert {(run.key, run.error) for run in runs} == {("no", "declined"), ("stuck", "declined")}
    assert loaded == [stuck]


def test_a_list_says_what_stopped_a_run(desk: Desk):
    desk.start(id="fine")
    desk.start(id="no", fail="declined")
    desk.start(id="stuck", fail="undo")
    desk.run(id="broken", fail="broken")
    runs = with_errors(desk.store, desk.client.catalogue, desk.client.list())
    told = {run.key: (run.status, run.error, run.error_step) for run in runs}
    assert told == {
        "fine": ("completed", "", ""), "no": ("compensated", "declined", "charge"),
        "stuck": ("stuck", "declined", "charge"), "broken": ("compensated", "RuntimeError", "charge"),
    }  # fmt: skip


def test_a_run_that_began_long_ago_is_found_by_what_happened_to_it_lately(desk: Desk):
    run_id = desk.run(fail="undo")
    desk.wait(86_400_000)
    other = desk.run(id="B")
    assert [row.run_id for row in select(desk, "changed:1h").rows()] == [other]
    desk.client.resolve(run_id, "reserve", "skipped", timeout=0)
    desk.work()
    assert [row.run_id for row in select(desk, "changed:1h status:abandoned").rows()] == [run_id]
    assert [row.run_id for row in select(desk, "since:1h status:abandoned").rows()] == []


def test_an_exception_is_found_by_its_type_and_by_its_code(desk: Desk):
    run_id = desk.run(fail="broken")
    for text in ("error:RuntimeError", "error:exception"):
        assert [row.run_id for row in select(desk, text).rows()] == [run_id]


def test_a_list_says_where_a_run_is_stuck_beside_why_it_failed(desk: Desk):
    desk.run(fail="undo")
    (run,) = with_errors(desk.store, desk.client.catalogue, desk.client.list())
    assert run.standing == ("reserve",)
    assert (run.error, run.stuck, run.stuck_step, run.stuck_run) == ("declined", "locked", "the undo of reserve", "")


def test_a_list_says_that_a_parent_waits_for_a_run_that_is_stuck(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    desk.run(fail="undo")
    runs = with_errors(desk.store, desk.client.catalogue, desk.client.list())
    parent, child = sorted(runs, key=lambda run: run.parent)
    assert (parent.status, parent.stuck_run) == ("running", child.run_id)
    assert child.stuck_step == "the undo of reserve"
