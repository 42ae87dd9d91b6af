"""Scenarios as they are written: reading them, and what their lists of calls mean. README.md is the format's page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
SCENARIOS = HERE / "scenarios"
NEVER_MS = 1 << 60
_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class Answer:
    """What a worker does when it is called, and when."""

    does: str = "echo"  # or completed, business, no_effect, …: see README.md
    value: Any = None
    takes_ms: int = 0
    ignores_stop: bool = False
    beats: Any = None  # details of the heartbeats that it sends; None: it sends none
    more: dict[str, Any] = field(default_factory=dict)  # message, details


@dataclass(frozen=True)
class Event:
    """Something from outside, at a moment."""

    at: str
    do: Any
    expect: dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    file: str
    name: str
    rules: tuple[str, ...]
    definition: str
    others: dict[str, str]
    contracts: dict[str, dict[str, Any]] | None
    input: Any
    answers: dict[str, tuple[Answer, ...]]
    events: tuple[Event, ...]
    expect: dict[str, Any]
    needs: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{Path(self.file).stem}: {self.name}"


@cache
def scenarios() -> tuple[Scenario, ...]:
    return tuple(found for path in sorted(SCENARIOS.glob("*.yaml")) for found in _read(path))


def _read(path: Path) -> Iterator[Scenario]:
    for entry in yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        yield Scenario(
            file=path.name, name=entry["scenario"], rules=tuple(str(rule) for rule in entry["rules"]),
            definition=entry["definition"], others=entry.get("others", {}), contracts=entry.get("contracts"),
            input=grown(entry.get("input")),
            answers={label: tuple(map(answer_of, given)) for label, given in entry.get("answers", {}).items()},
            events=tuple(Event(each["at"], each.get("do"), each.get("expect", {})) for each in entry.get("events", ())),
            expect=entry["expect"], needs=tuple(entry.get("needs", ())),
        )


MANNERS = ("takes", "ignores_stop", "beats", "message", "details")


def answer_of(written: Any) -> Answer:
    if isinstance(written, str):
        if written == "never":
            return Answer(takes_ms=NEVER_MS)
        return Answer("echo" if written == "completed" else written)
    does = next((key for key in written if key not in MANNERS), None)
    takes = written.get("takes", "0ms")
    return Answer(
        does=does or "echo", value=grown(written[does]) if does else None,
        takes_ms=NEVER_MS if takes == "never" else milliseconds(takes),
        ignores_stop=written.get("ignores_stop", False), beats=written.get("beats"),
        more={key: written[key] for key in ("message", "details") if key in written},
    )


def grown(value: Any) -> Any:
    """{$repeat: [what, times]} stands for a long text or list."""
    if isinstance(value, dict):
        if list(value) == ["$repeat"]:
            what, times = value["$repeat"]
            return what * times
        return {key: grown(part) for key, part in value.items()}
    return [grown(part) for part in value] if isinstance(value, list) else value


def milliseconds(duration: str) -> int:
    unit = duration.lstrip("0123456789")
    return int(duration.removesuffix(unit)) * _UNITS[unit]


# -- lists of calls -----------------------------------------------------------------------------------
# A pattern is a label, a list (one after another) or {any_order: patterns} (side by side: any interleaving).
Pattern = Any


def fits(patterns: Sequence[Pattern], labels: Sequence[str]) -> bool:
    """Whether the labels are one of the orders that the patterns allow."""
    left = [list(patterns)]
    for label in labels:
        left = [rest for pattern in left for rest in _after(pattern, label)]
    return any(_may_end(pattern) for pattern in left)


def _after(pattern: Pattern, label: str) -> list[Pattern]:
    """What may still come once this label has come first."""
    if isinstance(pattern, str):
        return [[]] if pattern == label else []
    if isinstance(pattern, list):
        if not pattern:
            return []
        first, *rest = pattern
        found: list[Pattern] = [[begun, *rest] if begun else rest for begun in _after(first, label)]
        return found + (_after(rest, label) if _may_end(first) else [])
    sides = pattern["any_order"]
    found = []
    for index, side in enumerate(sides):
        others = [*sides[:index], *sides[index + 1 :]]
        found += [{"any_order": [begun, *others] if begun else others} for begun in _after(side, label)]
    return found


def _may_end(pattern: Pattern) -> bool:
    if isinstance(pattern, str):
        return False
    return all(_may_end(part) for part in (pattern if isinstance(pattern, list) else pattern["any_order"]))
