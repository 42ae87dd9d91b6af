"""The rules of a saga, one test each, on trees that have branches, items, rounds and cases in them."""

from __future__ import annotations

import pytest

from runner.definition.model import Catch, SetAction, Step
from runner.interpreter import event as ev
from tests.world import (
    TWICE,
    World,
    block,
    each,
    landed,
    no,
    no_effect,
    ok,
    parallel,
    plan_of,
    repeat,
    step,
    switch,
    unknown,
    wait,
    wait_for,
)


def undone(world: World) -> list[str]:
    """Operations, in the order in which their undo was confirmed."""
    confirmed = [event.path for event in world.of(ev.StepUndone) if not event.nothing]
    return [path for path in confirmed if world.plan.steps[path].worker is not None]


def cancel(world: World) -> None:
    world.take(ev.CancelRequested(world.now_ms, nonce="c"))


def a_tree() -> list[Step]:
    """Of every kind one, in a sequence that ends with a step `z`."""
    return [
        step("a"),
        parallel("both", {"p": [step("p1"), step("p2")], "q": [step("q1")]}),
        each("lines", step("x"), step("y"), items=[1, 2]),
        repeat("again", step("r"), until="{{ false }}", max_rounds=2),
        switch("way", ("{{ false }}", [step("never")]), (None, [step("e1"), step("e2")])),
        block("s", step("b"), wait("pause", "1s"), step("c")),
        step("z"),
    ]


def test_undo_goes_backwards_along_the_structure() -> None:
    world = World(plan_of(*a_tree()), {"do.z": [no()]}).finish()
    order = undone(world)
    assert order[:9] == ["s/c", "s/b", "way.else/e2", "way.else/e1", "again#1/r", "again#0/r", "lines#1/y", "lines#1/x",
                         "lines#0/y"]
    assert order[-1] == "a"
    assert order.index("both.p/p2") < order.index("both.p/p1")
    assert world.status == "compensated"
    assert world.calls.count("do.never") == 0


def test_branches_are_undone_side_by_side_each_in_reverse_completion_order() -> None:
    both = parallel("both", {"p": [step("p1"), step("p2")], "q": [step("q1"), step("q2")]})
    world = World(plan_of(step("a"), both, step("z")), {"do.z": [no()]}).start()
    for path in ("a", "both.q/q1", "both.p/p1", "both.p/p2", "both.q/q2", "z"):
        world.answer(path)
    assert set(world.tasks) == {"both.p/p2", "both.q/q2"}
    world.answer("both.p/p2")
    assert set(world.tasks) == {"both.p/p1", "both.q/q2"}
    world.finish()
    assert undone(world)[-1] == "a"


@pytest.mark.parametrize("last", ["p2", "q1"])
def test_there_is_no_undo_while_a_successor_is_in_flight(last: str) -> None:
    """Whichever branch is undone last, what came before both waits for it."""
    both = parallel("both", {"p": [step("p1"), step("p2")], "q": [step("q1")]})
    world = World(plan_of(step("a"), both, step("z")), {"do.z": [no()]}).start()
    while "z" not in world.tasks:
        world.answer(min(world.tasks))
    world.answer("z")
    while (others := [path for path in world.tasks if not path.endswith(last)]):
        world.answer(others[0])
    assert "a" not in world.tasks
    assert len(world.tasks) == 1
    world.finish()
    assert undone(world)[-1] == "a"


def test_an_undo_that_is_retried_keeps_what_came_before_it_waiting() -> None:
    loop = each("lines", step("x"), items=[1, 2], max_parallel=2)
    world = World(plan_of(step("a"), loop, step("z")), {"do.z": [no()], "undo.x": [unknown()]}).start()
    while "z" not in world.tasks:
        world.answer(min(world.tasks))
    world.answer("z")
    world.answer("lines#0/x")
    world.answer("lines#1/x")
    assert world.tasks == {}
    (timer,) = world.node_timers()
    world.fire(timer)
    assert set(world.tasks) == {"lines#0/x"}
    world.finish()
    assert undone(world) == ["lines#1/x", "lines#0/x", "a"]


def test_siblings_in_flight_at_a_failure_reach_an_outcome_or_are_settled_first() -> None:
    branches = {"fails": [step("f")], "lands": [step("l", verify=True)], "ends": [step("e")], "gone": [step("g")]}
    world = World(plan_of(step("a"), parallel("all", branches)), {"do.f": [no()], "look.l": [landed()]}).start()
    world.answer("a")
    world.claimed.update(["all.lands/l", "all.ends/e", "all.gone/g"])
    world.answer("all.fails/f")
    world.answer("all.ends/e")
    world.answer("all.gone/g", unknown())
    world.answer("all.lands/l", unknown())
    assert [(task.step, task.phase) for task in world.tasks.values()] == [("l", "verify")]
    world.answer("all.lands/l")
    assert sorted((task.step, task.phase) for task in world.tasks.values()) == [
        ("e", "compensate"), ("g", "compensate"), ("l", "compensate"),
    ]
    world.finish()
    assert undone(world)[-1] == "a"


@pytest.mark.parametrize("verify", [True, False])
def test_an_unknown_pivot_is_verified_or_retried_and_never_compensated(verify: bool) -> None:
    pivot = step("pay", kind="pivot", verify=verify, retry=TWICE)
    plan = plan_of(step("a"), switch("way", (None, [pivot])), step("b", kind="retriable"), timeout_ms=9_000)
    world = World(plan, {"do.pay": [unknown(), unknown()], "look.pay": [landed()]}).start()
    world.answer("a")
    world.answer("way.else/pay")
    cancel(world)
    world.fire("~run@timeout")
    assert not [task for task in world.tasks.values() if task.phase == "compensate"]
    world.finish()
    assert world.status == "completed"
    assert [call for call in world.calls if call.startswith("undo")] == []
    assert [event.verb for event in world.of(ev.RequestRefused)] == ["cancel"]


@pytest.mark.parametrize("first", ["completion", "cancel"])
@pytest.mark.parametrize("claimed", [True, False])
def test_a_cancel_that_races_a_completion_ends_in_one_of_the_two_whole(first: str, claimed: bool) -> None:
    loop = each("lines", step("x"), items=[1, 2], max_parallel=2)
    world = World(plan_of(step("a"), loop)).start()
    world.answer("a")
    world.answer("lines#0/x")
    if claimed:
        world.claimed.add("lines#1/x")
    if first == "completion":
        world.answer("lines#1/x")
        cancel(world)
        assert world.status == "completed"
        assert undone(world) == []
        assert world.of(ev.RequestRefused)
        return
    cancel(world)
    world.finish()
    assert world.status == "cancelled"
    assert sorted(undone(world)[:-1]) == ["lines#0/x", "lines#1/x"][: 1 + claimed]
    assert undone(world)[-1] == "a"


def test_a_late_result_after_a_timeout_is_recorded_and_not_applied() -> None:
    world = World(plan_of(step("x", retry=TWICE), step("y")), {"do.x": [unknown("timeout")]}).start()
    world.answer("x")
    before = world.run_node("x")
    told = world.take(ev.TaskSettled(world.now_ms, "x", "completed", output="late", process="p1"))
    assert told == [ev.OutcomeIgnored(world.now_ms, "x", "completed", None, "p1")]
    assert world.run_node("x") == before
    world.finish()
    assert world.payload("x:output") == {"did": "x"}


def test_a_skipped_steps_output_is_absent() -> None:
    read = {name: f"{{{{ steps.{name}.output | default('absent') }}}}" for name in ("x", "s", "way", "lines", "hear")}
    plan = plan_of(
        step("x", when="{{ false }}"),
        block("s", step("inner"), when="{{ false }}"),
        switch("way", ("{{ false }}", [step("never")])),
        each("lines", step("item"), items=[1], when="{{ false }}"),
        wait_for("hear", when="{{ false }}"),
        step("z", with_=read),
    )
    world = World(plan).finish()
    assert set(world.inputs["do.z"].values()) == {"absent"}
    assert world.calls == ["do.z"]


def test_what_join_any_undid_is_absent_and_its_variables_are_as_before() -> None:
    loser = [step("q0"), Step("v", "v", SetAction({"v": "q"})), step("q1")]
    race = parallel("race", {"p": [step("p")], "q": loser}, join="any")
    after = step("z", with_={"q0": "{{ steps.q0.output | default('absent') }}", "v": "{{ vars.v }}"})
    world = World(plan_of(race, after, vars={"v": "before"})).start()
    world.answer("race.q/q0")
    world.answer("race.p/p")
    world.finish()
    assert world.inputs["do.z"] == {"q0": "absent", "v": "before"}


def test_collect_undoes_the_failed_item_in_place_and_the_rest_at_its_place() -> None:
    loop = each("lines", step("x"), step("y"), items=[1, 2, 3], on_failure="collect", max_parallel=2)
    world = World(plan_of(step("a"), loop, step("z")), {"do.z": [no()]}).start()
    world.answer("a")
    world.answer("lines#0/x")
    world.answer("lines#1/x")
    world.answer("lines#0/y", no())
    # The place of the failed item is free for the next one when it is undone.
    phases = {path: task.phase for path, task in world.tasks.items()}
    assert phases == {"lines#0/x": "compensate", "lines#1/y": "action"}
    world.answer("lines#0/x")
    assert world.tasks["lines#2/x"].phase == "action"
    world.finish()
    assert undone(world)[0] == "lines#0/x"
    assert sorted(undone(world)[1:5]) == ["lines#1/x", "lines#1/y", "lines#2/x", "lines#2/y"]
    assert undone(world)[5:] == ["a"]
    assert world.status == "compensated"


def test_every_wait_ends_at_once_when_the_run_turns_back() -> None:
    branches = {
        "pause": [wait("pause", "5d")], "hear": [wait_for("hear")], "in_time": [wait_for("in_time", timeout="5d")],
        "back_off": [step("b", retry=TWICE)], "queued": [step("q")], "fails": [step("f")],
    }
    world = World(plan_of(step("a"), parallel("all", branches)), {"do.b": [no_effect()]}).start()
    world.answer("a")
    world.answer("all.back_off/b")
    assert len(world.node_timers()) == 3
    world.answer("all.fails/f", no())
    assert world.node_timers() == []
    assert {path: task.phase for path, task in world.tasks.items()} == {"a": "compensate"}


def test_confirmations_come_after_the_decision_for_what_stands_and_before_finally() -> None:
    loop = each("lines", step("x", confirm=True), step("y"), items=[1, 2, 3], on_failure="collect")
    undone_scope = block("s", step("u", confirm=True), step("v"), catch=[Catch()])
    plan = plan_of(step("a", confirm=True), loop, undone_scope, finally_=[step("record", kind="retriable")])
    world = World(plan, {"do.y": [ok(), no(), ok()], "do.v": [no()]}).finish()
    told = [message.path for message in world.messages if message.phase == "confirm"]
    assert sorted(told) == ["a", "lines#0/x", "lines#2/x"]
    assert world.calls[-1] == "do.record"
    assert world.status == "completed"


def test_the_run_is_not_over_while_one_confirmation_is_stuck() -> None:
    branches = {"p": [step("p", confirm=True)], "q": [step("q", confirm=True)]}
    plan = plan_of(parallel("both", branches), finally_=[step("record", kind="retriable")])
    world = World(plan, {"tell.p": [no()]}).finish()
    assert (world.status, world.header.stuck) == ("stuck", ("both.p/p",))
    assert world.run_node("both.q/q").confirm == "done"
    world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
    world.finish()
    assert world.calls == ["do.p", "do.q", "tell.p", "tell.q", "tell.p", "do.record"]
    assert world.status == "completed"


def test_a_failure_after_the_pivot_in_a_branch_sticks_there_and_the_others_go_on() -> None:
    branches = {"p": [step("p", kind="retriable"), step("p2", kind="readonly")], "q": [step("q", kind="readonly")]}
    world = World(plan_of(step("pay", kind="pivot"), parallel("both", branches)), {"do.q": [no()]}).finish()
    assert (world.status, world.header.stuck) == ("stuck", ("both.q/q",))
    assert world.step_status("both.p/p2") == "completed"
    world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
    world.finish()
    assert world.status == "completed"


def test_a_catch_that_undoes_takes_back_everything_side_by_side_and_then_its_handler_runs() -> None:
    scope = block("s", *a_tree()[:-1], step("z"), catch=[Catch(steps=(step("h"),))])
    world = World(plan_of(scope), {"do.z": [no()]}).finish()
    assert world.calls[-1] == "do.h"
    assert len(undone(world)) == world.calls.index("do.z")
    assert world.status == "completed"
