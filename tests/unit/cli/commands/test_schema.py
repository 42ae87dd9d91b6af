"""`sagarun schema --project`: editors know the workers by it, and are never stricter than `validate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from runner.builtin import builtin_contracts
from runner.cli.checking.contracts import read_lock
from runner.cli.checking.project_schema import project_schema
from runner.cli.main import invoke
from runner.definition.schema import load_schema
from tests.project.repository import ROOT

CONTRACTS = {**builtin_contracts(), **read_lock(ROOT / "schemas/workers.json")}
SHIPPED = sorted(path for path in (ROOT / "definitions").glob("*.yaml") if ".test." not in path.name)


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    schema = project_schema(CONTRACTS)
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def fits(validator: Draft7Validator, step: dict[str, Any]) -> bool:
    return bool(validator.is_valid({"workflow": "a", "version": "1", "steps": [{"id": "a", **step}]}))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_it_takes_every_shipped_definition(validator: Draft7Validator, path: Path):
    assert [error.message for error in validator.iter_errors(yaml.safe_load(path.read_text()))] == []


ARGUMENTS = {"subscription": "S-1", "payment_id": "p-1", "extension_ref": "{{ step.ref }}"}


@pytest.mark.parametrize(
    ("arguments", "good"),
    [
        (ARGUMENTS, True),
        ({**ARGUMENTS, "payment_id": "{{ input.id }}"}, True),
        ({**ARGUMENTS, "{{ input.key }}": 1}, True),
        ({**ARGUMENTS, "paymint_id": "p-1"}, False),
        ({**ARGUMENTS, "payment_id": 7}, False),
        ({"subscription": "S-1"}, False),
    ],
)
def test_arguments_are_those_of_the_worker(validator: Draft7Validator, arguments: dict[str, Any], good: bool):
    assert fits(validator, {"worker": "billing.extend", "with": arguments}) is good
    undo = {"worker": "billing.extend", "with": arguments}
    shipped = {"worker": "billing.void_invoice", "with": {"invoice_ref": "i"}, "compensate": undo}
    assert fits(validator, shipped) is good


def test_arguments_that_are_needed_cannot_be_left_out(validator: Draft7Validator):
    assert not fits(validator, {"worker": "billing.extend"})


def test_a_worker_is_one_that_there_is_and_says_what_it_does(validator: Draft7Validator):
    assert not fits(validator, {"worker": "billing.extned"})
    choices = project_schema(CONTRACTS)["definitions"]["worker_name"]["oneOf"]
    assert [choice["const"] for choice in choices] == sorted(CONTRACTS)
    assert all(choice["description"] for choice in choices)


def test_a_value_of_any_type_may_be_an_expression():
    inner = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    schema = {
        "type": "object", "$defs": {"Line": inner}, "required": ["lines"], "additionalProperties": False,
        "properties": {
            "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}]},
            "many": {"oneOf": [{"type": "integer"}, {"type": "null"}]},
        },
    }
    contract = {"readonly": True, "raises": [], "input": schema, "output": {}}
    validator = Draft7Validator(project_schema({"w": contract}))
    for arguments, good in (
        ({"lines": [{"n": 1}]}, True),
        ({"lines": "{{ input.lines }}"}, True),
        ({"lines": ["{{ line }}", {"n": "{{ line.n }}"}]}, True),
        ({"lines": [{"n": "one"}]}, False),
        ({"lines": [], "pair": [1, "{{ input.b }}"], "many": None}, True),
        ({"lines": [], "pair": [1, 2]}, False),
        ({"lines": [], "many": "one"}, False),
    ):
        assert fits(validator, {"worker": "w", "with": arguments}) is good, arguments


def test_the_command_writes_it_and_says_how_to_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAGARUN_CONFIG", raising=False)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/workers.json").write_text((ROOT / "schemas/workers.json").read_text())
    assert invoke(["schema", "--project"]) == 0
    assert "# yaml-language-server: $schema=../.sagarun/workflow.schema.json\n" in capsys.readouterr().err
    written = json.loads((tmp_path / ".sagarun/workflow.schema.json").read_text())
    assert written == project_schema(CONTRACTS)
    assert invoke(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == load_schema("workflow")
    assert invoke(["schema", "--live"]) == 2


def test_no_worker_is_offered_that_the_project_does_not_have():
    schema = project_schema({"desk.look": {"readonly": True, "raises": [], "input": {"type": "object"}}})
    for place in ("step", "call"):
        assert schema["definitions"][place]["properties"]["worker"]["examples"] == ["desk.look"]
