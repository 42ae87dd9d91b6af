"""The project's definitions and the workers fit each other, and the schemas' examples and the cases fit the schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from runner.builtin import builtin_contracts
from runner.definition.load import load
from runner.definition.model import Call, WorkerAction
from runner.expression.evaluate import compile_template
from runner.interpreter.plan import compile_plan
from tests.project.repository import ROOT
from tests.unit.workers.asking import WORKERS

CONTRACTS = WORKERS.contracts()
DEFINITIONS = ("fulfilment", "order", "renewal", "returns", "trip_booking")
SCHEMAS = ("order", "renewal", "return", "trip")
FILES = [ROOT / "definitions" / f"{name}.yaml" for name in DEFINITIONS]


def worker_steps(path: Path) -> list[tuple[str, WorkerAction]]:
    definition = load(path, root=ROOT, contracts=CONTRACTS)
    places = compile_plan(definition).steps.values()  # whatever it is in: a branch, a loop, a handler
    return [(place.step.id, place.worker) for place in places if place.step is not None and place.worker is not None]


def calls(action: WorkerAction) -> list[Call]:
    return [call for call in (action.call, action.verify, action.compensate, action.confirm) if call is not None]


def cases(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(path.with_suffix(".test.yaml").read_text())["cases"]
    return found


@pytest.mark.parametrize("path", FILES, ids=DEFINITIONS)
def test_every_call_gives_its_worker_what_it_takes(path: Path):
    for step, action in worker_steps(path):
        for call in calls(action):
            schema = CONTRACTS[call.worker]["input"]
            given, known, needed = set(call.with_), set(schema["properties"]), set(schema.get("required", ()))
            assert needed <= given <= known, f"{step}: {call.worker}"


@pytest.mark.parametrize("path", FILES, ids=DEFINITIONS)
def test_every_error_that_an_action_may_end_with_is_declared_at_its_step(path: Path):
    for step, action in worker_steps(path):
        assert set(action.raises) == set(CONTRACTS[action.call.worker]["raises"]), step


@pytest.mark.parametrize("path", FILES, ids=DEFINITIONS)
def test_every_declared_error_has_a_title(path: Path):
    document = yaml.safe_load(path.read_text())
    raised = {
        code for _, action in worker_steps(path) for call in calls(action) for code in CONTRACTS[call.worker]["raises"]
    }
    assert raised <= set(document["use"]["errors"])


def test_a_silent_gateway_is_noticed_well_before_the_step_times_out():
    from workers.gateway import client

    (charge,) = [action for step, action in worker_steps(ROOT / "definitions" / "order.yaml") if step == "charge"]
    assert charge.call.timeout_ms > 2 * 1000 * client._READ_S


def test_every_worker_is_used_by_a_definition():
    used = {call.worker for path in FILES for _, action in worker_steps(path) for call in calls(action)}
    assert used - builtin_contracts().keys() == CONTRACTS.keys() - builtin_contracts().keys()


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_examples_fit_their_schema(name: str):
    schema = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for example in schema["examples"]:
        jsonschema.validate(example, schema)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_closed_throughout(name: str):
    def objects(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, dict):
            if node.get("type") == "object":
                yield node
            for key, child in node.items():
                if key != "examples":
                    yield from objects(child)
        elif isinstance(node, list):
            for child in node:
                yield from objects(child)

    schema = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())
    assert [node.get("title") for node in objects(schema) if node.get("additionalProperties") is not False] == []


@pytest.mark.parametrize("path", FILES, ids=DEFINITIONS)
def test_every_cases_input_fits_the_definitions_schema(path: Path):
    schema = load(path, root=ROOT, contracts=CONTRACTS).input_schema
    for case in cases(path):
        jsonschema.validate(case["input"], schema)


@pytest.mark.parametrize("path", FILES, ids=DEFINITIONS)
def test_the_cases_do_not_share_an_idempotency_key_so_each_is_a_run_of_its_own(path: Path):
    key = compile_template(load(path, root=ROOT, contracts=CONTRACTS).idempotency_key)
    keys = [key.render({"input": case["input"]}) for case in cases(path)]
    assert len(set(keys)) == len(keys)


def test_the_first_case_of_an_order_is_the_example_that_runs_without_an_input():
    schema = json.loads((ROOT / "schemas" / "order.schema.json").read_text())
    assert cases(ROOT / "definitions" / "order.yaml")[0]["input"] == schema["examples"][0]
