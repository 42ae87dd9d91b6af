"""Data schemas with their references inlined."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from runner.definition.bundle import Bundler
from runner.definition.project_file import ProjectFiles


class World:
    """A project with schema files, and a definition that refers to them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.named: dict[str, Any] = {}

    def file(self, name: str, schema: Any) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema))

    def bundler(self) -> Bundler:
        return Bundler(ProjectFiles(self.root), self.root / "definitions", self.named)

    def bundle(self, schema: dict[str, Any]) -> dict[str, Any]:
        bundler = self.bundler()
        bundled = bundler.bundle(schema, "/input")
        assert bundler.findings == []
        return bundled

    def found(self, schema: dict[str, Any]) -> list[tuple[str, str]]:
        bundler = self.bundler()
        bundler.bundle(schema, "/input")
        return [(finding.code, f"{finding.message} {finding.hint}") for finding in bundler.findings]


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "definitions").mkdir()
    return World(tmp_path)


def accepts(schema: dict[str, Any], value: Any) -> bool:
    return jsonschema_rs.Draft202012Validator(schema).is_valid(value)


def test_a_reference_alone_becomes_the_file_itself(world: World) -> None:
    world.file("schemas/order.json", {"title": "An order", "examples": [{"id": 1}], "type": "object"})
    assert world.bundle({"$ref": "../schemas/order.json"}) == {
        "title": "An order",
        "examples": [{"id": 1}],
        "type": "object",
    }


def test_references_are_relative_to_the_file_they_are_in(world: World) -> None:
    world.file("schemas/order.json", {"properties": {"line": {"$ref": "parts/line.json"}}})
    world.file("schemas/parts/line.json", {"properties": {"sku": {"$ref": "sku.json#/$defs/sku"}}})
    world.file("schemas/parts/sku.json", {"$defs": {"sku": {"type": "string"}}})
    bundled = world.bundle({"$ref": "../schemas/order.json"})
    assert accepts(bundled, {"line": {"sku": "A"}})
    assert not accepts(bundled, {"line": {"sku": 1}})


def test_references_within_a_file_still_mean_that_file(world: World) -> None:
    tree = {"type": "object", "properties": {"kids": {"items": {"$ref": "#"}}, "name": {"$ref": "#/$defs/name"}}}
    world.file("schemas/tree.json", {**tree, "$defs": {"name": {"type": "string"}}})
    bundled = world.bundle({"properties": {"root": {"$ref": "../schemas/tree.json"}}, "$defs": {"tree": {}}})
    assert accepts(bundled, {"root": {"kids": [{"name": "a"}]}})
    assert not accepts(bundled, {"root": {"kids": [{"name": 1}]}})


def test_a_named_schema_can_be_used_and_looked_into(world: World) -> None:
    world.named["address"] = {"properties": {"zip": {"$ref": "#/$defs/zip"}}, "$defs": {"zip": {"type": "string"}}}
    whole = world.bundle({"$ref": "#/use/schemas/address"})
    part = world.bundle({"properties": {"zip": {"$ref": "#/use/schemas/address/$defs/zip"}}})
    assert not accepts(whole, {"zip": 1})
    assert not accepts(part, {"zip": 1})


def test_one_file_used_twice_is_there_once(world: World) -> None:
    world.file("a.json", {"type": "string"})
    bundled = world.bundle({"properties": {"x": {"$ref": "../a.json"}, "y": {"$ref": "../a.json"}}})
    assert list(bundled["$defs"]) == ["a"]


def test_files_of_one_name_do_not_meet(world: World) -> None:
    world.file("x/a.json", {"type": "string"})
    world.file("y/a.json", {"type": "integer"})
    bundled = world.bundle({"properties": {"x": {"$ref": "../x/a.json"}, "y": {"$ref": "../y/a.json"}}})
    assert accepts(bundled, {"x": "a", "y": 1})
    assert not accepts(bundled, {"x": 1})


def test_a_bundle_is_not_changed_by_bundling_it_again(world: World) -> None:
    world.file("a.json", {"$id": "https://example.com/a", "properties": {"b": {"$ref": "b.json"}}})
    world.file("b.json", {"type": "string"})
    bundled = world.bundle({"properties": {"x": {"$ref": "../a.json"}}})
    assert world.bundle(bundled) == bundled


def test_data_and_property_names_are_not_taken_for_references(world: World) -> None:
    schema = {
        "properties": {"$ref": {"type": "string"}, "$id": {}},
        "examples": [{"$ref": "nowhere.json"}],
        "const": {"$ref": "x"},
        "default": {"$id": 1},
    }
    assert world.bundle(schema) == schema


@pytest.mark.parametrize(
    ("schema", "code", "words"),
    [
        ({"$ref": "http://example.com/a.json"}, "SR110", "URLs are not read"),
        ({"$ref": "../../x.json"}, "SR110", "outside the project root"),
        ({"$ref": "#/use/schemas/adress"}, "SR212", 'did you mean "address"?'),
        ({"$ref": "#/$defs/x"}, "SR110", 'there is no "$defs"'),
        ({"$ref": "../ok.json#/nope"}, "SR110", 'there is no "nope" in ok.json'),
        ({"$ref": "../ok.json#anchor"}, "SR110", "only pointers"),
        ({"$ref": "#anchor"}, "SR110", "only pointers"),
        ({"items": {"$dynamicRef": "#x"}}, "SR110", "not supported"),
        ({"$anchor": "x"}, "SR110", "not supported"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "SR111", "not supported"),
        ({"$ref": 5}, "SR111", "not a JSON Schema"),
        ({"$defs": 5}, "SR111", "not a JSON Schema"),
        ({"type": "strin"}, "SR111", 'did you mean "string"?'),
        ({"pattern": "["}, "SR111", "not a JSON Schema"),
        ({"$ref": "../list.json"}, "SR111", "not a mapping"),
        ({"properties": {"a": {"$ref": "../wrong.json"}}}, "SR111", "not a JSON Schema"),
    ],
)
def test_what_cannot_be_followed_or_used_is_found(world: World, schema: Any, code: str, words: str) -> None:
    world.named["address"] = {}
    world.file("ok.json", {"$defs": {}})
    world.file("list.json", [])
    world.file("wrong.json", {"type": "objekt"})
    [(found, text)] = world.found(schema)
    assert (found, words in text) == (code, True), text


@pytest.mark.parametrize("files", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_files_that_lead_back_to_themselves_are_refused(world: World, files: list[str]) -> None:
    for name, following in zip(files, [*files[1:], files[0]], strict=True):
        world.file(f"{name}.json", {"properties": {"x": {"$ref": f"{following}.json"}}})
    for schema in ({"$ref": "../a.json"}, {"properties": {"y": {"$ref": "../a.json"}}}):
        assert [code for code, text in world.found(schema) if "leads back to itself" in text] == ["SR110"]


def test_files_that_are_nothing_but_each_other_are_refused(world: World) -> None:
    world.file("a.json", {"$ref": "b.json"})
    world.file("b.json", {"$ref": "a.json"})
    assert "leads back to itself" in world.found({"$ref": "../a.json"})[0][1]


def test_many_schemas_that_refer_to_each_other_take_no_time(world: World) -> None:
    for first in range(100):
        refs = {f"p{second}": {"$ref": f"#/use/schemas/s{second}"} for second in range(first + 1, 100)}
        world.named[f"s{first}"] = {"properties": refs}
    started = time.thread_time()
    assert len(world.bundle({"$ref": "#/use/schemas/s0"})["$defs"]) == 99
    assert time.thread_time() - started < 1


def test_eight_files_deep_is_followed_and_nine_is_not(world: World) -> None:
    for depth in range(1, 10):
        world.file(f"{depth}.json", {"properties": {"x": {"$ref": f"{depth + 1}.json"}}})
    world.file("9.json", {})
    assert world.bundle({"properties": {"x": {"$ref": "../2.json"}}})
    [(code, text)] = world.found({"properties": {"x": {"$ref": "../1.json"}}})
    assert (code, "more than 8 files deep" in text) == ("SR110", True)


def test_a_problem_of_a_yaml_file_is_one_of_that_file(world: World) -> None:
    (world.root / "a.yaml").write_text("type: !!str object\n")
    bundler = world.bundler()
    bundler.bundle({"$ref": "../a.yaml"}, "/input")
    assert [problem.file for problem in bundler.problems] == ["a.yaml"]
