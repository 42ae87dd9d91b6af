"""`as`: the name of a loop's item hides no other name, and can be written in an expression."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding
from runner.definition.model import LoopAction
from runner.lint.rule import Rule, Subject

TAKEN = frozenset({"input", "steps", "vars", "run", "step", "error", "result"})
_WORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "true", "false", "none"})


def _taken_names(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if not isinstance(action, LoopAction):
            continue
        name = action.as_
        pointer, hint = f"{site.pointer}/for_each/as", "give the item a name of its own"
        if name in TAKEN:
            yield Finding("SR217", pointer, f'"{name}" means something else in expressions', hint)
        elif name in _WORDS:
            yield Finding("SR217", pointer, f'"{name}" is a word of the expression language', hint)
        elif name in site.items:
            owner = site.items[name].step.id
            yield Finding("SR217", pointer, f'"{name}" is the item of the for_each "{owner}" around this one', hint)


RULES = (Rule({"SR217": "The name of an item means something else"}, _taken_names),)
