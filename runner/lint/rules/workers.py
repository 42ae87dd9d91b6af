"""Workers and their arguments, where the contracts are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.builtin import builtin_contracts
from runner.definition.complaint import closest, did_you_mean, slip
from runner.definition.finding import Finding, child, shown
from runner.definition.model import Call
from runner.lint.rule import Rule, Subject, calls_of


def _unknown_workers(subject: Subject) -> Iterator[Finding]:
    if subject.contracts is None:
        return
    for site in subject.outline.sites:
        for pointer, call in calls_of(site):
            if call.worker not in subject.contracts:
                hint = did_you_mean(call.worker, subject.contracts) or _known(subject.contracts)
                if call.worker == "none" and pointer.endswith("/compensate"):
                    hint = "for no undo it is written compensate: none, with a reason beside it"
                yield Finding(
                    "SR201", f"{pointer}/worker", f"there is no worker {shown(call.worker)}", hint,
                    **slip(call.worker, subject.contracts),
                )


def _wrong_arguments(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        for pointer, call in calls_of(site):
            schema = subject.contract(call.worker).get("input")
            if isinstance(schema, Mapping):
                yield from _arguments(pointer, call, schema)


def _arguments(pointer: str, call: Call, schema: Mapping[str, Any]) -> Iterator[Finding]:
    known = schema.get("properties", {})
    meant = set()
    if schema.get("additionalProperties") is False:
        for name in call.with_:
            if name not in known and "{{" not in name:  # a computed key is found on its own
                meant.add(closest(name, known))
                message = f"{call.worker} takes no argument {shown(name)}"
                hint = did_you_mean(name, known) or f"it takes {', '.join(known) or 'none'}"
                free = [each for each in known if each not in call.with_]
                at = child(f"{pointer}/with", name)
                yield Finding("SR202", at, message, hint, on_key=True, **slip(name, free))
    for name in schema.get("required", ()):
        if name not in call.with_ and name not in meant:
            yield Finding("SR203", f"{pointer}/worker", f"{call.worker} needs the argument {shown(name)}")


def _known(contracts: Mapping[str, Any]) -> str:
    names = sorted(contracts.keys() - builtin_contracts().keys())
    if not names:
        return (
            "the project has no workers of its own: they are looked for in the package `workers`, or in the modules "
            "that --workers or `workers:` in sagarun.yaml names"
        )
    return f"known: {', '.join(names[:8])}{', …' if len(names) > 8 else ''}"


RULES = (
    Rule({"SR201": "An unknown worker"}, _unknown_workers),
    Rule(
        {"SR202": "An argument that the worker does not take", "SR203": "An argument that the worker needs is missing"},
        _wrong_arguments,
        needs="step",
    ),
)
