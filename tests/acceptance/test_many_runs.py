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
    page = project.sagarun("list", "--limit", "1", "--page", "2", code=0)
    assert orders["card_declined"] in page.out
    assert "--page 3" in page.err
    assert 'did you mean "workflow"' in project.sagarun("list", "worflow:order", code=2).err

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
    assert len(listed(project, "rerun_of:any")) == 2

    settled = project.sagarun("resolve", "charge", "--query", "status:stuck", "--as", "skipped", "--reason", "by hand")
    assert settled.code == 0, settled.err
    asked = project.run_json("show", orders["refund_refused"])["asked"][-1]
    assert (asked["verb"], asked["reason"], asked["answer"]) == ("resolve", "by hand", "accepted")
    assert "resolve by" in project.sagarun("show", orders["refund_refused"], code=0).out
    assert project.sagarun("cancel", "--query", "status:live", code=0).err.strip() == "there is no run to cancel"


@pytest.mark.parametrize("arguments", [
    ("cancel",), ("cancel", "abc", "--query", "x"), ("resolve", "a", "b", "--query", "x", "--as", "failed"),
    ("signal", "go"), ("resume", "abc", "--error", "x"), ("rerun", "--query", "status:nonsense", "--yes"),
])  # fmt: skip
def test_an_unclear_choice_is_a_mistake_of_usage(project: Project, arguments: tuple[str, ...]):
    assert "error: " in project.sagarun(*arguments, code=2).err
