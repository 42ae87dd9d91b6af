"""Paths of a run's tree: "reserve", "checks/score", "checks.fraud/score", "lines#3/ship", "pay~0/fallback".

Ids are [a-z][a-z0-9_]*, so the four separators are unambiguous: / a child, . a branch, # an item, ~ a handler.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

ROOT = ""
FINALLY = "~finally"
RUN = "~run"  # not a node: the run as a whole, on the agenda
RUN_TIMEOUT = "~run@timeout"

_LAST = re.compile(r"[/.#~](?=[^/.#~]*$)")
_ITEM = re.compile(r"#\d+")
_NUMBER = re.compile(r"\d+")


def child(scope: str, step_id: str) -> str:
    return f"{scope}/{step_id}" if scope else step_id


def children_of(path: str, names: Sequence[str], count: int) -> Iterator[str]:
    """The scopes side by side (or one after the other) below a step: named ones, or the items and rounds begun."""
    if names:
        return (f"{path}.{name}" for name in names)
    return (f"{path}#{index}" for index in range(count))


@lru_cache(maxsize=4096)
def parent(path: str) -> str:
    """The path of the node above; RUN above the root and the finally scope."""
    if path in (ROOT, FINALLY):
        return RUN
    last = _LAST.search(path)
    return path[: last.start()] if last else ROOT


def static(path: str) -> str:
    """The place in the definition: loop items share one."""
    return _ITEM.sub("#", path) if "#" in path else path


def instance(static_path: str, seen_from: str) -> str:
    """The node at this place that a step at `seen_from` means: the same items of the loops around both."""
    if "#" not in static_path:
        return static_path
    seen = static(seen_from)
    items = iter(_ITEM.findall(seen_from))

    def item(loop: re.Match[str]) -> str:
        return next(items, "#") if seen.startswith(static_path[: loop.end()]) else "#"

    return re.sub("#", item, static_path)


def order(path: str) -> str:
    """What to sort paths by, so that item 10 comes after item 9."""
    return _NUMBER.sub(lambda number: number[0].zfill(6), path)


def items(path: str) -> tuple[int, ...]:
    """The item numbers on the way: (3,) for "lines#3/ship"."""
    return tuple(int(item[1:]) for item in _ITEM.findall(path)) if "#" in path else ()
