"""What can still be checked of a file that does not fit the schema: the rest of it.

A misspelt key is taken for what it was meant to be, a value that cannot be used is left out, and a
step that cannot be understood leaves an empty step with its id, so that nothing else refers to nothing.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from runner.definition.finding import Finding, last, parent
from runner.definition.schema import schema_findings
from runner.definition.source import Source

_ROUNDS = 6
_STEP_LISTS = ("steps", "finally", "else")


def salvage(source: Source, findings: list[Finding]) -> Source | None:
    """The file without what is wrong with it, or None if too little is left."""
    value = copy.deepcopy(source.value)
    for _ in range(_ROUNDS):
        for finding in sorted(findings, key=lambda finding: finding.pointer, reverse=True):
            if not _mend(value, finding):
                return None
        mended = replace(source, value=value)
        findings = schema_findings(mended, "workflow")
        if not findings:
            return mended
    return None


def _mend(value: Any, finding: Finding) -> bool:
    pointer = finding.pointer
    if not pointer:
        return _complete(value)
    holder, key = node_at(value, parent(pointer)), last(pointer)
    if isinstance(holder, list):
        _mend_item(holder, int(key), _holds_steps(parent(pointer)))
    elif isinstance(holder, dict) and key in holder:
        removed = holder.pop(key)
        if finding.instead and finding.instead not in holder:
            holder[finding.instead] = removed
    return True  # what is gone already was part of something else that was wrong


def _mend_item(items: list[Any], index: int, are_steps: bool) -> None:
    if index >= len(items):
        return
    item = items[index]
    if are_steps:
        given = item.get("id") if isinstance(item, dict) else None
        items[index] = {"id": given, "set": {}} if isinstance(given, str) else {"set": {}}
    else:
        del items[index]


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
