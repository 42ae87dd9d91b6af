"""What the definitions of project/ do to the ledger: the effects that are wanted, and their order. Written by hand.

Rule: nothing here is computed by the product. A scenario says in plain lists what `definitions/NAME.yaml` does, so a
wrong interpretation there cannot excuse itself here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Scenario:
    """One definition. `chains`: effects of which each comes after the one before it, and is undone before it."""

    workflow: str
    chains: Sequence[Sequence[str]]
    may_fail: Sequence[str]
    closing: frozenset[str] = frozenset()  # stand however the run ended
    confirmed: frozenset[str] = frozenset()
    alternative: Mapping[str, frozenset[str]] | None = None  # fails here → is completed with these

    def wanted(self, fail: str) -> tuple[str, frozenset[str]]:
        """The status that a run has to end with, and the effects that stand then."""
        if not fail:
            instead = frozenset().union(*self.alternative.values()) - self._plain() if self.alternative else frozenset()
            return "completed", self.labels - instead
        if self.alternative and fail in self.alternative:
            return "completed", self.alternative[fail]
        return "compensated", self.closing

    def never_begun(self, fail: str) -> frozenset[str]:
        """What comes behind the step that fails, so that it never takes effect."""
        if not fail:
            return frozenset()
        behind = {label for chain in self.chains if fail in chain for label in chain[chain.index(fail) :]}
        if self.alternative and fail in self.alternative:
            behind -= self.alternative[fail]
        return frozenset(behind) - self.closing

    @property
    def labels(self) -> frozenset[str]:
        return frozenset(label for chain in self.chains for label in chain)

    def _plain(self) -> frozenset[str]:
        return frozenset(self.chains[0])


def _sided(before: str, sides: Sequence[Sequence[str]], after: Sequence[str]) -> list[list[str]]:
    return [[before, *side, *after] for side in sides]


_ITEMS = _sided("open", [[f"pick-{n}", f"pack-{n}"] for n in range(4)], ["stack-0", "stack-1", "stack-2", "close"])
_TRIES = ["try_one", "try_two", "try_three"]
_MENDED = frozenset(["start", "instead", "end"])

SCENARIOS = {
    scenario.workflow: scenario
    for scenario in (
        Scenario(
            "sequence",
            [["first", "second", "third", "fourth", "closing"]],
            ["first", "second", "third", "fourth"],
            closing=frozenset(["closing"]),
            confirmed=frozenset(["third"]),
        ),
        Scenario(
            "branches",
            _sided("before", [["left_one", "left_two"], ["right_one", "right_two"], ["middle_one"]], ["after"]),
            ["before", "left_one", "left_two", "right_one", "right_two", "middle_one", "after"],
        ),
        Scenario("items", _ITEMS, ["open", "pick-0", "pack-2", "pick-3", "stack-0", "stack-2", "close"]),
        Scenario(
            "family",
            [["parent_one", "part_one", "part_two", "parent_two"]],
            ["parent_one", "part_one", "part_two", "parent_two"],
        ),
        Scenario(
            "pivotal",
            [["hold", "reserve", "pay", "book", "tell", "closing"]],
            ["hold", "reserve", "pay"],
            closing=frozenset(["closing"]),
        ),
        Scenario(
            "mended",
            [["start", *_TRIES, "end"], ["start", "instead", "end"]],
            ["start", *_TRIES, "end"],
            alternative=dict.fromkeys(_TRIES, _MENDED),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run that is to be started. `number` is its key and its mark in the ledger."""

    number: int
    workflow: str
    fail: str

    @property
    def input(self) -> dict[str, object]:
        return {"run": self.number, "fail": self.fail}


def plan(runs: int, random: Random, failing: float) -> list[PlannedRun]:
    """`runs` of all scenarios in random order, of which this part fails at a random step."""
    planned = []
    for number in range(runs):
        scenario = random.choice(list(SCENARIOS.values()))
        fail = random.choice(list(scenario.may_fail)) if random.random() < failing else ""
        planned.append(PlannedRun(number, scenario.workflow, fail))
    return planned
