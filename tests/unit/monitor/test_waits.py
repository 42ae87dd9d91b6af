"""What runs wait for."""

from __future__ import annotations

from pathlib import Path

from runner.interpreter.plan import compile_plan
from runner.monitor.waits import awaited_signals
from tests.desk import EVERYTHING, Desk


def test_the_signals_that_a_run_waits_for_now_are_known(tmp_path: Path):
    desk = Desk(tmp_path, EVERYTHING)
    plan = compile_plan(desk.definition)
    seen = []
    for risk in (7, 0):
        run_id = desk.client.start(desk.definition, {"risk": risk}).id
        desk.work()
        run = desk.client.state(desk.client.stored(run_id))
        assert run is not None
        seen.append(awaited_signals(run, plan))
    assert seen == [["review"], []]  # the second one only waits for a time
