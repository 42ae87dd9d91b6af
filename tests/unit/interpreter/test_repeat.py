"""Rounds: one after the other until it is enough, each with operations of its own."""

from __future__ import annotations

import pytest

from runner.definition.model import Catch, SetAction, Step
from runner.interpreter import event as ev
from tests.world import World, no, ok, plan_of, repeat, run_error, step, wait


def ask(**more: object) -> Step:
    more.setdefault("until", "{{ result.done }}")
    return repeat("ask", step("x"), **more)  # type: ignore[arg-type]


def test_rounds_go_on_until_the_condition_holds_and_the_last_rounds_output_is_the_output() -> None:
    world = World(plan_of(ask()), {"do.x": [ok({"done": False}), ok({"done": False}), ok({"done": True, "n": 3})]})
    world.finish()
    assert world.calls == ["do.x"] * 3
    assert world.payload("ask:output") == {"done": True, "n": 3}
    assert [message.step_ref for message in world.messages] == ["run1/ask#0/x", "run1/ask#1/x", "run1/ask#2/x"]


def test_after_as_many_rounds_as_allowed_it_completes_all_the_same() -> None:
    world = World(plan_of(ask(max_rounds=2)), {"do.x": [ok({"done": False, "n": n}) for n in (1, 2)]}).finish()
    assert world.calls == ["do.x"] * 2
    assert world.payload("ask:output") == {"done": False, "n": 2}
    assert world.status == "completed"


def test_the_condition_sees_the_steps_of_the_round_and_variables() -> None:
    again = repeat(
        "ask", step("x"), Step("count", "count", SetAction({"n": "{{ vars.n + 1 }}"})),
        until="{{ steps.x.output == 'yes' or vars.n == 3 }}", max_rounds=9,
    )
    world = World(plan_of(again, vars={"n": 0}), {"do.x": [ok("no")] * 9}).finish()
    assert world.calls == ["do.x"] * 3


def test_a_rounds_output_is_made_in_its_own_scope() -> None:
    world = World(plan_of(ask(round_output={"was": "{{ steps.x.output.n }}"}, until="{{ result.was == 2 }}")),
                  {"do.x": [ok({"n": 1}), ok({"n": 2})]}).finish()
    assert world.payload("ask:output") == {"was": 2}


@pytest.mark.parametrize("until", ["{{ result.nothing }}", "{{ 1 }}"])
def test_a_condition_that_is_no_boolean_fails_the_step(until: str) -> None:
    world = World(plan_of(ask(until=until)), {"do.x": [ok({})]}).finish()
    assert run_error(world).code == "expression_error"
    assert world.calls == ["do.x", "undo.x"]


def test_the_result_of_a_round_without_an_output_is_absent() -> None:
    again = repeat("again", step("x", when="{{ false }}"), until="{{ result is not defined }}")
    world = World(plan_of(again)).finish()
    assert world.run_node("again").cursor == 1
    assert not world.run_node("again").has_output


def test_a_failed_round_ends_it_and_rounds_are_undone_backwards() -> None:
    again = repeat("ask", step("x"), step("y"), until="{{ false }}")
    world = World(plan_of(again), {"do.y": [ok(), ok(), no()]}).finish()
    undone = [event.path for event in world.of(ev.StepUndone) if event.path.count("/") and not event.nothing]
    assert undone == ["ask#2/x", "ask#1/y", "ask#1/x", "ask#0/y", "ask#0/x"]
    assert world.status == "compensated"


def test_a_declared_error_is_asked_again_as_a_new_operation_by_a_catch_inside() -> None:
    again = repeat("ask", step("x", catch=[Catch(errors=("declined",))]), until="{{ steps.x.status == 'completed' }}")
    world = World(plan_of(again), {"do.x": [no(), no(), ok()]}).finish()
    assert len({message.idempotency_key for message in world.messages}) == 3
    assert world.status == "completed"


def test_a_cancel_between_two_rounds_begins_no_other() -> None:
    again = repeat("ask", step("x"), wait("pause", "1m"), until="{{ false }}")
    world = World(plan_of(again)).start()
    world.answer("ask#0/x")
    world.take(ev.CancelRequested(world.now_ms, nonce="c"))
    assert world.timers == {}
    world.finish()
    assert world.calls == ["do.x", "undo.x"]
    assert world.status == "cancelled"


def test_a_thousand_rounds_that_ask_nobody_end() -> None:
    again = repeat("count", Step("c", "c", SetAction({"n": "{{ vars.n + 1 }}"})), until="{{ false }}", max_rounds=1_000)
    world = World(plan_of(again, vars={"n": 0})).start()
    assert world.payload("~vars") == {"n": 1_000}
    assert world.status == "completed"


def test_a_condition_that_fails_past_the_point_of_no_return_waits_for_a_person() -> None:
    again = repeat("ask", step("x", kind="readonly"), until="{{ result.done }}")
    world = World(plan_of(step("pay", kind="pivot"), again), {"do.x": [ok({})]}).finish()
    assert (world.status, world.header.stuck) == ("stuck", ("ask",))
    world.take(ev.ResolveRequested(world.now_ms, nonce="r", step="ask", as_="completed", output={"done": True}))
    assert world.status == "completed"
