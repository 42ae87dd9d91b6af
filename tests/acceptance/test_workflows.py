"""The definitions beside the order: each runs at the shell, hears a person, and loses nothing to a kill in between."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.acceptance.program import PATIENCE_S, Project, await_line

FULFILMENT, TRIP, RENEWAL = (f"definitions/{name}.yaml" for name in ("fulfilment", "trip_booking", "renewal"))


def waiting_run(
    project: Project, definition: str, *arguments: str, signal: str = "review"
) -> tuple[str, subprocess.Popen[str]]:
    """A run that waits for this signal, and the command that follows it."""
    command = project.start(definition, *arguments)
    run_id = await_line(command, "▶")[-1].split()[5]
    await_line(command, f"waits for signal {signal}")
    return run_id, command


@pytest.mark.parametrize("definition", [FULFILMENT, TRIP, RENEWAL])
def test_a_definition_runs_with_the_example_of_its_schema(project: Project, definition: str):
    assert project.run_json(definition, code=0)["status"] == "completed"


def test_a_trip_to_a_full_hotel_goes_on_with_another_and_pays_once(project: Project):
    run = project.run_json(TRIP, "--case", "hotel_full", code=0)
    assert run["output"] == {"hotel": "hostel", "paid": 27_900}
    assert project.charges("TRIP-002") == [("succeeded", 27_900, 0)]
    assert project.query("shop", "SELECT offer, status FROM bookings ORDER BY 1") == [
        ("OSL-LIS", "confirmed"),
        ("hostel", "confirmed"),
    ]


def test_a_trip_without_a_car_is_undone_whole(project: Project):
    run = project.run_json(TRIP, "--case", "no_car", code=1)
    assert (run["status"], run["error"]["code"]) == ("compensated", "sold_out")
    assert project.query("shop", "SELECT offer FROM bookings") == []


def test_a_doubtful_order_waits_for_a_person_whose_no_undoes_it(project: Project):
    run_id, command = waiting_run(project, FULFILMENT, "--case", "risky_rejected")
    refused = project.sagarun("signal", run_id, "review", "--set", "approved=perhaps", code=1)
    assert "approved" in refused.err
    misspelt = project.sagarun("signal", run_id, "reveiw", code=1)
    assert "review" in misspelt.err
    project.sagarun("signal", run_id, "review", "--set", "approved:=false", "--set", "by=grace")
    out, _ = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 1, out
    assert "review_rejected: refused by grace" in out
    assert project.run_json("show", run_id)["status"] == "compensated"
    assert project.charges("FUL-003") == []
    assert project.query("shop", "SELECT count(*) FROM holds") == [(0,)]


def test_a_review_outlives_the_command_that_is_killed_while_it_waits(project: Project):
    run_id, command = waiting_run(project, FULFILMENT, "--case", "risky_approved")
    command.send_signal(signal.SIGKILL)
    command.wait()
    project.sagarun("signal", run_id, "review", "--set", "approved:=true", "--set", "by=grace")
    assert project.run_json("watch", run_id, code=0)["output"]["reviewed_by"] == "grace"
    assert project.charges("FUL-002") == [("succeeded", 149_985, 0)]


def test_a_declined_renewal_ends_when_the_customer_sends_another_card(project: Project):
    run_id, command = waiting_run(
        project, RENEWAL, "--case", "new_card", "--set", "pause=1d", signal="customer"
    )
    project.sagarun("signal", run_id, "customer", "--data", '{"action": "pay", "token": "tok_valid"}')
    out, _ = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 0, out
    assert project.charges("SUB-003") == [("succeeded", 1_200, 0)]


def test_a_capture_without_an_answer_takes_the_money_once(project: Project):
    run = project.run_json(FULFILMENT, "--case", "capture_unanswered", code=0)
    assert run["status"] == "completed"
    assert project.charges("FUL-008") == [("succeeded", 2_999, 0)]


def test_every_case_of_every_test_file_ends_as_it_says(project: Project):
    told = project.sagarun("test", "--format", "json", code=0).json
    assert told["failed"] == 0
    assert told["passed"] > 30
    assert not (project.root / ".sagarun").exists()
