"""The plain way forward is a short cut: whatever it does, `decide` and `evolve` would have done the same in turns."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.definition.model import Catch, SetAction, Step
from runner.interpreter import event as ev
from runner.interpreter.advance import Transition, advance
from runner.interpreter.forward import is_plain_end
from runner.interpreter.plan import Plan
from runner.interpreter.record import changes_of, encode_events, state_of
from runner.interpreter.relay import successors
from runner.interpreter.state import Run
from runner.wire import ErrorRecord
from tests.definitions import SEEDS, examples, plans, replies
from tests.world import ONCE, TWICE, World, block, plan_of, step, wait

IN_TURNS = patch("runner.interpreter.advance.is_plain_end", lambda *_: False)


def begun(plan: Plan) -> Run:
    return advance(plan, None, ev.RunStarted(1_000, "q5dpxxrbg8ac11cb", "w", "1.0.0", "digest", {"x": [1]})).run


def all_of(transition: Transition) -> tuple[Any, ...]:
    """All that anybody can see of it."""
    run = transition.run
    stored = run.header.__copy__(), state_of(run), changes_of(run), encode_events(transition.events)  # type: ignore[attr-defined]
    seen = dict(run.nodes), list(run.nodes), dict(run.payloads), dict(run.agenda), run.changed.keys()
    return (*transition[1:], *stored, *seen)


def test_it_is_the_way_of_steps_that_just_follow_one_another() -> None:
    plan = plan_of(step("a"), step("b"), wait("w", "1m"), step("c"), step("d"))
    run = begun(plan)
    for path in "ab":
        settled = ev.TaskSettled(2_000, path, "completed", output=1)
        assert is_plain_end(plan, run, settled)
        run = advance(plan, run, settled).run
    run = advance(plan, run, ev.TimerFired(90_000, "w@1")).run
    assert is_plain_end(plan, run, ev.TaskSettled(90_001, "c", "completed"))
    run = advance(plan, run, ev.TaskSettled(90_001, "c", "completed")).run
    assert is_plain_end(plan, run, ev.TaskSettled(90_002, "d", "completed"))


def test_what_ends_otherwise_or_is_not_alone_is_left_to_decide() -> None:
    plan = plan_of(step("a"), step("b"))
    run, completed = begun(plan), ev.TaskSettled(2_000, "a", "completed")
    assert not is_plain_end(plan, run, ev.TaskSettled(2_000, "a", "failed"))
    assert not is_plain_end(plan, run, ev.TaskSettled(2_000, "a", "completed", error=ErrorRecord("odd")))
    pivot = plan_of(step("a", kind="pivot"), step("b"))
    assert not is_plain_end(pivot, begun(pivot), completed)
    assert not is_plain_end(plan, advance(plan, run, ev.CancelRequested(1_500, nonce="n")).run, completed)
    choosy = plan_of(step("a"), step("b", when="{{ input.x }}"))
    assert not is_plain_end(choosy, begun(choosy), completed)


EXPRESSIONS = st.sampled_from([
    "{{ input }}", "{{ steps.s0.output }}", "{{ steps.s1.output }}", "{{ steps.s1.status }}", "{{ steps.s2.output.x }}",
    "{{ step.ref }}", "{{ steps.s0.output | default(1) }}", "{{ vars.v }}", 7,
])  # fmt: skip
GIVEN = st.dictionaries(st.sampled_from("pq"), EXPRESSIONS, max_size=2)
PLAIN_STEPS = st.fixed_dictionaries({
    "undo": st.booleans(), "with_": GIVEN, "retry": st.sampled_from([ONCE, TWICE]),
    "kind": st.sampled_from(["compensatable", "readonly"]),
})  # fmt: skip
ODD_STEPS = st.fixed_dictionaries({}, optional={
    "with_": GIVEN, "undo_with": st.dictionaries(st.just("p"), EXPRESSIONS | st.just("{{ result }}"), max_size=1),
    "when": st.sampled_from(["{{ true }}", "{{ false }}", "{{ steps.s0.output == 1 }}"]),
    "output": st.just("{{ result }}"), "total_timeout_ms": st.just(60_000), "confirm": st.booleans(),
    "verify": st.booleans(), "retry": st.just(TWICE), "catch": st.just([Catch(("any",))]),
    "kind": st.sampled_from(["compensatable", "retriable", "readonly", "pivot"]),
})  # fmt: skip
OTHERS = st.sampled_from([
    lambda name: Step(name, name, SetAction({"v": 2})), lambda name: wait(name, "1m"),
    lambda name: block(name, step(f"{name}i")),
])  # fmt: skip
STEPS = st.lists(PLAIN_STEPS | PLAIN_STEPS | ODD_STEPS | OTHERS, min_size=2, max_size=5)
PLAIN = st.fixed_dictionaries({
    "output": st.sampled_from([1, None, {"x": 2}, "ä"]), "kept": st.booleans(),
    "size": st.sampled_from([5, 5, 2 << 20, 3 << 20]),
})  # fmt: skip
ODD = st.sampled_from([
    {"outcome": "failed", "error": ErrorRecord("no", kind="business")}, {"outcome": "unknown"}, {"hint_ms": 5},
    {"outcome": "unknown", "error": ErrorRecord("worker_lost")}, {"outcome": "revoked"}, {"verdict": "landed"},
    {"fenced": True}, {"error": ErrorRecord("odd")},
])  # fmt: skip
OUTCOMES = st.lists(st.tuples(PLAIN, st.just({}) | st.just({}) | ODD), min_size=8, max_size=8)


READ_ONLY = {"kind": "readonly", "retry": TWICE}
LOST = {"outcome": "unknown", "error": ErrorRecord("worker_lost")}


def outcome(size: int = 5, **odd: Any) -> tuple[Any, Any]:
    return {"output": 1, "kept": True, "size": size}, odd


@settings(max_examples=examples(150), deadline=None)
@example([READ_ONLY, READ_ONLY], [outcome(**LOST), outcome(), outcome()], 9, False)
@example([READ_ONLY] * 3, [outcome(2 << 20), outcome(3 << 20), outcome()], 9, False)
@given(STEPS, OUTCOMES, st.integers(0, 20), st.booleans())
def test_both_ways_come_to_the_same(
    steps: list[Any], outcomes: Sequence[tuple[Any, Any]], cancel_at: int, relays: bool
) -> None:
    """Also when the store has dispatched the next task already, and where another attempt went before."""
    made = (each(f"s{number}") if callable(each) else step(f"s{number}", **each) for number, each in enumerate(steps))
    plan = plan_of(*made, vars={"v": 0})
    short, long = begun(plan), begun(plan)
    for number, (plain, odd) in enumerate(outcomes):
        out = [path for path, node in short.nodes.items() if node.open]
        timers = [node.timer for node in short.nodes.values() if node.timer]
        if not out and not timers:
            break
        event: ev.External = ev.TimerFired(3_000 + number, timers[0]) if not out else ev.TaskSettled(
            3_000 + number, out[0], **{"outcome": "completed", "claimed_at_ms": 2_000 + number, **plain, **odd}
        )
        if number == cancel_at:
            event = ev.CancelRequested(3_000 + number, nonce="n")
        plain_end = type(event) is ev.TaskSettled and not odd
        following = [one.path for one in successors(plan, short) if relays and plain_end and one.after == out[0]]
        there = following[0] if following else ""
        one = advance(plan, short, event, dispatched=there)
        with IN_TURNS:
            other = advance(plan, long, event, dispatched=there)
        assert all_of(one) == all_of(other)
        short, long = one.run, other.run


@settings(max_examples=examples(80), deadline=None)
@given(st.data(), plans(wide=True, odd=True), SEEDS)
def test_a_run_of_any_definition_goes_the_same_way(data: Any, plan: Plan, seed: int) -> None:
    given_replies = data.draw(replies(plan))
    short = World(plan, given_replies, pick=Random(seed).randrange).finish()
    with IN_TURNS:
        long = World(plan, given_replies, pick=Random(seed).randrange).finish()
    assert short.events == long.events
    assert short.fields == long.fields
    assert (short.run.header, short.run.nodes) == (long.run.header, long.run.nodes)  # type: ignore[union-attr]


def test_an_output_that_is_handed_on_is_what_an_expression_would_give() -> None:
    """Each argument is an output as it is: no expression is asked, unless one is absent."""
    plan = plan_of(
        step("a"), step("b", when="{{ input.y is defined }}"), step("c", with_={"p": "{{ steps.a.output }}"}),
        step("d", with_={"p": "{{ steps.c.output }}", "q": "{{ steps.b.output }}"}),
    )
    run = advance(plan, begun(plan), ev.TaskSettled(2_000, "a", "completed", output={"n": 1})).run
    assert run.payloads["c:action"] == {"p": {"n": 1}}
    run = advance(plan, run, ev.TaskSettled(2_001, "c", "completed", output=2)).run
    error = run.nodes["d"].error
    assert error is not None
    assert error.message.startswith("with: steps.b.output is absent")
