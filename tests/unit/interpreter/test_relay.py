"""Which steps follow one another whatever they give, and with what input. In doubt none does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from runner.definition.load import load_text
from runner.interpreter import event as ev
from runner.interpreter.advance import advance
from runner.interpreter.command import DispatchTask
from runner.interpreter.plan import Plan, compile_plan
from runner.interpreter.relay import MAX_RELAY, MAX_TEXT, Successor, successors
from runner.interpreter.state import Run
from runner.wire import TaskMessage

RUN_ID = "q5dpxxrbg8ac11cb"


def step(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "worker": f"do.{name}", **more}


def plan_of(*steps: dict[str, Any], **document: Any) -> Plan:
    text = json.dumps({"workflow": "w", "version": "1.0.0", "steps": list(steps), **document})
    return compile_plan(load_text(text, file="w.yaml", root=Path()))


def begun(plan: Plan, given: Any = None) -> Run:
    started = ev.RunStarted(1_000, RUN_ID, "w", "1", "digest", {} if given is None else given)
    return advance(plan, None, started).run


def followers(*steps: dict[str, Any], given: Any = None, **document: Any) -> list[str]:
    plan = plan_of(*steps, **document)
    return [one.path for one in successors(plan, begun(plan, given))]


def only(*steps: dict[str, Any], given: Any = None) -> Successor:
    plan = plan_of(*steps)
    (found,) = successors(plan, begun(plan, given))
    return found


def reads(expression: str) -> dict[str, Any]:
    return {"with": {"x": expression}}


# -- which ----------------------------------------------------------------------------------------------
def test_steps_in_a_row_follow_one_another() -> None:
    assert followers(step("a"), step("b"), step("c")) == ["b", "c"]


def test_no_more_than_so_many_are_named() -> None:
    steps = [step(f"s{number}") for number in range(MAX_RELAY + 9)]
    assert len(followers(*steps)) == MAX_RELAY


@pytest.mark.parametrize(
    "second",
    [
        step("b", when="{{ input.x }}"),
        step("b", kind="pivot"),
        step("b", total_timeout="1m"),
        {"id": "b", "set": {"v": 1}},
        {"id": "b", "steps": [step("inside")]},
        step("b", **reads("{{ steps.a.output.x }}")),
        step("b", **reads("{{ steps.a.output | length }}")),
        step("b", **reads("{{ steps.a.status }}")),
        step("b", **reads("{{ steps.b.status }}")),
        step("b", **reads("about {{ steps.a.output }}")),
        step("b", **reads("{{ input.absent }}")),
        step("b", **reads("{{ 1 if steps.a.output is defined else 2 }}")),
        step("b", **{"with": {"x": {"y": ["{{ steps.a.output }}", "{{ steps.a.output[0] }}"]}}}),
        step("b", compensate={"worker": "undo.b", "with": {"x": "{{ steps.a.output }}"}}),
        step("b", compensate={"worker": "undo.b", "with": {"x": "{{ input.absent }}"}}),
    ],
)
def test_a_step_that_something_else_has_a_say_in_is_left_to_the_engine(second: dict[str, Any]) -> None:
    assert followers(step("a"), second, step("c")) == []


@pytest.mark.parametrize(
    "first",
    [
        step("a", output={"y": "{{ result }}"}),
        step("a", kind="pivot"),
        step("a", compensate={"worker": "undo.a", "with": {"x": "{{ result.id }}"}}),
    ],
)
def test_nothing_follows_a_step_whose_completion_is_more_than_its_output(first: dict[str, Any]) -> None:
    assert followers(first, step("b")) == []


def test_an_undo_that_needs_nothing_new_keeps_nobody_from_following() -> None:
    undo = {"worker": "undo.b", "with": {"x": "{{ input.x }}"}}
    assert followers(step("a", compensate=undo), step("b", compensate=undo), given={"x": 1}) == ["b"]


def test_only_the_steps_of_the_root_follow_one_another() -> None:
    assert followers({"id": "s", "steps": [step("a"), step("b")]}) == []
    assert followers({"id": "p", "parallel": {"branches": {"x": [step("a"), step("b")], "y": [step("c")]}}}) == []


def test_nothing_follows_while_a_cancel_is_held_or_the_run_goes_back() -> None:
    plan = plan_of(step("a"), step("b"))
    run = advance(plan, begun(plan), ev.CancelRequested(1_001, nonce="n")).run
    assert successors(plan, run) == ()


def test_what_waits_for_its_next_attempt_has_no_followers() -> None:
    plan = plan_of(step("a", retry={"max_attempts": 3}), step("b"))
    run = advance(plan, begun(plan), ev.TaskSettled(1_001, "a", "unknown")).run
    assert successors(plan, run) == ()


def test_an_attempt_after_an_unknown_one_has_no_followers() -> None:
    """Whether it completes is then not all that there is to know."""
    plan = plan_of(step("a", retry={"max_attempts": 3}), step("b"))
    waiting = advance(plan, begun(plan), ev.TaskSettled(1_001, "a", "unknown")).run
    run = advance(plan, waiting, ev.TimerFired(9_000, "a@1")).run
    assert run.nodes["a"].open
    assert successors(plan, run) == ()


# -- with what ------------------------------------------------------------------------------------------
def test_an_input_has_a_place_for_each_output() -> None:
    given = {"x": {"deep": ["{{ steps.a.output }}", 1]}, "y": "{{steps.a.output}}", "z": "{{ input.z }}"}
    assert only(step("a"), step("b", **{"with": given}), given={"z": 'a "quoted" z'}).parts == (
        '{"x":{"deep":[', "a", ',1]},"y":', "a", ',"z":"a \\"quoted\\" z"}'
    )  # fmt: skip


def test_an_input_without_outputs_is_one_text() -> None:
    assert only(step("a"), step("b")).parts == ("{}",)


@pytest.mark.parametrize("text", ["\x00a", "\x00b", '"\x00a"', "\x00", 'x"\x00a'])
def test_what_a_user_gave_never_passes_for_the_place_of_an_output(text: str) -> None:
    plan = plan_of(step("a"), step("b", **{"with": {"x": "{{ steps.a.output }}", "y": "{{ input }}"}}))
    for one in successors(plan, begun(plan, text)):
        joined = "".join("5" if index % 2 else part for index, part in enumerate(one.parts))
        assert msgspec.json.decode(joined) == {"x": 5, "y": text}


def test_what_all_that_follows_weighs_is_bounded() -> None:
    steps = [step(f"s{number}", **reads("{{ input.text }}")) for number in range(9)]
    assert followers(*steps, given={"text": "x" * (MAX_TEXT // 4)}, input={"type": "object"}) == ["s1", "s2", "s3"]


def test_a_large_input_is_left_to_the_engine() -> None:
    assert followers(step("a"), step("b", **reads("{{ input }}")), given="x" * MAX_TEXT) == []


def test_a_run_of_the_same_plan_has_its_own_message_and_input() -> None:
    plan = plan_of(step("a"), step("b", **reads("{{ input }}")), step("c", **reads("{{ steps.b.output }}")))
    for run_id, given in (("one", 1), ('t"wo', 2)):
        run = advance(plan, None, ev.RunStarted(1_000, run_id, "w", "1", "digest", given)).run
        second, third = successors(plan, run)
        assert second.parts == (f'{{"x":{given}}}',)
        assert third.parts == ('{"x":', "b", "}")
        message = msgspec.json.decode(third.message, type=TaskMessage)
        assert (message.run_id, message.step_ref) == (run_id, f"{run_id}/c")


# -- and it is what comes next ------------------------------------------------------------------------
def test_advance_finds_the_very_same_dispatches() -> None:
    plan = plan_of(
        step("a", raises=["sold_out"]), step("b", timeout="7s", **reads("{{ steps.a.output }}")),
        step("c", retry={"max_attempts": 9}, **{"with": {"x": ["{{ steps.b.output }}", "{{ steps.a.output }}"]}}),
    )
    run = begun(plan)
    outputs = {"a": {"n": 1.5}, "b": "ä", "c": None}
    for one in successors(plan, run):
        transition = advance(plan, run, ev.TaskSettled(2_000, one.after, "completed", output=outputs[one.after]))
        run = transition.run
        (command,) = transition.commands
        assert isinstance(command, DispatchTask)
        assert (command.path, command.payload, command.queue_timeout_ms) == (one.path, one.payload, 0)
        assert command.message.worker == one.worker
        assert msgspec.json.encode(command.message) == one.message
        parts = [
            msgspec.json.encode(outputs[part]).decode() if index % 2 else part for index, part in enumerate(one.parts)
        ]
        assert msgspec.json.encode(run.payloads[command.payload]).decode() == "".join(parts)
    assert run.nodes["c"].open


TEXTS = st.text(max_size=8) | st.sampled_from(
    ["\x00a", "\x00b", '"\x00a"', "\\u0000a", '"', "\\", "{{ steps.a.output }}", "\ufeff"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6,
)
READS = st.sampled_from([
    "{{ steps.a.output }}", "{{ steps.b.output }}", "{{ input }}", "{{ input.x }}", "{{ steps.a.output }} ", "plain",
    "{{ step.ref }}", "{{ [steps.a.output, 1] }}", "{{ input.x | default('none') }}", "{{ steps.a.status }}", 7,
])  # fmt: skip
WITH = st.recursive(READS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["p", "q", '"r'] ), inner, max_size=2), max_leaves=5)  # fmt: skip


@hypothesis.settings(max_examples=150)
@hypothesis.given(
    arguments=st.lists(WITH, min_size=2, max_size=2), value=VALUES, outputs=st.lists(VALUES, min_size=3, max_size=3)
)
def test_whatever_inputs_and_outputs_are_the_store_makes_the_very_input_that_advance_does(
    arguments: list[Any], value: Any, outputs: list[Any]
) -> None:
    """Nobody compares them later: the record has what the store made, and that is what the worker was given."""
    second, third = ({"with": {"x": each}} for each in arguments)
    plan = plan_of(step("a"), step("b", **second), step("c", **third))
    run = begun(plan, value)
    by_step = dict(zip("abc", outputs, strict=True))
    for one in successors(plan, run):
        transition = advance(plan, run, ev.TaskSettled(2_000, one.after, "completed", output=by_step[one.after]))
        run = transition.run
        (command,) = transition.commands
        assert isinstance(command, DispatchTask)
        assert (command.path, command.payload) == (one.path, one.payload)
        assert msgspec.json.encode(command.message) == one.message
        parts = [
            msgspec.json.encode(by_step[part]).decode() if index % 2 else part for index, part in enumerate(one.parts)
        ]
        assert msgspec.json.encode(run.payloads[command.payload]).decode() == "".join(parts)
