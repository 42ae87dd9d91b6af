"""What a person asks of a run: accepted, held or refused, and what follows."""

from __future__ import annotations

import pytest

from runner.definition.model import Catch, FailAction, LoopAction, ParallelAction, Retry, Step
from runner.interpreter import event as ev
from tests.world import (
    TWICE,
    World,
    block,
    each,
    landed,
    no,
    no_effect,
    not_landed,
    ok,
    parallel,
    plan_of,
    step,
    switch,
    unknown,
    wait,
)

SHORT = Retry(max_attempts=2, initial_ms=10, jitter="none")


def resume(world: World) -> World:
    world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
    return world.finish()


def resolve(world: World, step_id: str, as_: str, output: object = None) -> list[ev.AnyEvent]:
    return world.take(ev.ResolveRequested(world.now_ms, nonce="s", step=step_id, as_=as_, output=output))


def test_a_resumed_step_counts_its_total_time_anew() -> None:
    plan = plan_of(step("p", kind="pivot"), step("r", kind="retriable", total_timeout_ms=500, queue_timeout_ms=400))
    world = World(plan, {"do.r": [no()]}).finish()
    world.now_ms += 60_000
    resume(world)
    assert world.messages[-1].timeout_ms == 500
    assert world.status == "completed"


def test_a_resumed_step_has_its_attempts_again() -> None:
    plan = plan_of(step("mail", undo=False, retry=TWICE))
    world = World(plan, {"do.mail": [unknown()] * 3}).finish()
    resume(world)
    assert world.calls == ["do.mail"] * 4
    assert [message.attempt for message in world.messages] == [1, 2, 1, 2]
    assert world.status == "completed"


def test_a_resumed_undo_has_its_attempts_again() -> None:
    plan = plan_of(step("a", undo_retry=SHORT), step("b"))
    world = World(plan, {"do.b": [no()], "undo.a": [unknown()] * 3}).finish()
    assert world.status == "stuck"
    resume(world)
    assert world.calls.count("undo.a") == 4
    assert world.status == "compensated"


def test_a_resumed_verification_is_asked_before_the_action_is_tried_again() -> None:
    plan = plan_of(step("a"), step("pay", retry=TWICE, verify=True))
    world = World(plan, {"do.pay": [unknown()], "look.pay": [unknown(), unknown(), not_landed(fenced=False)]}).finish()
    assert world.status == "stuck"
    resume(world)
    assert world.calls == ["do.a", "do.pay", "look.pay", "look.pay", "look.pay", "do.pay"]
    assert world.status == "completed"


def test_a_step_that_was_stuck_before_it_could_be_verified_is_not_tried_again_unasked() -> None:
    plan = plan_of(step("pay", retry=TWICE, verify=True, look_with={"x": "{{ input.nothing.there }}"}))
    world = World(plan, {"do.pay": [unknown()]}, input={}).finish()
    assert world.status == "stuck"
    resume(world)
    assert world.calls == ["do.pay"]
    assert world.status == "stuck"


def test_a_resume_of_a_run_that_is_not_stuck_is_refused() -> None:
    world = World(plan_of(step("a"))).start()
    (refused,) = world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
    assert isinstance(refused, ev.RequestRefused)


def test_a_resume_asks_every_stuck_operation_again() -> None:
    both = Step("both", "both", ParallelAction({"x": (step("a"),), "y": (step("b"),)}))
    world = World(plan_of(both, step("c")), {"do.c": [no()], "undo.a": [no()], "undo.b": [no()]}).finish()
    assert world.header.stuck == ("both.x/a", "both.y/b")
    resume(world)
    assert world.status == "compensated"


def test_a_run_stays_stuck_until_its_last_stuck_operation_is_settled() -> None:
    both = Step("both", "both", ParallelAction({"x": (step("a"),), "y": (step("b"),)}))
    world = World(plan_of(both, step("c")), {"do.c": [no()], "undo.a": [no()], "undo.b": [no()]}).finish()
    resolve(world, "a", "compensated")
    assert world.finish().status == "stuck"
    resolve(world, "b", "compensated")
    assert world.finish().status == "compensated"


def test_a_request_to_a_run_that_is_over_is_refused() -> None:
    world = World(plan_of(step("a"))).finish()
    for request in (ev.CancelRequested, ev.AbandonRequested, ev.ResumeRequested, ev.ResolveRequested):
        (refused,) = world.take(request(world.now_ms, nonce="n"))
        assert isinstance(refused, ev.RequestRefused)
    assert world.status == "completed"


def test_a_resolution_that_means_nothing_is_refused() -> None:
    world = World(plan_of(step("mail", undo=False)), {"do.mail": [unknown()]}).finish()
    (refused,) = resolve(world, "mail", "fine")
    assert isinstance(refused, ev.RequestRefused)
    assert "fine" in refused.why
    assert world.status == "stuck"


@pytest.mark.parametrize("as_", ["completed", "failed"])
def test_a_stuck_undo_is_settled_as_an_undo(as_: str) -> None:
    world = World(plan_of(step("a"), step("b")), {"do.b": [no()], "undo.a": [no()]}).finish()
    (refused,) = resolve(world, "a", as_)
    assert isinstance(refused, ev.RequestRefused)


def test_an_item_of_a_loop_is_resolved_by_its_path() -> None:
    loop = Step("loop", "loop", LoopAction("{{ [1, 2] }}", "item", (step("mail", undo=False),), max_parallel=2))
    world = World(plan_of(loop), {"do.mail": [unknown(), unknown()]}).start()
    world.claimed.update(world.tasks)
    world.finish()
    (refused,) = resolve(world, "mail", "failed")
    assert isinstance(refused, ev.RequestRefused)
    resolve(world, "loop#0/mail", "failed")
    resolve(world, "loop#1/mail", "failed")
    assert world.finish().status == "compensated"


def test_a_step_that_was_resolved_as_completed_gives_the_output_that_was_told_and_is_undone_with_it() -> None:
    pay = step("pay", on_unknown="halt", undo_with={"id": "{{ result.id }}"}, output="{{ result.nothing }}")
    last = step("z", with_={"id": "{{ steps.pay.output.id }}"})
    world = World(plan_of(pay, last), {"do.pay": [unknown()], "do.z": [no()]}).finish()
    resolve(world, "pay", "completed", {"id": 7})
    world.finish()
    assert world.inputs["do.z"] == {"id": 7}
    assert world.inputs["undo.pay"] == {"id": 7}


def test_a_step_that_was_resolved_as_failed_goes_to_its_handler() -> None:
    mail = step("mail", undo=False, catch=[Catch(steps=(step("h"),))])
    world = World(plan_of(mail), {"do.mail": [unknown()]}).finish()
    resolve(world, "mail", "failed")
    world.finish()
    assert world.calls == ["do.mail", "do.h"]
    assert world.status == "completed"


def test_a_failure_after_the_pivot_that_is_resolved_lets_the_run_go_on() -> None:
    scope = block("s", step("r", kind="retriable"), output=1)
    plan = plan_of(step("p", kind="pivot"), scope, step("z", kind="readonly"))
    world = World(plan, {"do.r": [no()]}).finish()
    resolve(world, "r", "completed")
    assert world.finish().status == "completed"
    assert world.calls == ["do.p", "do.r", "do.z"]


def test_what_is_stuck_says_which_step_and_attempt() -> None:
    world = World(plan_of(step("mail", undo=False, retry=TWICE)), {"do.mail": [unknown(), no_effect()]}).finish()
    error = world.run_node("mail").error
    assert error is not None
    assert (error.step, error.attempt) == ("mail", 2)


def test_an_abandoned_run_takes_no_more_notice() -> None:
    world = World(plan_of(step("a"), step("b"))).start()
    world.answer("a")
    world.take(ev.AbandonRequested(world.now_ms, nonce="n"))
    before = world.run
    world.take(ev.TaskSettled(world.now_ms, "b", "completed"))
    assert world.run is not None
    assert before is not None
    assert world.run.nodes == before.nodes


def test_a_step_that_is_resumed_after_its_scope_turned_back_is_undone_where_that_settles_it() -> None:
    both = Step("both", "both", ParallelAction({"x": (step("x", on_unknown="retry"),), "y": (step("y"),)}))
    world = World(plan_of(both, compensation_retry=SHORT), {"do.x": [unknown()] * 3, "do.y": [no()]}).start()
    while world.tasks.keys() != {"both.y/y"} or world.node_timers():
        world.answer("both.x/x") if "both.x/x" in world.tasks else world.fire()
    world.answer("both.y/y")
    assert world.status == "stuck"
    resume(world)
    assert world.calls == ["do.x", "do.x", "do.x", "do.y", "undo.x"]
    assert world.status == "compensated"


def test_an_output_that_a_person_has_to_give_cannot_be_skipped_or_called_failed() -> None:
    world = World(plan_of(step("p", kind="pivot"), output="{{ steps.p.output.nothing }}")).finish()
    assert world.header.stuck == ("",)
    for as_ in ("failed", "skipped", "compensated"):
        (refused,) = resolve(world, "output", as_)
        assert isinstance(refused, ev.RequestRefused)
    resolve(world, "output", "completed", 1)
    assert world.status == "completed"


def test_a_block_whose_output_is_broken_after_the_pivot_is_given_one_by_a_person() -> None:
    scope = block("s", step("r", kind="retriable"), output="{{ steps.r.output.nothing }}")
    world = World(plan_of(step("p", kind="pivot"), scope, step("z", kind="readonly"))).finish()
    assert world.header.stuck == ("s",)
    (refused,) = resolve(world, "s", "skipped")
    assert isinstance(refused, ev.RequestRefused)
    resolve(world, "s", "completed", "by hand")
    assert world.finish().status == "completed"


def test_nothing_can_be_skipped_before_the_pivot() -> None:
    world = World(plan_of(step("mail", undo=False)), {"do.mail": [unknown()]}).finish()
    (refused,) = resolve(world, "mail", "skipped")
    assert isinstance(refused, ev.RequestRefused)
    assert "completed" in refused.why


def test_a_failure_that_was_meant_can_be_skipped_after_the_pivot() -> None:
    stop = Step("stop", "stop", FailAction("too_bad"))
    world = World(plan_of(step("p", kind="pivot"), stop, step("z", kind="readonly"))).finish()
    assert world.header.stuck == ("stop",)
    resolve(world, "stop", "skipped")
    assert world.finish().calls == ["do.p", "do.z"]


def test_payloads_over_the_limit_after_the_pivot_are_left_to_a_person_once_a_step() -> None:
    scope = block("s", step("r", kind="retriable"))
    world = World(plan_of(step("p", kind="pivot"), scope)).start()
    world.answer("p")
    world.answer("s/r", {**ok(), "size": 5 << 20})
    assert world.header.stuck == ("s/r",)
    resolve(world, "r", "completed", 1)
    assert world.status == "completed"


def test_a_run_that_was_abandoned_holds_nothing_any_more() -> None:
    world = World(plan_of(step("p", kind="pivot"))).start()
    world.take(ev.CancelRequested(world.now_ms, nonce="c"))
    world.take(ev.AbandonRequested(world.now_ms, nonce="n"))
    assert world.header.pending == ""


def test_a_landed_verification_of_a_resumed_step_completes_it() -> None:
    plan = plan_of(step("pay", verify=True))
    world = World(plan, {"do.pay": [unknown()], "look.pay": [unknown(), unknown(), landed(ok()["output"])]}).finish()
    resume(world)
    assert world.status == "completed"


@pytest.mark.parametrize("container", [
    switch("c", ("{{ 1 }}", [step("x", kind="readonly")])),
    each("c", step("x", kind="readonly"), items="{{ input.nothing }}"),
    parallel("c", {"x": [step("x", kind="readonly")], "y": [step("y", kind="readonly")]}, join="any"),
    block("c", step("x", kind="readonly"), when="{{ input.nothing }}"),
])
def test_a_container_in_which_nothing_stands_can_be_skipped_after_the_pivot(container: Step) -> None:
    after = step("z", kind="readonly", with_={"c": "{{ steps.c.output | default('none') }}"})
    plan = plan_of(step("p", kind="pivot"), container, after)
    world = World(plan, {"do.x": [no()], "do.y": [no()]}, input={}).finish()
    assert world.header.stuck == ("c",)
    resolve(world, "c", "skipped")
    world.finish()
    assert world.inputs["do.z"] == {"c": "none"}
    assert world.status == "completed"


def test_an_item_that_is_stuck_over_its_output_is_named_by_its_path() -> None:
    loop = each("lines", step("x", kind="readonly"), items=[1, 2], max_parallel=2, item_output="{{ result.id }}")
    world = World(plan_of(step("p", kind="pivot"), loop), {"do.x": [ok({"id": 1}), ok({})]}).finish()
    assert world.header.stuck == ("lines#1",)
    resolve(world, "lines#1", "completed", 2)
    assert world.payload("lines:output") == [1, 2]
    assert world.status == "completed"


def test_more_stuck_operations_than_a_commit_holds_are_resumed_by_asking_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.interpreter.judge.MAX_RESUMED", 2)
    loop = each("lines", step("mail", undo=False), items=[1, 2, 3], max_parallel=3)
    world = World(plan_of(loop), {"do.mail": [unknown()] * 3}).start()
    world.claimed.update(world.tasks)
    world.finish()
    assert len(world.header.stuck) == 3
    world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
    assert len(world.header.stuck) == 1
    resume(world)
    assert world.status == "completed"


def test_a_case_that_is_chosen_late_never_settles_what_is_stuck_elsewhere() -> None:
    late = [wait("pause", "1h"), switch("s", (None, [step("y")]))]
    both = parallel("both", {"x": [step("mail", undo=False)], "y": late})
    world = World(plan_of(both), {"do.mail": [unknown()]}).start()
    world.answer("both.x/mail")
    world.fire()
    assert (world.status, world.header.stuck) == ("stuck", ("both.x/mail",))
    resolve(world, "mail", "completed")
    assert world.status == "running"
    assert world.finish().status == "completed"
