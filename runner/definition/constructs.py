"""Containers and waits on their way to the document: every default written out, every step below resolved.

One function a construct, one line in the table. Each returns what the construct's key holds in the document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from runner.definition.finding import child
from runner.definition.moment import parse_moment

if TYPE_CHECKING:
    from runner.definition.resolve import Resolver

_Given = Mapping[str, Any]


def _parallel(resolver: Resolver, given: _Given, pointer: str, level: int) -> dict[str, Any]:
    branches = {
        name: resolver.sequence(steps, child(f"{pointer}/branches", name), level + 1)
        for name, steps in given["branches"].items()
    }
    return {
        "branches": branches,
        "join": given.get("join", "all"),
        "on_branch_failure": given.get("on_branch_failure", "drain"),
    }


def _for_each(resolver: Resolver, given: _Given, pointer: str, level: int) -> dict[str, Any]:
    return {
        "in": given["in"],
        "as": given.get("as", "item"),
        "max_parallel": int(given.get("max_parallel", 1)),
        "on_item_failure": given.get("on_item_failure", "fail"),
        "steps": resolver.sequence(given["steps"], f"{pointer}/steps", level + 1),
    } | _kept(given, "output")


def _repeat(resolver: Resolver, given: _Given, pointer: str, level: int) -> dict[str, Any]:
    return {
        "max": int(given["max"]),
        "until": given["until"],
        "steps": resolver.sequence(given["steps"], f"{pointer}/steps", level + 1),
    } | _kept(given, "output")


def _switch(resolver: Resolver, given: list[_Given], pointer: str, level: int) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = []
    for index, case in enumerate(given):
        at = child(pointer, index)
        if "when" in case:
            steps = resolver.sequence(case["steps"], f"{at}/steps", level + 1)
            cases.append({"when": case["when"], "steps": steps})
            continue
        cases.append({"else": resolver.sequence(case["else"], f"{at}/else", level + 1)})
        if index == len(given) - 1:
            continue
        if "else" in given[-1]:
            resolver.find("SR116", f"{at}/else", "a switch has one else", "leave one of them out", on_key=True)
        else:
            message = "else is not the last case: what comes after it is never taken"
            resolver.find("SR116", f"{at}/else", message, "move it to the end", on_key=True)
    return cases


def _wait(resolver: Resolver, given: Any, pointer: str, _level: int) -> Any:
    if isinstance(given, str):
        return _time(resolver, given, pointer, "a wait of nothing is none")
    if "{{" not in given["until"]:
        try:
            parse_moment(given["until"])
        except ValueError as error:
            resolver.find("SR105", f"{pointer}/until", str(error), "such as 2030-01-01T06:00:00Z")
            return {"until": "2030-01-01T00:00:00Z"}
    return dict(given)


def _wait_for(resolver: Resolver, given: _Given, pointer: str, _level: int) -> dict[str, Any]:
    resolved: dict[str, Any] = {"signal": given["signal"]} | _kept(given, "match")
    if "schema" in given:
        schema = resolver.data_schema(given["schema"], f"{pointer}/schema")
        if schema is not None:
            resolved["schema"] = schema
    if "timeout" in given:
        resolved["timeout"] = _time(resolver, given["timeout"], f"{pointer}/timeout")
        resolved["on_timeout"] = given.get("on_timeout", {"fail": "signal_timeout"})
    return resolved


def _time(resolver: Resolver, given: str, pointer: str, if_zero: str = "") -> str:
    """A duration, or a template that gives one when the run gets there."""
    return given if "{{" in given else resolver.duration(given, pointer, if_zero=if_zero)


def _kept(given: _Given, *keys: str) -> dict[str, Any]:
    return {key: given[key] for key in keys if key in given}


CONSTRUCTS: Mapping[str, Callable[[Resolver, Any, str, int], Any]] = {
    "steps": lambda resolver, given, pointer, level: resolver.sequence(given, pointer, level + 1),
    "parallel": _parallel,
    "for_each": _for_each,
    "repeat": _repeat,
    "switch": _switch,
    "wait": _wait,
    "wait_for": _wait_for,
}


def sequences(step: Mapping[str, Any]) -> list[Any]:
    """Every list of steps right below a step of a definition or of a document, its handlers' included."""
    below = [step.get("steps", [])]
    below.extend(step.get("parallel", {}).get("branches", {}).values())
    below.extend(step[key]["steps"] for key in ("for_each", "repeat") if key in step)
    below.extend(case[key] for case in step.get("switch", ()) for key in ("steps", "else") if key in case)
    below.extend(handler.get("steps", []) for handler in step.get("catch", ()))
    return below
