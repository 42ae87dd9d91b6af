"""Where a run's input comes from, and what `--set` makes of it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from runner.cli.assignment import parse
from runner.cli.run_input import case_signals, choose_input
from runner.definition.load import load_text
from runner.definition.model import Definition
from runner.errors import DefinitionError, InputError, UsageError

DEFINITION = """
workflow: greet
version: 1.0.0
input: {type: object, examples: [{name: Ada, tags: [a, b]}]}
steps:
  - {id: hello, worker: say.hello, with: {name: "{{ input.name }}"}, kind: readonly}
"""
TESTS = """
definition: greet.yaml
cases:
  - {name: short, input: {name: Bo}, expect: {status: completed}}
  - {name: long, input: {name: Methuselah}, expect: {status: completed}}
"""


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    return load_text(DEFINITION, file="greet.yaml", root=tmp_path)


def chosen(definition: Definition, file: Path | None = None, **options: object) -> tuple[object, str]:
    return choose_input(definition, file, **{"given": None, "case": None, "settings": (), **options})  # type: ignore[arg-type]


def test_without_an_input_the_first_example_is_taken_and_that_is_told(definition: Definition):
    value, origin = chosen(definition)
    assert value == {"name": "Ada", "tags": ["a", "b"]}
    assert "first example" in origin


def test_set_changes_the_example(definition: Definition):
    value, _ = chosen(definition, settings=[parse("name=Eve"), parse("tags.1:=7"), parse("deep.er.still:=null")])
    assert value == {"name": "Eve", "tags": ["a", 7], "deep": {"er": {"still": None}}}


def test_an_input_file_may_be_json_or_yaml(definition: Definition, tmp_path: Path):
    (tmp_path / "a.json").write_text('{"name": "J"}')
    (tmp_path / "a.yaml").write_text("name: Y\n")
    assert chosen(definition, given=str(tmp_path / "a.json"))[0] == {"name": "J"}
    assert chosen(definition, given=str(tmp_path / "a.yaml"))[0] == {"name": "Y"}


def test_an_input_may_come_from_standard_input(definition: Definition, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"name": "S"}')))
    assert chosen(definition, given="-")[0] == {"name": "S"}


@pytest.mark.parametrize("text", ['{"name": ', "[1, 2", '{"a": NaN}', '{"a": 1} trailing'])
def test_broken_json_is_an_input_error(definition: Definition, tmp_path: Path, text: str):
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(InputError, match=r"^the input cannot be read: .* is not JSON"):
        chosen(definition, given=str(tmp_path / "broken.json"))


@pytest.mark.parametrize(
    ("given", "message"), [(b"\xff\xfe", "standard input is not UTF-8 text"), (b" \n", "standard input is empty")]
)
def test_standard_input_is_named_where_it_is_wrong(
    definition: Definition, monkeypatch: pytest.MonkeyPatch, given: bytes, message: str
):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    with pytest.raises(InputError, match=message):
        chosen(definition, given="-")


def test_a_missing_input_file_is_a_usage_error(definition: Definition):
    with pytest.raises(UsageError, match=r"nowhere\.json cannot be read: No such file"):
        chosen(definition, given="nowhere.json")


def test_input_and_case_exclude_each_other(definition: Definition):
    with pytest.raises(UsageError, match="leave one out"):
        chosen(definition, given="a.json", case="short")


def test_a_case_is_taken_from_the_test_file_beside_the_definition(definition: Definition, tmp_path: Path):
    (tmp_path / "greet.test.yaml").write_text(TESTS)
    assert chosen(definition, tmp_path / "greet.yaml", case="long")[0] == {"name": "Methuselah"}


def test_what_a_case_sends_is_known(tmp_path: Path):
    signals = "signals: [{name: go, data: {now: true}, after: 2s}, {name: stop}]"
    (tmp_path / "greet.test.yaml").write_text(TESTS.replace("name: long,", f"name: long, {signals},"))
    assert case_signals(tmp_path / "greet.yaml", "long") == [("go", {"now": True}, "2s"), ("stop", None, "")]
    assert case_signals(tmp_path / "greet.yaml", "short") == []
    assert case_signals(tmp_path / "greet.yaml", None) == []


def test_an_unknown_case_says_which_there_are(definition: Definition, tmp_path: Path):
    (tmp_path / "greet.test.yaml").write_text(TESTS)
    with pytest.raises(UsageError) as raised:
        chosen(definition, tmp_path / "greet.yaml", case="shrt")
    assert 'Did you mean "short"?' in str(raised.value)
    assert "short, long" in str(raised.value)


def test_a_case_without_a_test_file_says_which_file_is_missing(definition: Definition, tmp_path: Path):
    with pytest.raises(UsageError, match=r"greet\.test\.yaml"):
        chosen(definition, tmp_path / "greet.yaml", case="short")


def test_a_test_file_with_a_mistake_is_told_with_its_place(definition: Definition, tmp_path: Path):
    (tmp_path / "greet.test.yaml").write_text("definition: greet.yaml\ncases:\n  - {name: x, inptu: {}}\n")
    with pytest.raises(DefinitionError, match="inptu"):
        chosen(definition, tmp_path / "greet.yaml", case="x")
