"""The input of a run, as the command line gives it: a file, a case, or the schema's example; then `--set` on top."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner.cli.assignment import Assignment, assign
from runner.cli.failure import did_you_mean
from runner.definition.model import Definition
from runner.definition.schema import check_schema
from runner.definition.source import read_file, read_text
from runner.errors import DefinitionError, InputError, UsageError


def choose_input(
    definition: Definition, file: Path | None, *, given: str | None, case: str | None, settings: Sequence[Assignment]
) -> tuple[Any, str]:
    """The input, and what to tell about where it is from ("" if the caller knows). `file` is the definition's."""
    if given is not None and case is not None:
        raise UsageError("--input and --case both give an input: leave one out")
    origin = ""
    if given is not None:
        value = _read_input(given)
    elif case is not None:
        value = _case_input(file, case)
    else:
        value, origin = _example(definition)
    for assignment in settings:
        value = assign(value, assignment)
    return value, origin


def _example(definition: Definition) -> tuple[Any, str]:
    schema = definition.input_schema
    examples = schema.get("examples") if schema else None
    if isinstance(examples, list) and examples:
        return examples[0], "no input was given: this is the first example of the input schema"
    return {}, ""


def _read_input(given: str) -> Any:
    """A JSON or YAML file, or standard input for `-`."""
    path, name = Path(given), "standard input" if given == "-" else given
    try:
        if given == "-":
            return parse_value(sys.stdin.buffer.read().decode(), name)
        if path.suffix in (".yaml", ".yml"):
            return read_file(path).value
        return parse_value(path.read_text(encoding="utf-8"), name)
    except OSError as error:
        raise UsageError(f"the input {given} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError([f"{name} is not UTF-8 text"], wrong="cannot be read") from None
    except DefinitionError as error:
        raise InputError([str(problem) for problem in error.problems], wrong="cannot be read") from None


def parse_value(text: str, name: str) -> Any:
    """JSON; else YAML, of which JSON is nearly a part."""
    if not text.strip():
        raise InputError([f"{name} is empty"], wrong="cannot be read")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        if text.lstrip()[:1] in ("{", "[", '"'):
            raise InputError([f"{name} is not JSON: {error}"], wrong="cannot be read") from None
    return read_text(text, name).value


def _case_input(file: Path | None, case: str) -> Any:
    if file is None:
        raise UsageError("--case needs a definition in a file: the cases stand in the test file beside it")
    cases = read_cases(file)
    if case not in cases:
        raise UsageError(
            f'there is no case "{case}" in {test_file(file)}.{did_you_mean(case, cases)}\nit has: {", ".join(cases)}'
        )
    return cases[case]["input"]


def case_signals(file: Path | None, case: str | None) -> list[tuple[str, Any, str]]:
    """What a case tells its run: name, data, and how long after the start ("": when a step waits for it)."""
    given = read_cases(file)[case].get("signals", ()) if file is not None and case is not None else ()
    return [(signal["name"], signal.get("data"), signal.get("after", "")) for signal in given]


def test_file(definition: Path) -> Path:
    return definition.with_name(f"{definition.stem}.test{definition.suffix}")


def read_cases(definition: Path) -> dict[str, dict[str, Any]]:
    """The cases by name. Raises UsageError, and DefinitionError for a test file with mistakes."""
    path = test_file(definition)
    if not path.is_file():
        raise UsageError(f"there is no test file {path}: --case names one of its cases")
    source = read_file(path)
    problems = check_schema(source, "test")
    if problems:
        raise DefinitionError(problems)
    return {case["name"]: case for case in source.value["cases"]}
