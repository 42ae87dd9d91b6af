"""One operation on its way forward: attempts, the three outcomes, verification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

import pytest

from runner.definition.model import Catch, ParallelAction, Retry, Step
from runner.interpreter import event as ev
from runner.wire import ErrorRecord
from tests.world import (
    ONCE,
    TWICE,
    World,
    definite,
    landed,
    lost,
    no,
    no_effect,
    not_landed,
    ok,
    pending,
    plan_of,
    run_error,
    step,
    unknown,
)


def test_a_declared_error_is_never_retried() -> None:
    world = World(plan_of(step("pay", retry=TWICE)), {"do.pay": [no("card_declined")]}).finish()
    assert world.calls == ["do.pay"]
    assert world.status == "compensated"


def test_a_failure_without_effect_is_retried_with_the_same_key() -> None:
    world = World(plan_of(step("pay", retry=TWICE)), {"do.pay": [no_effect()]}).finish()
    assert world.calls == ["do.pay", "do.pay"]
    assert {message.idempotency_key for message in world.messages} == {"run1/pay:action"}
    assert [message.attempt for message in world.messages] == [1, 2]
    assert world.status == "completed"


def test_the_delay_that_a_worker_asks_for_is_kept() -> None:
    world = World(plan_of(step("pay", retry=TWICE)), {"do.pay": [no_effect(after_ms=7_000)]}).finish()
    (scheduled,) = world.of(ev.RetryScheduled)
    assert scheduled.due_at_ms - scheduled.at_ms == 7_000


def test_an_unknown_step_is_compensated_though_it_never_completed() -> None:
    world = World(plan_of(step("a"), step("pay")), {"do.pay": [unknown()]}).finish()
    assert world.calls == ["do.a", "do.pay", "undo.pay", "undo.a"]
    assert world.status == "compensated"


def test_a_clean_failure_after_an_unknown_attempt_does_not_make_it_known() -> None:
    world = World(plan_of(step("pay", retry=TWICE)), {"do.pay": [unknown(), no()]}).finish()
    assert world.calls == ["do.pay", "do.pay", "undo.pay"]
    assert world.run is not None
    assert world.run.header.error is not None
    assert world.run.header.error.code == "declined"


def test_a_completion_settles_an_unknown_attempt() -> None:
    world = World(plan_of(step("pay", retry=TWICE)), {"do.pay": [unknown(), ok()]}).finish()
    assert world.status == "completed"
    assert not world.run.nodes["pay"].unknown  # type: ignore[union-attr]


def test_a_readonly_step_that_timed_out_has_simply_failed() -> None:
    world = World(plan_of(step("look", kind="readonly")), {"do.look": [unknown()]}).finish()
    assert world.step_status("look") == "failed"
    assert world.calls == ["do.look"]


def test_a_verification_that_finds_the_effect_completes_the_step_without_a_retry() -> None:
    plan = plan_of(step("pay", retry=TWICE, verify=True))
    world = World(plan, {"do.pay": [unknown()], "look.pay": [landed({"id": 7})]}).finish()
    assert world.calls == ["do.pay", "look.pay"]
    assert world.run is not None
    assert world.run.payloads["pay:output"] == {"id": 7}


def test_between_attempts_a_verification_does_not_fence() -> None:
    """A fence would refuse the very retry that follows."""
    plan = plan_of(step("pay", retry=TWICE, verify=True))
    world = World(plan, {"do.pay": [unknown()], "look.pay": [not_landed(fenced=False)]}).finish()
    assert world.calls == ["do.pay", "look.pay", "do.pay"]
    assert not world.messages[1].fencing


def test_the_last_verification_fences_and_then_not_landed_means_nothing_happened() -> None:
    plan = plan_of(step("pay", verify=True))
    world = World(plan, {"do.pay": [unknown()], "look.pay": [not_landed(fenced=True)]}).finish()
    assert world.calls == ["do.pay", "look.pay"]
    assert world.messages[1].fencing
    assert world.step_status("pay") == "failed"


def test_not_landed_without_a_fence_is_undone_all_the_same() -> None:
    """A late action may still arrive, so the step stays unknown."""
    plan = plan_of(step("pay", verify=True))
    world = World(plan, {"do.pay": [unknown()], "look.pay": [not_landed(fenced=False)]}).finish()
    assert world.calls == ["do.pay", "look.pay", "undo.pay"]


def test_not_landed_without_a_fence_or_an_undo_is_left_to_a_person() -> None:
    plan = plan_of(step("a"), step("mail", undo=False, verify=True))
    world = World(plan, {"do.mail": [unknown()], "look.mail": [not_landed(fenced=False)]}).finish()
    assert world.calls == ["do.a", "do.mail", "look.mail"]
    assert world.status == "stuck"


def test_a_pending_verification_is_asked_again_after_its_delay() -> None:
    plan = plan_of(step("pay", verify=True))
    world = World(plan, {"do.pay": [unknown()], "look.pay": [pending(after_ms=5_000), landed()]}).finish()
    assert world.calls == ["do.pay", "look.pay", "look.pay"]
    assert world.status == "completed"


def test_a_verification_that_gives_no_answer_leaves_the_run_to_a_person() -> None:
    plan = plan_of(step("pay", verify=True))
    world = World(plan, {"do.pay": [unknown()], "look.pay": [unknown(), unknown()]}).finish()
    assert world.status == "stuck"
    assert world.run is not None
    assert world.run.header.stuck == ("pay",)


def test_an_unknown_step_that_cannot_be_undone_halts() -> None:
    world = World(plan_of(step("a"), step("mail", undo=False)), {"do.mail": [unknown()]}).finish()
    assert world.status == "stuck"
    assert world.calls == ["do.a", "do.mail"]


def test_five_lost_processes_in_a_row_are_a_crash_loop_and_the_task_is_not_tried_again() -> None:
    retry = Retry(max_attempts=9, initial_ms=10, jitter="none")
    world = World(plan_of(step("pay", retry=retry)), {"do.pay": [lost()] * 9}).finish()
    assert world.calls == ["do.pay"] * 5 + ["undo.pay"]
    assert world.run is not None
    assert world.run.header.error is not None
    assert world.run.header.error.code == "crash_loop"


def test_five_lost_processes_are_a_crash_loop_though_it_was_verified_in_between() -> None:
    retry = Retry(max_attempts=9, initial_ms=10, jitter="none")
    replies = {"do.pay": [lost()] * 9, "look.pay": [not_landed(fenced=False)] * 4 + [not_landed()]}
    world = World(plan_of(step("pay", retry=retry, verify=True)), replies).finish()
    assert world.calls == ["do.pay", "look.pay"] * 5
    assert world.messages[-1].fencing
    assert run_error(world).code == "crash_loop"


def test_a_crash_loop_is_not_tried_again_patiently() -> None:
    retry = Retry(max_attempts=9, initial_ms=10, jitter="none")
    world = World(plan_of(step("p", kind="pivot", retry=retry)), {"do.p": [lost()] * 20}).finish()
    assert world.calls == ["do.p"] * 5
    assert world.status == "stuck"
    error = world.run_node("p").error
    assert error is not None
    assert error.code == "crash_loop"


def test_patient_retries_of_a_step_whose_process_is_lost_end_in_a_crash_loop_too() -> None:
    world = World(plan_of(step("p", kind="pivot")), {"do.p": [lost()] * 20}).finish()
    assert world.calls == ["do.p"] * 5


def test_lost_processes_count_only_in_a_row() -> None:
    retry = Retry(max_attempts=9, initial_ms=10, jitter="none")
    replies = {"do.pay": [lost()] * 4 + [unknown()] + [lost()] * 4}
    world = World(plan_of(step("pay", retry=retry)), replies).finish()
    assert world.calls == ["do.pay"] * 9 + ["undo.pay"]
    assert run_error(world).code == "worker_lost"


def died() -> Mapping[str, Any]:
    """The child that ran it, and its supervisor says how."""
    error = ErrorRecord("worker_lost", message="its process was killed by SIGSEGV", details={"exit": "was killed"})
    return {"outcome": "unknown", "error": error}


def alone(world: World) -> list[tuple[str, bool]]:
    return [(message.worker, message.alone) for message in world.messages]


def test_what_is_asked_again_after_its_child_died_is_to_be_alone() -> None:
    """In every phase: it may be what kills, and nobody else is to die of it. A lost process alone is no reason."""
    retry = Retry(max_attempts=5, initial_ms=10, jitter="none")
    replies = {"do.pay": [died(), lost(), unknown(), died(), no()], "undo.pay": [died(), ok()]}
    world = World(plan_of(step("pay", retry=retry, raises=["declined"])), replies).finish()
    assert alone(world) == [
        ("do.pay", False), ("do.pay", True), ("do.pay", False), ("do.pay", False), ("do.pay", True),
        ("undo.pay", False), ("undo.pay", True),
    ]  # fmt: skip


def test_a_verification_whose_child_died_is_alone_and_so_is_a_confirmation() -> None:
    replies = {"do.pay": [died()], "look.pay": [died(), landed()], "tell.pay": [died(), ok()]}
    world = World(plan_of(step("pay", verify=True, confirm=True)), replies).finish()
    assert alone(world) == [
        ("do.pay", False), ("look.pay", False), ("look.pay", True), ("tell.pay", False), ("tell.pay", True)
    ]


def test_an_error_of_a_users_that_says_exit_is_no_reason_to_be_alone() -> None:
    reply = {"outcome": "unknown", "error": ErrorRecord("exception", details={"exit": "here"})}
    world = World(plan_of(step("pay", retry=TWICE)), {"do.pay": [reply, ok()]}).finish()
    assert alone(world) == [("do.pay", False), ("do.pay", False)]


def test_a_total_timeout_ends_the_retries() -> None:
    retry = Retry(max_attempts=50, backoff="fixed", initial_ms=1_000, jitter="none")
    plan = plan_of(step("pay", retry=retry, total_timeout_ms=3_500))
    world = World(plan, {"do.pay": [no_effect()] * 50}).finish()
    assert world.calls == ["do.pay"] * 4
    assert [message.timeout_ms for message in world.messages] == [1_000, 1_000, 1_000, 497]


def test_a_wait_that_would_outlast_the_total_timeout_is_not_begun() -> None:
    """An attempt with no time left could only turn a clean failure into an unknown one."""
    retry = Retry(max_attempts=3, backoff="fixed", initial_ms=60_000, max_ms=60_000, jitter="none")
    world = World(plan_of(step("pay", retry=retry, total_timeout_ms=3_500)), {"do.pay": [no_effect()] * 3}).finish()
    assert world.calls == ["do.pay"]
    assert world.of(ev.RetryScheduled) == []


def test_a_timer_that_comes_after_the_total_timeout_begins_no_attempt() -> None:
    retry = Retry(max_attempts=3, backoff="fixed", initial_ms=100, jitter="none")
    plan = plan_of(step("pay", retry=retry, total_timeout_ms=3_500))
    world = World(plan, {"do.pay": [no_effect()] * 3}).start()
    world.answer("pay")
    world.now_ms += 60_000
    world.finish()
    assert world.calls == ["do.pay"]
    assert world.status == "compensated"


def test_time_in_the_queue_counts_to_the_total_timeout() -> None:
    plan = plan_of(step("pay", retry=TWICE, total_timeout_ms=3_500, queue_timeout_ms=5_000))
    world = World(plan, {"do.pay": [no_effect()]}).start()
    world.now_ms += 3_000
    world.finish()
    assert [message.timeout_ms for message in world.messages] == [1_000, 399]


def test_an_attempt_that_goes_out_late_still_has_a_moment() -> None:
    """A commit was full, and the engine was away until long after: there is no time limit of nothing."""
    both = Step("both", "both", ParallelAction({"x": (step("x"),), "y": (step("y", total_timeout_ms=3_500),)}))
    world = World(plan_of(both), is_slow=True)
    with patch("runner.interpreter.advance.MAX_DISPATCHES", 1):
        world.start()
    world.now_ms += 60_000
    world.take(ev.Continued(world.now_ms))
    assert world.tasks["both.y/y"].timeout_ms == 1


def test_patient_retries_outlast_the_total_timeout() -> None:
    """They settle what may have happened already, so they need their time."""
    patient = Retry(max_attempts=3, initial_ms=10_000, max_ms=10_000, jitter="none")
    plan = plan_of(step("p", kind="pivot", total_timeout_ms=2_000, queue_timeout_ms=700), compensation_retry=patient)
    world = World(plan, {"do.p": [unknown(), unknown()]}).finish()
    assert world.status == "completed"
    assert [message.timeout_ms for message in world.messages] == [1_000, 1_000, 1_000]


def test_a_verification_that_fails_technically_is_asked_again() -> None:
    plan = plan_of(step("pay", verify=True))
    world = World(plan, {"do.pay": [unknown()], "look.pay": [no_effect(), landed()]}).finish()
    assert world.calls == ["do.pay", "look.pay", "look.pay"]
    assert world.status == "completed"


@pytest.mark.parametrize("reply", [no(), definite("unknown_worker"), definite("invalid_input")])
def test_a_verification_that_says_no_is_left_to_a_person_at_once(reply: dict[str, object]) -> None:
    world = World(plan_of(step("pay", verify=True)), {"do.pay": [unknown()], "look.pay": [reply]}).finish()
    assert world.calls == ["do.pay", "look.pay"]
    assert world.status == "stuck"
    error = world.run_node("pay").error
    assert error is not None
    assert reply["error"].code in error.cause  # type: ignore[attr-defined]


def test_a_key_that_the_service_sealed_by_itself_is_settled_without_another_attempt() -> None:
    plan = plan_of(step("pay", retry=TWICE, verify=True))
    world = World(plan, {"do.pay": [unknown()], "look.pay": [not_landed(fenced=True)]}).finish()
    assert world.calls == ["do.pay", "look.pay"]
    assert world.step_status("pay") == "failed"


@pytest.mark.parametrize("reply", [no(), definite("unknown_worker"), definite("invalid_input")])
def test_an_undo_that_asking_again_cannot_help_is_stuck_at_once(reply: dict[str, object]) -> None:
    world = World(plan_of(step("a"), step("b")), {"do.b": [no()], "undo.a": [reply]}).finish()
    assert world.calls == ["do.a", "do.b", "undo.a"]
    assert world.status == "stuck"


def test_an_undo_that_had_no_effect_is_tried_again() -> None:
    world = World(plan_of(step("a"), step("b")), {"do.b": [no()], "undo.a": [no_effect(), unknown()]}).finish()
    assert world.calls == ["do.a", "do.b", "undo.a", "undo.a", "undo.a"]
    assert world.status == "compensated"


@pytest.mark.parametrize("code", ["invalid_input", "unknown_worker", "already_undone"])
def test_a_definite_failure_that_asking_again_cannot_help_is_not_retried(code: str) -> None:
    world = World(plan_of(step("pay", retry=TWICE)), {"do.pay": [definite(code)]}).finish()
    assert world.calls == ["do.pay"]
    assert run_error(world).code == code


def test_a_queue_timeout_is_definite_and_tried_again() -> None:
    plan = plan_of(step("pay", retry=TWICE, queue_timeout_ms=100))
    world = World(plan, {"do.pay": [definite("queue_timeout")] * 2}).finish()
    assert world.calls == ["do.pay", "do.pay"]
    assert world.status == "compensated"


def test_the_error_of_a_step_is_that_of_its_last_attempt() -> None:
    world = World(plan_of(step("pay", retry=TWICE)), {"do.pay": [unknown("timeout"), unknown("exception")]}).finish()
    assert (run_error(world).code, run_error(world).step, run_error(world).attempt) == ("exception", "pay", 2)


def test_payloads_over_the_limit_of_a_run_undo_it() -> None:
    world = World(plan_of(step("a"), step("b"))).start()
    world.answer("a")
    world.answer("b", {**ok(), "size": 5 << 20})
    world.finish()
    assert world.calls == ["do.a", "do.b", "undo.b", "undo.a"]
    assert run_error(world).code == "state_limit"


def test_undo_inputs_are_recorded_before_the_action_runs() -> None:
    plan = plan_of(step("a"), step("pay", undo_with={"ref": "{{ step.ref }}", "of": "{{ steps.a.output.did }}"}))
    world = World(plan).start()
    world.answer("a")
    (dispatched,) = [event for event in world.of(ev.TaskDispatched) if event.path == "pay"]
    assert dispatched.undo == {"ref": "run1/pay", "of": "a"}


def test_undo_inputs_that_read_the_result_are_recorded_on_completion() -> None:
    undo_with = {"id": "{{ result.id | default('none') }}"}
    plan = plan_of(step("pay", undo_with=undo_with), step("ship"))
    world = World(plan, {"do.pay": [ok({"id": 9})], "do.ship": [no()]}).finish()
    assert world.inputs["undo.pay"] == {"id": 9}


def test_undo_inputs_that_read_a_result_which_never_came_use_their_default() -> None:
    plan = plan_of(step("pay", undo_with={"id": "{{ result.id | default('none') }}"}))
    world = World(plan, {"do.pay": [unknown()]}).finish()
    assert world.inputs["undo.pay"] == {"id": "none"}


def test_an_output_that_cannot_be_rendered_leaves_the_step_in_the_undo_set() -> None:
    plan = plan_of(step("pay", output="{{ result.nothing }}"))
    world = World(plan).finish()
    assert world.calls == ["do.pay", "undo.pay"]
    assert world.run is not None
    assert world.run.header.error is not None
    assert world.run.header.error.code == "expression_error"


def test_an_input_that_cannot_be_rendered_fails_before_anything_happens() -> None:
    world = World(plan_of(step("pay", with_={"x": "{{ input.nothing.there }}"})), input={}).finish()
    assert world.calls == []
    assert world.status == "compensated"


def test_an_input_over_the_limit_is_refused_before_it_is_sent() -> None:
    world = World(plan_of(step("pay", with_={"x": "{{ input }}"})), input="x" * (1 << 20)).finish()
    assert world.calls == []
    assert world.run is not None
    assert world.run.header.error is not None
    assert world.run.header.error.code == "invalid_input"


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_late_outcome_changes_nothing(after: int) -> None:
    world = World(plan_of(step("a"), step("b"), step("c"))).start()
    for path in ("a", "b", "c")[:after]:
        world.answer(path)
    before = world.run
    assert before is not None
    late = "c" if after == 0 else "a"
    world.take(ev.TaskSettled(world.now_ms + 5, late, "failed"))
    assert world.run is not None
    assert world.run.nodes == before.nodes


def test_a_skipped_steps_output_is_absent() -> None:
    plan = plan_of(step("a", when="{{ false }}"), step("b", with_={"x": "{{ steps.a.output | default('gone') }}"}))
    world = World(plan).finish()
    assert world.inputs["do.b"] == {"x": "gone"}
    assert world.step_status("a") == "skipped"


def test_a_condition_that_is_no_boolean_fails_the_step_and_its_own_catch_may_take_it() -> None:
    plan = plan_of(step("a", when="{{ 1 }}", catch=[Catch(errors=("expression_error",))]), step("b"))
    world = World(plan).finish()
    assert world.calls == ["do.b"]
    assert world.status == "completed"


def test_a_retriable_step_is_tried_patiently() -> None:
    plan = plan_of(step("p", kind="pivot"), step("ship", kind="retriable", retry=ONCE))
    world = World(plan, {"do.ship": [unknown(), unknown(), unknown()]}).finish()
    assert world.calls == ["do.p", "do.ship", "do.ship", "do.ship", "do.ship"]
    assert world.status == "completed"


def test_the_next_attempt_is_told_what_the_last_one_had_got_to() -> None:
    overran = {"outcome": "unknown", "error": ErrorRecord("timeout", details={"last_details": {"page": 7}})}
    world = World(plan_of(step("pay", retry=TWICE)), {"do.pay": [overran]}).finish()
    assert [message.last_details for message in world.messages] == [None, {"page": 7}]
