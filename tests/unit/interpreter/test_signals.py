"""Signals: each is taken once, in the order in which they came, by whoever has waited longest and wants it."""

from __future__ import annotations

import pytest

from runner.definition.model import Catch, Step
from runner.interpreter import event as ev
from tests.world import World, each, no, ok, parallel, plan_of, repeat, run_error, step, sub, wait_for


def refusals(world: World) -> list[str]:
    return [event.why for event in world.of(ev.RequestRefused)]


def test_a_wait_for_completes_with_the_data_of_its_signal() -> None:
    world = World(plan_of(step("a"), wait_for("hear"), step("z", with_={"d": "{{ steps.hear.output }}"}))).start()
    world.answer("a")
    assert world.timers == {}
    world.signal("go", {"by": "me"})
    assert world.payload("hear:output") == {"by": "me"}
    world.finish()
    assert world.inputs["do.z"] == {"d": {"by": "me"}}
    assert world.status == "completed"


def test_a_signal_that_comes_early_is_kept_until_somebody_waits_for_it() -> None:
    world = World(plan_of(step("a"), wait_for("hear"))).start()
    world.signal("go", 1)
    assert world.header.signals == 1
    world.answer("a")
    assert world.payload("hear:output") == 1
    assert world.header.signals == 0
    assert world.status == "completed"


def test_a_signal_is_taken_once_first_in_first_out() -> None:
    world = World(plan_of(step("a"), wait_for("one"), wait_for("two"), wait_for("three"))).start()
    world.signal("go", "x")
    world.signal("go", "y")
    world.answer("a")
    assert (world.payload("one:output"), world.payload("two:output")) == ("x", "y")
    assert world.run_node("three").waiting
    world.signal("go", "z")
    assert world.payload("three:output") == "z"


def test_of_two_that_wait_the_longer_waiting_takes_the_signal_and_the_other_waits_on() -> None:
    both = parallel("both", {"x": [step("x"), wait_for("late")], "y": [wait_for("early")]})
    world = World(plan_of(both)).start()
    world.answer("both.x/x")
    world.signal("go", 1)
    assert world.payload("both.y/early:output") == 1
    assert world.run_node("both.x/late").waiting
    world.signal("go", 2)
    assert world.payload("both.x/late:output") == 2
    assert world.status == "completed"


def test_a_signal_of_another_name_is_left_for_who_waits_for_it() -> None:
    world = World(plan_of(wait_for("hear", "go"), wait_for("then", "stop"))).start()
    world.signal("stop", 1)
    assert world.run_node("hear").waiting
    world.signal("go", 2)
    assert world.payload("then:output") == 1


def test_match_passes_over_signals_that_do_not_fit_and_leaves_them() -> None:
    hear = wait_for("hear", match="{{ result.order == input }}")
    world = World(plan_of(step("a"), hear, wait_for("rest")), input=7).start()
    world.signal("go", {"order": 6})
    world.answer("a")
    world.signal("go", {"order": 5})
    assert world.run_node("hear").waiting
    world.signal("go", {"order": 7})
    assert world.payload("hear:output") == {"order": 7}
    assert world.payload("rest:output") == {"order": 6}
    assert world.header.signals == 1


def test_a_match_that_cannot_be_evaluated_passes_the_signal_over_and_says_so() -> None:
    world = World(plan_of(wait_for("hear", match="{{ result.order == 1 }}"))).start()
    world.signal("go", {})
    assert world.run_node("hear").waiting
    (alert,) = world.header.alerts
    assert "passed over by hear: match:" in alert


def test_items_that_wait_side_by_side_each_get_their_own() -> None:
    loop = each("lines", wait_for("hear", match="{{ result == item }}"), max_parallel=9)
    world = World(plan_of(loop), input=["a", "b", "c"]).start()
    for data in ("c", "a", "b"):
        world.signal("go", data)
    assert world.payload("lines:output") == ["a", "b", "c"]


def test_rounds_take_one_signal_each() -> None:
    again = repeat("ask", wait_for("hear"), until="{{ result == 'stop' }}")
    world = World(plan_of(again)).start()
    for data in ("on", "on", "stop", "left"):
        world.signal("go", data)
    assert world.run_node("ask").cursor == 3
    assert refusals(world) == ["the run is completed already"]


def test_the_steps_own_output_maps_the_data() -> None:
    hear = Step("hear", "hear", wait_for("x").action, output={"who": "{{ result.by }}"})
    world = World(plan_of(hear)).start()
    world.signal("go", {"by": "me"})
    assert world.payload("hear:output") == {"who": "me"}


# -- timeouts -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(("on_timeout", "kind"), [("signal_timeout", "technical"), ("no_answer", "business")])
def test_a_signal_that_does_not_come_in_time_fails_the_step(on_timeout: str, kind: str) -> None:
    world = World(plan_of(step("a"), wait_for("hear", timeout="1h", on_timeout=on_timeout))).finish()
    assert (run_error(world).code, run_error(world).kind) == (on_timeout, kind)
    assert world.calls == ["do.a", "undo.a"]
    assert world.now_ms > 3_600_000


def test_on_timeout_continue_goes_on_without_an_output() -> None:
    after = step("z", with_={"d": "{{ steps.hear.output | default('none') }}"})
    world = World(plan_of(wait_for("hear", timeout="1h", on_timeout=None), after)).finish()
    assert world.inputs["do.z"] == {"d": "none"}
    assert world.status == "completed"


def test_a_signal_in_time_drops_the_timer() -> None:
    world = World(plan_of(wait_for("hear", timeout="1h"), step("z"))).start()
    world.signal("go")
    assert world.timers == {}
    assert set(world.tasks) == {"z"}
    assert world.header.busy == 1


def test_a_signal_that_comes_after_the_timeout_is_kept_for_another() -> None:
    caught = Step("hear", "hear", wait_for("x", timeout="1s").action, catch=(Catch(),))
    world = World(plan_of(caught, step("a"), wait_for("again"))).start()
    world.fire()
    world.signal("go", 1)
    assert world.header.signals == 1
    world.answer("a")
    assert world.payload("again:output") == 1


def test_a_wait_for_that_gave_up_past_the_point_of_no_return_waits_anew_when_it_is_resumed() -> None:
    plan = plan_of(step("pay", kind="pivot"), wait_for("hear", timeout="1h"), step("z", kind="readonly"))
    world = World(plan).start()
    world.answer("pay")
    world.fire()
    assert (world.status, world.header.stuck) == ("stuck", ("hear",))
    world.signal("go", "late")
    assert world.header.signals == 1  # it gave up; who resumes it lets it look again
    world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
    assert world.payload("hear:output") == "late"
    world.finish()
    assert world.status == "completed"


def test_a_resumed_wait_for_has_its_whole_time_again() -> None:
    world = World(plan_of(step("pay", kind="pivot"), wait_for("hear", timeout="1h"))).start()
    world.answer("pay")
    world.fire()
    world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
    assert world.timers == {"hear@2": world.now_ms + 3_600_000}
    world.fire()
    assert world.status == "stuck"
    world.take(ev.ResolveRequested(world.now_ms, nonce="r2", step="hear", as_="completed", output="by phone"))
    assert world.payload("hear:output") == "by phone"
    assert world.status == "completed"


# -- refusals -----------------------------------------------------------------------------------------
def test_a_signal_is_refused_while_the_run_goes_back_and_when_it_is_over() -> None:
    world = World(plan_of(step("a"), wait_for("hear"))).start()
    world.answer("a")
    world.take(ev.CancelRequested(world.now_ms, nonce="c"))
    world.signal("go")
    world.finish()
    world.signal("go")
    assert refusals(world) == ["the run goes back", "the run is cancelled already"]


def test_a_signal_that_no_step_waits_for_is_refused() -> None:
    world = World(plan_of(step("a"))).start()
    world.signal("go")
    assert refusals(world) == ["the workflow waits for no signal 'go'"]


def test_a_run_keeps_a_thousand_signals_and_refuses_more() -> None:
    world = World(plan_of(step("a"), wait_for("hear"))).start()
    for number in range(1_000):
        world.signal("go", number, f"s{number}")
    assert refusals(world) == []
    world.signal("go")
    assert refusals(world) == ["1000 signals are kept for the run already"]
    world.answer("a")
    world.signal("go")
    assert world.status == "completed"


@pytest.mark.parametrize(("size", "count"), [((1 << 20) - 1, 1), ((1 << 20) - 2, 0)])
def test_data_that_is_too_large_is_refused(size: int, count: int) -> None:
    world = World(plan_of(step("a"), wait_for("hear"))).start()
    world.signal("go", "x" * size)
    assert len(refusals(world)) == count


def test_signals_are_refused_once_the_state_is_full() -> None:
    world = World(plan_of(repeat("ask", wait_for("hear"), until="{{ false }}", max_rounds=9))).start()
    for _ in range(5):
        world.signal("go", "x" * 1_000_000)
    assert world.run_node("ask").cursor == 5
    assert refusals(world) == ["its data of 1,000,002 bytes is more than the run can keep"]


def test_signals_that_nobody_takes_are_kept_up_to_a_mebibyte() -> None:
    world = World(plan_of(step("a"), *(wait_for(f"hear{n}") for n in range(3)))).start()
    for _ in range(3):
        world.signal("go", "x" * 400_000)
    assert len(refusals(world)) == 1
    world.answer("a")
    world.signal("go", "x" * 400_000)
    assert world.status == "completed"


def test_a_halted_wait_for_takes_no_signal() -> None:
    both = parallel("both", {"x": [step("x")], "y": [wait_for("hear")], "w": [step("w")]}, catch=(Catch(),))
    world = World(plan_of(both, step("a"), wait_for("then")), {"do.x": [no()]}).start()
    world.claimed.add("both.w/w")
    world.answer("both.x/x")
    world.signal("go", 1)
    world.finish()
    assert world.payload("then:output") == 1
    assert world.status == "completed"


def test_a_signal_that_was_sent_twice_is_kept_once() -> None:
    world = World(plan_of(step("a"), wait_for("one"), wait_for("two"))).start()
    world.signal("go", 1, "same")
    world.signal("go", 2, "same")
    assert refusals(world) == []
    assert world.header.signals == 1
    world.answer("a")
    assert world.payload("one:output") == 1
    assert world.run_node("two").waiting


def test_signals_without_an_id_of_their_own_are_told_apart_by_their_nonces() -> None:
    world = World(plan_of(step("a"), wait_for("one", match="{{ result == 2 }}"))).start()
    for number in (1, 2):
        world.take(ev.SignalSent(world.now_ms, nonce=f"n{number}", name="go", data=number))
    world.answer("a")
    assert world.payload("one:output") == 2
    assert world.header.signals == 1


def test_a_stored_run_goes_on_waiting() -> None:
    world = World(plan_of(step("a"), wait_for("hear"), wait_for("more"))).start()
    world.signal("go", 1)
    world.reload()
    world.answer("a", ok())
    world.reload()
    world.signal("go", 2)
    assert (world.payload("hear:output"), world.payload("more:output")) == (1, 2)


def test_a_child_that_has_done_its_last_step_refuses_signals_though_its_end_is_provisional() -> None:
    child = plan_of(wait_for("hear"))
    world = World(plan_of(sub("s"), wait_for("more", "more")), plans={"child": child}, input={}).start()
    world.child("s").signal("go", 1)
    assert world.child("s").header.provisional
    world.child("s").signal("go", 2)
    assert refusals(world.child("s")) == ["the run has done its last step"]
