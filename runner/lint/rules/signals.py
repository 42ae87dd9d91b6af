"""`wait_for`: a signal finds the step that it is for, is of one form, and is waited for while it can still come."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding
from runner.definition.model import LoopAction, ParallelAction, SignalAction
from runner.lint.outline import Site, flat
from runner.lint.rule import Rule, Subject


def _side_by_side(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if isinstance(action, ParallelAction):
            yield from _in_branches(site)
        elif isinstance(action, LoopAction) and action.max_parallel > 1:
            for waiting, signal in _waiting(site.arms[0].sites):
                if signal.match is None:
                    message = f'the items wait for "{signal.signal}" side by side: which one takes it is chance'
                    yield _competing(waiting, message, f"add match, such as {{{{ result.id == {action.as_}.id }}}}")


def _in_branches(site: Site) -> Iterator[Finding]:
    first: dict[str, tuple[str, SignalAction]] = {}
    for arm in site.arms:
        for waiting, signal in _waiting(arm.sites):
            branch, other = first.setdefault(signal.signal, (arm.name, signal))
            if branch != arm.name and (signal.match is None or other.match is None):
                both = f'"{branch}" and "{arm.name}" wait for "{signal.signal}" side by side'
                message = f"the branches {both}: which one takes it is chance"
                yield _competing(waiting, message, "give them names of their own, or add match to both")


def _competing(waiting: Site, message: str, hint: str) -> Finding:
    return Finding("SR402", f"{waiting.pointer}/wait_for/signal", message, hint, severity="warning")


def _two_schemas(subject: Subject) -> Iterator[Finding]:
    first: dict[str, tuple[Site, SignalAction]] = {}
    for waiting, signal in _waiting([*subject.outline.steps, *subject.outline.finally_]):
        if signal.schema is not None:
            other, its = first.setdefault(signal.signal, (waiting, signal))
            if its.schema != signal.schema:
                message = f'"{signal.signal}" has another schema in "{other.step.id}": what fits one of them is sent'
                hint = "give both the same, as {$ref: \"#/use/schemas/NAME\"}"
                pointer = f"{waiting.pointer}/wait_for/schema"
                yield Finding("SR403", pointer, message, hint, on_key=True, severity="warning")


def _too_late(subject: Subject) -> Iterator[Finding]:
    for waiting, signal in _waiting(subject.outline.finally_):
        message = f'finally cannot wait for "{signal.signal}": a run that is at its end takes no signals'
        yield Finding("SR404", f"{waiting.pointer}/wait_for", message, on_key=True)


def _waiting(sites: list[Site]) -> Iterator[tuple[Site, SignalAction]]:
    for site in flat(sites):
        if isinstance(site.step.action, SignalAction):
            yield site, site.step.action


RULES = (
    Rule({"SR402": "One signal that two wait for side by side"}, _side_by_side),
    Rule({"SR403": "One signal with two schemas"}, _two_schemas, needs="step"),
    Rule({"SR404": "A signal in finally"}, _too_late),
)
