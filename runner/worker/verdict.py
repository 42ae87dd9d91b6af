"""What a verification worker answers: whether the operation that it was asked about took effect.

`NotLanded` settles the operation only when nothing can make it land any more: the barrier planted its tombstone in
phase verify, or the service itself sealed the key, and then the worker says `fenced=True`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from runner.errors import parse_duration_ms

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Landed(Generic[T]):
    """It took effect; `output` is what the action would have returned."""

    output: T


@dataclass(frozen=True, slots=True)
class NotLanded:
    """It did not take effect, or not yet. `fenced`: and it never will, the service refuses the key from now on."""

    fenced: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """Nobody can tell yet: ask again after `after` (a duration such as "5s"), or when the policy says."""

    after: str = ""

    @property
    def after_ms(self) -> int:
        return parse_duration_ms("Pending(after=…)", self.after) if self.after else 0

    def __post_init__(self) -> None:
        if self.after:
            parse_duration_ms("Pending(after=…)", self.after)
