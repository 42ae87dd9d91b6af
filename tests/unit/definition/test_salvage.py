"""What is left of a file that does not fit the schema."""

from __future__ import annotations

from typing import Any

import pytest

from runner.definition.salvage import salvage
from runner.definition.schema import schema_findings
from runner.definition.source import read_text


def rest(text: str) -> Any:
    source = read_text(text, "a.yaml")
    saved, _ = salvage(source, schema_findings(source, "workflow"))
    return None if saved is None else saved.value


HEAD = "workflow: a\nversion: '1'\n"


def test_a_misspelt_key_is_taken_for_what_it_was_meant_to_be() -> None:
    assert rest(f"{HEAD}steps: [{{id: a, workr: w}}]")["steps"] == [{"id": "a", "worker": "w"}]


def test_a_value_that_cannot_be_used_is_left_out() -> None:
    assert rest(f"{HEAD}timeout: soon\nsteps: [{{id: a, worker: w, retry: 3}}]") == {
        "workflow": "a",
        "version": "1",
        "steps": [{"id": "a", "worker": "w"}],
    }


def test_a_step_that_cannot_be_understood_keeps_its_id_and_its_place() -> None:
    assert rest(f"{HEAD}steps: [{{id: a}}, text, {{id: c, set: {{}}}}]")["steps"] == [
        {"id": "a", "set": {}},
        {"set": {}},
        {"id": "c", "set": {}},
    ]


def test_a_file_without_a_name_has_steps_all_the_same() -> None:
    assert rest("steps: [{set: {}}]")["steps"] == [{"set": {}}]


@pytest.mark.parametrize("text", ["", "- a", "workflow: a", f"{HEAD}steps: []", f"{HEAD}steps: {{}}"])
def test_without_steps_nothing_is_left(text: str) -> None:
    assert rest(text) is None


def test_the_file_itself_is_not_changed() -> None:
    source = read_text(f"{HEAD}steps: [{{id: a, workr: w}}]", "a.yaml")
    salvage(source, schema_findings(source, "workflow"))
    assert source.value["steps"] == [{"id": "a", "workr": "w"}]


def places(text: str, *pointers: str) -> list[str]:
    """What the file has at these places of what is left of it."""
    source = read_text(text, "a.yaml")
    saved, _ = salvage(source, schema_findings(source, "workflow"))
    assert saved is not None
    return [saved.raw(pointer) for pointer in pointers]


def test_what_is_left_keeps_its_places_behind_an_item_that_is_gone_and_below_a_key_that_was_misspelt() -> None:
    text = f"{HEAD}stepps: [{{id: a, worker: w, catch: [5, {{errors: [x]}}], wiht: {{b: c}}}}]"
    assert places(text, "/steps/0/catch/0/errors/0", "/steps/0/with/b") == ["x", "c"]


def test_what_a_misspelt_key_hides_is_found_as_well_where_it_stands() -> None:
    source = read_text(f"{HEAD}stepps: [{{id: a, worker: w, wiht: {{b: c}}, timeout: 5}}]", "a.yaml")
    _, found = salvage(source, schema_findings(source, "workflow"))
    assert [finding.pointer for finding in found] == ["/stepps", "/stepps/0/wiht", "/stepps/0/timeout"]
