"""How large a run may become: every value that its expressions make is measured, and so is their sum."""

from __future__ import annotations

from typing import Any

import pytest

from runner.definition.model import Catch, SetAction, Step
from runner.interpreter import event as ev
from runner.interpreter import sizes
from tests.world import World, block, each, no, ok, parallel, plan_of, repeat, run_error, step, unknown

BIG = "x" * 400_000


def setting(**values: Any) -> Step:
    return Step("v", "v", SetAction(values))


THRICE = {"a": "{{ steps.big.output }}", "b": "{{ steps.big.output }}", "c": "{{ steps.big.output }}"}
LISTED = ["{{ steps.big.output }}"] * 3
TOO_LARGE = {
    "the output of a block": block("s", step("x"), output=THRICE),
    "the output of a loop": each("lines", step("x", output="{{ steps.big.output }}"), items=[1, 2, 3]),
    "the output of a parallel": parallel("p", {n: [step(n, output="{{ steps.big.output }}")] for n in "xyz"}),
    "the items of a loop": each("lines", step("x"), items=LISTED),
    "a variable": setting(v=THRICE),
    "variables together": block("s", setting(v="{{ steps.big.output }}"), Step("w", "w", SetAction({"w": THRICE}))),
    "the output of a catch": block("s", step("x"), step("no"), catch=[Catch(output=THRICE)]),
    "an item's output": each("lines", step("x"), items=[1], item_output=THRICE),
}


@pytest.mark.parametrize("made", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_value_that_the_store_would_not_take_fails_the_step_and_all_is_undone(made: Step) -> None:
    world = World(plan_of(step("big"), made), {"do.big": [ok(BIG)], "do.no": [no()]}).finish()
    assert run_error(world).code == "state_limit"
    assert world.status == "compensated"
    assert all(len(value) < 1 << 20 for value in world.fields.values())


@pytest.mark.parametrize("made", [step("y", with_=THRICE), step("y", undo_with=THRICE)])
def test_an_input_that_no_worker_could_be_given_fails_the_step_before_it_acts(made: Step) -> None:
    world = World(plan_of(step("big"), made), {"do.big": [ok(BIG)]}).finish()
    assert run_error(world).code == "invalid_input"
    assert world.calls == ["do.big", "undo.big"]


def test_an_undo_made_too_large_by_its_late_parts_waits_for_a_person() -> None:
    late = {"a": "{{ result }}", "b": "{{ result }}", "c": "{{ result }}"}
    world = World(plan_of(step("big", undo_with=late), step("z")), {"do.big": [ok(BIG)], "do.z": [no()]}).finish()
    assert world.status == "stuck"
    assert world.run_node("big").undo_error is not None


def test_a_verification_made_too_large_waits_for_a_person() -> None:
    plan = plan_of(step("big"), step("pay", verify=True, look_with=THRICE))
    world = World(plan, {"do.big": [ok(BIG)], "do.pay": [unknown()]}).finish()
    assert world.header.stuck == ("pay",)


def test_an_output_of_the_run_that_is_too_large_fails_it() -> None:
    world = World(plan_of(step("big"), output=THRICE), {"do.big": [ok(BIG)]}).finish()
    assert run_error(world).code == "state_limit"
    assert world.status == "compensated"


def test_what_is_handed_on_from_below_is_not_measured_again() -> None:
    world = World(plan_of(block("s", block("t", step("big")))), {"do.big": [ok("x" * ((1 << 20) - 2))]}).finish()
    assert world.status == "completed"
    assert world.header.made == 2 * sizes.size_of({"ref": "run1/s/t/big"})


def test_what_expressions_make_is_bounded_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "MAX_MADE", 5_000_000)
    again = repeat("again", setting(v="{{ steps.big.output }}"), until="{{ false }}", max_rounds=1_000)
    world = World(plan_of(step("big"), again), {"do.big": [ok(BIG)]}).finish()
    assert run_error(world).code == "state_limit"
    assert world.run_node("again").cursor < 10
    assert world.header.made <= 5_000_000


@pytest.mark.parametrize(("more", "code"), [(0, ""), (1, "state_limit")])
def test_what_workers_give_is_four_mebibytes_and_not_a_byte_more(more: int, code: str) -> None:
    """As large as what was handed in for them is."""
    given = {f"do.s{n}": [ok("x") | {"size": (1 << 20) + n // 3 * more}] for n in range(4)}
    world = World(plan_of(*(step(f"s{n}") for n in range(4))), given).finish()
    assert world.status == ("compensated" if code else "completed")
    assert not code or run_error(world).code == code


def test_inputs_are_part_of_what_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "MAX_MADE", 1_000_000)
    loop = each("lines", step("x", with_={"big": "{{ steps.big.output }}"}), items=[1, 2, 3])
    world = World(plan_of(step("big"), loop), {"do.big": [ok(BIG)]}).finish()
    assert world.calls == ["do.big", "do.x", "do.x", "undo.x", "undo.x", "undo.big"]
    assert run_error(world).code == "state_limit"


def test_collected_errors_leave_out_details_that_are_no_result() -> None:
    loop = each("lines", step("x"), step("y"), items=[1, 2], on_failure="collect")
    world = World(plan_of(loop)).start()
    for details in ({"traceback": "x" * 16_384}, {"field": "a"}):
        world.answer(min(world.tasks))
        error = no()["error"]
        world.answer(min(world.tasks), {"outcome": "failed", "error": type(error)("declined", details=details)})
        world.answer(min(world.tasks))
    assert [entry["error"]["details"] for entry in world.payload("lines:output")] == [None, {"field": "a"}]


def test_a_loop_that_would_have_too_many_steps_is_refused_before_anything_begins() -> None:
    many = [step(f"x{n}", when="{{ false }}") for n in range(60)]
    world = World(plan_of(each("lines", *many)), input=[0] * 1_000).start()
    assert run_error(world).code == "state_limit"
    assert not world.of(ev.ItemsListed)


def test_what_stands_is_listed_up_to_a_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.interpreter.ending.MAX_STANDING", 2)
    world = World(plan_of(*(step(f"s{n}") for n in range(5)))).start()
    for n in range(4):
        world.answer(f"s{n}")
    world.take(ev.AbandonRequested(world.now_ms, nonce="a"))
    assert [(standing.step, standing.reason[:12]) for standing in world.header.standing] == [
        ("s0", "took effect "), ("s1", "took effect "), ("", "and 3 more s"),
    ]
