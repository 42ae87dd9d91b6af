"""Waits: one timer, no polling, and gone at once when the run turns back."""

from __future__ import annotations

from typing import Any

import pytest

from runner.interpreter import event as ev
from tests.world import World, no, parallel, plan_of, run_error, step, unknown, wait, wait_for

DAY_MS = 86_400_000


@pytest.mark.parametrize(("duration", "ms"), [("10m", 600_000), ("{{ input }}", 2_000)])
def test_a_wait_takes_as_long_as_it_says_with_one_timer(duration: str, ms: int) -> None:
    world = World(plan_of(wait("pause", duration), step("x")), input="2s").start()
    assert world.timers == {"pause@1": 1_000 + ms}
    assert world.tasks == {}
    world.fire()
    assert set(world.tasks) == {"x"}
    assert world.step_status("pause") == "completed"
    assert not world.run_node("pause").has_output


@pytest.mark.parametrize("moment", ["1970-01-01T00:00:03Z", "1970-01-01T02:00:03+02:00"])
def test_a_wait_until_a_moment_is_due_then(moment: str) -> None:
    assert World(plan_of(wait("pause", until=moment))).start().timers == {"pause@1": 3_000}


@pytest.mark.parametrize("how", [{"until": "1970-01-01T00:00:00Z"}, {"duration": "0s"}])
def test_a_wait_for_what_is_past_completes_at_once(how: dict[str, Any]) -> None:
    world = World(plan_of(wait("pause", **how))).start()
    assert world.timers == {}
    assert world.status == "completed"


@pytest.mark.parametrize("how", [
    {"duration": "soon"}, {"duration": "{{ 5 }}"}, {"duration": "9999d"}, {"until": "2999-01-01T00:00:00Z"},
    {"until": "2026-01-01T00:00:00"}, {"until": "tomorrow"}, {"until": "{{ 1 }}"},
])
def test_a_wait_that_says_no_time_or_one_too_far_off_fails(how: dict[str, Any]) -> None:
    world = World(plan_of(step("a"), wait("pause", **how))).finish()
    assert (run_error(world).code, run_error(world).step) == ("invalid_wait", "pause")
    assert world.calls == ["do.a", "undo.a"]


def test_a_wait_for_something_else_than_a_text_says_for_what() -> None:
    world = World(plan_of(wait("pause", "{{ [1] }}"))).finish()
    assert run_error(world).message == "wait: it gives a list, not a string"


def test_a_wait_that_reads_what_is_absent_fails() -> None:
    assert run_error(World(plan_of(wait("pause", "{{ input.time }}")), input={}).start()).code == "expression_error"


@pytest.mark.parametrize("waiting", [wait("w", "1d"), wait_for("w", timeout="1d"), wait_for("w")])
@pytest.mark.parametrize("how", ["cancel", "timeout", "sibling"])
def test_a_wait_ends_at_once_when_the_run_turns_back(waiting: Any, how: str) -> None:
    both = parallel("both", {"x": [step("x0"), step("x")], "y": [waiting]})
    world = World(plan_of(both, timeout_ms=9_000), {"do.x": [no()]}).start()
    world.answer("both.x/x0")
    if how == "cancel":
        world.take(ev.CancelRequested(world.now_ms, nonce="c"))
    elif how == "timeout":
        world.fire("~run@timeout")
    else:
        world.answer("both.x/x")
    assert world.node_timers() == []
    world.finish()
    assert world.status == ("cancelled" if how == "cancel" else "compensated")
    assert world.calls[-1] == "undo.x0"
    assert world.run_node("both.y/w").started_at_ms > 0
    assert not world.run_node("both.y/w").waiting


def test_a_cancel_that_races_the_end_of_a_wait_ends_in_one_of_the_two_whole() -> None:
    for first in ("timer", "cancel"):
        world = World(plan_of(step("a"), wait("pause", "1s"), step("b"))).start()
        world.answer("a")
        name = "pause@1"
        events = [ev.TimerFired(world.now_ms, name), ev.CancelRequested(world.now_ms, nonce="c")]
        for event in events if first == "timer" else reversed(events):
            world.take(event)
        world.finish()
        assert world.calls == ["do.a", "undo.a"]
        assert world.status == "cancelled"
        assert world.step_status("pause") == ("completed" if first == "timer" else "failed")
        assert not world.node_timers()


def test_a_run_that_is_stuck_says_so_though_it_waits_for_days_beside_it() -> None:
    both = parallel("both", {"x": [step("mail", undo=False)], "y": [wait("pause", "5d"), step("y")]})
    world = World(plan_of(both, step("z")), {"do.mail": [unknown()]}).start()
    world.answer("both.x/mail")
    assert world.status == "stuck"
    world.fire()
    world.answer("both.y/y")
    assert world.status == "stuck"
    world.take(ev.ResolveRequested(world.now_ms, nonce="r", step="mail", as_="completed"))
    world.finish()
    assert world.status == "completed"
    assert world.calls == ["do.mail", "do.y", "do.z"]


def test_a_stuck_wait_is_asked_again_or_settled_by_hand() -> None:
    for how in ("completed", "skipped", "resume"):
        plan = plan_of(step("pay", kind="pivot"), wait("pause", "{{ steps.pay.output }}"), step("z", kind="readonly"))
        world = World(plan, {}).start()
        world.answer("pay")
        assert (world.status, world.header.stuck) == ("stuck", ("pause",))
        if how == "resume":
            world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
            assert world.header.stuck == ("pause",)
            continue
        world.take(ev.ResolveRequested(world.now_ms, nonce="r", step="pause", as_=how))
        world.finish()
        assert world.status == "completed"


def test_a_wait_is_undone_without_anything_to_do() -> None:
    world = World(plan_of(step("a"), wait("pause", "1s"), step("z")), {"do.z": [no()]}).finish()
    assert world.calls == ["do.a", "do.z", "undo.a"]
    assert world.status == "compensated"
