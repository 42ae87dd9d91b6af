"""Holds what is left against what was wanted. Each finding names a run, and is of one of the kinds below.

Rule: pure. The tests beside it give it accounts with one thing wrong, so that a verdict of "nothing" means something.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.acceptance.chaos.account import TERMINAL, Account, Effect, StoredAccount
from tests.acceptance.chaos.scenarios import SCENARIOS, PlannedRun, Scenario

KINDS = {
    "lost": "runs that are gone though their start was acknowledged",
    "not_terminal": "runs that are not over",
    "stuck": "runs that are stuck, or were given up",
    "wrong_ending": "runs that ended otherwise than they had to",
    "twice": "outcomes that are on record twice",
    "wrong_effects": "runs whose ledger is wrong: effects twice, missing, left standing",
    "wrong_order": "runs that were done or undone in another order",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one run."""

    kind: str
    run: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.run}: {self.what}"


def judge(planned: Sequence[PlannedRun], account: Account) -> list[Finding]:
    findings: list[Finding] = []
    for run in planned:
        stored = account.roots.get(run.number)
        name = f"{run.workflow} {run.number}" + (f" failing at {run.fail}" if run.fail else "")
        if stored is None:
            findings.append(Finding("lost", name, "not in the store"))
            continue
        scenario = SCENARIOS[run.workflow]
        effects = account.effects.get(run.number, ())
        found = [*_of_ending(run, scenario, stored), *_of_record(stored)]
        if stored.status in ("completed", "compensated"):
            found += _of_effects(run, scenario, stored.status, effects)
        found += _of_order(scenario, effects)
        findings += [Finding(kind, f"{name} ({stored.run_id})", what) for kind, what in found]
    for child in account.children:
        found = [*_of_life(child), *_of_record(child)]
        findings += [Finding(kind, f"child {child.run_id}", what) for kind, what in found]
    return findings


def counted(findings: Sequence[Finding]) -> Mapping[str, int]:
    """How many of each kind; all kinds are there."""
    return dict.fromkeys(KINDS, 0) | Counter(finding.kind for finding in findings)


def _of_life(stored: StoredAccount) -> Iterator[tuple[str, str]]:
    if stored.status in ("stuck", "abandoned"):
        yield "stuck", stored.error
    elif stored.status not in TERMINAL:
        yield "not_terminal", stored.status


def _of_ending(run: PlannedRun, scenario: Scenario, stored: StoredAccount) -> Iterator[tuple[str, str]]:
    lives = list(_of_life(stored))
    yield from lives
    wanted, _ = scenario.wanted(run.fail)
    if not lives and stored.status != wanted:
        yield "wrong_ending", f"{stored.status} instead of {wanted}: {stored.error}"


def _of_record(stored: StoredAccount) -> Iterator[tuple[str, str]]:
    for what in stored.twice:
        yield "twice", what


def _of_effects(
    run: PlannedRun, scenario: Scenario, status: str, effects: Sequence[Effect]
) -> Iterator[tuple[str, str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for effect in effects:
        counts[effect.label][effect.op] += 1
    due, standing = scenario.wanted(run.fail)
    if status != due:  # says "wrong_ending"; its effects have to fit what it ended with all the same
        standing = scenario.wanted("")[1] if status == "completed" else scenario.closing
    for label in sorted(scenario.labels | set(counts)):
        count = counts[label]
        if count["do"] > 1 or count["undo"] > 1:
            yield "wrong_effects", f"{label} was done {count['do']} and undone {count['undo']} times"
        elif count["do"] - count["undo"] != (label in standing):
            yield "wrong_effects", f"{label} {'does not stand' if label in standing else 'stands'}: {dict(count)}"
        elif count["do"] and label in scenario.never_begun(run.fail):
            yield "wrong_effects", f"{label} was done behind the step that failed"
        confirmed = status == "completed" and label in scenario.confirmed
        if count["confirm"] != confirmed:
            yield "wrong_effects", f"{label} was confirmed {count['confirm']} times"


def _of_order(scenario: Scenario, effects: Sequence[Effect]) -> Iterator[tuple[str, str]]:
    """Each chain is done forwards and undone backwards; and nothing is undone before it was done."""
    first: dict[tuple[str, str], int] = {}
    for effect in effects:
        first.setdefault((effect.op, effect.label), effect.seq)
    said: set[str] = set()
    for chain in scenario.chains:
        done = [label for label in chain if ("do", label) in first]
        undone = [label for label in reversed(chain) if ("undo", label) in first and label not in scenario.closing]
        for op, labels in (("do", done), ("undo", undone)):
            for one, next_one in pairwise(labels):
                if first[op, one] > first[op, next_one]:
                    said.add(f"{op} {one} (at {first[op, one]}) came after {op} {next_one} ({first[op, next_one]})")
    for op, label in first:
        if op != "do" and first.get(("do", label), 2**62) > first[op, label]:
            said.add(f"{op} {label} came before its action")
    yield from (("wrong_order", what) for what in sorted(said))
