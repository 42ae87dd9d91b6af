"""`sagarun schedule`, and the engine that starts what is due: on the embedded server, with real processes."""

from __future__ import annotations

import signal

import msgspec
import pytest

from runner.schedules import StoredSchedule
from runner.store.opening import open_store
from tests.acceptance.program import PATIENCE_S, Project, soon

GREET = """\
workflow: greet
version: 1.0.0
schedule: {cron: "0 6 29 2 *", timezone: Europe/Berlin, input: {name: Bo}}
input: {type: object, required: [name], properties: {name: {type: string}}}
vars: {greeting: ""}
steps:
  - {id: greet, set: {greeting: "hello {{ input.name }}"}}
output: "{{ vars.greeting }}"
"""


@pytest.fixture
def scheduled(project: Project) -> Project:
    """A workflow that is due on the 29th of February, and was added."""
    (project.root / "definitions/greet.yaml").write_text(GREET)
    ended = project.sagarun("schedule", "add", "definitions/greet.yaml", code=0)
    assert "next 2028-02-29 06:00 CET" in ended.out or "-02-29 06:00 CET, in" in ended.out
    assert "sagarun engine" in ended.err
    return project


def listed(project: Project) -> dict[str, object]:
    (found,) = project.run_json("schedule", "list", code=0)
    return found


def test_a_schedule_is_listed_paused_resumed_and_removed(scheduled: Project):
    assert listed(scheduled)["last"] is None
    doctor = scheduled.sagarun("doctor", code=0).out
    assert "! schedules   greet\n" in doctor
    assert "nothing is started while no engine runs" in doctor
    scheduled.sagarun("schedule", "pause", "greet", code=0)
    assert (listed(scheduled)["paused"], listed(scheduled)["next_at_ms"]) == (True, None)
    scheduled.sagarun("schedule", "add", "greet", code=0)
    assert listed(scheduled)["paused"] is True
    assert scheduled.run_json("schedule", "resume", "greet", code=0)["paused"] is False
    assert scheduled.run_json("schedule", "remove", "greet", code=0) == {"workflow": "greet", "removed": True}
    assert scheduled.run_json("schedule", "list", code=0) == []
    assert "no schedule of 'greet'" in scheduled.sagarun("schedule", "remove", "greet", code=2).err


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (("0 6 29 2 *", "0 6 31 2 *"), 1, "cron"),
        (("Europe/Berlin", "Europe/Berlyn"), 1, "Europe/Berlyn"),
        (("{name: Bo}", "{name: 7}"), 1, "7 is not of type"),
        (("schedule:", "x-schedule:"), 2, "no `schedule`"),
    ],
)
def test_what_cannot_be_started_is_refused_when_it_is_added(
    project: Project, change: tuple[str, str], code: int, said: str
):
    (project.root / "definitions/greet.yaml").write_text(GREET.replace(*change))
    assert said in project.sagarun("schedule", "add", "greet", code=code).err
    assert project.run_json("schedule", "list", code=0) == []


def test_an_engine_makes_up_for_the_latest_time_that_was_missed(scheduled: Project):
    """As if it had been added years ago, and no engine had run since."""
    opened = open_store(None, namespace="order-processing", state_dir=scheduled.state)
    try:
        (row,) = opened.store.schedules()
        old = msgspec.structs.replace(msgspec.json.decode(row.body, type=StoredSchedule), since_ms=1_400_000_000_000)
        opened.store.put_schedule("greet", msgspec.json.encode(old))
    finally:
        opened.close()
    scheduled.sagarun("definitions/order.yaml", "--case", "card_declined", code=1)
    assert listed(scheduled)["last"] is None  # a command that was asked for something else starts nothing
    engine = scheduled.start("engine")
    soon(lambda: listed(scheduled)["last"], "the engine has started the run")
    last = listed(scheduled)["last"]
    assert isinstance(last, dict)
    assert last["missed"] >= 2
    soon(lambda: scheduled.status(last["run_id"]) == "completed", "the run is over")
    run = scheduled.run_json("show", last["run_id"])
    assert (run["output"], run["key"].startswith("schedule:greet:20")) == ("hello Bo", True)
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(PATIENCE_S) == 0
    assert "before it missed" in scheduled.sagarun("schedule", "list", code=0).out
