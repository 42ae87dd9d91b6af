"""What is undone although the run goes on: losers of `join: any`, and items that `collect` passes over."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding
from runner.definition.model import LoopAction, ParallelAction, WorkerAction
from runner.lint.outline import Arm, Site, flat
from runner.lint.rule import Rule, Subject


def _standing(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if isinstance(action, ParallelAction) and action.join == "any" and len(site.arms) > 1:
            for arm in site.arms:
                for left in _left(flat(arm.sites)):
                    message = f'"{left.step.id}" stands when another branch of "{site.step.id}" wins: nothing undoes it'
                    yield _finding(left, message, "give it a compensate, or do it after the join")
        elif isinstance(action, LoopAction) and action.on_item_failure == "collect":
            for left in _left(_not_last(site.arms[0])):
                message = f'"{left.step.id}" stands when its item fails after it: nothing undoes it'
                yield _finding(left, message, "give it a compensate, or make it the item's last step")


def _left(sites: Iterator[Site]) -> Iterator[Site]:
    for site in sites:
        if isinstance(site.step.action, WorkerAction) and site.step.action.kind in ("none", "retriable"):
            yield site


def _not_last(arm: Arm) -> Iterator[Site]:
    """All that something may come after within the item; what is in the last step's containers is left out."""
    yield from flat(arm.sites[:-1])
    for handled in arm.sites[-1].handled:
        yield from flat(handled[:-1])


def _finding(left: Site, message: str, hint: str) -> Finding:
    key = next((key for key in ("compensate", "kind") if key in left.raw), "worker")
    return Finding("SR315", f"{left.pointer}/{key}", message, hint, severity="warning")


RULES = (Rule({"SR315": "A step that cannot be undone where others are"}, _standing, needs="step"),)
