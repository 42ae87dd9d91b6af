"""What can still be checked of a file that does not fit the schema: the rest of it.

A misspelt key is taken for what it was meant to be, a value that cannot be used is left out, and a
step that cannot be understood leaves an empty step with its id, so that nothing else refers to nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.definition.events import Span
from runner.definition.finding import Finding, child, last, parent
from runner.definition.schema import schema_findings
from runner.definition.source import Source

_ROUNDS = 6
_STEP_LISTS = ("steps", "finally", "else")


@dataclass(slots=True)
class _Place:
    """Where a value stands in the file, however its surroundings were mended, and what is below it."""

    pointer: str
    below: dict[str, _Place] | list[_Place] | None = None


def salvage(source: Source, findings: list[Finding]) -> tuple[Source | None, list[Finding]]:
    """The file without what is wrong with it, or None if too little is left; and all that is wrong with it: below a
    misspelt key too, for that key is all that keeps the rest from being checked. What is left keeps its places."""
    value, found = copy.deepcopy(source.value), []
    place = _places(value, "")
    mended = replace(source, value=value)
    for _ in range(_ROUNDS):
        slips = [finding for finding in findings if finding.is_slip and finding.on_key]
        if not slips:
            break
        found += _moved(slips, place)
        _mend_all(value, place, slips)
        findings = schema_findings(mended, "workflow")
    found += _moved(findings, place)
    for _ in range(_ROUNDS):
        if not findings:
            was = dict(_pointers(place, ""))
            keys, values = ({at: spans[old] for at, old in was.items() if old in spans} for spans in _spans(source))
            return replace(mended, keys=keys, values=values), found
        if not _mend_all(value, place, findings):
            break
        findings = schema_findings(mended, "workflow")
    return None, found


def _spans(source: Source) -> tuple[Mapping[str, Span], Mapping[str, Span]]:
    return source.keys, source.values


def _moved(findings: list[Finding], place: _Place) -> list[Finding]:
    """The findings with the pointers that their places have in the file."""
    was = dict(_pointers(place, ""))
    return [replace(finding, pointer=was.get(finding.pointer, finding.pointer)) for finding in findings]


def _mend_all(value: Any, place: _Place, findings: list[Finding]) -> bool:
    backwards = sorted(findings, key=lambda finding: finding.pointer, reverse=True)
    return all(_mend(value, place, finding) for finding in backwards)


def _places(value: Any, pointer: str) -> _Place:
    if isinstance(value, dict):
        return _Place(pointer, {key: _places(item, child(pointer, key)) for key, item in value.items()})
    if isinstance(value, list):
        return _Place(pointer, [_places(item, child(pointer, index)) for index, item in enumerate(value)])
    return _Place(pointer)


def _pointers(place: _Place, pointer: str) -> Iterator[tuple[str, str]]:
    """Where everything is now, and where it was."""
    yield pointer, place.pointer
    below = place.below
    pairs = below.items() if isinstance(below, dict) else enumerate(below or ())
    for key, each in pairs:
        yield from _pointers(each, child(pointer, key))


def _mend(value: Any, place: _Place, finding: Finding) -> bool:
    pointer = finding.pointer
    if not pointer:
        return _complete(value)
    holder, key = node_at(value, parent(pointer)), last(pointer)
    around = _place_at(place, parent(pointer))
    if isinstance(holder, list):
        index = int(key)
        if index < len(holder) and _holds_steps(parent(pointer)):
            holder[index] = _empty_step(holder[index])
        elif index < len(holder):
            del holder[index]
            del around[index]
    elif isinstance(holder, dict) and key in holder:
        removed, was = holder.pop(key), around.pop(key, None)
        if finding.instead and finding.instead not in holder:
            holder[finding.instead], around[finding.instead] = removed, was
    return True  # what is gone already was part of something else that was wrong


def _empty_step(item: Any) -> dict[str, Any]:
    given = item.get("id") if isinstance(item, dict) else None
    return {"id": given, "set": {}} if isinstance(given, str) else {"set": {}}


def _place_at(place: _Place, pointer: str) -> Any:
    """What is below the place that a pointer leads to."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        below: Any = place.below
        place = below[int(key)] if isinstance(below, list) else below[key]
    return place.below


def _holds_steps(pointer: str) -> bool:
    """Whether a list is one of steps: by its key, or as a branch."""
    return last(pointer) in _STEP_LISTS or pointer.rpartition("/")[0].endswith("/parallel/branches")


def _complete(value: Any) -> bool:
    """What a file is called does not matter to the rest of it; without steps there is no rest."""
    if not isinstance(value, dict) or "steps" not in value:
        return False
    value.setdefault("workflow", "unnamed")
    value.setdefault("version", "0")
    return True


def node_at(value: Any, pointer: str) -> Any:
    """What is at a pointer, or None."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
