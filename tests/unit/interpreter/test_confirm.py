"""Confirmations: for what stands, once the run is decided, side by side, and before finally."""

from __future__ import annotations

from typing import Any

import pytest

from runner.definition.model import Catch
from runner.interpreter import event as ev
from tests.world import World, block, each, lost, no, no_effect, ok, parallel, plan_of, run_error, step, unknown


def kept(id: str, **more: Any) -> Any:
    return step(id, confirm=True, **more)


RECORD = step("record", kind="retriable")


def test_what_stands_is_confirmed_side_by_side_after_the_decision_and_before_finally() -> None:
    world = World(plan_of(kept("a"), step("b"), kept("c"), finally_=[RECORD])).start()
    for path in ("a", "b", "c"):
        world.answer(path)
    assert world.header.decided
    assert {path: task.phase for path, task in world.tasks.items()} == {"a": "confirm", "c": "confirm"}
    world.answer("c")
    assert set(world.tasks) == {"a"}
    world.answer("a")
    world.finish()
    assert world.calls == ["do.a", "do.b", "do.c", "tell.c", "tell.a", "do.record"]
    assert world.status == "completed"


def test_a_confirmation_has_the_steps_ref_and_a_key_of_its_own() -> None:
    world = World(plan_of(kept("a"))).finish()
    action, told = world.messages
    assert (action.step_ref, told.step_ref) == ("run1/a", "run1/a")
    assert (action.idempotency_key, told.idempotency_key) == ("run1/a:action", "run1/a:confirm")


def test_its_input_sees_every_output_and_the_steps_own_result() -> None:
    tell = {"id": "{{ result.id }}", "b": "{{ steps.b.output }}"}
    plan = plan_of(kept("a", tell_with=tell, output={"other": 1}), step("b"))
    world = World(plan, {"do.a": [ok({"id": 7})], "do.b": [ok("b")]}).start()
    world.answer("a")
    world.reload()
    world.answer("b")
    assert world.inputs["tell.a"] == {"id": 7, "b": "b"}


def test_only_what_stands_is_confirmed() -> None:
    rolled_back = block("s", kept("x"), kept("y"), catch=[Catch(steps=(kept("h"),))])
    skipped = kept("w", when="{{ false }}")
    race = parallel("race", {"p": [kept("p")], "q": [kept("q0"), kept("q1")]}, join="any")
    world = World(plan_of(rolled_back, skipped, race), {"do.y": [no()]}).start()
    for path in ("s/x", "s/y", "s/x", "s~0/h", "race.q/q0", "race.p/p"):
        world.answer(path)
    world.finish()
    assert world.calls[-3:] == ["undo.q0", "tell.p", "tell.h"]


def test_a_run_that_goes_back_confirms_nothing() -> None:
    world = World(plan_of(kept("a"), step("z"), finally_=[RECORD]), {"do.z": [no()]}).finish()
    assert world.calls == ["do.a", "do.z", "undo.a", "do.record"]


@pytest.mark.parametrize("reply", [unknown(), lost(), no_effect()])
def test_a_confirmation_is_asked_for_again(reply: Any) -> None:
    world = World(plan_of(kept("a")), {"tell.a": [reply]}).finish()
    assert world.calls == ["do.a", "tell.a", "tell.a"]
    assert [message.attempt for message in world.messages] == [1, 1, 2]
    assert world.status == "completed"


@pytest.mark.parametrize("replies", [[unknown(), unknown()], [no()]])
def test_a_confirmation_that_gives_up_is_stuck_and_finally_waits(replies: Any) -> None:
    world = World(plan_of(kept("a"), kept("b"), finally_=[RECORD]), {"tell.a": replies}).finish()
    assert (world.status, world.header.stuck) == ("stuck", ("a",))
    assert "do.record" not in world.calls
    assert world.step_status("a") == "completed"
    assert world.run_node("a").error is None
    assert world.run_node("a").confirm_error is not None


def test_a_stuck_confirmation_is_resumed_with_a_fresh_budget() -> None:
    world = World(plan_of(kept("a")), {"tell.a": [unknown(), unknown(), unknown()]}).finish()
    assert world.status == "stuck"
    world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
    assert world.status == "running"
    world.finish()
    assert world.calls == ["do.a"] + ["tell.a"] * 4
    assert world.status == "completed"


@pytest.mark.parametrize("as_", ["completed", "skipped"])
def test_a_stuck_confirmation_is_settled_by_hand(as_: str) -> None:
    world = World(plan_of(kept("a"), finally_=[RECORD]), {"tell.a": [no()]}).finish()
    world.take(ev.ResolveRequested(world.now_ms, nonce="r", step="a", as_=as_))
    assert world.run_node("a").confirm == {"completed": "done", "skipped": "skipped"}[as_]
    world.finish()
    assert world.calls == ["do.a", "tell.a", "do.record"]
    assert world.status == "completed"


@pytest.mark.parametrize("as_", ["failed", "compensated"])
def test_what_is_decided_cannot_be_called_failed_any_more(as_: str) -> None:
    world = World(plan_of(kept("a")), {"tell.a": [no()]}).finish()
    world.take(ev.ResolveRequested(world.now_ms, nonce="r", step="a", as_=as_))
    assert world.of(ev.RequestRefused)
    assert world.status == "stuck"


def test_a_cancel_during_the_confirmations_is_refused_and_the_timeout_only_alerts() -> None:
    world = World(plan_of(kept("a"), timeout_ms=5_000)).start()
    world.answer("a")
    world.take(ev.CancelRequested(world.now_ms, nonce="c"))
    world.fire("~run@timeout")
    world.finish()
    assert [event.why for event in world.of(ev.RequestRefused)] == ["the run has done its last step"]
    assert len(world.header.alerts) == 1
    assert world.status == "completed"


def test_an_input_that_cannot_be_rendered_is_stuck_and_says_why() -> None:
    world = World(plan_of(kept("a", tell_with={"x": "{{ steps.a.output.nothing }}"})), {"do.a": [ok({})]}).finish()
    assert world.header.stuck == ("a",)
    error = world.run_node("a").confirm_error
    assert error is not None
    assert error.code == "expression_error"


def test_more_confirmations_than_one_commit_holds_go_on_in_the_next() -> None:
    world = World(plan_of(each("lines", kept("x"), max_parallel=1_000)), input=[0] * 250).start()
    world.is_slow = True
    for path in list(world.tasks):
        world.answer(path)
    assert len(world.tasks) == 100
    world.take(ev.Continued(world.now_ms))
    assert len(world.tasks) == 200
    world.is_slow = False
    world.take(ev.Continued(world.now_ms))
    world.finish()
    assert world.calls.count("tell.x") == 250
    assert world.status == "completed"


def test_an_abandoned_run_with_confirmations_out_ends() -> None:
    world = World(plan_of(kept("a"))).start()
    world.answer("a")
    world.take(ev.AbandonRequested(world.now_ms, nonce="a"))
    assert world.status == "abandoned"
    assert [standing.step for standing in world.header.standing] == ["a"]


def test_an_output_of_the_run_that_cannot_be_made_confirms_nothing() -> None:
    world = World(plan_of(kept("a"), output="{{ steps.a.output.nothing }}"), {"do.a": [ok({})]}).finish()
    assert world.calls == ["do.a", "undo.a"]
    assert run_error(world).code == "expression_error"
