"""A loop over items: how many at once, what becomes of a failed one, and that a thousand cost no more each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import runner
from runner.definition.model import Catch
from runner.interpreter import event as ev
from tests.world import World, block, each, no, ok, plan_of, run_error, step, unknown

PRODUCT = str(Path(runner.__file__).parent)


def test_as_many_items_run_at_once_as_allowed_and_the_next_begins_when_one_ends() -> None:
    world = World(plan_of(each("lines", step("x"), max_parallel=2)), input=[1, 2, 3, 4]).start()
    assert sorted(world.tasks) == ["lines#0/x", "lines#1/x"]
    world.answer("lines#1/x")
    assert sorted(world.tasks) == ["lines#0/x", "lines#2/x"]


def test_the_output_is_a_list_in_input_order_with_null_where_an_item_gave_none() -> None:
    loop = each("lines", step("x", when="{{ item > 1 }}", with_={"n": "{{ item }}"}), max_parallel=3)
    world = World(plan_of(loop), input=[3, 1, 2]).start()
    world.answer("lines#2/x", ok("c"))
    world.answer("lines#0/x", ok("a"))
    assert world.payload("lines:output") == ["a", None, "c"]


def test_an_items_output_is_made_in_its_own_scope_from_the_result_of_its_last_step() -> None:
    loop = each("lines", step("x"), step("y"), item_output={"n": "{{ item }}", "x": "{{ steps.x.output }}",
                                                            "r": "{{ result }}"})
    world = World(plan_of(loop), {"do.x": [ok("x0"), ok("x1")], "do.y": [ok("y0"), ok("y1")]}, input=[7, 8]).finish()
    assert world.payload("lines:output") == [{"n": 7, "x": "x0", "r": "y0"}, {"n": 8, "x": "x1", "r": "y1"}]


def test_the_steps_own_output_maps_the_whole_list() -> None:
    loop = each("lines", step("x"), output={"first": "{{ result | first }}"})
    world = World(plan_of(loop), {"do.x": [ok("a"), ok("b")]}, input=[1, 2]).finish()
    assert world.payload("lines:output") == {"first": "a"}


def test_the_result_of_an_item_that_gave_none_is_absent() -> None:
    loop = each("lines", step("x", when="{{ false }}"), item_output="{{ result | default('none') }}")
    assert World(plan_of(loop), input=[1]).finish().payload("lines:output") == ["none"]


def test_a_loop_over_nothing_completes_with_an_empty_list() -> None:
    world = World(plan_of(each("lines", step("x"))), input=[]).finish()
    assert world.payload("lines:output") == []
    assert world.status == "completed"


def test_a_failed_item_lets_no_more_begin_and_the_others_come_to_their_end() -> None:
    world = World(plan_of(each("lines", step("x"), max_parallel=2)), {"do.x": [no()]}, input=[1, 2, 3]).start()
    world.claimed.add("lines#1/x")
    world.answer("lines#0/x")
    assert world.killed == set()
    world.finish()
    assert world.calls == ["do.x", "do.x", "undo.x"]
    assert "lines#2" not in world.run.nodes  # type: ignore[union-attr]


@pytest.mark.parametrize(("count", "code"), [(1_000, ""), (1_001, "too_many_items")])
def test_a_loop_takes_a_thousand_items_and_refuses_more_before_anything_begins(count: int, code: str) -> None:
    world = World(plan_of(each("lines", step("x"), max_parallel=2)), input=[0] * count).start()
    assert len(world.tasks) == (0 if code else 2)
    if code:
        assert run_error(world).code == code
        assert world.status == "compensated"


@pytest.mark.parametrize(("given", "said"), [(None, "null"), ({"a": 1}, "a mapping"), (3, "a number")])
def test_what_is_no_list_is_told_in_the_words_of_json(given: Any, said: str) -> None:
    world = World(plan_of(each("lines", step("x"))), input=given).start()
    assert (run_error(world).code, run_error(world).message) == ("expression_error", f"`in` gives {said}, not a list")


def test_loops_in_loops_stop_at_the_limit_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.interpreter.sizes.MAX_NODES", 50)
    inner = each("inner", step("x", when="{{ false }}"), items="{{ input }}")
    world = World(plan_of(each("outer", inner)), input=[0] * 10).finish()
    assert run_error(world).code == "state_limit"


# -- collect ------------------------------------------------------------------------------------------
def collecting(*steps: Any, **more: Any) -> Any:
    return each("lines", *steps, on_failure="collect", **more)


def test_collect_undoes_the_failed_item_in_place_and_goes_on() -> None:
    world = World(plan_of(collecting(step("x"), step("y"))), {"do.y": [ok("a"), no(), ok("c")]}, input=[1, 2, 3])
    world.finish()
    assert world.calls == ["do.x", "do.y", "do.x", "do.y", "undo.x", "do.x", "do.y"]
    assert world.status == "completed"
    first, second, third = world.payload("lines:output")
    assert (first, third) == ({"output": "a"}, {"output": "c"})
    assert (second["error"]["code"], second["error"]["kind"], second["error"]["step"]) == ("declined", "business", "y")


def test_collect_settles_an_unknown_item_before_it_goes_on() -> None:
    world = World(plan_of(collecting(step("x"))), {"do.x": [unknown(), ok()]}, input=[1, 2]).finish()
    assert world.calls == ["do.x", "undo.x", "do.x"]
    assert world.payload("lines:output")[0]["error"]["code"] == "timeout"


def test_collect_takes_an_item_whose_output_cannot_be_made() -> None:
    loop = collecting(step("x"), item_output="{{ result.total }}")
    world = World(plan_of(loop), {"do.x": [ok({}), ok({"total": 2})]}, input=[1, 2]).finish()
    assert world.payload("lines:output")[0]["error"]["code"] == "expression_error"
    assert world.payload("lines:output")[1] == {"output": 2}
    assert world.calls == ["do.x", "undo.x", "do.x"]


def test_an_item_that_collect_undid_is_not_undone_again_when_the_run_goes_back() -> None:
    plan = plan_of(collecting(step("x"), step("y")), step("z"))
    world = World(plan, {"do.y": [ok(), no()], "do.z": [no()]}, input=[1, 2]).finish()
    assert world.calls == ["do.x", "do.y", "do.x", "do.y", "undo.x", "do.z", "undo.y", "undo.x"]
    assert world.status == "compensated"


def test_collect_past_the_point_of_no_return_takes_what_fails() -> None:
    plan = plan_of(step("pay", kind="pivot"), collecting(step("x"), step("y", kind="readonly")))
    world = World(plan, {"do.y": [no()]}, input=[1]).finish()
    assert world.calls == ["do.pay", "do.x", "do.y", "undo.x"]
    assert world.status == "completed"


def test_a_cancel_ends_a_collecting_loop_like_any_other() -> None:
    world = World(plan_of(collecting(step("x"), max_parallel=2)), input=[1, 2, 3]).start()
    world.answer("lines#0/x")
    world.take(ev.CancelRequested(world.now_ms, nonce="c"))
    world.finish()
    assert world.calls == ["do.x", "undo.x"]
    assert world.status == "cancelled"


def test_an_item_whose_undo_gives_up_is_stuck_while_the_others_go_on() -> None:
    world = World(plan_of(collecting(step("x"), step("y"), max_parallel=2)), {"do.y": [no()], "undo.x": [no()]},
                  input=[1, 2, 3]).finish()
    assert world.header.stuck == ("lines#0/x",)
    assert world.step_status("lines#2/y") == "completed"
    world.take(ev.ResolveRequested(world.now_ms, nonce="r", step="lines#0/x", as_="skipped"))
    world.finish()
    assert world.status == "abandoned"  # an undo was skipped, and that is said


# -- undo ---------------------------------------------------------------------------------------------
def test_loop_items_are_undone_last_to_first_up_to_max_parallel_at_once() -> None:
    world = World(plan_of(each("lines", step("x"), max_parallel=2), step("z")), {"do.z": [no()]}, input=[1, 2, 3, 4])
    world.start()
    while "z" not in world.tasks:
        world.answer(min(world.tasks))
    world.answer("z")
    seen = []
    while world.tasks:
        seen.append(sorted(world.tasks))
        world.answer(max(world.tasks))
    assert seen == [["lines#2/x", "lines#3/x"], ["lines#1/x", "lines#2/x"], ["lines#0/x", "lines#1/x"], ["lines#0/x"]]


def test_a_catch_around_a_loop_rolls_its_items_back() -> None:
    loop = each("lines", step("x"), step("y"), catch=(Catch(steps=(step("h"),)),))
    world = World(plan_of(loop), {"do.y": [ok(), no()]}, input=[1, 2, 3]).finish()
    assert world.calls == ["do.x", "do.y", "do.x", "do.y", "undo.x", "undo.y", "undo.x", "do.h"]
    assert world.status == "completed"


def test_a_catch_that_keeps_what_completed_settles_each_unknown_item_once() -> None:
    loop = each("lines", step("x"), max_parallel=4, catch=(Catch(undo=False),))
    world = World(plan_of(block("b", loop)), {"do.x": [ok(), unknown(), unknown(), unknown()]}, input=[1, 2, 3, 4])
    world.start()
    world.claimed.update(world.tasks)
    world.finish()
    assert world.calls == ["do.x"] * 4 + ["undo.x"] * 3
    assert world.status == "completed"
    assert world.run_node("b/lines").settling == 0


# -- a thousand items ---------------------------------------------------------------------------------
def lines_a_step(count: int, drive: Callable[[World], int]) -> float:
    """How many lines of the product's code are executed for each step: unlike a time, the same on every machine."""
    world = World(plan_of(each("lines", step("x"), max_parallel=count), step("z"), vars={}), input=[0] * count).start()
    executed = 0

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal executed
        if not frame.f_code.co_filename.startswith(PRODUCT):
            return None
        executed += event == "line"  # again for each round of a loop, also of a comprehension
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        steps = drive(world)
    finally:
        sys.settrace(before)
    return executed / steps


def forward(world: World) -> int:
    paths = list(world.tasks)
    for path in paths:
        world.answer(path)
    return len(paths)


def back(world: World) -> int:
    forward(world)
    world.answer("z", no())
    assert all(task.phase == "compensate" for task in world.tasks.values())
    return 1 + forward(world)


def drained(world: World) -> int:
    paths = list(world.tasks)
    world.claimed.update(paths)
    for path in paths:
        world.answer(path, no() if path == paths[0] else ok())
    return len(paths) + forward(world)


@pytest.mark.parametrize("drive", [forward, back, drained])
def test_the_work_per_step_of_a_thousand_items_does_not_grow(drive: Callable[[World], int]) -> None:
    few, many = lines_a_step(100, drive), lines_a_step(1_000, drive)
    assert few > 50
    assert many < 1.2 * few
