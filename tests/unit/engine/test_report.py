"""What the engine's log says: one line for each thing a person may look for, with the run it is about."""

from __future__ import annotations

import logging

import pytest

from runner.engine.report import report
from runner.interpreter import event as ev
from runner.interpreter.advance import Transition
from tests.world import World, each, no, parallel, plan_of, repeat, step, switch, wait, wait_for


def lines_of(world: World, caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    assert world.run is not None
    with caplog.at_level(logging.INFO, logger="sagarun.engine"):
        report([Transition(world.run, tuple(world.events), ())])
    return caplog.records


def test_a_failed_run_says_what_failed_and_how_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    records = lines_of(World(plan_of(step("a"), step("b")), {"do.b": [no("declined")]}).finish(), caplog)
    told = [(record.message, getattr(record, "step", ""), getattr(record, "error_code", "")) for record in records]
    assert ("step failed", "b", "declined") in told
    assert told[-1][0] == "run finished"
    assert {record.run_id for record in records} == {"run1"}  # type: ignore[attr-defined]


def test_scopes_are_not_taken_for_steps(caplog: pytest.LogCaptureFixture) -> None:
    records = lines_of(World(plan_of(step("a"), finally_=[step("f", kind="retriable")])).finish(), caplog)
    completed = [getattr(record, "step", "") for record in records if record.message == "step completed"]
    assert completed == ["a", "~finally/f"]


def test_what_is_below_the_level_costs_nothing_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World(plan_of(step("a"))).finish()
    assert world.run is not None
    with caplog.at_level(logging.ERROR, logger="sagarun.engine"):
        report([Transition(world.run, (ev.RunStuck(1), *world.events), ())])
    assert [record.message for record in caplog.records] == ["run is stuck"]


def test_branches_items_rounds_and_cases_are_not_taken_for_steps_either(caplog: pytest.LogCaptureFixture) -> None:
    plan = plan_of(
        parallel("both", {"x": [step("x")]}), each("lines", step("y"), items=[1]),
        repeat("again", step("r"), until="{{ true }}"), switch("way", (None, [step("e")])),
    )
    records = lines_of(World(plan).finish(), caplog)
    completed = [getattr(record, "step", "") for record in records if record.message == "step completed"]
    assert completed == ["both.x/x", "both", "lines#0/y", "lines", "again#0/r", "again", "way.else/e", "way"]


def test_waits_signals_and_confirmations_are_told(caplog: pytest.LogCaptureFixture) -> None:
    world = World(plan_of(wait("pause", "1s"), wait_for("hear"), step("a", confirm=True))).start()
    world.fire()
    world.signal("go")
    records = lines_of(world.finish(), caplog)
    told = [(record.message, getattr(record, "step", ""), getattr(record, "signal", "")) for record in records]
    assert ("step waits", "pause", "") in told
    assert ("signal received", "", "go") in told
    assert ("signal taken", "hear", "go") in told
    assert ("step confirmed", "a", "") in told


def test_a_scope_that_is_stuck_is_told(caplog: pytest.LogCaptureFixture) -> None:
    loop = each("lines", step("x", kind="readonly"), items=[1], item_output="{{ result.nothing }}")
    records = lines_of(World(plan_of(step("p", kind="pivot"), loop)).finish(), caplog)
    assert [getattr(record, "step", "") for record in records if record.message == "step is stuck"] == ["lines#0"]
