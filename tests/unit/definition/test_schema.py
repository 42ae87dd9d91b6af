"""The schemas of sagarun's own files: complete for editors, and applied so that one mistake is one problem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator

from runner.definition.schema import check_schema, load_schema, schema_findings
from runner.definition.source import read_text

NAMES = ("workflow", "test", "config")


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        for name, found in schema.get("properties", {}).items():
            yield f"{path}/{name}", found
        for key, part in schema.items():
            if key not in ("examples", "default"):
                yield from properties(part, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, part in enumerate(schema):
            yield from properties(part, f"{path}/{index}")


def codes(text: str, name: str = "workflow") -> list[str]:
    return [problem.code for problem in check_schema(read_text(text, "a.yaml"), name)]


def step(text: str) -> str:
    return f"workflow: a\nversion: '1'\nsteps:\n  - {text}\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_draft_07(name: str) -> None:
    Draft7Validator.check_schema(load_schema(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_property_tells_editors_what_it_is(name: str) -> None:
    found = list(properties(load_schema(name)))
    assert len(found) > 8
    for path, schema in found:
        assert {"title", "description", "examples"} <= set(schema), path


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_an_enum_is_described(name: str) -> None:
    for path, schema in properties(load_schema(name)):
        assert "enum" not in schema, path
        for choice in schema.get("oneOf", ()):
            assert "const" not in choice or choice["description"], path


@pytest.mark.parametrize("name", NAMES)
def test_every_example_of_a_property_fits_it(name: str) -> None:
    schema = load_schema(name)
    for path, found in properties(schema):
        validator = Draft7Validator({**found, "definitions": schema.get("definitions", {})})
        for example in found["examples"]:
            assert validator.is_valid(example), (path, example)


def test_keys_that_begin_with_x_are_free_at_the_top_only() -> None:
    assert codes(f"x-owner: [1]\n{step('{set: {}}')}") == []
    assert codes(step("{set: {}, x-owner: me}")) == ["SR102"]


def test_names_have_at_most_64_characters() -> None:
    for length, expected in ((64, []), (65, ["SR105"])):
        name = "a" * length
        assert codes(step(f"{{id: {name}, set: {{}}}}")) == expected
        assert codes(step(f"{{id: a, worker: {name}}}")) == expected
        assert codes(step(f"{{id: a, worker: w, raises: [{name}]}}")) == expected
        assert codes(step(f"{{set: {{{name}: 1}}}}")) == expected
        assert codes(step("{set: {}}").replace("workflow: a", f"workflow: {name}")) == expected
        assert codes(f"vars: {{{name}: 1}}\n{step('{set: {}}')}") == expected
        assert codes(f"use: {{retries: {{{name}: {{}}}}}}\n{step('{set: {}}')}") == expected


def test_a_name_with_a_last_newline_is_no_name() -> None:
    assert codes(step('{id: "a\\n", set: {}}')) == ["SR105"]


@pytest.mark.parametrize("duration", ["5", "5 s", "1w", "-1s", "1.5h", "٣s"])
def test_what_is_no_duration_is_refused(duration: str) -> None:
    assert codes(step(f"{{id: a, worker: w, timeout: '{duration}'}}")) == ["SR105"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{id: a, workr: w, with: {}, retry: quick}", ["SR102"]),
        ("{ide: a, worker: w}", ["SR102"]),
        ("{worker: w}", ["SR101"]),
        ("{id: a}", ["SR106"]),
        ("{id: a, with: {}}", ["SR106"]),
        ("{id: a, set: {}, steps: []}", ["SR106"]),
        ("{id: a, worker: w, compensate: {wrker: u}}", ["SR102"]),
        ("{id: a, worker: w, compensate: [u]}", ["SR103"]),
        ("{id: a, worker: w, retry: {backof: fixed}}", ["SR102"]),
        ("{id: a, worker: w, retry: 3}", ["SR103"]),
        ("{fail: {message: x}}", ["SR101"]),
        ("{fail: {eror: x}}", ["SR102"]),
        ("{wait: 10}", ["SR103"]),
        ("{wait: 10 minutes}", ["SR105"]),
        ("{wait: {}}", ["SR101"]),
        ("{wait: {untill: '2030-01-01T00:00:00Z'}}", ["SR102"]),
        ("{wait_for: {signal: a}}", ["SR101"]),
        ("{id: a, wait_for: {signal: A}}", ["SR105"]),
        ("{id: a, wait_for: {signal: a, on_timeout: continue}}", ["SR101"]),
        ("{id: a, wait_for: {signal: a, timeout: 1d, on_timeout: stop}}", ["SR104"]),
        ("{id: a, wait_for: {signal: a, timeout: 1d, on_timeout: {fial: late}}}", ["SR102"]),
        ("{parallel: {}}", ["SR101"]),
        ("{parallel: [a]}", ["SR103"]),
        ("{parallel: {branches: {}}}", ["SR108"]),
        ("{parallel: {branches: {a: []}}}", ["SR108"]),
        ("{parallel: {branches: {a: [{set: {}}]}, join: some}}", ["SR104"]),
        ("{for_each: {in: 3, steps: [{set: {}}]}}", ["SR103"]),
        ("{for_each: {in: input.x, steps: [{set: {}}]}}", ["SR105"]),
        ("{for_each: {in: [], steps: [{set: {}}], max_paralel: 2}}", ["SR102"]),
        ("{repeat: {max: 3, until: '{{ true }}', stesp: [{set: {}}]}}", ["SR102"]),
        ("{switch: []}", ["SR108"]),
        ("{switch: [{}]}", ["SR101"]),
        ("{switch: [{when: '{{ true }}'}]}", ["SR101"]),
        ("{switch: [{steps: []}]}", ["SR101"]),
        ("{switch: [{els: []}]}", ["SR102"]),
        ("{switch: [{when: '{{ true }}', else: []}]}", ["SR106"]),
        ("{switch: [{when: '{{ true }}', steps: [], else: []}]}", ["SR106"]),
        ("{set: {}, confirm: {worker: w}}", ["SR107"]),
        ("{id: a, worker: w, confirm: {wrker: w}}", ["SR102"]),
        ("just text", ["SR103"]),
        ("", ["SR103"]),
    ],
)
def test_one_mistake_is_one_problem(text: str, found: list[str]) -> None:
    assert codes(step(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("concurrency: {limit: 1}", []),
        ("concurrency: {limit: 3, key: '{{ input.a }}', on_limit: reject}", []),
        ("concurrency: {}", ["SR101"]),
        ("concurrency: {limit: 0}", ["SR108"]),
        ("concurrency: {limit: 1, on_limit: wait}", ["SR104"]),
        ("schedule: {cron: 0 6 * * *}", []),
        ("schedule: {cron: 0 6 * * *, timezone: Asia/Tokyo, overlap: allow, input: [1]}", []),
        ("schedule: {timezone: UTC}", ["SR101"]),
        ("schedule: {cron: 0 6 * * *, overlap: never}", ["SR104"]),
    ],
)
def test_when_and_how_many_runs_start(text: str, found: list[str]) -> None:
    assert codes(f"{text}\n{step('{set: {}}')}") == found


@pytest.mark.parametrize(("rounds", "found"), [(1, []), (1_000, []), (0, ["SR108"]), (1_001, ["SR108"])])
def test_1000_rounds_are_taken_and_1001_are_not(rounds: int, found: list[str]) -> None:
    assert codes(step(f"{{repeat: {{max: {rounds}, until: '{{{{ true }}}}', steps: [{{set: {{}}}}]}}}}")) == found


@pytest.mark.parametrize(("count", "found"), [(1_000, []), (1_001, ["SR108"])])
def test_a_list_that_is_written_out_has_at_most_1000_items(count: int, found: list[str]) -> None:
    assert codes(step(f"{{for_each: {{in: [{'1, ' * count}], steps: [{{set: {{}}}}]}}}}")) == found


def test_a_suggestion_is_also_given_as_data() -> None:
    [finding] = schema_findings(read_text(step("{id: a, worker: w, compensat: none}"), "a.yaml"), "workflow")
    assert finding.instead == "compensate"


def test_a_test_file_is_checked() -> None:
    assert codes("definition: a.yaml\ncases: [{name: ok, input: {}, expect: {status: completed}}]", "test") == []
    assert codes("definition: a.yaml\ncases: [{name: ok, input: {}, expect: {status: done}}]", "test") == ["SR104"]
    assert codes("definition: a.yaml\ncases: []", "test") == ["SR108"]


def test_a_config_file_is_checked() -> None:
    assert codes("project: shop\nlog: {level: debug}\ndurability: none\nretention: 7d\nworkers: [a.b]", "config") == []
    assert codes("durability: strct\nretention: 7 days\nworkers: [../a]\nlog: {levl: debug}", "config") == [
        "SR104",
        "SR105",
        "SR105",
        "SR102",
    ]
