"""The point of no return: what is held while it is in flight, and that nothing goes back across it."""

from __future__ import annotations

import pytest

from runner.definition.model import Catch, FailAction, ParallelAction, SetAction, Step
from runner.interpreter import event as ev
from runner.interpreter.paths import RUN_TIMEOUT
from tests.world import ONCE, TWICE, World, block, landed, no, not_landed, ok, plan_of, run_error, step, unknown

KEEP = Catch(undo=False)


def in_flight(**fields: object) -> World:
    """A run whose last step, the pivot, is out."""
    world = World(plan_of(step("a"), step("p", kind="pivot"), **fields)).start()
    world.answer("a")
    return world


def test_a_run_whose_last_step_is_the_pivot_ends_though_a_cancel_was_held() -> None:
    world = in_flight()
    world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.finish()
    assert [refused.nonce for refused in world.of(ev.RequestRefused)] == ["n"]
    assert world.status == "completed"


def test_a_run_whose_last_step_is_the_pivot_ends_though_its_timeout_was_held() -> None:
    world = in_flight(timeout_ms=5_000)
    world.fire(RUN_TIMEOUT)
    world.finish()
    assert len(world.header.alerts) == 1
    assert world.status == "completed"


@pytest.mark.parametrize("cancel_first", [True, False])
def test_a_timeout_beside_a_held_cancel_is_not_forgotten(cancel_first: bool) -> None:
    world = in_flight(timeout_ms=5_000)
    if cancel_first:
        world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.fire(RUN_TIMEOUT)
    if not cancel_first:
        world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.finish()
    assert len(world.of(ev.RequestRefused)) == 1
    assert len(world.header.alerts) == 1
    assert world.status == "completed"


def test_a_held_timeout_fails_the_run_when_the_pivot_fails() -> None:
    plan = plan_of(step("a"), step("p", kind="pivot"), timeout_ms=5_000)
    world = World(plan, {"do.p": [no()]}).start()
    world.answer("a")
    world.fire(RUN_TIMEOUT)
    world.finish()
    assert world.status == "compensated"
    assert run_error(world).code == "run_timeout"


def test_a_held_cancel_takes_effect_before_a_handler_of_the_pivot_begins() -> None:
    pivot = step("p", kind="pivot", catch=[Catch(undo=False, steps=(step("instead"),))])
    world = World(plan_of(step("a"), pivot), {"do.p": [no()]}).start()
    world.answer("a")
    world.take(ev.CancelRequested(world.now_ms, nonce="n", reason="changed my mind"))
    world.finish()
    assert [message.worker for message in world.messages] == ["do.a", "do.p", "undo.a"]
    assert world.status == "cancelled"
    assert run_error(world).message == "changed my mind"


def test_a_completed_pivot_whose_output_is_broken_has_been_passed() -> None:
    world = World(plan_of(step("a"), step("p", kind="pivot", output="{{ result.nothing }}"))).finish()
    assert world.status == "stuck"
    assert world.header.pivot == "passed"


def test_a_completed_pivot_whose_output_is_broken_cannot_be_resolved_as_failed() -> None:
    world = World(plan_of(step("a"), step("p", kind="pivot", output="{{ result.nothing }}"))).finish()
    for as_ in ("failed", "compensated", "skipped"):
        (refused,) = world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="p", as_=as_))
        assert isinstance(refused, ev.RequestRefused)
        assert "took effect" in refused.why
    world.take(ev.ResolveRequested(world.now_ms, nonce="m", step="p", as_="completed", output=1))
    assert world.finish().status == "completed"
    assert world.calls == ["do.a", "do.p"]


def test_resuming_a_step_that_took_effect_does_not_ask_for_the_effect_again() -> None:
    world = World(plan_of(step("a"), step("p", kind="pivot", output="{{ result.nothing }}"))).finish()
    world.take(ev.ResumeRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.calls == ["do.a", "do.p"]
    assert world.status == "stuck"


def test_an_output_that_is_broken_after_the_pivot_goes_to_the_scope_that_catches_and_undoes() -> None:
    scope = block("s", step("x"), step("y", output="{{ result.nothing }}"), catch=[Catch()])
    world = World(plan_of(step("p", kind="pivot"), scope)).finish()
    assert world.calls == ["do.p", "do.x", "do.y", "undo.y", "undo.x"]
    assert world.status == "completed"


def test_a_pivot_in_a_handler_is_passed_when_it_completes() -> None:
    scope = block("s", step("x"), catch=[Catch(steps=(step("p", kind="pivot"),))])
    world = World(plan_of(step("a"), scope, step("r", kind="retriable")), {"do.x": [no()], "do.r": [no()]}).finish()
    assert world.status == "stuck"
    assert world.header.stuck == ("r",)
    assert world.calls == ["do.a", "do.x", "do.p", "do.r"]


def test_a_failed_handler_does_not_make_a_passed_pivot_forgotten() -> None:
    """The pivot stands in the handler; that what was handled fails in the end takes nothing of it back."""
    steps = (step("p", kind="pivot"), Step("stop", "stop", FailAction("too_bad")))
    first = step("x", kind="pivot", catch=[Catch(undo=False, steps=steps)])
    world = World(plan_of(step("a"), block("s", first, catch=[KEEP]), step("z", kind="readonly")), {"do.x": [no()]})
    world.finish()
    assert world.header.pivot == "passed"
    assert "undo.a" not in world.calls


def test_a_second_pivot_takes_nothing_back_of_the_first() -> None:
    """No definition that was checked has two on one path; but a run does not go back over one for that."""
    world = World(plan_of(step("a"), step("p", kind="pivot"), step("q", kind="pivot")), {"do.q": [no()]}).finish()
    assert world.status == "stuck"
    assert world.calls == ["do.a", "do.p", "do.q"]


FICKLE = Catch(when="{{ steps.x.status == 'running' }}")  # by the time that the failure arrives, it is not any more


def test_a_handler_that_catches_no_more_when_the_failure_arrives_leaves_the_run_to_a_person() -> None:
    outer = block("o", step("w"), block("s", step("v"), catch=[Catch(steps=(step("x"),))]), catch=[FICKLE])
    world = World(plan_of(step("p", kind="pivot"), outer), {"do.v": [no()], "do.x": [no()]}).finish()
    assert world.status == "stuck"
    assert world.calls == ["do.p", "do.w", "do.v", "do.x"]


def test_a_step_whose_condition_is_broken_does_not_run_because_somebody_resumes_it() -> None:
    odd = step("r", kind="retriable", when="{{ input.nothing.there }}")
    world = World(plan_of(step("p", kind="pivot"), odd), input={}).finish()
    assert world.header.stuck == ("r",)
    world.take(ev.ResumeRequested(world.now_ms, nonce="n"))
    assert world.finish().calls == ["do.p"]
    world.take(ev.ResolveRequested(world.now_ms, nonce="m", step="r", as_="skipped"))
    assert world.status == "completed"


def test_a_block_that_is_resolved_as_completed_lets_the_steps_behind_it_run() -> None:
    scope = block("s", step("x"), catch=[FICKLE])
    world = World(plan_of(step("p", kind="pivot"), scope, step("z", kind="readonly")), {"do.x": [no()]}).finish()
    assert world.header.stuck == ("s",)
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="s", as_="completed", output=1))
    assert world.finish().calls == ["do.p", "do.x", "do.z"]
    assert world.status == "completed"


def test_a_sibling_that_fails_while_its_scope_goes_back_does_not_stick_the_run() -> None:
    steps = ParallelAction({"x": (step("x"),), "y": (step("y"),)})
    both = Step("both", "both", steps, catch=(Catch(errors=("first",)),))
    world = World(plan_of(step("p", kind="pivot"), both), {"do.x": [no("first")], "do.y": [no("second")]}).start()
    world.answer("p")
    world.claimed.add("both.y/y")
    world.answer("both.x/x")
    world.finish()
    assert world.status == "completed"


def test_a_block_whose_last_step_was_halted_has_not_completed() -> None:
    inner = block("inner", step("y"), output="{{ steps.y.output.did }}")
    both = Step("both", "both", ParallelAction({"x": (step("x"),), "y": (inner,)}), catch=(Catch(),))
    world = World(plan_of(step("p", kind="pivot"), both), {"do.x": [no()]}).start()
    world.answer("p")
    world.answer("both.x/x")
    world.finish()
    assert world.status == "completed"
    assert not [event for event in world.of(ev.StepCompleted) if event.path == "both.y/inner"]


def test_a_retriable_step_with_a_verification_is_never_fenced_off_its_own_retry() -> None:
    plan = plan_of(
        step("p", kind="pivot"), step("r", kind="retriable", verify=True), compensation_retry=TWICE
    )
    replies = {"do.r": [unknown(), unknown()], "look.r": [not_landed(fenced=False)] * 3}
    world = World(plan, replies).finish()
    assert not any(message.fencing for message in world.messages)
    assert world.calls == ["do.p", "do.r", "look.r", "do.r", "look.r", "do.r"]
    assert world.status == "completed"


def test_a_retriable_step_with_a_verification_that_gave_up_is_asked_again_when_it_is_resumed() -> None:
    plan = plan_of(
        step("p", kind="pivot"), step("r", kind="retriable", verify=True), compensation_retry=ONCE
    )
    world = World(plan, {"do.r": [unknown()] * 2, "look.r": [not_landed(fenced=False)] * 3}).finish()
    assert world.status == "stuck"
    world.take(ev.ResumeRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.status == "completed"
    assert world.calls[-1] == "do.r"


def test_a_retriable_step_whose_failure_is_caught_is_fenced_before_the_run_goes_on() -> None:
    retriable = step("r", kind="retriable", verify=True, catch=[Catch()])
    world = World(plan_of(step("p", kind="pivot"), retriable), {"do.r": [unknown()], "look.r": [not_landed()]}).finish()
    assert [message.fencing for message in world.messages] == [False, False, True]
    assert world.status == "completed"


def test_a_handler_whose_output_is_broken_after_the_pivot_is_settled_by_a_person() -> None:
    scope = block("s", step("x"), catch=[Catch(output="{{ steps.x.output.did }}")])
    world = World(plan_of(step("p", kind="pivot"), scope, step("z", kind="readonly")), {"do.x": [no()]}).finish()
    assert world.header.stuck == ("s",)
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="s", as_="completed", output="by hand"))
    world.finish()
    assert world.status == "completed"
    assert world.payload("s:output") == "by hand"


def test_a_verified_pivot_that_landed_after_a_held_cancel_refuses_the_cancel() -> None:
    plan = plan_of(step("a"), step("p", kind="pivot", verify=True))
    world = World(plan, {"do.p": [unknown()], "look.p": [landed()]}).start()
    world.answer("a")
    world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.status == "completed"
    assert len(world.of(ev.RequestRefused)) == 1


@pytest.mark.parametrize(("as_", "status"), [("completed", "completed"), ("failed", "cancelled")])
def test_a_stuck_pivot_that_a_person_settles_settles_the_held_cancel(as_: str, status: str) -> None:
    plan = plan_of(step("a"), step("p", kind="pivot", on_unknown="halt"))
    world = World(plan, {"do.p": [unknown()]}).start()
    world.answer("a")
    world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.status == "stuck"
    world.take(ev.ResolveRequested(world.now_ms, nonce="m", step="p", as_=as_))
    world.finish()
    assert world.status == status


def test_a_stuck_pivot_that_is_resumed_and_completes_ends_the_run() -> None:
    plan = plan_of(step("a"), step("p", kind="pivot", on_unknown="halt"))
    world = World(plan, {"do.p": [unknown(), ok()]}).start()
    world.answer("a")
    world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.finish()
    world.take(ev.ResumeRequested(world.now_ms, nonce="m"))
    world.finish()
    assert world.status == "completed"
    assert world.calls == ["do.a", "do.p", "do.p"]


def test_an_unknown_step_with_an_undo_in_a_scope_after_the_pivot_cannot_be_skipped() -> None:
    """A skipped step is left out of a later undo of its scope, and this one may have taken effect."""
    scope = block("s", step("x", on_unknown="halt"), step("y"), catch=[Catch()])
    world = World(plan_of(step("p", kind="pivot"), scope), {"do.x": [unknown()]}).finish()
    (refused,) = world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="x", as_="skipped"))
    assert isinstance(refused, ev.RequestRefused)


def test_a_set_that_is_stuck_over_its_output_sets_once() -> None:
    setting = Step("v", "v", SetAction({"n": "{{ vars.n + 1 }}"}), output="{{ result.nothing }}")
    last = step("z", kind="retriable", with_={"n": "{{ vars.n }}"})
    world = World(plan_of(step("p", kind="pivot"), setting, last, vars={"n": 1})).finish()
    world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
    assert world.header.stuck == ("v",)
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="v", as_="completed"))
    world.finish()
    assert world.inputs["do.z"] == {"n": 2}


def test_a_set_after_the_pivot_that_is_settled_by_hand_is_taken_back_with_its_scope() -> None:
    setting = Step("v", "v", SetAction({"n": 2}), output="{{ result.nothing }}")
    scope = block("s", setting, step("y"), catch=[Catch()])
    last = step("z", kind="retriable", with_={"n": "{{ vars.n }}"})
    world = World(plan_of(step("p", kind="pivot"), scope, last, vars={"n": 1})).finish()
    assert world.inputs["do.z"] == {"n": 1}
