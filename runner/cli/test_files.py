"""What can be wrong with a test file: its form, names used twice, a definition, input or step that does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.definition.finding import Finding, child
from runner.definition.inputs import InputChecker
from runner.definition.load import check
from runner.definition.model import Definition
from runner.definition.problem import Problem
from runner.definition.schema import check_schema
from runner.definition.source import Source, read_file
from runner.errors import DefinitionError, InputError
from runner.interpreter.plan import Plan, compile_plan


def check_test_file(path: Path, root: Path) -> list[Problem]:
    """Every problem, in the order of the file."""
    try:
        source = read_file(path)
    except DefinitionError as error:
        return list(error.problems)
    problems = check_schema(source, "test")
    if problems:
        return problems
    return sorted(source.problem(finding) for finding in _findings(source, path, root))


def _findings(source: Source, path: Path, root: Path) -> Iterator[Finding]:
    yield from _repeated_names(source.value["cases"])
    file = path.parent / source.value["definition"]
    if not file.is_file():
        yield Finding("SR121", "/definition", f"there is no definition {source.value['definition']!r} beside this file")
        return
    definition, _ = check(file, root=root)
    if definition is None:
        return  # what is wrong with it is said of it
    for index, case in enumerate(source.value["cases"]):
        yield from _case(definition, compile_plan(definition), case, child("/cases", index))


def _repeated_names(cases: list[dict[str, Any]]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, case in enumerate(cases):
        if case["name"] in seen:
            yield Finding("SR120", child(child("/cases", index), "name"), f"there are two cases named {case['name']!r}")
        seen.add(case["name"])


def _case(definition: Definition, plan: Plan, case: dict[str, Any], pointer: str) -> Iterator[Finding]:
    try:
        InputChecker(definition.input_schema).prepare(case["input"])
    except InputError as error:
        # A case may want to show that its input is refused; that is not a run, so it has no place here.
        yield Finding("SR122", child(pointer, "input"), f"the input does not fit: {error.problems[0]}", on_key=True)
    for index, step in enumerate(case["expect"].get("undone", ())):
        if step not in plan.ids:
            at = child(child(child(pointer, "expect"), "undone"), index)
            yield Finding("SR123", at, f"{definition.workflow} has no step {step!r}")
