"""A child run on its way forward, what its end means for the step, and how the two come to one decision."""

from __future__ import annotations

from typing import Any

import msgspec

from runner.definition.model import Catch
from runner.interpreter import event as ev
from runner.interpreter.advance import advance
from runner.interpreter.run_id import child_run_id
from tests.world import (
    CHILD,
    PIVOT,
    World,
    block,
    cancel,
    each,
    family,
    no,
    plan_of,
    refused,
    repeat,
    run_error,
    step,
    sub,
    switch,
    unknown,
)


# -- forward ------------------------------------------------------------------------------------------
def test_a_childs_output_is_the_steps() -> None:
    seen = family(sub("s", with_={"k": "{{ input.n }}"}), step("z", with_={"x": "{{ steps.s.output }}"})).finish()
    assert seen.status == "completed"
    assert seen.calls == ["do.a", "do.b", "do.z"]
    assert seen.inputs["do.z"] == {"x": {"x": "b", "in": {"k": 1}}}
    assert (seen.child("s").header.parent, seen.child("s").header.parent_path) == ("run1", "s")


def test_the_end_of_a_child_is_provisional_until_the_root_is_decided() -> None:
    child = plan_of(step("a", confirm=True), finally_=[step("f", kind="readonly")])
    seen = family(sub("s"), step("z", confirm=True), child=child, finally_=[step("g", kind="readonly")]).start()
    seen.child("s").answer("a")
    assert seen.child("s").header.provisional
    assert seen.child("s").status == "running"
    assert seen.step_status("s") == "completed"
    seen.answer("z")
    assert seen.child("s").header.decided
    seen.finish()
    assert (seen.status, seen.child("s").status) == ("completed", "completed")
    assert seen.calls == ["do.a", "do.z", "tell.z", "tell.a", "do.f", "do.g"]


def test_the_root_waits_for_the_end_of_its_children_before_its_own() -> None:
    child = plan_of(step("a"), finally_=[step("f", kind="readonly")])
    seen = family(sub("s"), child=child, finally_=[step("g", kind="readonly")]).start()
    seen.child("s").answer("a")
    assert (list(seen.tasks), list(seen.child("s").tasks)) == ([], ["~finally/f"])
    seen.finish()
    assert seen.calls == ["do.a", "do.f", "do.g"]


def test_whoever_decides_the_start_of_a_child_starts_the_same_one() -> None:
    plan = plan_of(sub("s"))
    started = ev.RunStarted(1, "run1", "test", "1.0.0", "d", None)
    first, second = advance(plan, None, started), advance(plan, None, started)
    assert first.commands == second.commands
    assert [event.run_id for event in first.events if isinstance(event, ev.ChildStarted)] == [
        child_run_id("run1/s", 1)
    ]


def test_an_input_that_does_not_fit_is_a_definite_failure_and_nothing_is_started() -> None:
    child = plan_of(step("a"), input_schema={"type": "object", "properties": {"n": {"type": "integer"}}})
    seen = family(step("first"), sub("s", with_={"n": "one"}), child=child).finish()
    assert seen.status == "compensated"
    assert run_error(seen).code == "invalid_input"
    assert run_error(seen).step == "s"
    assert "n: " in run_error(seen).message
    assert seen.below == {}
    assert seen.calls == ["do.first", "undo.first"]


def test_the_defaults_of_the_childs_schema_are_filled_in() -> None:
    child = plan_of(step("a"), input_schema={"properties": {"n": {"default": 7}}}, output="{{ input.n }}")
    assert family(sub("s"), child=child, output="{{ steps.s.output }}").finish().payload("~output") == 7


def test_an_input_that_cannot_be_rendered_or_is_too_large_fails_the_step() -> None:
    assert run_error(family(sub("s", with_={"a": "{{ input.nothing }}"})).finish()).code == "expression_error"
    big = family(sub("s", with_={"a": "{{ input.big }}"}))
    big.input = {"big": "x" * (1 << 20)}
    assert run_error(big.finish()).code == "invalid_input"


def test_many_children_are_started_a_hundred_at_a_time() -> None:
    seen = World(plan_of(each("e", sub("s"), max_parallel=250)), {}, input=[1] * 250, plans={"child": CHILD})
    seen.is_slow = True
    seen.start()
    assert len(seen.below) == 100
    while seen.header.agenda:
        seen.take(ev.Continued(seen.now_ms))
    assert len(seen.below) == 250


# -- a child that fails -------------------------------------------------------------------------------
def test_a_child_that_failed_and_undid_itself_is_a_definite_failure_with_its_error() -> None:
    seen = family(step("first"), sub("s"), replies={"do.b": [no("empty")]}).finish()
    assert (seen.status, seen.child("s").status) == ("compensated", "compensated")
    assert seen.calls == ["do.first", "do.a", "do.b", "undo.a", "undo.first"]
    error = run_error(seen)
    assert (error.code, error.kind, error.step) == ("empty", "business", "s")
    assert error.details == {"run": seen.run_node("s").child, "step": "b"}


def test_the_error_of_a_child_can_be_caught_by_its_code() -> None:
    caught = Catch(errors=("empty",), steps=(step("other"),))
    seen = family(sub("s", catch=[caught]), step("z"), replies={"do.b": [no("empty")]}).finish()
    assert seen.status == "completed"
    assert seen.calls == ["do.a", "do.b", "undo.a", "do.other", "do.z"]


def test_a_child_that_was_cancelled_by_hand_fails_the_step() -> None:
    seen = family(sub("s")).start()
    cancel(seen.child("s"))
    seen.finish()
    assert (seen.child("s").status, seen.status, run_error(seen).code) == ("cancelled", "compensated", "cancelled")


def test_the_timeout_of_a_child_fails_the_step() -> None:
    seen = family(sub("s"), child=plan_of(step("a"), timeout_ms=50)).start()
    seen.child("s").claimed.add("a")
    seen.child("s").fire()
    assert run_error(seen.finish()).code == "run_timeout"
    assert seen.calls == ["do.a", "undo.a"]


def test_a_child_that_waits_for_its_parent_is_not_late() -> None:
    seen = family(sub("s"), step("z"), child=plan_of(step("a"), timeout_ms=50)).start()
    child = seen.child("s")
    child.answer("a")
    assert child.timers == {}
    child.take(ev.TimerFired(seen.now_ms, "~run@timeout"))  # it had fired already
    assert seen.finish().status == "completed"
    assert child.header.alerts == ()


def test_what_stands_of_a_child_stands_of_its_parent() -> None:
    child = plan_of(step("mail", undo=False, on_unknown="halt"), step("b"))
    seen = family(sub("s"), child=child, replies={"do.b": [no()]}).finish()
    assert seen.status == "compensated"
    assert [(each.step, each.reason) for each in seen.header.standing] == [("s/mail", "a test")]


# -- undo ---------------------------------------------------------------------------------------------
def test_a_child_that_completed_is_undone_when_its_parent_fails() -> None:
    child = plan_of(step("a"), step("b"), finally_=[step("f", kind="readonly", with_={"s": "{{ run.status }}"})])
    seen = family(step("first"), sub("s"), step("last"), child=child, replies={"do.last": [no()]}).finish()
    assert (seen.status, seen.child("s").status) == ("compensated", "compensated")
    assert seen.calls == ["do.first", "do.a", "do.b", "do.last", "undo.b", "undo.a", "do.f", "undo.first"]
    assert seen.inputs["do.f"] == {"s": "compensated"}
    assert seen.step_status("s") == "compensated"
    assert seen.child("s").payload("~output") is None
    assert seen.header.standing == ()


def test_the_undo_of_a_child_knows_its_cause() -> None:
    seen = family(sub("s"), step("last"), replies={"do.last": [no("sold_out")]}).finish()
    causes = {message.cause.code for message in seen.messages if message.phase == "compensate" and message.cause}
    assert causes == {"sold_out"}


def test_a_rollback_undoes_the_child_and_another_way_is_gone() -> None:
    tried = block("try", sub("s"), step("bad"), catch=[Catch(steps=(sub("again"),))])
    seen = family(tried, step("z"), replies={"do.bad": [no()]}).finish()
    assert seen.status == "completed"
    assert seen.calls == ["do.a", "do.b", "do.bad", "undo.b", "undo.a", "do.a", "do.b", "do.z"]
    assert [child.status for child in seen.below.values()] == ["compensated", "completed"]


def test_a_catch_that_keeps_what_completed_keeps_the_child_until_the_root_decides() -> None:
    kept = block("try", sub("s"), step("bad"), catch=[Catch(undo=False)])
    seen = family(kept, step("z"), replies={"do.bad": [no()]}).finish()
    assert (seen.status, seen.child("try/s").status) == ("completed", "completed")
    assert "undo.a" not in seen.calls


def test_a_child_whose_output_the_step_cannot_use_is_undone_all_the_same() -> None:
    seen = family(sub("s", output="{{ result.nothing }}")).finish()
    assert seen.status == "compensated"
    assert seen.calls == ["do.a", "do.b", "undo.b", "undo.a"]


def test_three_levels_go_forward_and_back_as_one() -> None:
    middle = plan_of(step("m"), sub("inner", of="inner"), step("n"))
    inner = plan_of(step("i", confirm=True), finally_=[step("f", kind="readonly")])
    plans = {"inner": inner}
    seen = family(sub("s"), step("z"), child=middle, plans=plans).finish()
    assert {each.status for each in seen.family()} == {"completed"}
    assert seen.calls == ["do.m", "do.i", "do.n", "do.z", "tell.i", "do.f"]

    seen = family(sub("s"), step("z"), child=middle, plans=plans, replies={"do.z": [no()]}).finish()
    assert {each.status for each in seen.family()} == {"compensated"}
    assert seen.calls == ["do.m", "do.i", "do.n", "do.z", "undo.n", "undo.i", "do.f", "undo.m"]


def test_children_of_a_loop_are_undone_last_to_first() -> None:
    seen = World(plan_of(each("e", sub("s", with_={"i": "{{ item }}"})), step("z")), {"do.z": [no()]}, input=[1, 2],
                 plans={"child": plan_of(step("a", undo_with={"i": "{{ input.i }}"}))})
    seen.finish()
    assert seen.status == "compensated"
    assert seen.calls == ["do.a", "do.a", "do.z", "undo.a", "undo.a"]
    undone = [each.run_node("a").undo_ended_at_ms for each in seen.below.values()]
    assert undone == sorted(undone, reverse=True)
    assert len({each.run_id for each in seen.below.values()}) == 2


def test_each_round_has_a_child_of_its_own() -> None:
    again = repeat("r", sub("s"), until="{{ false }}", max_rounds=3)
    seen = family(again, step("z"), replies={"do.z": [no()]}, child=plan_of(step("a"))).finish()
    assert seen.calls == ["do.a"] * 3 + ["do.z"] + ["undo.a"] * 3


def test_a_child_in_a_case_is_undone() -> None:
    seen = family(switch("w", ("{{ true }}", [sub("s")])), step("z"), replies={"do.z": [no()]}).finish()
    assert seen.calls == ["do.a", "do.b", "do.z", "undo.b", "undo.a"]


def test_a_handlers_child_is_undone_before_what_it_handled() -> None:
    tried = block("try", step("x"), step("bad"), catch=[Catch(undo=False, steps=(sub("s"),))])
    seen = family(tried, step("z"), replies={"do.bad": [no()], "do.z": [no()]}).finish()
    assert seen.calls == ["do.x", "do.bad", "do.a", "do.b", "do.z", "undo.b", "undo.a", "undo.x"]


# -- a compensation of the step's own -------------------------------------------------------------------
def test_a_child_with_a_compensation_of_the_steps_own_ends_by_itself_and_is_undone_by_that() -> None:
    child = plan_of(step("a", confirm=True), finally_=[step("f", kind="readonly")])
    seen = family(sub("s", undo=True), step("z"), child=child, replies={"do.z": [no()]}).start()
    seen.child("s").answer("a")
    seen.child("s").answer("a")  # its confirmation
    seen.child("s").answer("~finally/f")
    assert seen.child("s").status == "completed"
    seen.finish()
    assert seen.status == "compensated"
    assert seen.calls == ["do.a", "tell.a", "do.f", "do.z", "undo.s"]
    assert seen.inputs["undo.s"] == {"ref": "run1/s"}


def test_the_compensation_of_a_child_may_read_its_output() -> None:
    seen = family(sub("s", undo=True, undo_with={"x": "{{ result.x }}"}), step("z"), replies={"do.z": [no()]}).finish()
    assert seen.inputs["undo.s"] == {"x": "b"}


def test_a_child_past_its_pivot_is_waited_for_and_then_undone_by_the_steps_compensation() -> None:
    seen = family(sub("s", undo=True, pivot=True), child=PIVOT).start()
    seen.child("s").answer("a")
    seen.child("s").answer("p")
    cancel(seen)
    seen.finish()
    assert (seen.status, seen.child("s").status) == ("cancelled", "completed")
    assert seen.calls == ["do.a", "do.p", "do.r", "undo.s"]


def test_an_abandoned_child_is_undone_by_the_steps_compensation() -> None:
    seen = family(sub("s", undo=True)).start()
    seen.child("s").answer("a")
    seen.child("s").take(ev.AbandonRequested(seen.now_ms, nonce="a"))
    seen.finish()
    assert (seen.status, run_error(seen).code) == ("compensated", "child_abandoned")
    assert seen.calls == ["do.a", "undo.s"]


def test_a_child_that_failed_needs_no_compensation() -> None:
    seen = family(sub("s", undo=True), replies={"do.a": [no()]}).finish()
    assert (seen.status, seen.calls) == ("compensated", ["do.a"])


# -- behind the pivot -----------------------------------------------------------------------------------
def behind_a_pivot(reply: Any) -> World:
    seen = family(step("p", kind="pivot"), sub("s"), replies={"do.a": [reply]}, output="{{ steps.s.output }}").finish()
    assert seen.status == "stuck"
    return seen


def test_a_child_that_fails_behind_the_pivot_is_stuck_and_may_be_started_anew() -> None:
    seen = behind_a_pivot(no())
    first = seen.child("s")
    assert first.status == "compensated"
    seen.take(ev.ResumeRequested(seen.now_ms, nonce="r"))
    seen.finish()
    assert seen.status == "completed"
    assert seen.child("s").run_id == child_run_id("run1/s", 2) != first.run_id
    assert len(seen.below) == 2


def test_a_child_that_fails_behind_the_pivot_may_be_settled_by_hand() -> None:
    seen = behind_a_pivot(no())
    told = seen.take(ev.ResolveRequested(seen.now_ms, nonce="r", step="s", as_="completed", output={"by": "hand"}))
    assert refused(told) == []
    assert seen.finish().payload("~output") == {"by": "hand"}
    assert seen.status == "completed"


def test_a_child_that_was_abandoned_behind_the_pivot_is_not_started_again() -> None:
    seen = family(step("p", kind="pivot"), sub("s"), output=None).start()
    seen.answer("p")
    seen.child("s").take(ev.AbandonRequested(seen.now_ms, nonce="a"))
    assert seen.finish().status == "stuck"
    seen.take(ev.ResumeRequested(seen.now_ms, nonce="r"))
    assert seen.finish().status == "stuck"
    assert len(seen.below) == 1
    seen.take(ev.ResolveRequested(seen.now_ms, nonce="r2", step="s", as_="skipped"))
    assert seen.finish().status == "completed"


def test_the_refusal_to_settle_a_step_that_waits_for_its_child_says_where_to_go() -> None:
    seen = family(sub("s"), child=plan_of(step("a", undo=False)), replies={"do.a": [unknown()]}).finish()
    for request in (ev.ResolveRequested(seen.now_ms, nonce="r", step="s", as_="completed"),
                    ev.ResumeRequested(seen.now_ms, nonce="r2")):
        (why,) = refused(seen.take(request))
        assert f"run {seen.child('s').run_id}" in why


# -- the record ---------------------------------------------------------------------------------------
def test_a_family_that_is_taken_up_by_other_engines_at_every_step_does_the_same() -> None:
    def story(*, reloading: bool) -> tuple[list[str], list[str]]:
        middle = plan_of(step("m"), sub("inner", of="inner"), step("n"))
        seen = family(sub("s"), step("z"), child=middle, plans={"inner": CHILD}, replies={"do.z": [no()]})
        seen.is_deaf = True
        seen.start()
        while seen.unheard or any(each.tasks for each in seen.family()):
            for member in seen.family():
                if reloading and member.run is not None:
                    member.reload()
            if seen.unheard:
                seen.deliver()
            else:
                busy = next(each for each in seen.family() if each.tasks)
                busy.answer(min(busy.tasks))
        return seen.calls, [each.status for each in seen.family()]

    assert story(reloading=True) == story(reloading=False)


def test_news_of_another_child_than_the_present_one_is_not_heard() -> None:
    seen = behind_a_pivot(no())
    late = ev.ChildTold(seen.now_ms, "s", seen.child("s").run_id, "ended", status="completed")
    assert seen.take(late) == []
    assert seen.take(msgspec.structs.replace(late, path="nowhere")) == []
    assert seen.take(msgspec.structs.replace(late, run_id="other")) == []
