"""What can be read at one place of a definition: which steps, which of them are sure to have an output, what is known.

A step is certain where every way that leads there went through it and gave it an output. What may be skipped, lose,
fail into a handler or never be chosen is visible after it, but not certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from runner.expression.evaluate import ExpressionFault, Facts, compile_condition

NO_IDS: frozenset[str] = frozenset()
_NO_FACTS: frozenset[tuple[str | int, ...]] = frozenset()


@dataclass(frozen=True, slots=True)
class View:
    """`known` are facts that conditions around have established; `given` are the steps that a condition's truth stands
    for, because they were done if it was true."""

    visible: frozenset[str] = NO_IDS
    certain: frozenset[str] = NO_IDS
    known: frozenset[tuple[str | int, ...]] = _NO_FACTS
    given: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def behind(self, *, visible: Iterable[str] = (), certain: Iterable[str] = ()) -> View:
        """After steps that can be seen now, and of which some are certain."""
        seen = self.visible.union(visible, certain)
        return View(seen, self.certain.union(certain), self.known, self.given)

    def where(self, condition: str | None, *, holds: bool = True) -> View:
        """Where a condition has been evaluated, and was true (or false)."""
        if condition is None:
            return self
        try:
            compiled = compile_condition(condition)
        except ExpressionFault:
            return self
        facts: Facts = compiled.facts
        # What it reads without a guard is there as well: else it would have failed.
        read = {reference.path for reference in compiled.references if not reference.guarded}
        known = self.known | read | (facts.if_true if holds else facts.if_false)
        done = self.given.get(_key(condition), NO_IDS) if holds else NO_IDS
        return replace(self, known=known, certain=self.certain | done)

    def perhaps(self, condition: str, after: View | None) -> View:
        """Where both ways join again: the one where the condition was true, and (None: no other) the one around it."""
        if after is None:
            return self.where(condition, holds=False)
        gained = after.certain - self.certain
        given = {**self.given, _key(condition): gained} if gained and _lasts(condition) else self.given
        return replace(self, visible=after.visible, given=given)


def joined(views: list[View]) -> View | None:
    """Where several ways become one; None for no way at all."""
    if not views:
        return None
    first = views[0]
    if len(views) == 1:
        return first
    return replace(
        first,
        visible=first.visible.union(*(view.visible for view in views)),
        certain=first.certain.intersection(*(view.certain for view in views)),
        known=first.known.intersection(*(view.known for view in views)),
        given={key: ids for key, ids in first.given.items() if all(view.given.get(key) == ids for view in views)},
    )


def _key(condition: str) -> str:
    return "".join(condition.split())


def _lasts(condition: str) -> bool:
    """Whether it gives the same wherever it stands: variables change."""
    try:
        references = compile_condition(condition).references
    except ExpressionFault:
        return False
    return all(reference.path[0] not in ("vars", "error", "step") for reference in references)
