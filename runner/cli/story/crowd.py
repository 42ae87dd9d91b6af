"""Loops with many items, told by counts: which lines about single items are left out, and when a count is worth a line.

Rule: what is left out follows from the history alone, so two who watch read the same lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MANY = 10  # items or rounds: of more, only what goes wrong is told one by one, and of that only the first ones
_NUMBER = re.compile(r"#(\d+)")


@dataclass(slots=True)
class Tally:
    """How far one loop is."""

    total: int = 0  # items; 0: not known (the rounds of a `repeat`)
    done: int = 0
    failed: int = 0
    undone: int = 0
    told: int = 0  # lines about what went wrong

    @property
    def stride(self) -> int:
        """So many more are worth a line."""
        return max(MANY, self.total // 10)


@dataclass(slots=True)
class Crowd:
    """The loops of one run, by their paths."""

    tallies: dict[str, Tally] = field(default_factory=dict)

    def tally(self, loop: str) -> Tally:
        return self.tallies.setdefault(loop, Tally())

    def loop_of(self, path: str) -> str | None:
        """The outermost loop of many items around `path`; None: a line about it is not one of many."""
        for match in _NUMBER.finditer(path):
            loop = path[: match.start()]
            if self.tally(loop).total > MANY or int(match[1]) >= MANY:
                return loop
        return None

    def is_told(self, path: str) -> bool:
        """Whether something that went wrong here gets a line: the first ones of a loop do."""
        loop = self.loop_of(path)
        if loop is None:
            return True
        tally = self.tally(loop)
        tally.told += 1
        return tally.told <= MANY

    def part_ended(self, path: str, *, failed: bool) -> Tally | None:
        """An item or round is over. Its loop's tally, if it is worth a line now."""
        loop, number = _split(path)
        if not number:
            return None
        tally = self.tally(loop)
        tally.done += 1
        tally.failed += failed
        is_due = tally.done % tally.stride == 0 and tally.done != tally.total
        return tally if is_due and self.loop_of(path) == loop else None

    def step_undone(self, path: str) -> tuple[str, Tally] | None:
        """A step in a loop of many was undone. Its loop and tally, if that is worth a line."""
        loop = self.loop_of(path)
        if loop is None:
            return None
        tally = self.tally(loop)
        tally.undone += 1
        return (loop, tally) if tally.undone % tally.stride == 0 else None


def _split(path: str) -> tuple[str, str]:
    """The loop and the number of its item; no number for what is no item."""
    loop, _, number = path.rpartition("#")
    return (loop, number) if number.isdecimal() else (path, "")
