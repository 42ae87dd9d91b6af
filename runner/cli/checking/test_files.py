"""What can be wrong with a test file: its form, names used twice, and what does not fit the definition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.definition.complaint import did_you_mean
from runner.definition.finding import Finding, child
from runner.definition.inputs import InputChecker
from runner.definition.load import check
from runner.definition.model import Definition
from runner.definition.problem import Problem
from runner.definition.schema import check_schema
from runner.definition.signals import prepare_signal, signal_names, unknown_signal
from runner.definition.source import Source, read_file, read_text
from runner.errors import DefinitionError, InputError, SignalMisfit
from runner.interpreter.paths import static
from runner.interpreter.plan import Plan, compile_plan

_NUMBER = re.compile(r"#\d+")
CODES = {
    "SR120": "Two cases have one name",
    "SR121": "There is no such definition beside the test file",
    "SR122": "The input of a case does not fit",
    "SR123": "A case names a step that is not there",
    "SR124": "A case sends a signal that nothing waits for",
    "SR125": "The data of a signal in a case does not fit",
}


def check_test_file(path: Path, root: Path, text: str | None = None) -> list[Problem]:
    """Every problem, in the order of the file. `text`: what is to be in it, and is not yet."""
    try:
        source = read_file(path) if text is None else read_text(text, str(path))
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
    for index, signal in enumerate(case.get("signals", ())):
        yield from _signal(definition, signal, child(child(pointer, "signals"), index))
    expected = child(pointer, "expect")
    for index, place in enumerate(case["expect"].get("undone", ())):
        yield from _place(plan, place, child(child(expected, "undone"), index))
    for place in case["expect"].get("steps", ()):
        yield from _place(plan, place, child(child(expected, "steps"), place), on_key=True)


def _signal(definition: Definition, signal: dict[str, Any], pointer: str) -> Iterator[Finding]:
    """A name that nothing takes, or data that does not fit. A child run may be the one that waits."""
    name = signal["name"]
    for each in (definition, *definition.children.values()):
        if name in signal_names(each):
            break
    else:
        yield Finding("SR124", child(pointer, "name"), f"a run {unknown_signal(definition, name)}")
        return
    try:
        prepare_signal(each, name, signal.get("data"))
    except SignalMisfit as error:
        at = child(pointer, "data") if "data" in signal else pointer
        yield Finding("SR125", at, f"{error.headline}: {error.problems[0]}", on_key=True)


def _place(plan: Plan, place: str, pointer: str, *, on_key: bool = False) -> Iterator[Finding]:
    if place in plan.ids:
        return
    found = plan.steps.get(static(place))
    if found is None or found.step is None or "#/" in place:
        numbers = iter(_NUMBER.findall(place))
        known = [path for path, each in plan.steps.items() if each.step is not None]
        hint = re.sub("#", lambda _: next(numbers, "#0"), did_you_mean(_NUMBER.sub("#", place), [*plan.ids, *known]))
        yield Finding("SR123", pointer, f"{plan.definition.workflow} has no step {place!r}", hint, on_key=on_key)
