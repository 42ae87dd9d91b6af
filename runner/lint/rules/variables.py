"""`vars.x`: the variable is set somewhere."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.complaint import did_you_mean
from runner.definition.finding import Finding, shown
from runner.definition.model import SetAction
from runner.lint.rule import Rule, Subject, at_segment


def _unknown_variables(subject: Subject) -> Iterator[Finding]:
    known = set(subject.definition.vars)
    for site in subject.outline.sites:
        if isinstance(site.step.action, SetAction):
            known.update(site.step.action.values)
    for text, reference in subject.references():
        if reference.path[0] == "vars" and len(reference.path) > 1 and reference.path[1] not in known:
            name = str(reference.path[1])
            hint = did_you_mean(name, known) or "declare it under vars"
            yield at_segment("SR209", text, reference, 1, f"there is no variable {shown(name)}", hint, known)


RULES = (Rule({"SR209": "An unknown variable"}, _unknown_variables),)
