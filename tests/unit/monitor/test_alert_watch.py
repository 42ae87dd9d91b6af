"""Several engines look at the same rules: one of them tells, once in the cool-down, and once that it is over."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from runner.definition.alert_settings import AlertRule, AlertSettings
from runner.errors import StoreUnavailable
from runner.monitor.alert_delivery import Notice
from runner.monitor.alert_watch import AlertWatch, look
from tests.desk import Desk

RULES = (AlertRule("stuck", "stuck_runs"), AlertRule("old", "queue_age", 5_000.0))
SETTINGS = AlertSettings(RULES, cool_down_ms=60_000)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def told(desk: Desk, settings: AlertSettings = SETTINGS) -> list[tuple[str, str]]:
    """What three engines tell that look at one time."""
    notices: list[Notice] = []
    for _ in range(3):
        look(desk.store, settings, [notices.append])
    return [(notice.alert, notice.state) for notice in notices]


def test_one_of_all_engines_tells_once_and_once_that_it_is_over(desk: Desk):
    assert told(desk) == []
    run_id = desk.run(fail="undo")
    assert told(desk) == [("stuck", "firing")]
    assert told(desk) == []
    desk.client.abandon(run_id, reason="it is a test", timeout=0)
    desk.work()
    assert told(desk) == [("stuck", "resolved")]
    assert told(desk) == []


def test_what_goes_on_is_told_again_after_the_cool_down(desk: Desk):
    desk.run(fail="undo")
    told(desk)
    desk.clock.advance(SETTINGS.cool_down_ms)
    assert told(desk) == [("stuck", "firing")]


def test_a_rule_that_is_gone_fires_no_longer(desk: Desk):
    desk.run(fail="undo")
    told(desk)
    assert told(desk, AlertSettings()) == []
    assert [row.firing for row in desk.store.alerts() if row.name == "stuck"] == [False]


def test_an_outage_of_the_store_ends_no_watch(desk: Desk, caplog: pytest.LogCaptureFixture):
    stop, looked = threading.Event(), []

    class Away:
        namespace = "desk"

        def figures(self, *_: object) -> None:
            looked.append(1)
            if len(looked) == 2:
                stop.set()
            raise StoreUnavailable("nobody answers")

    settings = AlertSettings(SETTINGS.rules, every_ms=1)
    watch = AlertWatch(Away(), lambda: (settings, []), stop)  # type: ignore[arg-type]
    watch.run()
    assert len(looked) == 2
    assert "nobody answers" in caplog.text
