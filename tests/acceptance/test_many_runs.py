"""Finding runs and acting on many of them from the command line: nothing unasked, each told, all on record."""

from __future__ import annotations

import pytest

from tests.acceptance.program import Project

ORDER = "definitions/order.yaml"


@pytest.fixture
def orders(project: Project) -> dict[str, str]:
    """Runs by case: one stuck, two undone, one completed."""
    cases = ("refund_refused", "stock_short", "card_declined", "success")
    return {case: project.run_json(ORDER, "--case", case)["run_id"] for case in cases}


def listed(project: Project, *query: str) -> list[str]:
    return [run["run_id"] for run in project.run_json("list", *query, code=0)]


def test_runs_are_found_by_a_query_and_acted_on_together(project: Project, orders: dict[str, str]):
    assert listed(project, "-status:completed", "status:failed", "-error:out_of_stock") == [
        orders["card_declined"], orders["refund_refused"],
    ]  # fmt: skip

    refused = project.sagarun("rerun", "--query", "status:failed", code=2)
    assert "rerun would act on 2 runs: say --yes" in refused.err
    assert len(listed(project)) == 4

    done = project.sagarun(
        "rerun", "--query", "status:failed", "--yes", "--by", "ann", "--reason", "try again", "--format", "json", code=1
    )
    assert {result["run_id"] for result in done.json} == {orders["stock_short"], orders["card_declined"]}
    assert {(result["answer"], result["status"]) for result in done.json} == {("started", "compensated")}
    (started,) = project.run_json("show", done.json[0]["started"])["asked"]
    assert (started["verb"], started["by"], started["reason"]) == ("start", "ann", "try again")

    groups = {group["code"]: group for group in project.run_json("errors", "--window", "1h", code=0)}
    assert {code: group["count"] for code, group in groups.items()} == {
        "out_of_stock": 2, "card_declined": 2, "refund_refused": 1, "address_refused": 1,
    }  # fmt: skip
    id = groups["card_declined"]["id"].removeprefix("v1:")[:6]
    shown = project.sagarun("errors", "show", id, code=0).out
    assert "payments.charge (2)" in shown
    assert orders["card_declined"] in shown
    assert listed(project, f"pattern:{id}", "rerun_of:none") == [orders["card_declined"]]
    project.sagarun("errors", "resolve", id, "--by", "ann", "--reason", "new bank", code=0)
    assert f"errors reopen {id}" in project.sagarun("errors", "show", id, code=0).out
    again = project.run_json("rerun", "--error", id, "--yes", code=1)
    assert [result["run_id"] for result in again] == listed(project, "rerun_of:any", "error:card_declined")[1:]
    assert "[regressed]" in project.sagarun("errors", code=0).out

    file = str(project.root / "run.json")
    assert file in project.sagarun("export", orders["card_declined"], "-o", file, code=0).err
    assert "lead to the state that was stored" in project.sagarun("replay", file, code=0).out

    settled = project.sagarun("resolve", "charge", "--query", "status:stuck", "--as", "skipped", "--reason", "by hand")
    assert settled.code == 0, settled.err
    asked = project.run_json("show", orders["refund_refused"])["asked"][-1]
    assert (asked["verb"], asked["reason"], asked["answer"]) == ("resolve", "by hand", "accepted")

