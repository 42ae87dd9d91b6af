"""A run in full: as text, and as the JSON that programs read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.cli.follow import read_view
from runner.cli.report import attempt_lines, run_json, step_lines, summary_lines
from runner.cli.screen import json_text, plain
from runner.monitor.views import RunView
from tests.desk import ORDER, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def view(desk: Desk, **given: object) -> RunView:
    return read_view(desk.client, desk.run(**given))


def summary(seen: RunView) -> list[str]:
    return [plain(line) for line in summary_lines(seen)]


def test_a_completed_run_ends_with_its_output_and_where_more_is(desk: Desk):
    seen = view(desk)
    assert summary(seen) == ["✔ completed in 0.00 s", "  output  charged: 5", f"  more    sagarun show {seen.run_id}"]


def test_an_undone_run_says_where_it_failed(desk: Desk):
    assert summary(view(desk, fail="declined"))[0] == "✘ failed at charge, everything undone in 0.00 s"


def test_a_run_with_nothing_to_undo_says_so(tmp_path: Path):
    desk = Desk(tmp_path, NO_UNDO)
    assert summary(view(desk, fail="declined"))[0] == "✘ failed at charge in 0.00 s, nothing had to be undone"


NO_UNDO = """
workflow: bare
version: 1.0.0
steps:
  - {id: charge, worker: card.charge, with: {amount: 1, fail: declined}, kind: readonly, raises: [declined]}
"""


def test_a_cancelled_run_says_so(desk: Desk):
    handle = desk.start()
    desk.client.cancel(handle.id, timeout=0)
    desk.work()
    assert summary(read_view(desk.client, handle.id))[0] == "✘ cancelled in 0.00 s, nothing had to be undone"


def test_a_stuck_run_lists_what_stands_and_the_commands_that_help(desk: Desk):
    seen = view(desk, fail="undo")
    lines = summary(seen)
    assert lines[0] == "‼ stuck: the undo of reserve"
    assert lines[1] == "  stands  reserve  its undo did not succeed: locked: the shelf is locked"
    helps = [line[10:].partition("  ")[0] for line in lines[2:5]]
    assert helps == [
        f"sagarun resume {seen.run_id}",
        f"sagarun resolve {seen.run_id} reserve --as compensated|skipped",
        f"sagarun abandon {seen.run_id}",
    ]


def test_an_abandoned_run_counts_what_stands(desk: Desk):
    run_id = desk.run(fail="undo")
    desk.client.abandon(run_id, timeout=0)
    desk.work()
    lines = summary(read_view(desk.client, run_id))
    assert lines[0].startswith("✘ abandoned in ")
    assert lines[0].endswith("1 effect left standing")


def test_steps_have_their_undo_below_them(desk: Desk):
    lines = [plain(line) for line in step_lines(view(desk, fail="declined"))]
    assert [line.split()[:2] for line in lines] == [
        ["✓", "reserve"], ["↩", "undo"], ["-", "gift"], ["✗", "charge"],
    ]  # fmt: skip


def test_a_step_that_took_effect_and_broke_all_the_same_is_not_ticked_off(tmp_path: Path):
    """Its output could not be made, or nobody knew whether it took effect; both were undone."""
    output = """output: {wrong: "{{ 1 < 'a' }}"}"""
    desk = Desk(tmp_path, ORDER.replace("    with: {id: gift}", f"    {output}\n    with: {{id: gift}}"))
    lines = [plain(line) for line in step_lines(view(desk, amount=200))]
    assert [line.split()[:2] for line in lines[2:4]] == [["✗", "gift"], ["↩", "undo"]]
    lines = [plain(line) for line in step_lines(view(Desk(tmp_path), fail="broken"))]
    assert [line.split()[:2] for line in lines[3:]] == [["✗", "charge"], ["↩", "undo"]]


def test_a_step_under_way_is_timed_and_a_pause_counts_down(desk: Desk):
    handle = desk.start(fail="broken")
    desk.work()
    lines = [plain(line) for line in step_lines(read_view(desk.client, handle.id), now_ms=desk.clock() + 400)]
    assert "▸ charge" in lines[2]
    assert "400 ms" in lines[2]
    assert "again in 600 ms" in lines[2]


def test_a_task_that_nobody_took_is_waiting_for_a_worker(desk: Desk):
    handle = desk.start()
    desk._engine.step()
    lines = [plain(line) for line in step_lines(read_view(desk.client, handle.id))]
    assert "waits for a worker" in lines[0]


def test_every_attempt_is_listed(desk: Desk):
    lines = [plain(line).split() for line in attempt_lines(view(desk, fail="flaky"))]
    assert [line[:4] for line in lines if line[0] == "charge"] == [
        ["charge", "action", "#1", "unknown"],
        ["charge", "action", "#2", "completed"],
    ]


RUN_KEYS = {
    "run_id", "workflow", "version", "status", "key", "rerun_of", "input", "output", "error", "steps", "standing",
    "stuck", "alerts", "waits_for", "started_at_ms", "duration_ms",
}  # fmt: skip
STEP_KEYS = {
    "id", "path", "worker", "kind", "status", "attempts", "started_at_ms", "duration_ms", "output", "error",
    "compensation",
}  # fmt: skip
ERROR_KEYS = {"code", "kind", "message", "details", "step", "attempt", "cause"}


def test_the_json_of_a_run_has_the_same_keys_however_it_ended(desk: Desk):
    for given in ({"id": "1"}, {"id": "2", "fail": "declined"}, {"id": "3", "fail": "undo"}):
        document = json.loads(json_text(run_json(view(desk, **given))))
        assert document.keys() == RUN_KEYS
        assert all(step.keys() == STEP_KEYS for step in document["steps"])


def test_an_error_in_json_has_every_field_also_those_at_their_default(desk: Desk):
    document = run_json(view(desk, fail="broken"))
    assert document["error"].keys() == ERROR_KEYS
    assert document["error"]["kind"] == "technical"


def test_the_json_of_an_undo_has_its_attempts(desk: Desk):
    compensation = run_json(view(desk, fail="declined"))["steps"][0]["compensation"]
    assert compensation == {"worker": "stock.release", "status": "completed", "attempts": 1, "error": None}
