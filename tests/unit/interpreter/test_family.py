"""A child and its parent: what they tell each other when one of them is stopped, stuck, or past its pivot."""

from __future__ import annotations

from typing import Any

import pytest

from runner.definition.model import Catch
from runner.interpreter import event as ev
from tests.world import (
    CHILD,
    PIVOT,
    World,
    block,
    cancel,
    each,
    family,
    no,
    ok,
    parallel,
    plan_of,
    refused,
    run_error,
    step,
    sub,
    unknown,
    wait_for,
)


# -- halting ------------------------------------------------------------------------------------------
def test_a_cancel_of_the_parent_cancels_the_child() -> None:
    seen = family(step("first"), sub("s")).start()
    seen.answer("first")
    child = seen.child("s")
    child.answer("a")
    child.claimed.add("b")
    cancel(seen)
    assert child.killed == {"b"}
    seen.finish()
    assert (seen.status, child.status) == ("cancelled", "cancelled")
    assert seen.calls == ["do.first", "do.a", "do.b", "undo.b", "undo.a", "undo.first"]


def test_a_cancel_of_the_parent_undoes_a_child_that_has_done_its_last_step() -> None:
    seen = family(sub("s"), step("z")).start()
    for path in ("a", "b"):
        seen.child("s").answer(path)
    cancel(seen)
    seen.finish()
    assert (seen.status, seen.child("s").status) == ("cancelled", "cancelled")
    assert seen.calls == ["do.a", "do.b", "undo.b", "undo.a"]


def test_the_cancel_of_a_child_whose_end_is_provisional_is_refused() -> None:
    seen = family(sub("s"), step("z"), child=plan_of(step("a"))).start()
    seen.child("s").answer("a")
    assert refused(cancel(seen.child("s"))) == [
        "the run has done its last step; what becomes of that is for its parent to say, run run1"]
    assert seen.finish().status == "completed"


def test_a_cancel_that_crosses_the_last_step_of_the_child_ends_in_its_undo() -> None:
    """The child has said that it completed, and nobody has heard it, when the parent is cancelled."""
    seen = family(sub("s"), child=plan_of(step("a")))
    seen.is_deaf = True
    seen.start()
    seen.deliver()
    child = seen.child("s")
    child.answer("a")
    cancel(seen)
    assert [type(told).__name__ for _, told in seen.unheard] == ["ChildTold", "ParentTold"]
    seen.finish()
    assert (seen.status, child.status, seen.calls) == ("cancelled", "cancelled", ["do.a", "undo.a"])


def test_a_cancel_that_crosses_the_failure_of_the_child_changes_nothing_of_it() -> None:
    seen = family(sub("s"), child=plan_of(step("a")), replies={"do.a": [no()]})
    seen.is_deaf = True
    seen.start()
    seen.deliver()
    seen.child("s").answer("a")
    cancel(seen)
    seen.finish()
    assert (seen.status, seen.child("s").status) == ("cancelled", "compensated")


def test_a_run_that_is_cancelled_with_its_start_cancels_what_it_started() -> None:
    seen = family(sub("s"))
    seen.is_deaf = True
    seen.start()
    cancel(seen)
    seen.finish()
    assert (seen.status, seen.child("s").status, seen.calls) == ("cancelled", "cancelled", [])


@pytest.mark.parametrize("how", ["drain", "cancel"])
def test_a_failing_branch_drains_the_child_beside_it_or_cancels_it(how: str) -> None:
    seen = family(parallel("p", {"x": [step("bad")], "y": [sub("s")]}, on_failure=how),
                 replies={"do.bad": [no()]}).start()
    child = seen.child("p.y/s")
    child.claimed.add("a")
    seen.answer("p.x/bad")
    assert child.header.ending == "cancelled"
    assert child.killed == ({"a"} if how == "cancel" else set())
    seen.finish()
    assert seen.calls == ["do.bad", "do.a", "undo.a"]
    assert (seen.status, child.status) == ("compensated", "cancelled")


def test_a_cancel_on_top_of_a_drain_reaches_what_the_child_has_claimed() -> None:
    seen = family(parallel("p", {"x": [step("bad")], "y": [sub("s")]}), replies={"do.bad": [no()]}).start()
    child = seen.child("p.y/s")
    child.claimed.add("a")
    seen.answer("p.x/bad")
    assert child.killed == set()
    cancel(seen)
    assert child.killed == {"a"}


def test_a_person_may_end_what_a_drained_child_has_claimed() -> None:
    seen = family(parallel("p", {"x": [step("bad")], "y": [sub("s")]}), replies={"do.bad": [no()]}).start()
    child = seen.child("p.y/s")
    child.claimed.add("a")
    seen.answer("p.x/bad")
    cancel(child)
    assert child.killed == {"a"}


def test_the_first_branch_wins_and_the_child_of_another_is_undone() -> None:
    seen = family(parallel("p", {"x": [step("fast")], "y": [sub("s"), step("slow")]}, join="any"), step("z")).start()
    for path in ("a", "b"):
        seen.child("p.y/s").answer(path)
    seen.answer("p.x/fast")
    seen.finish()
    assert seen.status == "completed"
    assert seen.calls == ["do.a", "do.b", "do.fast", "undo.b", "undo.a", "do.z"]


def test_a_child_that_waits_for_a_signal_goes_back_at_once() -> None:
    seen = family(sub("s"), child=plan_of(step("a"), wait_for("w"))).start()
    seen.child("s").answer("a")
    cancel(seen)
    assert seen.finish().calls == ["do.a", "undo.a"]


# -- the point of no return -----------------------------------------------------------------------------
def test_a_child_past_its_pivot_makes_the_parent_refuse_a_cancel() -> None:
    seen = family(step("first"), sub("s", pivot=True), step("z", kind="retriable", undo=False), child=PIVOT).start()
    seen.answer("first")
    seen.child("s").answer("a")
    seen.child("s").answer("p")
    assert seen.header.pivot == "passed"
    assert refused(cancel(seen)) == ["the run is past its point of no return"]
    seen.finish()
    assert (seen.status, seen.child("s").status) == ("completed", "completed")


def test_a_child_before_its_pivot_is_cancelled_with_its_parent() -> None:
    seen = family(step("first"), sub("s", pivot=True), child=PIVOT).start()
    seen.answer("first")
    seen.child("s").claimed.add("a")
    assert seen.header.pivot == "in_flight"
    cancel(seen)
    assert seen.child("s").killed == {"a"}
    seen.finish()
    assert (seen.status, seen.child("s").status) == ("cancelled", "cancelled")
    assert seen.calls == ["do.first", "do.a", "undo.a", "undo.first"]


@pytest.mark.parametrize(("reply", "status"), [(ok(), "completed"), (no(), "cancelled")])
def test_a_cancel_is_held_while_the_pivot_of_the_child_is_in_flight(reply: Any, status: str) -> None:
    seen = family(sub("s", pivot=True), child=PIVOT, replies={"do.p": [reply]}).start()
    child = seen.child("s")
    child.answer("a")
    child.claimed.add("p")
    assert refused(cancel(seen)) == []
    assert child.header.pending == "cancel"
    seen.finish()
    assert (seen.status, child.status) == (status, status)
    assert bool(seen.of(ev.RequestRefused)) == (status == "completed")


def test_the_timeout_of_a_parent_turns_a_child_back_that_is_before_its_pivot() -> None:
    seen = family(sub("s", pivot=True), child=PIVOT, timeout_ms=50).start()
    seen.child("s").claimed.add("a")
    seen.fire()
    seen.finish()
    assert (seen.status, run_error(seen).code) == ("compensated", "run_timeout")
    assert seen.child("s").status == "cancelled"


def test_the_timeout_of_a_parent_only_alerts_when_the_child_is_past_its_pivot() -> None:
    seen = family(sub("s", pivot=True), child=PIVOT, timeout_ms=50).start()
    seen.child("s").answer("a")
    seen.child("s").answer("p")
    seen.fire()
    seen.finish()
    assert seen.status == "completed"
    assert seen.header.alerts == ("the run is over its timeout of 50 ms",)


def test_a_child_that_fails_before_its_pivot_lets_the_parent_go_back() -> None:
    seen = family(step("first"), sub("s", pivot=True), child=PIVOT, replies={"do.a": [no()]}).finish()
    assert (seen.status, seen.calls) == ("compensated", ["do.first", "do.a", "undo.first"])


def test_a_pivot_is_known_three_levels_up() -> None:
    seen = family(sub("s", pivot=True), child=plan_of(sub("inner", of="inner", pivot=True)),
                 plans={"inner": PIVOT}).start()
    inner = seen.child("s").child("inner")
    inner.answer("a")
    inner.answer("p")
    assert refused(cancel(seen)) == ["the run is past its point of no return"]
    assert seen.finish().status == "completed"


# -- abandoned ----------------------------------------------------------------------------------------
def test_an_abandoned_child_makes_the_step_unknown_and_its_parent_end_abandoned() -> None:
    seen = family(step("first"), sub("s")).start()
    seen.answer("first")
    child = seen.child("s")
    child.answer("a")
    child.take(ev.AbandonRequested(seen.now_ms, nonce="a"))
    seen.finish()
    assert seen.status == "abandoned"
    assert (run_error(seen).code, run_error(seen).details) == ("child_abandoned", {"run": child.run_id})
    assert seen.calls == ["do.first", "do.a", "undo.first"]
    assert [(each.step, each.reason) for each in seen.header.standing] == [
        ("s/a", "took effect and was not undone"), ("s/b", "was still running")]


def test_a_child_that_is_abandoned_while_it_is_undone_leaves_its_parent_abandoned() -> None:
    seen = family(step("first"), sub("s"), step("z"), replies={"do.z": [no()], "undo.b": [no()]}).finish()
    assert seen.child("s").status == "stuck"
    seen.child("s").take(ev.AbandonRequested(seen.now_ms, nonce="a"))
    seen.finish()
    assert seen.status == "abandoned"
    assert seen.calls[-1] == "undo.first"
    assert {each.step for each in seen.header.standing} == {"s/a", "s/b"}
    assert seen.step_status("s") == "compensation_failed"


def test_a_skipped_undo_of_a_child_is_never_called_compensated_above() -> None:
    seen = family(sub("s"), step("z"), replies={"do.z": [no()], "undo.b": [no()]}).finish()
    seen.child("s").take(ev.ResolveRequested(seen.now_ms, nonce="r", step="b", as_="skipped"))
    seen.finish()
    assert (seen.child("s").status, seen.status) == ("abandoned", "abandoned")
    assert [each.step for each in seen.header.standing] == ["s/b"]


@pytest.mark.parametrize("levels", [1, 2])
def test_a_skipped_undo_in_a_child_that_went_on_is_one_of_the_root(levels: int) -> None:
    """As it would be, had the root done the child's steps itself."""
    child = plan_of(block("scope", step("a"), step("x"), catch=[Catch()]), step("c"))
    plans = {"child": plan_of(sub("s", of="inner")), "inner": child} if levels == 2 else {"child": child}
    seen = family(sub("s"), step("z"), replies={"do.x": [no()], "undo.a": [no()]}, plans=plans).finish()
    lowest = seen.family()[-1]
    lowest.take(ev.ResolveRequested(seen.now_ms, nonce="r", step="a", as_="skipped"))
    seen.finish()
    assert {run.status for run in seen.family()} == {"abandoned"}
    assert f"{'s/' * levels}scope/a" in [each.step for each in seen.header.standing]


@pytest.mark.parametrize(("reply", "status"), [(ok(), "completed"), (no(), "abandoned")])
def test_a_child_that_is_abandoned_after_its_last_step_stands(reply: Any, status: str) -> None:
    seen = family(sub("s"), step("z"), replies={"do.z": [reply]}).start()
    for path in ("a", "b"):
        seen.child("s").answer(path)
    seen.child("s").take(ev.AbandonRequested(seen.now_ms, nonce="a"))
    assert len(seen.header.alerts) == 1
    seen.finish()
    assert seen.status == status
    assert {each.step for each in seen.header.standing} == {"s/a", "s/b"}


def test_abandoning_the_root_abandons_all_below_and_says_what_is_open() -> None:
    child = plan_of(sub("inner", of="inner"), step("b"))
    seen = family(step("first"), sub("s"), child=child, plans={"inner": plan_of(step("i"))}).start()
    seen.answer("first")
    seen.child("s").child("inner").answer("i")
    seen.take(ev.AbandonRequested(seen.now_ms, nonce="a"))
    assert {each.status for each in seen.family()} == {"abandoned"}
    standing = {each.step: each.reason for each in seen.header.standing}
    assert standing == {
        "first": "took effect and was not undone",
        "s": f"its child run {seen.run_node('s').child} is abandoned too, and lists what stands",
    }
    assert [each.step for each in seen.child("s").header.standing] == ["inner", "b"]
    assert [each.step for each in seen.child("s").child("inner").header.standing] == ["i"]
    assert seen.tasks == {}


def test_a_child_that_is_abandoned_as_its_parent_is_decided_does_not_hold_it_up() -> None:
    seen = family(sub("s"), child=plan_of(step("a")))
    seen.is_deaf = True
    seen.start()
    seen.deliver()
    child = seen.child("s")
    child.answer("a")
    seen.deliver()
    assert seen.header.decided
    child.take(ev.AbandonRequested(seen.now_ms, nonce="a"))
    seen.finish()
    assert (seen.status, child.status) == ("completed", "abandoned")
    assert len(seen.header.alerts) == 1


def test_what_is_too_much_to_be_told_at_once_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.interpreter.family.MAX_TOLD", 2)
    monkeypatch.setattr("runner.interpreter.command.MAX_TOLD", 2)
    seen = World(plan_of(each("e", sub("s"), max_parallel=5)), {}, input=[1] * 5, plans={"child": CHILD}).start()
    seen.take(ev.AbandonRequested(seen.now_ms, nonce="a"))
    assert [below.status for below in seen.below.values()] == ["abandoned"] * 2 + ["running"] * 3
    assert seen.header.alerts == ("3 child runs go on: they are too many to be told at once; abandon them too",)


def test_a_child_that_is_abandoned_before_it_could_be_told_of_the_decision_does_not_hold_its_parent_up() -> None:
    """A commit tells a hundred children; the others are told with the next one, and may be over by then."""
    seen = family(each("loop", sub("s"), items=list(range(101)), max_parallel=101), child=plan_of(step("a")))
    seen.is_deaf = seen.is_slow = True
    seen.start()
    while not seen.header.decided:
        go_on(seen)
    last = next(node for node in seen.run.nodes.values() if node.child_status == "held" and node.phase == "action")
    seen.child(last.path).take(ev.AbandonRequested(seen.now_ms, nonce="a"))
    while seen.unheard:
        seen.deliver()
    seen.finish()
    assert seen.status == "completed"


def go_on(seen: World) -> None:
    """The next answer, news, or part of what one commit could not hold."""
    full = [run for run in seen.family() if run.run is not None and run.header.agenda]
    asked = [run for run in seen.family() if run.tasks]
    assert full or asked or seen.unheard
    if full:
        full[0].take(ev.Continued(seen.now_ms))
    elif seen.unheard:
        seen.deliver()
    else:
        asked[0].answer(min(asked[0].tasks))


# -- stuck --------------------------------------------------------------------------------------------
def test_a_stuck_child_keeps_its_parent_waiting_and_the_parent_says_so() -> None:
    child = plan_of(step("a", undo=False), step("b"))
    seen = family(sub("s"), step("z"), child=child, replies={"do.a": [unknown()]}).finish()
    below = seen.child("s")
    assert (below.status, seen.status) == ("stuck", "running")
    assert seen.header.stuck_children == ("s",)
    assert seen.header.alerts == (f"s waits for run {below.run_id}, which is stuck (timeout: no answer)",)
    below.take(ev.ResolveRequested(seen.now_ms, nonce="r", step="a", as_="completed", output={}))
    assert seen.header.stuck_children == ()
    assert seen.finish().status == "completed"


def test_a_child_that_is_stuck_again_is_told_of_again() -> None:
    seen = family(sub("s"), child=plan_of(step("a", undo=False)), replies={"do.a": [unknown()] * 2}).finish()
    seen.child("s").take(ev.ResumeRequested(seen.now_ms, nonce="r"))
    assert seen.header.stuck_children == ()
    seen.finish()
    assert seen.header.stuck_children == ("s",)
    assert len(seen.header.alerts) == 2
    assert seen.finish().header.busy == 0


def test_a_stuck_grandchild_is_known_at_the_top() -> None:
    seen = family(sub("s"), child=plan_of(sub("inner", of="inner")),
                 plans={"inner": plan_of(step("i", undo=False))}, replies={"do.i": [unknown()]}).finish()
    inner = seen.child("s").child("inner")
    assert seen.run_node("s").child_stuck == inner.run_id
    assert seen.header.alerts == (
        f"s waits for its child run {seen.child('s').run_id}: run {inner.run_id} below it is stuck",)
    inner.take(ev.ResumeRequested(seen.now_ms, nonce="r"))
    assert [each.header.stuck_children for each in seen.family()] == [(), (), ()]
    assert seen.finish().status == "completed"


def test_a_stuck_child_turns_back_with_its_parent_and_is_still_stuck() -> None:
    child = plan_of(step("x"), step("a", undo=False), step("b"))
    seen = family(sub("s"), child=child, replies={"do.a": [unknown()]}).finish()
    cancel(seen)
    seen.finish()
    below = seen.child("s")
    assert (below.status, below.header.ending, seen.status) == ("stuck", "cancelled", "compensating")
    below.take(ev.ResolveRequested(seen.now_ms, nonce="r", step="a", as_="failed"))
    seen.finish()
    assert (below.status, seen.status) == ("cancelled", "cancelled")
    assert seen.calls == ["do.x", "do.a", "undo.x"]


def test_a_confirmation_of_a_child_that_gives_up_keeps_the_whole_family_waiting() -> None:
    seen = family(sub("s"), child=plan_of(step("a", confirm=True)), replies={"tell.a": [no()]}).finish()
    assert (seen.child("s").status, seen.status, seen.header.decided) == ("stuck", "running", True)
    assert seen.header.stuck_children == ("s",)
    seen.child("s").take(ev.ResolveRequested(seen.now_ms, nonce="r", step="a", as_="skipped"))
    assert seen.finish().status == "completed"


def test_a_run_with_a_stuck_step_of_its_own_is_stuck_though_a_child_is_on_its_way() -> None:
    seen = family(parallel("p", {"x": [step("halt", undo=False)], "y": [sub("s")]}),
                 child=plan_of(wait_for("w")), replies={"do.halt": [unknown()]}).finish()
    assert seen.status == "stuck"


def test_a_run_that_is_nobodys_child_is_told_nothing() -> None:
    seen = family(step("a")).start()
    for verb in ("undo", "decided"):
        assert len(refused(seen.take(ev.ParentTold(seen.now_ms, verb=verb)))) == 1  # type: ignore[arg-type]
    seen.finish()
    for verb in ("undo", "decided", "cancel", "abandon"):
        assert len(refused(seen.take(ev.ParentTold(seen.now_ms, verb=verb)))) == 1  # type: ignore[arg-type]
