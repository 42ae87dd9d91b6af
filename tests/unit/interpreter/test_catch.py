"""Handlers: what is undone first, what they see, what becomes of variables and outputs, and nested ones."""

from __future__ import annotations

from typing import Any

import pytest

from runner.definition.model import Catch, FailAction, LoopAction, ParallelAction, Retry, SetAction, Step
from runner.interpreter import event as ev
from tests.world import ONCE, World, block, no, not_landed, ok, plan_of, run_error, step, unknown

SHORT = Retry(max_attempts=2, initial_ms=10, jitter="none")
RETHROW = Step("again", "again", FailAction(rethrow=True))


def setting(id: str, **values: Any) -> Step:
    return Step(id, id, SetAction(values))


def reading(id: str, **with_: str) -> Step:
    return step(id, kind="readonly", with_=with_)


# -- what is undone first -------------------------------------------------------------------------------
@pytest.mark.parametrize("errors", [("declined",), ("business",), ("any",), ("other", "declined")])
def test_a_handler_takes_errors_by_code_by_kind_or_any(errors: tuple[str, ...]) -> None:
    scope = block("s", step("x"), catch=[Catch(errors=errors, steps=(step("instead"),))])
    world = World(plan_of(scope), {"do.x": [no()]}).finish()
    assert world.calls == ["do.x", "do.instead"]


@pytest.mark.parametrize("errors", [("other",), ("technical",)])
def test_an_error_that_no_handler_takes_goes_up(errors: tuple[str, ...]) -> None:
    scope = block("s", step("x"), catch=[Catch(errors=errors, steps=(step("instead"),))])
    assert World(plan_of(scope), {"do.x": [no()]}).finish().status == "compensated"


def test_a_handler_that_keeps_what_completed_settles_an_unknown_step_in_a_handler_below() -> None:
    inner = block("inner", step("x"), catch=[Catch(undo=False, steps=(step("y"),))])
    scope = block("s", step("a"), inner, catch=[Catch(undo=False, steps=(step("z"),))])
    world = World(plan_of(scope), {"do.x": [no()], "do.y": [unknown()]}).finish()
    assert world.calls == ["do.a", "do.x", "do.y", "undo.y", "do.z"]
    assert world.status == "completed"


def test_a_handler_that_keeps_what_completed_settles_unknown_steps_of_every_branch_and_item() -> None:
    loop = Step("loop", "loop", LoopAction("{{ [1, 2] }}", "item", (step("w"),), max_parallel=2))
    both = Step(
        "both", "both", ParallelAction({"x": (step("x"),), "y": (step("k"), step("y")), "z": (loop,)}),
        catch=(Catch(undo=False, steps=(step("after"),)),),
    )
    replies = {"do.x": [no()], "do.y": [unknown()], "do.w": [ok(), unknown()]}
    world = World(plan_of(both), replies).start()
    world.answer("both.y/k")
    world.claimed.update({"both.y/y", "both.z/loop#0/w", "both.z/loop#1/w"})
    world.answer("both.x/x")
    world.finish()
    assert sorted(call for call in world.calls if call.startswith("undo")) == ["undo.w", "undo.y"]
    assert world.calls[-1] == "do.after"


def test_an_unknown_step_is_undone_before_its_own_handler_runs_though_that_keeps_what_completed() -> None:
    pay = step("pay", catch=[Catch(undo=False, steps=(step("instead"),))])
    world = World(plan_of(pay), {"do.pay": [unknown()]}).finish()
    assert world.calls == ["do.pay", "undo.pay", "do.instead"]


def test_what_a_handler_kept_is_undone_when_the_run_fails_later() -> None:
    scope = block("s", step("a"), step("x"), catch=[Catch(undo=False, steps=(step("h"),))])
    world = World(plan_of(scope, step("last")), {"do.x": [no()], "do.last": [no()]}).finish()
    assert world.calls == ["do.a", "do.x", "do.h", "do.last", "undo.h", "undo.a"]


def test_a_rethrown_error_goes_to_the_handler_around_with_everything_undone_once() -> None:
    inner = block("inner", step("x"), step("y"), catch=[Catch(steps=(step("h"), RETHROW))])
    outer = block("outer", step("w"), inner, catch=[Catch(steps=(reading("z", code="{{ error.code }}"),))])
    world = World(plan_of(outer), {"do.y": [no()]}).finish()
    assert world.calls == ["do.w", "do.x", "do.y", "undo.x", "do.h", "undo.h", "undo.w", "do.z"]
    assert world.inputs["do.z"] == {"code": "declined"}


def test_a_failing_handler_is_not_caught_by_the_step_that_it_belongs_to() -> None:
    scope = block("s", step("x"), catch=[Catch(errors=("declined",), steps=(step("h"),)), Catch()])
    world = World(plan_of(scope), {"do.x": [no()], "do.h": [no("worse")]}).finish()
    assert world.status == "compensated"
    assert run_error(world).code == "worse"


# -- what a handler sees --------------------------------------------------------------------------------
def test_a_handler_sees_every_field_of_the_error() -> None:
    fields = ("code", "kind", "message", "details", "step", "attempt", "cause")
    shown = reading("h", **{name: f"{{{{ error.{name} }}}}" for name in fields})
    world = World(plan_of(block("s", step("x", retry=ONCE), catch=[Catch(steps=(shown,))])), {"do.x": [unknown()]})
    world.finish()
    assert world.inputs["do.h"] == {
        "code": "timeout", "kind": "technical", "message": "no answer", "details": None, "step": "x", "attempt": 1,
        "cause": "",
    }


def test_a_handlers_condition_sees_every_field_of_the_error() -> None:
    when = "{{ error.kind == 'technical' and error.step == 'x' and error.attempt == 1 and error.cause == '' }}"
    scope = block("s", step("x"), catch=[Catch(when=when, steps=(step("h"),))])
    assert World(plan_of(scope), {"do.x": [unknown()]}).finish().calls == ["do.x", "undo.x", "do.h"]


def test_a_step_shows_every_field_of_its_error() -> None:
    seen = reading("z", kind="{{ steps.x.error.kind }}", cause="{{ steps.x.error.cause }}")
    world = World(plan_of(step("x", catch=[Catch()]), seen), {"do.x": [unknown()]}).finish()
    assert world.inputs["do.z"] == {"kind": "technical", "cause": ""}


def test_a_handlers_condition_that_is_broken_catches_nothing_and_says_so() -> None:
    scope = block("s", step("x"), catch=[Catch(when="{{ input.nothing.there }}"), Catch(errors=("other",))])
    world = World(plan_of(scope), {"do.x": [no()]}, input={}).finish()
    assert world.status == "compensated"
    assert run_error(world).code == "declined"
    assert "catch 0: when" in run_error(world).cause


def test_a_broken_condition_of_a_step_can_be_caught_by_its_scope() -> None:
    scope = block("s", step("x"), step("y", when="{{ input.nothing > 1 }}"), catch=[Catch(errors=("technical",))])
    world = World(plan_of(scope, step("z")), input={}).finish()
    assert world.calls == ["do.x", "undo.x", "do.z"]


def test_a_broken_condition_that_nobody_catches_undoes_the_run() -> None:
    world = World(plan_of(step("x"), step("y", when="{{ 'yes' }}"))).finish()
    assert world.calls == ["do.x", "undo.x"]
    assert (run_error(world).code, run_error(world).step) == ("expression_error", "y")


@pytest.mark.parametrize(
    ("scope", "cause"),
    [
        (block("s", step("x"), step("y"), catch=[Catch()]), "declined"),
        (block("s", step("x"), step("y", catch=[Catch(errors=("other",))]), catch=[Catch()]), "declined"),
    ],
)
def test_an_undo_for_a_catch_is_told_the_error_that_was_caught(scope: Step, cause: str) -> None:
    world = World(plan_of(scope), {"do.y": [no()]}).finish()
    (undo,) = [message for message in world.messages if message.phase == "compensate"]
    assert undo.cause is not None
    assert undo.cause.code == cause


def test_an_undo_inside_a_handler_is_told_the_inner_error() -> None:
    inner = block("inner", step("x"), step("y"), catch=[Catch()])
    outer = block("outer", step("w"), catch=[Catch(steps=(inner,))])
    world = World(plan_of(outer), {"do.w": [no("first")], "do.y": [no("second")]}).finish()
    (undo,) = [message for message in world.messages if message.phase == "compensate"]
    assert undo.cause is not None
    assert undo.cause.code == "second"


def test_the_undo_of_a_run_is_told_why_it_goes_back() -> None:
    world = World(plan_of(step("x"), step("y")), {"do.y": [no()]}).finish()
    assert world.messages[-1].cause == run_error(world)


# -- outputs and variables ------------------------------------------------------------------------------
def test_the_output_of_an_undone_step_is_absent() -> None:
    scope = block("s", step("x"), reading("r", a="1"), step("y"), catch=[Catch()])
    seen = reading(
        "z", x="{{ steps.x.output.did | default('gone') }}", r="{{ steps.r.output | default('gone') }}",
        s="{{ steps.s.output | default('gone') }}", status="{{ steps.x.status }}",
    )
    world = World(plan_of(scope, seen), {"do.y": [no()]}).finish()
    assert world.inputs["do.z"] == {"x": "gone", "r": "gone", "s": "gone", "status": "compensated"}


def test_a_handler_gives_the_output_of_its_last_step_or_its_own() -> None:
    one = block("one", step("x"), catch=[Catch(steps=(step("h"),))])
    two = block("two", step("y"), catch=[Catch(output="{{ error.code }}")])
    seen = reading("z", one="{{ steps.one.output.did }}", two="{{ steps.two.output }}")
    world = World(plan_of(one, two, seen), {"do.x": [no()], "do.y": [no()]}).finish()
    assert world.inputs["do.z"] == {"one": "h", "two": "declined"}


def test_variables_that_a_scope_set_revert_when_it_is_undone() -> None:
    scope = block(
        "s", setting("v1", n=2, m="new"), setting("v2", n=3), step("x"),
        catch=[Catch(steps=(reading("h", n="{{ vars.n }}", m="{{ vars.m | default('none') }}"),))],
    )
    world = World(plan_of(scope, vars={"n": 1}), {"do.x": [no()]}).finish()
    assert world.inputs["do.h"] == {"n": 1, "m": "none"}


def test_variables_stay_when_a_handler_keeps_what_completed() -> None:
    scope = block("s", setting("v", n=2), step("x"), catch=[Catch(undo=False)])
    world = World(plan_of(scope, reading("z", n="{{ vars.n }}"), vars={"n": 1}), {"do.x": [no()]}).finish()
    assert world.inputs["do.z"] == {"n": 2}


def test_variables_revert_through_nested_rollbacks() -> None:
    inner = block("inner", setting("v2", n=3), step("x"), catch=[Catch(steps=(setting("v3", n=4),))])
    outer = block("outer", setting("v1", n=2), inner, reading("mid", n="{{ vars.n }}"), step("y"), catch=[Catch()])
    last = reading("z", n="{{ vars.n }}")
    world = World(plan_of(outer, last, vars={"n": 1}), {"do.x": [no()], "do.y": [no()]}).finish()
    assert world.inputs["do.mid"] == {"n": 4}
    assert world.inputs["do.z"] == {"n": 1}


def test_a_value_of_null_is_restored_as_such() -> None:
    scope = block("s", setting("v", n=2), step("x"), catch=[Catch()])
    world = World(plan_of(scope, reading("z", n="{{ vars.n }}"), vars={"n": None}), {"do.x": [no()]}).finish()
    assert world.inputs["do.z"] == {"n": None}


# -- on_failure: continue --------------------------------------------------------------------------------
CONTINUE = [Catch()]


@pytest.mark.parametrize(
    ("failing", "replies", "calls", "status"),
    [
        (step("x", catch=CONTINUE), {"do.x": [no()]}, ["do.x", "do.z"], "completed"),
        (step("x", catch=CONTINUE), {"do.x": [unknown()]}, ["do.x", "undo.x", "do.z"], "completed"),
        (step("x", catch=CONTINUE, on_unknown="halt"), {"do.x": [unknown()]}, ["do.x"], "stuck"),
        (step("x", catch=CONTINUE, undo=False), {"do.x": [unknown()]}, ["do.x"], "stuck"),
        (step("x", catch=CONTINUE, undo=False), {"do.x": [no()]}, ["do.x", "do.z"], "completed"),
        (step("x", catch=CONTINUE, on_unknown="retry"), {"do.x": [unknown()] * 9}, ["do.x"] * 3, "stuck"),
        (step("x", catch=CONTINUE, kind="readonly"), {"do.x": [unknown()]}, ["do.x", "do.z"], "completed"),
        (
            step("x", catch=CONTINUE, verify=True),
            {"do.x": [unknown()], "look.x": [not_landed()]}, ["do.x", "look.x", "do.z"], "completed",
        ),
        (
            step("x", catch=CONTINUE, verify=True),
            {"do.x": [unknown()], "look.x": [not_landed(fenced=False)]},
            ["do.x", "look.x", "undo.x", "do.z"], "completed",
        ),
        (
            step("x", catch=CONTINUE, verify=True),
            {"do.x": [unknown()], "look.x": [unknown()] * 2}, ["do.x", "look.x", "look.x"], "stuck",
        ),
    ],
)
def test_a_run_that_goes_on_after_a_failure_has_settled_it_first(
    failing: Step, replies: dict[str, Any], calls: list[str], status: str
) -> None:
    world = World(plan_of(failing, step("z"), compensation_retry=SHORT), replies).finish()
    assert world.calls == calls
    assert world.status == status


# -- stuck in a rollback ----------------------------------------------------------------------------------
def stuck_in_a_rollback() -> World:
    scope = block("s", step("x"), step("y"), catch=[Catch(steps=(step("h"),))])
    return World(plan_of(step("a"), scope, step("z")), {"do.y": [no()], "undo.x": [no("refused")]}).finish()


def test_a_rollback_that_is_stuck_goes_on_to_its_handler_when_it_is_resumed() -> None:
    world = stuck_in_a_rollback()
    assert world.header.stuck == ("s/x",)
    world.take(ev.ResumeRequested(world.now_ms, nonce="n"))
    world.finish()
    assert world.calls == ["do.a", "do.x", "do.y", "undo.x", "undo.x", "do.h", "do.z"]
    assert world.status == "completed"


def test_a_rollback_that_is_settled_by_hand_goes_on_to_its_handler() -> None:
    world = stuck_in_a_rollback()
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="x", as_="compensated"))
    assert world.finish().status == "completed"


def test_a_run_whose_rollback_skipped_an_undo_ends_abandoned_and_says_what_stands() -> None:
    world = stuck_in_a_rollback()
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="x", as_="skipped"))
    world.finish()
    assert world.calls[-2:] == ["do.h", "do.z"]
    assert world.status == "abandoned"
    assert "s/x" in [standing.step for standing in world.header.standing]


def test_a_rollback_that_is_stuck_can_be_abandoned() -> None:
    world = stuck_in_a_rollback()
    world.take(ev.AbandonRequested(world.now_ms, nonce="n"))
    assert world.status == "abandoned"
    assert [standing.step for standing in world.header.standing] == ["a", "s/x"]


def test_a_step_whose_undo_was_skipped_goes_on_with_its_handler() -> None:
    pay = step("pay", catch=[Catch(steps=(step("h"),))])
    world = World(plan_of(pay, step("z")), {"do.pay": [unknown()], "undo.pay": [no("refused")]}).finish()
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="pay", as_="skipped"))
    world.finish()
    assert world.calls == ["do.pay", "undo.pay", "do.h", "do.z"]
    assert world.status == "abandoned"


def test_a_skipped_undo_is_still_standing_after_everything_around_it_was_undone() -> None:
    pay = step("pay", catch=[Catch(steps=(step("h"),))])
    replies = {"do.pay": [unknown()], "undo.pay": [no("refused")], "do.z": [no()]}
    world = World(plan_of(pay, step("z")), replies).finish()
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="pay", as_="skipped"))
    world.finish()
    assert world.status == "abandoned"
    assert world.step_status("pay") == "compensation_failed"
    (standing,) = world.header.standing
    assert standing.step == "pay"
    assert "refused" in standing.reason


def test_an_undo_that_cannot_be_rendered_is_stuck_and_may_be_skipped() -> None:
    pay = step("pay", undo_with={"id": "{{ result.id }}"}, on_unknown="compensate", catch=[Catch(steps=(step("h"),))])
    world = World(plan_of(pay), {"do.pay": [unknown()]}).finish()
    assert world.step_status("pay") == "compensation_failed"
    world.take(ev.ResolveRequested(world.now_ms, nonce="n", step="pay", as_="skipped"))
    assert world.finish().status == "abandoned"


def test_late_parts_of_an_undo_that_failed_are_never_rendered_as_if_there_were_no_result() -> None:
    """The result is there and cannot be used; undoing something else in its place would be wrong."""
    undo_with = {"id": "{{ result.id | default('none') }}", "sum": "{{ (result.sum | default(0)) + 1 }}"}
    world = World(plan_of(step("pay", undo_with=undo_with)), {"do.pay": [ok({"id": 7, "sum": "much"})]}).finish()
    assert world.status == "stuck"
    assert "undo.pay" not in world.calls
