"""The expression language as the rest of sagarun uses it. Others import this file and none below.

    compile_expression("input.total * 2").evaluate({"input": {"total": 21}})            -> 42
    compile_template({"amount": "{{ input.total }}"}).render({"input": {"total": 21}})  -> {"amount": 21}
    compile_condition("{{ input.total > 20 }}").evaluate({"input": {"total": 21}})      -> True

A scope is a Mapping of the names; what is in it is JSON, or a Mapping that looks its values up when they are read.
Everything is pure: no clock, no random, no I/O, and no value is ever evaluated. All faults are ExpressionFaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from runner.expression.compiled import Expression, compile_expression
from runner.expression.fault import ExpressionFault
from runner.expression.inference import ANYTHING, Clash, Known, inferred, known_constant
from runner.expression.paths import is_absent
from runner.expression.references import Facts, Reference
from runner.expression.template import Slot, Template, compile_template, sole, split
from runner.expression.values import kind

__all__ = [
    "ANYTHING",
    "Clash",
    "Condition",
    "Expression",
    "ExpressionFault",
    "Facts",
    "Known",
    "Reference",
    "Template",
    "compile_condition",
    "compile_expression",
    "compile_template",
    "inferred",
    "is_absent",
    "known_constant",
]


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression that must give true or false: not a number, not an empty list, not nothing."""

    source: str
    references: tuple[Reference, ...]
    _slot: Slot

    @property
    def facts(self) -> Facts:
        """What is certain once it has given true, and once it has given false."""
        return self._slot.expression.facts

    def evaluate(self, scope: Mapping[str, Any]) -> bool:
        """Raises ExpressionFault, also for a value that is no boolean."""
        value = self._slot.evaluate(scope, "")
        if value is True or value is False:
            return value
        source = self._slot.expression.source
        raise ExpressionFault(
            f"a condition must be true or false, not {kind(value)}; compare it with something",
            source=source,
            length=len(source),
            offset=self._slot.offset,
        )


@lru_cache(maxsize=1_024)
def compile_condition(source: str) -> Condition:
    """The condition of a string that is exactly one `{{ expression }}`. Raises ExpressionFault."""
    slot = sole(split(source))
    if slot is None:
        raise ExpressionFault("a condition is exactly one {{ expression }}", source=source or " ", length=len(source))
    return Condition(source, slot.references_at(""), slot)
