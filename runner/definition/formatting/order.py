"""In which order keys are written. Where the order says something (vars, output, branches) it stays.

A step reads as it runs: what it is, when it runs, what it does, how patiently, what becomes of it when that fails.
Everything else has the order of the schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from runner.definition.complaint import ACTIONS
from runner.definition.formatting.nodes import Entry
from runner.definition.schema import load_schema

ROOT = "workflow"
_STEP = (
    "id", "summary", "when", *ACTIONS, "version", "with", "kind", "raises", "timeout", "queue_timeout", "total_timeout",
    "heartbeat", "retry", "on_failure", "on_unknown", "verify", "compensate", "reason", "confirm", "output", "catch",
)  # fmt: skip
_PARALLEL = ("join", "on_branch_failure", "branches")  # what is short would be overlooked behind the branches
_ANY = "*"
_FREE = "x-"  # what the top level may hold besides; not at its end, for it may have anchors that steps refer to
_BELOW: Mapping[str, Mapping[str, str]] = {
    ROOT: {
        "steps": "steps", "finally": "steps", "use": "use", "defaults": "defaults", "compensation": "compensation",
        "concurrency": "concurrency", "schedule": "schedule",
    },
    "use": {"retries": "retries"},
    "retries": {_ANY: "retry"},
    "defaults": {"retry": "retry"},
    "compensation": {"retry": "retry"},
    "steps": {_ANY: "step"},
    "step": {
        "steps": "steps", "parallel": "parallel", "for_each": "for_each", "repeat": "repeat", "switch": "cases",
        "catch": "catches", "wait_for": "wait_for", "fail": "fail", "retry": "retry", "verify": "call",
        "compensate": "call", "confirm": "call",
    },
    "call": {"retry": "retry"},
    "parallel": {"branches": "branches"},
    "branches": {_ANY: "steps"},
    "for_each": {"steps": "steps"},
    "repeat": {"steps": "steps"},
    "cases": {_ANY: "case"},
    "case": {"steps": "steps", "else": "steps"},
    "catches": {_ANY: "catch"},
    "catch": {"steps": "steps"},
}  # fmt: skip


def below(place: str, key: str) -> str:
    """What a value is, by what it is in and under which key; "" where no order is known."""
    known = _BELOW.get(place, {})
    return known.get(key, known.get(_ANY, ""))


def is_ordered(place: str) -> bool:
    return place in _orders()


def in_order(place: str, entries: Sequence[Entry], keys: Sequence[str]) -> list[Entry]:
    """The pairs of a mapping with these keys; what is not known comes last, as it stood."""
    rank: dict[str, float] = {key: index for index, key in enumerate(_orders().get(place, ()))}
    if not rank:
        return list(entries)
    free = rank.get("input", 0) - 0.5
    ranks = [rank.get(key, free if key.startswith(_FREE) and place == ROOT else len(rank)) for key in keys]
    return [entries[index] for index in sorted(range(len(entries)), key=ranks.__getitem__)]


@cache
def _orders() -> Mapping[str, tuple[str, ...]]:
    schema = load_schema("workflow")
    known: Mapping[str, Any] = {**schema["properties"], **schema["definitions"]}
    places = {place for places in _BELOW.values() for place in places.values()}
    found = {place: tuple(known[place]["properties"]) for place in places if "properties" in known.get(place, ())}
    return {**found, ROOT: tuple(schema["properties"]), "step": _STEP, "parallel": _PARALLEL}
