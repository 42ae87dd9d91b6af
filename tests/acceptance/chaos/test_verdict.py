"""The verdict finds each thing that can be wrong: accounts with one flaw each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import pytest

from tests.acceptance.chaos.account import Account, Effect, StoredAccount
from tests.acceptance.chaos.scenarios import SCENARIOS, PlannedRun, plan
from tests.acceptance.chaos.verdict import KINDS, counted, judge

GOOD = PlannedRun(1, "sequence", "")
BAD = PlannedRun(2, "sequence", "third")
DONE = ["do first", "do second", "do third", "do fourth", "confirm third", "do closing"]
BACK = ["do first", "do second", "undo second", "undo first", "do closing"]


@dataclass
class Story:
    """An account that is about to be spoilt."""

    account: Account
    done: list[str]
    back: list[str]

    def judge(self) -> set[str]:
        for number, rows in ((1, self.done), (2, self.back)):
            effects = [Effect(seq, *reversed(row.split())) for seq, row in enumerate(rows)]
            self.account.effects = {**self.account.effects, number: effects}
        return {finding.kind for finding in judge([GOOD, BAD], self.account)}


@pytest.fixture
def story() -> Story:
    roots = {1: StoredAccount("a", "completed"), 2: StoredAccount("b", "compensated", "refused: third")}
    return Story(Account({}, roots, [StoredAccount("c", "completed")]), list(DONE), list(BACK))


def swap(rows: list[str], one: int, other: int) -> None:
    rows[one], rows[other] = rows[other], rows[one]


def with_status(story: Story, number: int, status: str) -> None:
    story.account.roots = {**story.account.roots, number: StoredAccount("x", status)}


FLAWS: Sequence[tuple[str, str, Callable[[Story], object]]] = [
    ("lost", "a run that is not there", lambda story: story.account.roots.pop(1)),
    ("not_terminal", "a run under way", lambda story: with_status(story, 1, "running")),
    ("not_terminal", "a run that nobody took up", lambda story: with_status(story, 1, "pending")),
    ("stuck", "a stuck run", lambda story: with_status(story, 2, "stuck")),
    ("stuck", "a stuck child", lambda story: setattr(story.account.children[0], "status", "stuck")),
    ("wrong_ending", "undone without a reason", lambda story: with_status(story, 1, "compensated")),
    ("wrong_ending", "completed in spite of a refusal", lambda story: with_status(story, 2, "completed")),
    ("twice", "two outcomes", lambda story: setattr(story.account.roots[1], "twice", ["first: 2 times"])),
    ("twice", "two of a child", lambda story: setattr(story.account.children[0], "twice", ["part_one"])),
    ("wrong_effects", "an effect twice", lambda story: story.done.insert(1, "do first")),
    ("wrong_effects", "an effect is missing", lambda story: story.done.remove("do fourth")),
    ("wrong_effects", "an effect was undone", lambda story: story.done.append("undo fourth")),
    ("wrong_effects", "an effect stands", lambda story: story.back.remove("undo first")),
    ("wrong_effects", "an undo twice", lambda story: story.back.append("undo first")),
    ("wrong_effects", "something behind the failure", lambda story: story.back.__setitem__(
        slice(2, 2), ["do fourth", "undo fourth"])),
    ("wrong_effects", "no books closed", lambda story: story.back.remove("do closing")),
    ("wrong_effects", "not confirmed", lambda story: story.done.remove("confirm third")),
    ("wrong_effects", "confirmed though it went back", lambda story: story.back.append("confirm third")),
    ("wrong_effects", "an effect of no step", lambda story: story.done.append("do nothing")),
    ("wrong_order", "undone forwards", lambda story: swap(story.back, 2, 3)),
    ("wrong_order", "done backwards", lambda story: swap(story.done, 0, 1)),
    ("wrong_order", "undone before it was done", lambda story: swap(story.back, 1, 2)),
]  # fmt: skip


def test_nothing_is_found_where_nothing_is_wrong(story: Story):
    assert story.judge() == set()


@pytest.mark.parametrize(("kind", "flaw"), [pytest.param(kind, flaw, id=name) for kind, name, flaw in FLAWS])
def test_a_flaw_is_found(story: Story, kind: str, flaw: Callable[[Story], object]):
    flaw(story)
    assert kind in story.judge()


def test_every_kind_has_a_flaw():
    assert {kind for kind, _, _ in FLAWS} == set(KINDS)


def test_every_kind_is_counted():
    assert counted([]) == dict.fromkeys(KINDS, 0)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_what_may_fail_is_a_step_of_the_scenario(name: str):
    scenario = SCENARIOS[name]
    assert set(scenario.may_fail) <= scenario.labels
    assert scenario.closing | scenario.confirmed <= scenario.labels


def test_the_same_seed_plans_the_same_runs():
    assert plan(50, Random(3), 0.25) == plan(50, Random(3), 0.25)


def test_a_quarter_of_the_runs_is_to_fail():
    planned = plan(4_000, Random(3), 0.25)
    assert 0.22 < sum(1 for run in planned if run.fail) / len(planned) < 0.28
    assert {run.workflow for run in planned} == set(SCENARIOS)
