"""The finally steps: they run once, at the end, see how it ended, and never keep a run from ending."""

from __future__ import annotations

import pytest

from runner.definition.model import Catch, FailAction, Step
from runner.interpreter import event as ev
from runner.interpreter.paths import RUN_TIMEOUT
from tests.world import TWICE, World, block, no, not_landed, plan_of, step, unknown

STATUS = step("record", kind="retriable", with_={"status": "{{ run.status }}"})


def test_finally_sees_that_a_run_with_a_skipped_undo_will_be_abandoned() -> None:
    plan = plan_of(step("a"), step("b"), finally_=[STATUS])
    world = World(plan, {"do.b": [no()], "undo.a": [no()]}).finish()
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="a", as_="skipped"))
    world.finish()
    assert world.status == "abandoned"
    assert world.inputs["do.record"] == {"status": "abandoned"}


def test_finally_sees_that_a_run_was_cancelled() -> None:
    world = World(plan_of(step("a"), finally_=[STATUS])).start()
    world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.inputs["do.record"] == {"status": "cancelled"}


@pytest.mark.parametrize("on_unknown", ["retry", "halt", "verify"])
@pytest.mark.parametrize("verdict", [not_landed(fenced=False), not_landed(), unknown(), no()])
def test_a_finally_step_never_sticks_the_run(on_unknown: str, verdict: dict[str, object]) -> None:
    last = step("f", kind="retriable", on_unknown=on_unknown, verify=True, retry=TWICE)
    plan = plan_of(step("a"), finally_=[last, step("g", kind="readonly")], compensation_retry=TWICE)
    world = World(plan, {"do.f": [unknown()] * 9, "look.f": [verdict] * 9}).finish()
    assert world.status == "completed"
    assert len(world.header.alerts) == 1
    assert world.calls[-1] == "do.g"


def test_a_finally_step_is_not_tried_on_patiently() -> None:
    """Its own attempts are patience enough: the run's status waits for it."""
    plan = plan_of(step("a"), finally_=[step("f", kind="retriable", retry=TWICE)])
    world = World(plan, {"do.f": [unknown()] * 9}).finish()
    assert world.calls == ["do.a", "do.f", "do.f"]


def test_a_verification_in_finally_whose_input_is_broken_alerts() -> None:
    last = step("f", kind="retriable", verify=True, look_with={"x": "{{ input.nothing.there }}"})
    world = World(plan_of(step("a"), finally_=[last]), {"do.f": [unknown()]}, input={}).finish()
    assert world.status == "completed"
    assert "finally step 'f'" in world.header.alerts[0]


def test_finally_steps_run_after_the_pivot_too_and_their_failure_changes_nothing() -> None:
    plan = plan_of(step("p", kind="pivot"), finally_=[step("f", kind="retriable", output="{{ result.no }}"), STATUS])
    world = World(plan).finish()
    assert world.status == "completed"
    assert len(world.header.alerts) == 1


def test_a_handler_in_finally_sees_the_error_that_it_handles() -> None:
    seen = step("h", kind="readonly", with_={"code": "{{ error.code }}"})
    last = step("f", kind="retriable", catch=[Catch(steps=(seen,))])
    world = World(plan_of(step("a"), finally_=[last]), {"do.a": [no("first")], "do.f": [no("second")]}).finish()
    assert world.inputs["do.h"] == {"code": "second"}
    assert world.header.alerts == ()


def test_a_rethrow_in_finally_alerts_with_the_error_that_was_caught() -> None:
    again = Step("again", "again", FailAction(rethrow=True))
    last = block("f", step("x", kind="retriable"), catch=[Catch(steps=(again,))])
    world = World(plan_of(step("a"), finally_=[last]), {"do.x": [no("second")]}).finish()
    assert "second" in world.header.alerts[0]


def test_a_timeout_while_finally_runs_only_alerts() -> None:
    world = World(plan_of(step("a"), finally_=[STATUS], timeout_ms=5_000)).start()
    world.answer("a")
    world.fire(RUN_TIMEOUT)
    world.finish()
    assert world.status == "completed"
    assert world.inputs["do.record"] == {"status": "completed"}


def test_a_cancel_while_finally_runs_after_an_undo_changes_nothing() -> None:
    world = World(plan_of(step("a"), finally_=[STATUS]), {"do.a": [no()]}).start()
    world.answer("a")
    world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.status == "compensated"
    assert world.calls == ["do.a", "do.record"]


def test_a_run_keeps_its_last_twenty_alerts() -> None:
    steps = [step(f"f{number}", kind="retriable") for number in range(25)]
    world = World(plan_of(step("a"), finally_=steps), {f"do.f{number}": [no()] for number in range(25)}).finish()
    assert len(world.header.alerts) == 20
    assert "f24" in world.header.alerts[-1]


def test_a_skipped_finally_step_is_passed_over() -> None:
    last = step("f", kind="retriable", when="{{ run.status == 'compensated' }}")
    world = World(plan_of(step("a"), finally_=[last, STATUS])).finish()
    assert world.calls == ["do.a", "do.record"]
