"""One way of several: the first whose condition holds; and none is no failure."""

from __future__ import annotations

import pytest

from runner.definition.model import Catch
from runner.interpreter import event as ev
from tests.world import World, no, ok, parallel, plan_of, step, switch, unknown

RISK = switch(
    "risk", ("{{ input > 10 }}", [step("high1"), step("high2")]), ("{{ input > 5 }}", [step("mid")]),
    (None, [step("low")]),
)


@pytest.mark.parametrize(("amount", "calls"), [(20, ["do.high1", "do.high2"]), (7, ["do.mid"]), (1, ["do.low"])])
def test_the_first_case_that_is_true_runs_and_no_other(amount: int, calls: list[str]) -> None:
    world = World(plan_of(RISK), {"do.high2": [ok("h")], "do.mid": [ok("m")], "do.low": [ok("l")]}, input=amount)
    world.finish()
    assert world.calls == calls
    assert world.payload("risk:output") == {20: "h", 7: "m", 1: "l"}[amount]


def test_without_a_case_that_is_true_the_step_is_skipped_and_its_output_absent() -> None:
    chosen = switch("risk", ("{{ false }}", [step("x")]))
    after = step("y", with_={"r": "{{ steps.risk.output | default('none') }}", "s": "{{ steps.risk.status }}"})
    world = World(plan_of(chosen, after)).finish()
    assert world.inputs["do.y"] == {"r": "none", "s": "skipped"}
    assert world.status == "completed"


def test_a_condition_that_is_no_boolean_fails_the_step_and_its_own_catch_may_take_that() -> None:
    chosen = switch("risk", ("{{ 1 }}", [step("x")]), catch=[Catch(errors=("expression_error",), steps=(step("h"),))])
    world = World(plan_of(chosen)).finish()
    assert world.calls == ["do.h"]
    (failed,) = world.of(ev.StepFailed)
    assert failed.error.message.startswith("case 0: when: ")


def test_a_step_after_it_reads_a_step_of_the_case_that_ran() -> None:
    read = {"m": "{{ steps.mid.output | default('-') }}", "l": "{{ steps.low.output | default('-') }}"}
    after = step("y", with_=read)
    world = World(plan_of(RISK, after), {"do.mid": [ok("m")]}, input=7).finish()
    assert world.inputs["do.y"] == {"m": "m", "l": "-"}


def test_the_case_that_ran_is_undone_at_its_place() -> None:
    world = World(plan_of(step("a"), RISK, step("z")), {"do.z": [no()]}, input=20).finish()
    assert world.calls == ["do.a", "do.high1", "do.high2", "do.z", "undo.high2", "undo.high1", "undo.a"]
    assert world.status == "compensated"


def test_a_failure_inside_is_rolled_back_by_the_catch_of_the_switch() -> None:
    chosen = switch("risk", (None, [step("x"), step("y")]), catch=[Catch()])
    world = World(plan_of(chosen), {"do.y": [no()]}).finish()
    assert world.calls == ["do.x", "do.y", "undo.x"]
    assert world.status == "completed"


def test_a_cancel_inside_a_case_stops_it() -> None:
    world = World(plan_of(RISK), input=20).start()
    world.answer("risk.0/high1")
    world.take(ev.CancelRequested(world.now_ms, nonce="c"))
    world.finish()
    assert world.calls == ["do.high1", "undo.high1"]
    assert world.status == "cancelled"


def test_a_case_that_does_not_come_up_leaves_what_is_stuck_beside_it_stuck() -> None:
    no_case = switch("s", ("{{ false }}", [step("z")]))
    both = parallel("both", {"x": [step("mail", undo=False)], "y": [step("y"), no_case]})
    world = World(plan_of(both), {"do.mail": [unknown()]}).start()
    world.answer("both.x/mail")
    world.answer("both.y/y")
    assert world.step_status("both.y/s") == "skipped"
    assert (world.status, world.header.stuck) == ("stuck", ("both.x/mail",))


def test_a_catch_that_keeps_what_completed_settles_what_is_unknown_in_a_case() -> None:
    chosen = switch("risk", (None, [step("x"), step("y")]), catch=[Catch(undo=False, steps=(step("h"),))])
    world = World(plan_of(chosen), {"do.y": [unknown()]}).finish()
    assert world.calls == ["do.x", "do.y", "undo.y", "do.h"]


def test_a_pivot_in_a_case_is_a_pivot() -> None:
    chosen = switch("way", ("{{ input }}", [step("pay", kind="pivot")]))
    world = World(plan_of(chosen, step("z", kind="readonly")), {"do.z": [no()]}, input=True).finish()
    assert (world.status, world.header.stuck) == ("stuck", ("z",))
