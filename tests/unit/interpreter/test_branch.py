"""Branches side by side: how they come together, and what becomes of the others when one settles the matter."""

from __future__ import annotations

import pytest

from runner.definition.model import Catch, Retry, SetAction, Step
from runner.interpreter import event as ev
from tests.world import World, no, ok, parallel, plan_of, run_error, step, unknown, wait

MANY = Retry(max_attempts=5, initial_ms=10, jitter="none")


def race(on_failure: str = "drain") -> Step:
    return parallel("race", {"x": [step("x")], "y": [step("y1"), step("y2")]}, join="any", on_failure=on_failure)


def test_the_output_of_a_parallel_is_that_of_each_branchs_last_step() -> None:
    both = parallel("both", {"x": [step("x0"), step("x")], "y": [step("y")]})
    world = World(plan_of(both), {"do.x": [ok(1)], "do.y": [ok({"a": 2})]}).finish()
    assert world.payload("both:output") == {"x": 1, "y": {"a": 2}}


def test_a_branch_without_an_output_is_not_in_the_output_of_the_whole() -> None:
    both = parallel("both", {"x": [step("x", when="{{ false }}")], "y": [step("y")], "z": [wait("z", "0s")]})
    world = World(plan_of(both), {"do.y": [ok(2)]}).finish()
    assert world.payload("both:output") == {"y": 2}


def test_a_failing_branch_that_drains_leaves_claimed_tasks_of_the_others_alone() -> None:
    both = parallel("both", {"x": [step("x")], "y": [step("y")], "z": [step("z")]})
    world = World(plan_of(both), {"do.x": [no()]}).start()
    world.claimed.add("both.y/y")
    world.answer("both.x/x")
    assert world.killed == set()
    assert set(world.tasks) == {"both.y/y"}  # z was still in its queue
    world.finish()
    assert world.calls == ["do.x", "do.y", "undo.y"]


def test_a_failing_branch_that_cancels_has_claimed_tasks_of_the_others_ended() -> None:
    both = parallel("both", {"x": [step("x")], "y": [step("y")], "z": [step("z")]}, on_failure="cancel")
    world = World(plan_of(both), {"do.x": [no()], "do.y": [unknown()]}).start()
    world.claimed.add("both.y/y")
    world.answer("both.x/x")
    assert world.killed == {"both.y/y"}
    world.finish()
    assert world.calls == ["do.x", "do.y", "undo.y"]


def test_a_cancel_on_top_of_a_drain_still_reaches_the_claimed_tasks() -> None:
    both = parallel("both", {"x": [step("x")], "y": [step("y")]})
    world = World(plan_of(both), {"do.x": [no()]}).start()
    world.claimed.add("both.y/y")
    world.answer("both.x/x")
    assert world.killed == set()
    world.take(ev.CancelRequested(world.now_ms, nonce="c"))
    assert world.killed == {"both.y/y"}
    assert [event.kill for event in world.of(ev.RevokeAsked)] == [False, True]


def test_siblings_in_flight_at_a_failure_reach_an_outcome_or_are_settled_as_unknown_before_any_undo() -> None:
    both = parallel("both", {"w": [step("w0"), step("w")], "x": [step("x")], "y": [step("y", verify=True)]})
    world = World(plan_of(both), {"do.w": [no()], "do.y": [unknown()], "look.y": [unknown()]}).start()
    world.claimed.update(["both.x/x", "both.y/y"])
    world.answer("both.w/w0")
    world.answer("both.w/w")
    world.answer("both.x/x")
    world.answer("both.y/y")
    assert {task.phase for task in world.tasks.values()} == {"verify"}
    world.answer("both.y/y")
    world.fire()
    world.answer("both.y/y")
    assert sorted((task.worker, task.phase) for task in world.tasks.values()) == [
        ("undo.w0", "compensate"), ("undo.x", "compensate"), ("undo.y", "compensate"),
    ]


# -- join: any ----------------------------------------------------------------------------------------
def test_join_any_undoes_the_losers_before_the_next_step() -> None:
    world = World(plan_of(race(), step("next")), {"do.x": [ok("first")]}).start()
    world.answer("race.y/y1")
    world.claimed.add("race.y/y2")
    world.answer("race.x/x")
    assert set(world.tasks) == {"race.y/y2"}
    assert world.killed == set()
    world.answer("race.y/y2")
    assert world.tasks["race.y/y2"].phase == "compensate"
    world.answer("race.y/y2")
    assert "next" not in world.tasks
    world.answer("race.y/y1")
    assert set(world.tasks) == {"next"}
    assert world.payload("race:output") == {"x": "first"}
    world.finish()
    assert world.status == "completed"


def test_the_losers_of_a_join_any_that_cancels_are_ended() -> None:
    world = World(plan_of(race("cancel"))).start()
    world.claimed.add("race.y/y1")
    world.answer("race.x/x")
    assert world.killed == {"race.y/y1"}
    world.answer("race.y/y1", unknown())
    assert world.tasks["race.y/y1"].phase == "compensate"


def test_a_branch_that_fails_is_undone_in_place_while_the_others_go_on() -> None:
    world = World(plan_of(race()), {"do.y2": [no()]}).start()
    world.answer("race.y/y1")
    world.answer("race.y/y2")
    assert {path: task.phase for path, task in world.tasks.items()} == {"race.x/x": "action", "race.y/y1": "compensate"}
    world.finish()
    assert world.status == "completed"
    assert sorted(world.calls) == ["do.x", "do.y1", "do.y2", "undo.y1"]


def test_a_join_any_fails_with_the_first_failure_when_no_branch_completes() -> None:
    world = World(plan_of(step("a"), race()), {"do.x": [no("second")], "do.y2": [no("first")]}).start()
    for path in ("a", "race.y/y1", "race.y/y2", "race.x/x"):
        world.answer(path)
    world.finish()
    assert run_error(world).code == "first"
    assert world.calls == ["do.a", "do.y1", "do.y2", "do.x", "undo.y1", "undo.a"]
    assert world.status == "compensated"


def test_two_branches_that_complete_at_once_have_one_winner() -> None:
    two = parallel("two", {"x": [step("x")], "y": [step("y")]}, join="any")
    world = World(plan_of(two), {"do.x": [ok(1)], "do.y": [ok(2)]}).start()
    world.claimed.update(world.tasks)
    world.answer("two.y/y")
    world.answer("two.x/x")
    world.finish()
    assert world.payload("two:output") == {"y": 2}
    assert world.calls == ["do.y", "do.x", "undo.x"]


def test_a_branch_that_needs_no_worker_wins_before_the_others_dispatch() -> None:
    two = parallel("two", {"x": [Step("v", "v", SetAction({"v": 1}))], "y": [step("y")]}, join="any")
    world = World(plan_of(two)).finish()
    assert world.calls == []
    assert world.payload("two:output") == {"x": {"v": 1}}


def test_the_winner_of_a_join_any_is_undone_when_the_run_goes_back_and_the_losers_not_again() -> None:
    world = World(plan_of(race(), step("z")), {"do.z": [no()]}).start()
    world.answer("race.y/y1")
    world.answer("race.x/x")
    world.finish()
    assert world.calls == ["do.y1", "do.x", "undo.y1", "do.z", "undo.x"]
    assert world.status == "compensated"


def test_a_cancel_while_the_losers_are_undone_undoes_the_winner_too() -> None:
    world = World(plan_of(race(), step("z"))).start()
    world.answer("race.y/y1")
    world.answer("race.x/x")
    assert world.tasks["race.y/y1"].phase == "compensate"
    world.take(ev.CancelRequested(world.now_ms, nonce="c"))
    assert "race.x/x" not in world.tasks
    world.finish()
    assert world.calls == ["do.y1", "do.x", "undo.y1", "undo.x"]
    assert world.status == "cancelled"


def test_a_loser_whose_undo_gives_up_is_stuck_and_the_join_waits_for_a_person() -> None:
    world = World(plan_of(race(), step("z")), {"undo.y1": [no()]}).start()
    world.answer("race.y/y1")
    world.answer("race.x/x")
    world.finish()
    assert (world.status, world.header.stuck) == ("stuck", ("race.y/y1",))
    world.take(ev.ResolveRequested(world.now_ms, nonce="r", step="y1", as_="compensated"))
    world.finish()
    assert world.status == "completed"


@pytest.mark.parametrize("on_failure", ["drain", "cancel"])
def test_waits_and_back_offs_of_losers_end_at_once(on_failure: str) -> None:
    branches = {"x": [step("x")], "y": [wait("y", "1d")], "z": [step("z", retry=MANY)]}
    world = World(plan_of(parallel("race", branches, join="any", on_failure=on_failure)), {"do.z": [unknown()]}).start()
    world.answer("race.z/z")
    assert len(world.node_timers()) == 2
    world.answer("race.x/x")
    assert world.timers == {}
    world.finish()
    assert world.calls == ["do.z", "do.x", "undo.z"]


def test_a_catch_around_a_join_any_takes_its_failure() -> None:
    caught = parallel("race", {"x": [step("x")], "y": [step("y")]}, join="any", catch=(Catch(steps=(step("h"),)),))
    world = World(plan_of(caught), {"do.x": [no()], "do.y": [no()]}).finish()
    assert world.calls == ["do.x", "do.y", "do.h"]
    assert world.status == "completed"


# -- variables ----------------------------------------------------------------------------------------
def setting(id: str, **values: object) -> Step:
    return Step(id, id, SetAction(values))


def test_a_variable_that_a_loser_set_first_keeps_what_the_winner_set_after_it() -> None:
    two = parallel("two", {"x": [setting("sx", v="x", w="x"), step("x")], "y": [step("y0"), setting("sy", v="y")]},
                   join="any")
    world = World(plan_of(two, step("z"), vars={"v": "before"}), {}).start()
    world.answer("two.y/y0")
    world.finish()
    assert world.payload("~vars") == {"v": "y"}


def test_undoing_the_later_of_two_settings_leaves_the_earlier_one() -> None:
    two = parallel("two", {"x": [setting("sx", v="x")], "y": [step("y0"), setting("sy", v="y"), step("y")]}, join="all",
                   catch=(Catch(),))
    world = World(plan_of(two, vars={"v": "before"}), {"do.y": [no()]}).start()
    world.answer("two.y/y0")
    assert world.payload("~vars") == {"v": "y"}
    world.finish()
    assert world.payload("~vars") == {"v": "before"}


@pytest.mark.parametrize("first", ["x", "y"])
def test_variables_set_side_by_side_are_all_as_before_once_both_are_undone(first: str) -> None:
    branches = {"x": [setting("sx", v="x"), step("x1")], "y": [setting("sy", v="y"), step("y1")]}
    two = parallel("two", branches, catch=(Catch(),))
    plan = plan_of(parallel("outer", {"two": [two], "other": [setting("so", w=1)]}), vars={"v": "before"})
    world = World(plan, {f"do.{first}1": [no()]}).finish()
    assert world.payload("~vars") == {"v": "before", "w": 1}


def test_the_undo_of_a_loser_is_told_that_another_branch_won() -> None:
    """Nothing failed, and still every undo has a cause."""
    world = World(plan_of(race())).start()
    world.answer("race.y/y1")
    world.answer("race.x/x")
    world.finish()
    (undo,) = [message for message in world.messages if message.phase == "compensate"]
    assert undo.cause is not None
    assert (undo.path, undo.cause.code, undo.cause.message) == ("race.y/y1", "race_lost", "race.x completed first")


def test_the_undo_of_a_winner_and_of_a_branch_that_failed_is_told_the_failure() -> None:
    world = World(plan_of(race(), step("z")), {"do.y2": [no("sold_out")], "do.z": [no("late")]}).start()
    for path in ("race.y/y1", "race.y/y2", "race.y/y1", "race.x/x"):
        world.answer(path)
    world.finish()
    causes = {message.path: message.cause.code for message in world.messages if message.cause is not None}
    assert causes == {"race.y/y1": "sold_out", "race.x/x": "late"}
