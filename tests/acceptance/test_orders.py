"""The order application's scenarios as a user runs them, and what they leave in the shop's database and the ledger."""

from __future__ import annotations

import pytest

from tests.acceptance.program import Project

ORDER = "definitions/order.yaml"


def test_an_order_is_validated_reserved_charged_shipped_and_notified(project: Project):
    ended = project.sagarun(ORDER, code=0)
    lines = ended.out.splitlines()
    assert lines[0].startswith("▶ order 1.0.0 · run ")
    assert [line.split()[1] for line in lines[1:7]] == ["validate", "reserve", "charge", "ship", "notify", "record"]
    assert lines[7].startswith("✔ completed in ")
    assert "payment_id" in lines[8]
    assert "first example" in ended.err
    books = project.books()
    assert project.charges("ORD-001") == [("succeeded", 10_997, 0)]
    assert ("ORD-001", 10_997) in books.payments
    assert ("ORD-001",) in books.shipments
    assert project.query("shop", "SELECT about, template FROM outbox") == [("ORD-001", "order_confirmed")]
    assert project.query("shop", "SELECT status FROM orders WHERE order_id = 'ORD-001'") == [("completed",)]


def test_the_card_of_an_order_is_shown_to_nobody(project: Project):
    run = project.run_json(ORDER, "--set", "payment.token=tok_invalid_card", code=1)["run_id"]
    shown = project.sagarun("show", run, "--steps", code=0).out + project.sagarun("show", run, "--events", code=0).out
    assert '"token":"***"' in shown
    assert "tok_invalid_card" not in shown + "".join(log.read_text() for log in (project.root / "logs").glob("*.log"))


def test_the_same_order_twice_is_one_run(project: Project):
    first = project.run_json(ORDER, code=0)
    path = project.root / ORDER
    path.write_text(path.read_text().replace("version: 1.0.0", "version: 1.0.1"))
    again = project.sagarun(ORDER, "--format", "json", code=0)
    assert again.json["run_id"] == first["run_id"]
    assert f"▶ order 1.0.0 · run {first['run_id']}" in again.err  # not what the file says by now
    assert "this key was used before" in again.err
    assert len(project.sagarun("list", "--format", "jsonl", code=0).out.splitlines()) == 1
    assert project.charges("ORD-001") == [("succeeded", 10_997, 0)]


def test_the_same_order_with_another_content_is_refused(project: Project):
    project.sagarun(ORDER, code=0)
    ended = project.sagarun(ORDER, "--set", "customer_id=CUST-456", code=1)
    assert "used" not in ended.out
    assert "error: order was started with the key 'ORD-001' before, with another input" in ended.err
    assert project.charges("ORD-001") == [("succeeded", 10_997, 0)]


UNDONE = [
    # case, error code, steps undone in this order, what the gateway has of it
    ("card_declined", "card_declined", ["reserve"], []),
    ("stock_short", "out_of_stock", [], []),
    ("shipping_refused", "address_refused", ["charge", "reserve"], [("refunded", 4_999, 4_999)]),
    ("invalid_order", "invalid_order", [], []),
    ("gateway_unavailable", "no_effect", ["reserve"], []),
]


@pytest.mark.parametrize(("case", "error", "undone", "charges"), UNDONE, ids=[case for case, *_ in UNDONE])
def test_an_order_that_fails_is_undone_and_leaves_the_books_as_they_were(
    project: Project, case: str, error: str, undone: list[str], charges: list[tuple[str, int, int]]
):
    project.sagarun(ORDER, "--set", "order_id=BEFORE", code=0)  # so that shop and ledger are there to be compared
    before = project.books()
    run = project.run_json(ORDER, "--case", case, code=1)
    assert run["status"] == "compensated"
    assert run["error"]["code"] == error
    assert {step["id"] for step in run["steps"] if step["compensation"]} == set(undone)
    assert project.charges(run["input"]["order_id"]) == charges
    assert project.books() == before


def test_undo_goes_backwards(project: Project):
    told = project.sagarun(ORDER, "--case", "shipping_refused", code=1).out
    words = ["ship ", "undoing 2 steps", "payments.refund", "inventory.release", "everything undone"]
    assert [told.index(word) for word in words] == sorted(told.index(word) for word in words)


@pytest.mark.parametrize("case", ["payment_timeout_charged", "payment_timeout_lost"])
def test_a_payment_without_an_answer_is_charged_exactly_once(project: Project, case: str):
    run = project.run_json(ORDER, "--case", case, code=0)
    assert run["status"] == "completed"
    assert project.charges(run["input"]["order_id"]) == [("succeeded", 2_999, 0)]
    assert project.books().payments.count((run["input"]["order_id"], 2_999)) == 1


def test_a_notification_that_fails_leaves_the_order_completed(project: Project):
    run = project.run_json(ORDER, "--case", "notification_fails", code=0)
    statuses = {step["id"]: step["status"] for step in run["steps"]}
    assert run["status"] == "completed"
    assert statuses["notify"] == "failed"
    assert project.charges("ORD-007") == [("succeeded", 4_500, 0)]
    assert project.query("shop", "SELECT count(*) FROM outbox") == [(0,)]


def test_a_refund_that_keeps_failing_needs_a_person_and_resume_finishes_it(project: Project):
    ended = project.sagarun(ORDER, "--case", "refund_refused", code=3)
    assert "stuck: the undo of charge" in ended.out
    run_id = project.sagarun("list", "--status", "stuck", "--format", "json").json[0]["run_id"]
    assert project.charges("ORD-008") == [("succeeded", 2_500, 0)]
    shown = project.sagarun("show", run_id[:8], code=0).out
    assert "its undo did not succeed: refund_refused" in shown
    assert f"sagarun resume {run_id}" in shown
    told = project.run_json("show", run_id, code=0)
    assert [entry["step"] for entry in told["standing"]] == ["reserve", "charge"]
    assert [entry["step"] for entry in told["stuck"]] == ["charge"]
    resumed = project.sagarun("resume", run_id, "--reason", "the review is over", code=0)
    assert "the review is over" in resumed.out
    assert "everything undone" in resumed.out
    assert project.charges("ORD-008") == [("refunded", 2_500, 2_500)]
    assert project.books().holds == []
    assert project.run_json("show", run_id)["status"] == "compensated"


def test_a_stuck_run_can_be_resolved_by_hand_and_says_what_stands(project: Project):
    run_id = project.run_json(ORDER, "--case", "refund_refused", code=3)["run_id"]
    refused = project.sagarun("resolve", run_id, "charge", "--as", "completed", code=1)
    assert "say compensated" in refused.err
    project.sagarun("resolve", run_id, "charge", "--as", "skipped", "--reason", "the customer keeps it", code=0)
    run = project.run_json("show", run_id)
    assert run["status"] == "abandoned"
    assert [entry["step"] for entry in run["standing"]] == ["charge"]
    assert project.charges("ORD-008") == [("succeeded", 2_500, 0)]
    assert project.books().holds == []


def test_abandon_ends_a_stuck_run_and_touches_nothing(project: Project):
    run_id = project.run_json(ORDER, "--case", "refund_refused", code=3)["run_id"]
    before = project.books()
    project.sagarun("abandon", run_id, code=0)
    assert project.run_json("show", run_id)["status"] == "abandoned"
    assert project.books() == before


def test_an_undone_order_can_be_run_again(project: Project):
    first = project.run_json(ORDER, "--case", "card_declined", code=1)
    again = project.run_json("rerun", first["run_id"], code=1)
    assert again["rerun_of"] == first["run_id"]
    assert again["key"] == "ORD-002~2"
    assert again["input"] == first["input"]


def test_an_input_that_does_not_fit_the_schema_starts_nothing(project: Project):
    ended = project.sagarun(ORDER, "--set", "total=much", "--set", "payment.method=barter", code=1)
    assert "error: the input does not fit the schema" in ended.err
    assert "payment.method:" in ended.err
    assert "total:" in ended.err
    assert project.sagarun("list", "--format", "jsonl").out == ""
    assert not (project.state / "shop.db").exists()


def test_another_workflow_runs_on_the_same_runner(project: Project):
    run = project.run_json("definitions/returns.yaml", code=0)
    assert run["workflow"] == "return"
    assert run["status"] == "completed"
