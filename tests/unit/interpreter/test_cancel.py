"""A cancel, or the run's timeout, at awkward moments: it stops, settles what is unknown, and undoes."""

from __future__ import annotations

import pytest

from runner.definition.model import Catch, ParallelAction, Retry, Step
from runner.interpreter import event as ev
from runner.interpreter.decide import decide
from runner.interpreter.paths import RUN_TIMEOUT
from tests.world import (
    TWICE,
    World,
    block,
    landed,
    no,
    no_effect,
    not_landed,
    pending,
    plan_of,
    run_error,
    step,
    unknown,
)

MANY = Retry(max_attempts=5, initial_ms=10, jitter="none")


def cancel(world: World, nonce: str = "c") -> None:
    world.take(ev.CancelRequested(world.now_ms, nonce=nonce))


def stop(world: World, how: str) -> str:
    """Cancel it, or let its time run out; the status it is to end with."""
    if how == "cancel":
        cancel(world)
        return "cancelled"
    world.fire(RUN_TIMEOUT)
    return "compensated"


HOW = pytest.mark.parametrize("how", ["cancel", "timeout"])


@HOW
def test_a_verification_in_flight_is_waited_for_and_then_fences(how: str) -> None:
    plan = plan_of(step("a"), step("pay", retry=MANY, verify=True), timeout_ms=9_000)
    world = World(plan, {"do.pay": [unknown()], "look.pay": [not_landed(fenced=False), not_landed()]}).start()
    world.answer("a")
    world.answer("pay")
    status = stop(world, how)
    assert world.tasks["pay"].phase == "verify"
    world.finish()
    assert world.calls == ["do.a", "do.pay", "look.pay", "look.pay", "undo.a"]
    assert [message.fencing for message in world.messages if message.phase == "verify"] == [False, True]
    assert world.status == status


@HOW
def test_what_a_verification_finds_after_the_stop_is_undone(how: str) -> None:
    plan = plan_of(step("pay", retry=MANY, verify=True), timeout_ms=9_000)
    world = World(plan, {"do.pay": [unknown()], "look.pay": [landed()]}).start()
    world.answer("pay")
    status = stop(world, how)
    world.finish()
    assert world.calls == ["do.pay", "look.pay", "undo.pay"]
    assert world.status == status


@HOW
def test_the_wait_between_two_verifications_goes_on(how: str) -> None:
    plan = plan_of(step("pay", retry=MANY, verify=True), timeout_ms=9_000)
    world = World(plan, {"do.pay": [unknown()], "look.pay": [pending(50), not_landed()]}).start()
    world.answer("pay")
    world.answer("pay")
    status = stop(world, how)
    assert world.node_timers()
    world.finish()
    assert world.calls == ["do.pay", "look.pay", "look.pay"]
    assert world.status == status


@HOW
def test_a_back_off_after_an_unknown_attempt_ends_in_a_fencing_verification(how: str) -> None:
    plan = plan_of(step("pay", retry=MANY, verify=True), timeout_ms=9_000)
    world = World(plan, {"do.pay": [unknown()], "look.pay": [not_landed(fenced=False), not_landed()]}).start()
    world.answer("pay")
    world.answer("pay")
    stop(world, how)
    world.finish()
    assert world.calls == ["do.pay", "look.pay", "look.pay"]


@HOW
def test_a_rollback_for_a_catch_is_finished_and_its_handler_never_begins(how: str) -> None:
    scope = block("s", step("x"), step("y"), catch=[Catch(steps=(step("instead"),))])
    world = World(plan_of(step("a"), scope, timeout_ms=9_000), {"do.y": [no()]}).start()
    for path in ("a", "s/x", "s/y"):
        world.answer(path)
    assert world.tasks["s/x"].phase == "compensate"
    status = stop(world, how)
    world.finish()
    assert world.calls == ["do.a", "do.x", "do.y", "undo.x", "undo.a"]
    assert world.status == status


@HOW
def test_a_handler_is_stopped_and_what_it_did_is_undone(how: str) -> None:
    scope = block("s", step("x"), catch=[Catch(steps=(step("h1"), step("h2")))])
    world = World(plan_of(step("a"), scope, timeout_ms=9_000), {"do.x": [no()]}).start()
    for path in ("a", "s/x", "s~0/h1"):
        world.answer(path)
    status = stop(world, how)
    world.finish()
    assert world.calls == ["do.a", "do.x", "do.h1", "undo.h1", "undo.a"]
    assert world.status == status


@HOW
def test_no_catch_takes_a_failure_that_comes_after_the_stop(how: str) -> None:
    scope = block("s", step("x"), catch=[Catch(steps=(step("instead"),))])
    world = World(plan_of(scope, timeout_ms=9_000), {"do.x": [no()]}).start()
    world.claimed.add("s/x")
    status = stop(world, how)
    world.finish()
    assert world.calls == ["do.x"]
    assert [event.caught for event in world.of(ev.StepFailed)] == [-1, -1, -1]
    assert world.status == status
    assert run_error(world).code == ("cancelled" if how == "cancel" else "run_timeout")


@HOW
def test_patient_retries_of_a_step_that_can_be_undone_end_at_once(how: str) -> None:
    plan = plan_of(step("pay", on_unknown="retry"), timeout_ms=900_000)
    world = World(plan, {"do.pay": [unknown()] * 9}).start()
    world.answer("pay")
    assert world.run_node("pay").patient
    status = stop(world, how)
    world.finish()
    assert world.calls == ["do.pay", "undo.pay"]
    assert world.status == status


def test_a_patient_attempt_in_flight_is_taken_back_where_the_step_can_be_undone() -> None:
    world = World(plan_of(step("pay", on_unknown="retry")), {"do.pay": [unknown()] * 9}).start()
    world.answer("pay")
    world.fire()
    cancel(world)
    world.finish()
    assert world.calls == ["do.pay", "undo.pay"]


def test_patient_retries_of_a_step_that_cannot_be_undone_go_on_until_it_is_known() -> None:
    world = World(plan_of(step("mail", undo=False, on_unknown="retry")), {"do.mail": [unknown()] * 2}).start()
    world.answer("mail")
    cancel(world)
    world.finish()
    assert world.calls == ["do.mail"] * 3
    assert world.status == "cancelled"
    assert [standing.step for standing in world.header.standing] == ["mail"]


def test_an_unknown_step_that_halts_is_left_to_a_person_also_after_a_cancel() -> None:
    world = World(plan_of(step("a"), step("mail", undo=False)), {"do.mail": [unknown()]}).start()
    world.answer("a")
    world.claimed.add("mail")
    cancel(world)
    world.finish()
    assert world.status == "stuck"
    assert world.calls == ["do.a", "do.mail"]


def test_a_step_that_halted_after_a_cancel_is_asked_again_when_it_is_resumed() -> None:
    plan = plan_of(step("a"), step("mail", undo=False, retry=TWICE))
    world = World(plan, {"do.mail": [unknown(), unknown()]}).start()
    world.answer("a")
    world.claimed.add("mail")
    cancel(world)
    world.finish()
    world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
    world.finish()
    assert world.calls == ["do.a", "do.mail", "do.mail", "do.mail", "undo.a"]
    assert world.status == "cancelled"


@pytest.mark.parametrize(("as_", "undone"), [("completed", ["undo.pay", "undo.a"]), ("failed", ["undo.a"])])
def test_a_stuck_verification_of_a_cancelled_run_is_settled_by_hand(as_: str, undone: list[str]) -> None:
    plan = plan_of(step("a"), step("pay", verify=True))
    world = World(plan, {"do.pay": [unknown()], "look.pay": [unknown(), unknown()]}).start()
    world.answer("a")
    world.claimed.add("pay")
    cancel(world)
    world.finish()
    assert world.status == "stuck"
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="pay", as_=as_))
    world.finish()
    assert world.calls[4:] == undone
    assert world.status == "cancelled"


def test_a_cancel_beside_a_stuck_branch_takes_effect_when_the_branch_is_settled() -> None:
    both = Step("both", "both", ParallelAction({"x": (step("mail", undo=False),), "y": (step("b"), step("c"))}))
    world = World(plan_of(both), {"do.mail": [unknown()]}).start()
    world.answer("both.x/mail")
    cancel(world)
    world.finish()
    assert world.status == "stuck"
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="mail", as_="failed"))
    world.finish()
    assert world.status == "cancelled"


def test_a_second_cancel_changes_nothing() -> None:
    world = World(plan_of(step("a"), step("b"))).start()
    world.answer("a")
    cancel(world)
    (accepted,) = world.take(ev.CancelRequested(world.now_ms, nonce="again"))
    assert isinstance(accepted, ev.RequestAccepted)
    assert world.finish().calls == ["do.a", "undo.a"]


def test_a_cancel_while_a_failed_run_is_undone_does_not_change_how_it_ends() -> None:
    world = World(plan_of(step("a"), step("b")), {"do.b": [no()]}).start()
    world.answer("a")
    world.answer("b")
    cancel(world)
    world.finish()
    assert world.status == "compensated"
    assert run_error(world).code == "declined"


def test_a_cancel_of_a_decided_run_is_refused() -> None:
    world = World(plan_of(step("a"), finally_=[step("f", kind="retriable")])).start()
    world.answer("a")
    (refused,) = world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    assert isinstance(refused, ev.RequestRefused)
    assert world.finish().status == "completed"


def test_a_timeout_of_a_stuck_run_alerts() -> None:
    world = World(plan_of(step("mail", undo=False), timeout_ms=5_000), {"do.mail": [unknown()]}).finish()
    world.fire(RUN_TIMEOUT)
    assert world.status == "stuck"
    assert len(world.header.alerts) == 1


def test_the_end_of_an_attempt_is_asked_for_once() -> None:
    world = World(plan_of(step("a"), step("b"))).start()
    world.answer("a")
    world.claimed.add("b")
    cancel(world)
    assert world.run is not None
    assert list(decide(world.plan, world.run, "b", world.now_ms)) == []
    assert len(world.of(ev.RevokeAsked)) == 1


def test_an_attempt_that_was_taken_back_after_clean_failures_leaves_nothing_to_undo() -> None:
    world = World(plan_of(step("a"), step("b", retry=MANY)), {"do.b": [no_effect()]}).start()
    world.answer("a")
    world.answer("b")
    world.fire()
    cancel(world)
    world.finish()
    assert world.calls == ["do.a", "do.b", "undo.a"]
    assert world.status == "cancelled"
    assert world.run_node("b").tries == 1


def test_an_attempt_that_was_taken_back_after_an_unknown_one_is_undone() -> None:
    world = World(plan_of(step("b", retry=MANY)), {"do.b": [unknown()]}).start()
    world.answer("b")
    world.fire()
    cancel(world)
    world.finish()
    assert world.calls == ["do.b", "undo.b"]
