"""How the lines of a run's story are laid out: symbols, columns, and what is remarked at the end of a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner.cli.screen import Line, Span
from runner.interpreter.paths import FINALLY
from runner.interpreter.plan import Plan, StepPlan
from runner.monitor.story import Attempt

WIDEST = 32  # columns for a step's name; a longer one pushes the rest of its line
SAID = ("parallel", "for_each", "repeat", "switch", "wait", "wait_for", "subworkflow")  # kinds that stand for a worker


@dataclass(frozen=True, slots=True)
class Layout:
    """How wide the columns of a definition's steps are."""

    step: int
    worker: int

    @classmethod
    def of(cls, plan: Plan | None, plan_of: Callable[[str], Plan | None] = lambda _digest: None) -> Layout:
        """`plan_of`: gives the plans of the workflows that steps of it start, by their digests."""
        names, workers = _cells(plan, plan_of, "") if plan else ([], [])
        return cls(min(WIDEST, max(map(len, names), default=8)), max(map(len, workers), default=12))

    def line(self, symbol: Span, step: str, worker: str, took: str, remark: str = "", *, depth: int = 0) -> Line:
        text = f" {step:<{self.step}}  {worker:<{self.worker}}  {took:>8}"
        line: list[Span] = [("  " * (depth + 1), ""), symbol]
        return [*line, (text, ""), (f"   {remark}", "dim")] if remark else [*line, (text.rstrip(), "")]


def _cells(plan: Plan, plan_of: Callable[[str], Plan | None], prefix: str) -> tuple[list[str], list[str]]:
    """What may stand in the two columns."""
    names: list[str] = []
    workers: list[str] = []
    for path, place in plan.steps.items():
        if place.step is None:
            continue
        names.append((f"{prefix}{path}" if prefix else label(path, place)[0]).replace("#", "#00"))
        calls = (place.action, place.compensate, place.confirm)
        workers += [call.worker for call in calls if call is not None]
        workers += [place.kind] if place.kind in SAID else []
        below = plan_of(place.child.digest) if place.child is not None else None
        if below is not None:
            more = _cells(below, plan_of, f"{prefix}{path}/")
            names += more[0]
            workers += more[1]
    return names, workers


def label(path: str, place: StepPlan | None) -> tuple[str, int]:
    """What a step is called on a line of its own, and how far it is indented.

    Its id, below its block. In a branch, item or round its path: lines about others may come in between.
    """
    path = path.removeprefix(f"{FINALLY}/")
    if "." in path or "#" in path or place is None or place.step is None:
        return path, 0
    return place.step.id, path.count("/")


DONE: Span = ("✓", "green")
FAILED: Span = ("✗", "red")
STUCK: Span = ("‼", "bold red")
SKIPPED: Span = ("-", "dim")
NOTE: Span = ("·", "dim")


def attempts_text(attempts: Sequence[Attempt]) -> str:
    """'2 attempts (timeout, then ok)'; nothing for a single one."""
    ended = [attempt for attempt in attempts if attempt.outcome]
    if len(ended) < 2:
        return ""
    words = [_outcome_word(attempt) for attempt in ended]
    if len(set(words)) == 1:
        return f"{len(words)} attempts"
    before = f"…, {words[-2]}" if len(words) > 4 else ", ".join(words[:-1])
    return f"{len(words)} attempts ({before}, then {words[-1]})"


def _outcome_word(attempt: Attempt) -> str:
    if attempt.outcome == "completed":
        return "ok"
    return attempt.error.code if attempt.error else attempt.outcome


def remarks(*parts: str) -> str:
    return " · ".join(part for part in parts if part)
