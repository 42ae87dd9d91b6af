"""The way back: reverse structural order, side by side where it was side by side, and each step at its place."""

from __future__ import annotations

from runner.definition.model import Catch, LoopAction, ParallelAction, Retry, Step
from runner.interpreter import event as ev
from tests.world import World, block, no, ok, plan_of, run_error, step, unknown


def branches(**steps: tuple[Step, ...]) -> Step:
    return Step("both", "both", ParallelAction(steps))


def undone(world: World) -> list[str]:
    """Operations, in the order in which their undo was confirmed."""
    confirmed = [event.path for event in world.of(ev.StepUndone) if not event.nothing]
    return [path for path in confirmed if world.plan.steps[path].worker is not None]


def loop(max_parallel: int) -> Step:
    action = LoopAction("{{ [1, 2, 3] }}", "item", (step("x"), step("y")), max_parallel=max_parallel)
    return Step("loop", "loop", action)


def test_a_sequence_is_undone_backwards_across_blocks() -> None:
    plan = plan_of(step("a"), block("s", step("b"), block("t", step("c")), step("d")), step("e"), step("f"))
    world = World(plan, {"do.f": [no()]}).finish()
    assert undone(world) == ["e", "s/d", "s/t/c", "s/b", "a"]


def test_items_are_undone_from_the_last_to_the_first() -> None:
    world = World(plan_of(loop(1), step("z")), {"do.z": [no()]}).finish()
    assert undone(world) == ["loop#2/y", "loop#2/x", "loop#1/y", "loop#1/x", "loop#0/y", "loop#0/x"]


def test_as_many_items_are_undone_at_once_as_ran_at_once() -> None:
    world = World(plan_of(loop(2), step("z")), {"do.z": [no()]}).start()
    while "z" not in world.tasks:
        world.answer(min(world.tasks))
    world.answer("z")
    assert sorted(world.tasks) == ["loop#1/y", "loop#2/y"]
    world.answer("loop#2/y")
    world.answer("loop#2/x")
    assert sorted(world.tasks) == ["loop#0/y", "loop#1/y"]


def test_items_that_never_began_are_not_undone() -> None:
    world = World(plan_of(loop(1)), {"do.x": [ok(), no()]}).finish()
    assert undone(world) == ["loop#0/y", "loop#0/x"]
    assert world.status == "compensated"


def test_branches_are_undone_side_by_side_and_what_came_before_them_last() -> None:
    both = branches(x=(step("x1"), step("x2")), y=(step("y1"),))
    world = World(plan_of(step("a"), both, step("z")), {"do.z": [no()]}).start()
    while "z" not in world.tasks:
        world.answer(min(world.tasks))
    world.answer("z")
    assert sorted(world.tasks) == ["both.x/x2", "both.y/y1"]
    world.answer("both.y/y1")
    world.answer("both.x/x2")
    assert sorted(world.tasks) == ["both.x/x1"]
    world.answer("both.x/x1")
    assert sorted(world.tasks) == ["a"]


def test_a_failed_branch_lets_nothing_more_begin_beside_it() -> None:
    both = branches(x=(step("x"),), y=(step("y1"), step("y2")))
    world = World(plan_of(both), {"do.x": [no()]}).start()
    world.claimed.add("both.y/y1")
    world.answer("both.x/x")
    world.finish()
    assert world.calls == ["do.x", "do.y1", "undo.y1"]


def test_nothing_is_undone_while_a_branch_is_still_on_its_way() -> None:
    both = branches(x=(step("x0"), step("x")), y=(step("y"),))
    world = World(plan_of(both), {"do.x": [no()]}).start()
    world.claimed.add("both.y/y")
    world.answer("both.x/x0")
    world.answer("both.x/x")
    assert [task.phase for task in world.tasks.values()] == ["action"]
    world.answer("both.y/y", unknown())
    assert {path: task.phase for path, task in world.tasks.items()} == {
        "both.x/x0": "compensate", "both.y/y": "compensate",
    }


def test_the_first_failure_of_several_branches_is_the_runs() -> None:
    both = branches(x=(step("x"),), y=(step("y"),))
    world = World(plan_of(both), {"do.x": [no("second")], "do.y": [no("first")]}).start()
    world.claimed.update(world.tasks)
    world.answer("both.y/y")
    world.finish()
    assert (run_error(world).code, run_error(world).step) == ("first", "y")


def test_the_walk_back_passes_over_what_was_skipped() -> None:
    world = World(plan_of(step("a"), step("b", when="{{ false }}"), step("c")), {"do.c": [no()]}).finish()
    assert [event.path for event in world.of(ev.UndoStarted)] == ["", "c", "a"]
    assert world.step_status("b") == "skipped"


def test_an_undone_step_is_never_undone_twice() -> None:
    inner = block("inner", step("x"), step("y"), catch=[Catch(steps=(step("h"),))])
    world = World(plan_of(step("a"), inner, step("z")), {"do.y": [no()], "do.z": [no()]}).finish()
    assert undone(world) == ["inner/x", "inner~0/h", "a"]


def test_a_timer_that_was_dropped_does_not_count_when_it_fires_all_the_same() -> None:
    """It was on its way when its wait ended; what it would have begun must not begin."""
    slow = Retry(max_attempts=3, initial_ms=10_000, max_ms=10_000, jitter="none")
    plan = plan_of(step("a", undo_retry=slow), step("b", retry=slow))
    world = World(plan, {"do.b": [unknown()], "undo.a": [unknown()]}).start()
    world.answer("a")
    world.answer("b")
    world.take(ev.CancelRequested(world.now_ms, nonce="c"))
    world.answer("b")
    world.answer("a")
    (waiting,) = world.timers
    assert waiting == "a@1"
    world.take(ev.TimerFired(world.now_ms, "b@1"))
    world.take(ev.TimerFired(world.now_ms, "a@0"))
    assert world.tasks == {}
    assert world.header.busy == 1
