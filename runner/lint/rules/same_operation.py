"""Arguments that are about the wrong thing: given the other way round, or not the same in a step and its undo.

The types of these fit. What gives them away is that names fit better another way, or that two calls about one operation
give one argument two values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, permutations
from typing import Any

from runner.definition.finding import Finding, child, shown
from runner.definition.model import Call, WorkerAction
from runner.expression.evaluate import ExpressionFault, compile_template
from runner.lint.outline import Site
from runner.lint.rule import Rule, Subject, calls_of
from runner.lint.shape import Shape, known_of
from runner.lint.shapes import sole_path

_Given = tuple[str, frozenset[str], frozenset[str]]  # an argument, the words of its name, and of what it is given
_AN_OPERATION = frozenset({"ref"})
_TO_THE_SAME = ("compensate", "verify", "confirm")


def _other_operations(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if not isinstance(action, WorkerAction) or not isinstance(action.call.with_, Mapping):
            continue
        for key in _TO_THE_SAME:
            call = getattr(action, key)
            if isinstance(call, Call) and call.worker != action.call.worker and isinstance(call.with_, Mapping):
                yield from _differences(subject, site, action.call, key, call)


def _differences(subject: Subject, site: Site, asked: Call, key: str, call: Call) -> Iterator[Finding]:
    swapped = {name for pair in _swaps(asked) for name in pair}
    for name, value in call.with_.items():
        given = asked.with_.get(name)
        if name in swapped or not _names_something(site, given) or not _names_something(site, value):
            continue
        if _plain(given) == _plain(value):
            continue
        if _may_be_a_number(subject, asked.worker, name):
            continue  # less may be given back than was taken
        what = {"compensate": "the undo", "verify": "the verification", "confirm": "the confirmation"}[key]
        message = f"{shown(name)} is not what the step gives {asked.worker}: {what} would be about something else"
        hint = f"the step gives {given}"
        yield Finding("SR321", child(f"{site.pointer}/{key}/with", name), message, hint, severity="warning")


def _names_something(site: Site, value: Any) -> bool:
    """Whether it is an expression over what was there before the step: what it gave is another matter."""
    if not isinstance(value, str) or "{{" not in value:
        return False
    try:
        references = compile_template(value).references
    except ExpressionFault:
        return False
    read = [reference.path for reference in references]
    unseen = any(path[0] == "steps" and {*path[1:2]} - site.within.visible for path in read)  # found on its own
    return bool(read) and not unseen and not any(path[0] == "result" for path in read)


def _plain(value: str) -> str:
    return "".join(value.split())


def _may_be_a_number(subject: Subject, worker: str, name: str) -> bool:
    schema = subject.contract(worker).get("input")
    properties = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    return not known_of(Shape(properties.get(name), schema)).is_none_of("number")


def _swapped(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        for pointer, call in calls_of(site):
            if not isinstance(call.with_, Mapping):
                continue
            for left, right in islice(_swaps(call), 1):
                message = f"{shown(left)} and {shown(right)} look as if each were given what is meant for the other"
                hint = f"{left}: {call.with_[right]}, {right}: {call.with_[left]}"
                yield Finding("SR226", child(f"{pointer}/with", left), message, hint, severity="warning")


def _swaps(call: Call) -> Iterator[tuple[str, str]]:
    given = [(name, _split(name), _words_of(value)) for name, value in call.with_.items()]
    for one, other in permutations(given, 2):
        if _fit_better(one, other):
            yield one[0], other[0]


def _fit_better(one: _Given, other: _Given) -> bool:
    """Whether the first is named after what the second is given, and neither after what it is given itself."""
    _, its_name, its = one
    _, other_name, theirs = other
    if its_name & its or other_name & theirs:
        return False
    names_an_operation = theirs == _AN_OPERATION and "ref" in its_name
    return names_an_operation or (bool(theirs) and theirs == its_name) or bool(its_name & theirs and other_name & its)


def _words_of(value: Any) -> frozenset[str]:
    """The words of what a path ends with; for step.ref that is all that names an operation."""
    reference = sole_path(value)
    if reference is None or len(reference.path) < 2:
        return frozenset()
    return _split(str(reference.path[-1]))


def _split(name: str) -> frozenset[str]:
    words = name.lower().replace("-", "_").split("_")
    return frozenset(word[:-1] if word.endswith("s") and len(word) > 3 else word for word in words if word) - {"id"}


def _unlike_the_others(subject: Subject) -> Iterator[Finding]:
    """One step of a worker lacks the confirmation that all the others of that worker have."""
    by_worker: dict[str, list[Site]] = {}
    for site in subject.outline.sites:
        if isinstance(site.step.action, WorkerAction):
            by_worker.setdefault(site.step.action.call.worker, []).append(site)
    for worker, sites in by_worker.items():
        without = [site for site in sites if "confirm" not in site.raw]
        if len(without) == 1 and len(sites) > 2:
            site = without[0]
            message = f'"{site.step.id}" is not confirmed, while all other steps that ask {worker} are'
            yield Finding("SR328", f"{site.pointer}/worker", message, "add confirm", severity="warning")


RULES = (
    Rule({"SR226": "Two arguments that look swapped"}, _swapped, needs="step"),
    Rule({"SR321": "An undo, a verification or a confirmation of something else"}, _other_operations, needs="step"),
    Rule({"SR328": "A step that is not confirmed as its like are"}, _unlike_the_others, needs="file"),
)
