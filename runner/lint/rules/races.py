"""Variables that branches or items, side by side, set and read: which comes first is chance."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding, child
from runner.definition.model import LoopAction, ParallelAction, SetAction
from runner.lint.outline import Arm, Site, flat
from runner.lint.rule import Rule, Subject


def _races(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if isinstance(action, ParallelAction):
            yield from _in_branches(subject, site)
        elif isinstance(action, LoopAction) and action.max_parallel > 1:
            for pointer, name in _set_in(site.arms[0]):
                message = f'"{name}" is set by items of "{site.step.id}" side by side: whose value stays is chance'
                hint = "use the output of the items, or max_parallel: 1"
                yield Finding("SR401", pointer, message, hint, on_key=True, severity="warning")


def _in_branches(subject: Subject, site: Site) -> Iterator[Finding]:
    setters: dict[str, Arm] = {}
    for arm in site.arms:
        for pointer, name in _set_in(arm):
            first = setters.setdefault(name, arm)
            if first is not arm:
                both = f'"{first.name}" and "{arm.name}"'
                message = f'"{name}" is set in the branches {both}: whose value stays is chance'
                hint = f"use the outputs of the branches: steps.{site.step.id}.output"
                yield Finding("SR401", pointer, message, hint, on_key=True, severity="warning")
    for text, reference in subject.references():
        name = str(reference.path[1]) if reference.path[0] == "vars" and len(reference.path) > 1 else ""
        reader = text.pointer.removeprefix(f"{site.pointer}/parallel/branches/")
        if name in setters and reader != text.pointer and reader.partition("/")[0] != setters[name].name:
            message = f'"{name}" is set in the branch "{setters[name].name}", which runs beside this one'
            column, length = reference.segments[1]
            yield Finding(
                "SR401", text.pointer, message, "set it before, or read it after the join",
                column=reference.offset + column, length=length, severity="warning",
            )


def _set_in(arm: Arm) -> Iterator[tuple[str, str]]:
    """Where variables are set, and which."""
    for site in flat(arm.sites):
        if isinstance(site.step.action, SetAction):
            for name in site.step.action.values:
                yield child(f"{site.pointer}/set", name), name


RULES = (Rule({"SR401": "A variable that is used side by side"}, _races),)
