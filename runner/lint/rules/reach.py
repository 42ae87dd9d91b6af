"""Steps and handlers that no run gets to."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding
from runner.lint.outline import Site
from runner.lint.rule import Rule, Subject


def _unreached_steps(subject: Subject) -> Iterator[Finding]:
    before: Site | None = None
    for site in subject.outline.sites:
        is_first = before is None or before.is_reached
        if not site.is_reached and is_first:
            message = f'no run gets to "{site.step.id}": what comes before it always fails'
            hint = "leave it out, or give the failure a when"
            yield Finding("SR408", site.pointer, message, hint, severity="warning")
        before = site


def _unreached_handlers(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        taken: set[str] = set()
        for handler in site.handlers:
            errors = set(handler.catch.errors)
            if "any" in taken or {"business", "technical"} <= taken or errors <= taken:
                message = "a handler before this one takes all of these errors"
                hint = "put the handler of any error last"
                yield Finding("SR409", f"{handler.pointer}/errors", message, hint, on_key=True, severity="warning")
            if handler.catch.when is None:
                taken |= errors


RULES = (
    Rule({"SR408": "A step that no run gets to"}, _unreached_steps),
    Rule({"SR409": "A handler that nothing is left for"}, _unreached_handlers, needs="step"),
)
