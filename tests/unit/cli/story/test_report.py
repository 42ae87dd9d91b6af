"""A run in full: as text, and as the JSON that programs read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.cli.screen import json_text, plain
from runner.cli.story.reading import read_view
from runner.cli.story.report import attempt_lines, run_json, summary_lines
from runner.monitor.shapes import RunView
from tests.desk import EVERYTHING, Desk


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


def test_every_attempt_is_listed(desk: Desk):
    lines = [plain(line).split() for line in attempt_lines(view(desk, fail="flaky"))]
    assert [line[:4] for line in lines if line[0] == "charge"] == [
        ["charge", "action", "#1", "unknown"],
        ["charge", "action", "#2", "completed"],
    ]


@pytest.fixture
def wide(tmp_path: Path) -> Desk:
    """A run of every construct may be started here."""
    return Desk(tmp_path, EVERYTHING)


def everything(wide: Desk, **given: object) -> RunView:
    """A run of it, as far as it gets without a signal."""
    run_id = wide.client.start(wide.definition, given).id
    wide.work()
    return read_view(wide.client, run_id)


def test_a_run_that_waits_for_a_signal_says_how_to_send_it(wide: Desk):
    seen = everything(wide)
    assert summary(seen) == [
        "· running",
        f"  signal  sagarun signal {seen.run_id} review --data '{{\"approved\":true}}'",
        f"  more    sagarun show {seen.run_id}",
    ]


def test_a_stuck_step_of_a_loop_is_named_by_its_path(wide: Desk):
    run_id = everything(wide, risk=0, fail="undo").run_id
    wide.wait(3 * 86_400_000)
    seen = read_view(wide.client, run_id)
    lines = summary(seen)
    assert lines[0] == "‼ stuck: the undo of checks.stock/lines#2/hold, the undo of checks.stock/lines#1/hold"
    helps = [line[10:].partition("  ")[0] for line in lines if " resolve " in line]
    assert helps[0] == f"sagarun resolve {run_id} checks.stock/lines#2/hold --as compensated|skipped"


def test_of_many_stuck_steps_the_first_ones_are_named_and_all_are_counted(tmp_path: Path):
    desk = Desk(tmp_path, EVERYTHING.replace("max_parallel: 2", "max_parallel: 50"))
    run_id = everything(desk, risk=0, fail="undo", items=list("abcdefghijklmnopqrstuvwxyz")).run_id
    desk.wait(3 * 86_400_000)
    lines = summary(read_view(desk.client, run_id))
    assert lines[0].endswith("lines#21/hold and 21 more")
    assert len([line for line in lines if " resolve " in line]) == 5
    assert lines[21] == f"  … 6 more effects: sagarun show {run_id} --format json"


def test_a_failed_item_is_named_by_its_path(tmp_path: Path):
    text = """
workflow: items
version: 1.0.0
steps:
  - id: cards
    for_each:
      in: ["", declined]
      as: how
      steps:
        - {id: pay, worker: card.charge, with: {amount: 1, fail: "{{ how }}"}, raises: [declined],
           compensate: {worker: card.refund}}
"""
    desk = Desk(tmp_path, text)
    run_id = desk.client.start(desk.definition).id
    desk.work()
    seen = read_view(desk.client, run_id)
    assert summary(seen)[0] == "✘ failed at cards#1/pay, everything undone in 0.00 s"


RUN_KEYS = {
    "run_id", "workflow", "version", "status", "key", "rerun_of", "input", "output", "error", "steps", "standing",
    "stuck", "alerts", "asked", "waits_for", "started_at_ms", "duration_ms", "parent", "parent_step", "stuck_run",
}  # fmt: skip
STEP_KEYS = {
    "id", "path", "item_path", "worker", "kind", "status", "attempts", "started_at_ms", "duration_ms", "output",
    "error", "compensation", "confirmation", "child", "parts", "waits",
}  # fmt: skip
ERROR_KEYS = {"code", "kind", "message", "details", "step", "attempt", "cause"}


def test_the_json_of_a_run_has_the_same_keys_however_it_ended(desk: Desk):
    for given in ({"id": "1"}, {"id": "2", "fail": "declined"}, {"id": "3", "fail": "undo"}):
        document = json.loads(json_text(run_json(view(desk, **given))))
        assert document.keys() == RUN_KEYS
        assert all(step.keys() == STEP_KEYS for step in document["steps"])


def test_the_json_of_constructs_says_how_far_they_are(wide: Desk):
    steps = {step["path"]: step for step in run_json(everything(wide))["steps"]}
    assert steps["checks.stock/lines"]["parts"] == {"count": 3, "completed": 3}
    assert steps["checks.stock/lines#2/hold"]["item_path"] == [2]
    assert steps["again#1/count"]["item_path"] == [1]
    assert steps["risk"]["parts"] == {"chosen": "0"}
    assert steps["charge"]["parts"] is None
    due = wide.clock() + 2 * 3_600_000
    assert steps["risk.0/review"]["waits"] == {"signal": "review", "until_ms": due}


def test_the_json_of_a_step_says_that_it_was_confirmed_and_that_it_waits_for_a_time(wide: Desk):
    run_id = everything(wide, risk=0).run_id
    due = wide.clock() + 3 * 86_400_000
    waits = {step["path"]: step["waits"] for step in run_json(read_view(wide.client, run_id))["steps"]}
    assert waits["pause"] == {"signal": None, "until_ms": due}
    wide.wait(3 * 86_400_000)
    steps = {step["path"]: step for step in run_json(read_view(wide.client, run_id))["steps"]}
    assert steps["charge"]["confirmation"] == {
        "worker": "card.refund", "status": "completed", "attempts": 1, "error": None,
    }  # fmt: skip
    assert steps["pause"]["waits"] is None


def test_an_error_in_json_has_every_field_also_those_at_their_default(desk: Desk):
    document = run_json(view(desk, fail="broken"))
    assert document["error"].keys() == ERROR_KEYS
    assert document["error"]["kind"] == "technical"


def test_the_json_of_an_undo_has_its_attempts(desk: Desk):
    compensation = run_json(view(desk, fail="declined"))["steps"][0]["compensation"]
    assert compensation == {"worker": "stock.release", "status": "completed", "attempts": 1, "error": None}
