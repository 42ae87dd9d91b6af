"""The run as a whole: the point of no return, cancel, timeout, finally, being stuck, the end."""

from __future__ import annotations

import pytest

from runner.definition.model import Catch, ParallelAction, Retry, Step
from runner.interpreter import event as ev
from runner.interpreter.paths import RUN_TIMEOUT
from tests.world import World, block, landed, no, not_landed, ok, plan_of, step, unknown

SHORT = Retry(max_attempts=2, initial_ms=10, jitter="none")


def world_with_pivot(**replies: list) -> World:  # type: ignore[type-arg]
    plan = plan_of(step("a"), step("p", kind="pivot"), step("b", kind="retriable"), compensation_retry=SHORT)
    return World(plan, {f"{name[:-2]}.{name[-1]}": values for name, values in replies.items()})


def test_a_failed_pivot_lets_the_run_go_back() -> None:
    world = world_with_pivot(do_p=[no()]).finish()
    assert world.calls == ["do.a", "do.p", "undo.a"]
    assert world.status == "compensated"


def test_an_unknown_pivot_is_tried_again_and_never_compensated() -> None:
    world = world_with_pivot(do_p=[unknown(), unknown()]).finish()
    assert world.calls == ["do.a", "do.p", "do.p", "do.p", "do.b"]


def test_an_unknown_pivot_is_verified_where_it_can_be() -> None:
    plan = plan_of(step("a"), step("p", kind="pivot", verify=True))
    world = World(plan, {"do.p": [unknown()], "look.p": [landed()]}).finish()
    assert world.calls == ["do.a", "do.p", "look.p"]
    assert world.status == "completed"


def test_a_pivot_that_stays_unknown_leaves_the_run_stuck_with_nothing_undone() -> None:
    world = world_with_pivot(do_p=[unknown()] * 9).finish()
    assert world.status == "stuck"
    assert "undo.a" not in world.calls


def test_a_failure_after_the_pivot_is_stuck_and_never_an_undo() -> None:
    world = world_with_pivot(do_b=[no()]).finish()
    assert world.status == "stuck"
    assert world.calls == ["do.a", "do.p", "do.b"]


def test_a_failure_after_the_pivot_in_a_scope_that_catches_it_goes_on() -> None:
    scope = block("s", step("x"), step("y"), catch=[Catch()])
    plan = plan_of(step("p", kind="pivot"), scope, step("z", kind="readonly"))
    world = World(plan, {"do.y": [no()]}).finish()
    assert world.calls == ["do.p", "do.x", "do.y", "undo.x", "do.z"]
    assert world.status == "completed"


def test_a_resumed_operation_has_a_fresh_budget_and_the_run_goes_on() -> None:
    world = world_with_pivot(do_b=[no()]).finish()
    world.take(ev.ResumeRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.calls == ["do.a", "do.p", "do.b", "do.b"]
    assert world.status == "completed"


def test_a_cancel_stops_and_undoes() -> None:
    world = World(plan_of(step("a"), step("b"), step("c"))).start()
    world.answer("a")
    world.claimed.add("b")
    world.take(ev.CancelRequested(world.now_ms, nonce="n", reason="changed my mind"))
    assert world.tasks["b"].phase == "action"  # it is on its way, so its outcome is waited for
    world.finish()
    assert world.calls == ["do.a", "do.b", "undo.b", "undo.a"]
    assert world.status == "cancelled"


def test_a_cancelled_task_that_nobody_took_never_runs() -> None:
    world = World(plan_of(step("a"), step("b"))).start()
    world.answer("a")
    world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.calls == ["do.a", "undo.a"]
    assert world.status == "cancelled"


def test_a_cancel_while_waiting_for_a_retry_ends_the_wait() -> None:
    world = World(plan_of(step("a", retry=SHORT)), {"do.a": [unknown()]}).start()
    world.answer("a")
    assert world.timers
    world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.calls == ["do.a", "undo.a"]
    assert world.timers == {}


def test_a_cancel_while_the_pivot_is_in_flight_waits_and_is_refused_when_it_completes() -> None:
    world = world_with_pivot().start()
    world.answer("a")
    world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    assert world.of(ev.RequestHeld)
    world.finish()
    assert world.status == "completed"
    (refused,) = world.of(ev.RequestRefused)
    assert refused.nonce == "n"


def test_a_cancel_while_the_pivot_is_in_flight_takes_effect_when_it_fails() -> None:
    world = world_with_pivot(do_p=[no()]).start()
    world.answer("a")
    world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.status == "cancelled"
    assert world.calls == ["do.a", "do.p", "undo.a"]


def test_a_cancel_after_the_pivot_is_refused() -> None:
    world = world_with_pivot().start()
    world.answer("a")
    world.answer("p")
    (refused,) = world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    assert isinstance(refused, ev.RequestRefused)
    assert world.finish().status == "completed"


def test_a_run_timeout_undoes_and_no_catch_takes_it() -> None:
    plan = plan_of(block("s", step("a"), step("b"), catch=[Catch()]), timeout_ms=5_000)
    world = World(plan).start()
    world.answer("s/a")
    world.fire(RUN_TIMEOUT)
    world.finish()
    assert world.calls == ["do.a", "undo.a"]
    assert world.status == "compensated"
    assert world.run is not None
    assert world.run.header.error is not None
    assert world.run.header.error.code == "run_timeout"


def test_a_run_timeout_after_the_pivot_only_alerts() -> None:
    plan = plan_of(step("p", kind="pivot"), step("b", kind="retriable"), timeout_ms=5_000)
    world = World(plan).start()
    world.answer("p")
    world.fire(RUN_TIMEOUT)
    assert world.run is not None
    assert world.run.header.alerts
    assert world.finish().status == "completed"


def test_a_run_timeout_while_it_goes_back_does_not_touch_the_undo() -> None:
    world = World(plan_of(step("a"), step("b"), timeout_ms=5_000), {"do.b": [no()]}).start()
    world.answer("a")
    world.answer("b")
    world.fire(RUN_TIMEOUT)
    assert "a" in world.tasks
    assert world.finish().status == "compensated"


def test_an_undo_that_is_refused_is_stuck_at_once_and_nothing_before_it_is_undone() -> None:
    world = World(plan_of(step("a"), step("b"), step("c")), {"do.c": [no()], "undo.b": [no("refused")]}).finish()
    assert world.status == "stuck"
    assert world.calls == ["do.a", "do.b", "do.c", "undo.b"]
    assert world.step_status("b") == "compensation_failed"


def test_a_stuck_undo_goes_on_when_it_is_resumed() -> None:
    world = World(plan_of(step("a"), step("b")), {"do.b": [no()], "undo.a": [no("refused")]}).finish()
    world.take(ev.ResumeRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.status == "compensated"
    assert world.calls[-2:] == ["undo.a", "undo.a"]


def test_an_undo_whose_outcome_is_unknown_is_repeated_with_its_key() -> None:
    plan = plan_of(step("a"), step("b"))
    world = World(plan, {"do.b": [no()], "undo.a": [unknown(), ok()]}).finish()
    assert world.status == "compensated"
    assert [m.idempotency_key for m in world.messages if m.phase == "compensate"] == ["run1/a:compensate"] * 2


def test_a_branch_that_is_stuck_does_not_keep_another_from_being_undone() -> None:
    both = Step("both", "both", ParallelAction({"x": (step("a"),), "y": (step("b"),)}))
    world = World(plan_of(step("first"), both, step("last")), {"do.last": [no()], "undo.a": [no("refused")]}).finish()
    assert world.status == "stuck"
    assert "undo.b" in world.calls
    assert "undo.first" not in world.calls


def test_finally_runs_after_the_undo_and_sees_the_status_to_be() -> None:
    record = step("record", kind="retriable", with_={"status": "{{ run.status }}", "why": "{{ error.code }}"})
    world = World(plan_of(step("a"), step("b"), finally_=[record]), {"do.b": [no()]}).finish()
    assert world.calls == ["do.a", "do.b", "undo.a", "do.record"]
    assert world.inputs["do.record"] == {"status": "compensated", "why": "declined"}


def test_a_failing_finally_step_alerts_and_changes_nothing() -> None:
    plan = plan_of(step("a"), finally_=[step("f", kind="retriable"), step("g", kind="retriable")])
    world = World(plan, {"do.f": [no()]}).finish()
    assert world.status == "completed"
    assert world.calls == ["do.a", "do.f", "do.g"]
    assert world.run is not None
    assert "finally step 'f'" in world.run.header.alerts[0]


def test_finally_does_not_run_while_the_run_is_stuck() -> None:
    plan = plan_of(step("a"), step("b"), finally_=[step("f", kind="retriable")])
    world = World(plan, {"do.b": [no()], "undo.a": [no()]}).finish()
    assert world.status == "stuck"
    assert "do.f" not in world.calls


def test_what_cannot_be_undone_is_listed_as_standing() -> None:
    world = World(plan_of(step("mail", undo=False), step("b")), {"do.b": [no()]}).finish()
    assert world.status == "compensated"
    assert world.run is not None
    assert [(s.step, s.reason) for s in world.run.header.standing] == [("mail", "a test")]


def test_a_step_that_failed_for_certain_is_not_listed_as_standing() -> None:
    world = World(plan_of(step("a"), step("b", undo=False)), {"do.b": [no()]}).finish()
    assert world.run is not None
    assert world.run.header.standing == ()


def test_abandon_stops_at_once_and_lists_what_stands() -> None:
    world = World(plan_of(step("a"), step("b"), step("c"))).start()
    world.answer("a")
    world.take(ev.AbandonRequested(world.now_ms, nonce="n", by="me", reason="test"))
    assert world.status == "abandoned"
    assert world.run is not None
    assert [(s.step, s.reason) for s in world.run.header.standing] == [
        ("a", "took effect and was not undone"), ("b", "was still running"),
    ]
    assert world.tasks == {}


def test_an_output_that_cannot_be_rendered_undoes_the_run() -> None:
    world = World(plan_of(step("a"), output={"x": "{{ steps.a.output.nothing }}"})).finish()
    assert world.calls == ["do.a", "undo.a"]
    assert world.status == "compensated"


def test_an_output_that_cannot_be_rendered_after_the_pivot_is_given_by_a_person() -> None:
    world = World(plan_of(step("p", kind="pivot"), output={"x": "{{ steps.p.output.nothing }}"})).finish()
    assert world.status == "stuck"
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="output", as_="completed", output={"x": 1}))
    assert world.status == "completed"
    assert world.run is not None
    assert world.run.payloads["~output"] == {"x": 1}


def test_a_fenced_pivot_that_did_not_land_has_failed_and_the_run_goes_back() -> None:
    plan = plan_of(step("a"), step("p", kind="pivot", verify=True))
    world = World(plan, {"do.p": [unknown()], "look.p": [not_landed()]}).finish()
    assert world.calls == ["do.a", "do.p", "look.p", "undo.a"]


@pytest.mark.parametrize(
    ("as_", "status", "undone"),
    [("compensated", "compensated", ["undo.b", "undo.a"]), ("skipped", "abandoned", ["undo.b", "undo.a"])],
)
def test_a_person_settles_a_stuck_undo(as_: str, status: str, undone: list[str]) -> None:
    world = World(plan_of(step("a"), step("b"), step("c")), {"do.c": [no()], "undo.b": [no()]}).finish()
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="b", as_=as_))
    world.finish()
    assert world.status == status
    assert [call for call in world.calls if call.startswith("undo")] == undone


@pytest.mark.parametrize(("as_", "status"), [("completed", "completed"), ("failed", "compensated")])
def test_a_person_settles_an_unknown_step(as_: str, status: str) -> None:
    world = World(plan_of(step("a"), step("mail", undo=False), step("c")), {"do.mail": [unknown()]}).finish()
    assert world.status == "stuck"
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="mail", as_=as_, output={"ok": True}))
    world.finish()
    assert world.status == status


def test_resolving_what_is_not_stuck_is_refused() -> None:
    world = World(plan_of(step("a"))).start()
    (refused,) = world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="a", as_="completed"))
    assert isinstance(refused, ev.RequestRefused)


def test_a_failed_step_after_the_pivot_cannot_be_resolved_as_failed() -> None:
    world = world_with_pivot(do_b=[no()]).finish()
    (refused,) = world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="b", as_="failed"))
    assert isinstance(refused, ev.RequestRefused)
    world.take(ev.ResolveRequested(world.now_ms, nonce="m", step="b", as_="skipped"))
    assert world.status == "completed"


def test_a_cancel_of_a_stuck_run_is_refused() -> None:
    world = World(plan_of(step("a"), step("b")), {"do.b": [no()], "undo.a": [no()]}).finish()
    (refused,) = world.take(ev.CancelRequested(world.now_ms, nonce="n"))
    assert isinstance(refused, ev.RequestRefused)
    assert "resume" in refused.why
