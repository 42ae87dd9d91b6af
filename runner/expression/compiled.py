"""A compiled expression. Compiling is cached by source: the same text is parsed once in the life of a process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from runner.expression.fault import ExpressionFault, Misuse
from runner.expression.grammar import parse
from runner.expression.lowering import Compute, compile_tree
from runner.expression.paths import Absent
from runner.expression.references import Facts, Reference, facts_of, references_of
from runner.expression.tree import Tree
from runner.expression.values import plain

_CACHED: Final = 1_024  # expressions; generated code is some 10 KB each


class _Computed:
    """The function of an expression, generated when it is first evaluated: who only checks definitions needs none.

    Two threads may generate it at once; both results are the same.
    """

    __slots__ = ("_compute", "_tree")

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._compute: Compute | None = None

    def __call__(self, scope: Mapping[str, Any]) -> Any:
        compute = self._compute
        if compute is None:
            compute = self._compute = compile_tree(self._tree)
        return compute(scope)


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression, ready to be evaluated any number of times, from any thread."""

    source: str
    references: tuple[Reference, ...]
    facts: Facts = field(repr=False, compare=False)
    _compute: Compute = field(repr=False, compare=False)
    tree: Tree = field(repr=False, compare=False)

    @property
    def is_constant(self) -> bool:
        """Whether it reads nothing."""
        return not self.references

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The value, as JSON. What was only looked up is the same object as in `scope`: do not change it.

        A computed value is at most 64 KiB of JSON; one that was only looked up may have any size, so that a large order
        can be handed on. Raises ExpressionFault, also when the value is absent.
        """
        try:
            value = self._compute(scope)
            if type(value) is Absent:
                raise value.fault()
            return plain(value)
        except ExpressionFault as fault:
            raise fault.within(self.source) from None
        except Misuse as misuse:
            raise ExpressionFault(str(misuse), source=self.source, length=len(self.source)) from None


@lru_cache(maxsize=_CACHED)
def compile_expression(source: str) -> Expression:
    """The expression of a source without its braces. Raises ExpressionFault, with the column in `source`."""
    tree = parse(source)
    try:
        path = tree.path_of(tree.root)
        compute = _Computed(tree) if path is None else path.read
        return Expression(source, references_of(tree), facts_of(tree), compute, tree)
    except RecursionError:
        raise ExpressionFault("the expression is nested too deeply", source=source) from None
