"""Every scenario of the kit, on the pure interpreter and on a real server with a real worker process.

And the kit itself: its files are what its schema says, and every rule of the language has a scenario.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jsonschema
import pytest
import yaml

from tests.conformance.language.player import play
from tests.conformance.language.pure import PureStage
from tests.conformance.language.scenario import HERE, SCENARIOS, Scenario, fits, scenarios
from tests.conformance.language.server import House, ServerStage, house
from tests.servers import PATIENCE_S

ALL = scenarios()


@pytest.fixture(scope="module")
def kit_house(valkey_url: str) -> Iterator[House]:
    with house(valkey_url) as found:
        yield found
        found.check()


@pytest.mark.parametrize("scenario", ALL, ids=lambda each: each.id)
def test_the_interpreter_does_what_the_scenario_says(scenario: Scenario, tmp_path: Path) -> None:
    if "server" in scenario.needs:
        pytest.skip("it is about what stands around a run")
    wrong = play(scenario, PureStage, tmp_path)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("scenario", ALL, ids=lambda each: each.id)
def test_a_server_and_workers_do_what_the_scenario_says(
    scenario: Scenario, kit_house: House, tmp_path: Path
) -> None:
    wrong = play(scenario, lambda: ServerStage(kit_house, tmp_path), tmp_path)
    assert not wrong, "\n".join(wrong)


def test_time_does_not_move_while_a_call_of_the_worker_is_under_way(kit_house: House) -> None:
    """It would arrive with a time that is past: the store's time ran 5 s ahead then, and every pause took 5 s more."""
    ask, asked, may_go = kit_house.store._connection.ask, threading.Event(), threading.Event()

    def slowly(*args: Any, **options: Any) -> Any:
        if threading.current_thread() is call:
            asked.set()
            may_go.wait(PATIENCE_S)
        return ask(*args, **options)

    call = threading.Thread(target=lambda: kit_house.store.beat(kit_house.worker.process_id, ()))
    move = threading.Thread(target=lambda: (kit_house.advance(5_000), kit_house.store.now_ms()))
    with patch.object(kit_house.store._connection, "ask", slowly):
        call.start()
        assert asked.wait(PATIENCE_S)
        move.start()
        move.join(0.5)  # long enough to do it, if it does not wait
        may_go.set()
        call.join(PATIENCE_S)
        move.join(PATIENCE_S)
    assert kit_house.store.now_ms() == kit_house.clock.now_ms


# -- the kit itself -------------------------------------------------------------------------------------
RULES = yaml.safe_load((HERE / "rules.yaml").read_text())


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_file_is_what_its_schema_says(path: Path) -> None:
    validator = jsonschema.Draft202012Validator(json.loads((HERE / "scenario.schema.json").read_text()))
    found = validator.iter_errors(yaml.safe_load(path.read_text()))
    problems = [f"{error.json_path}: {error.message}" for error in found]
    assert not problems, "\n".join(problems)


def test_every_scenario_names_rules_that_there_are_and_every_rule_has_one() -> None:
    named = {rule for scenario in ALL for rule in scenario.rules}
    assert named == set(RULES)
    assert {f"2.{number}" for number in range(1, 7)} | {f"4.{number}" for number in range(1, 24)} <= named


def test_no_two_scenarios_have_one_name() -> None:
    assert len({scenario.id for scenario in ALL}) == len(ALL)


def test_every_key_that_a_step_may_have_has_a_rule() -> None:
    schema = json.loads(Path("schemas/workflow.schema.json").read_text())
    keys = set(schema["definitions"]["step"]["properties"])
    assert keys - {"reason"} <= {rule.partition(".")[2] for rule in RULES}


@pytest.mark.parametrize(
    ("patterns", "labels", "fit"),
    [
        (["a", "b"], ["a", "b"], True), (["a", "b"], ["b", "a"], False), (["a"], ["a", "a"], False),
        ([{"any_order": ["a", "b"]}], ["b", "a"], True), ([{"any_order": [["a", "b"], "c"]}], ["a", "c", "b"], True),
        ([{"any_order": [["a", "b"], "c"]}], ["b", "c", "a"], False),
        ([{"any_order": [["a", "b"], ["a", "c"]]}, "d"], ["a", "a", "c", "b", "d"], True),
        ([{"any_order": ["a", "b"]}, "c"], ["a", "c", "b"], False), ([], [], True),
    ],
)
def test_what_a_list_of_calls_means(patterns: list[Any], labels: list[str], fit: bool) -> None:
    assert fits(patterns, labels) is fit
