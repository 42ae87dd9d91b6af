"""Names that a file gives to something and never uses: left over, or used under a misspelt name elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.definition.complaint import closest
from runner.definition.finding import Finding, child, shown
from runner.definition.model import FailAction, SignalAction, WorkerAction
from runner.lint.outline import Site
from runner.lint.rule import Rule, Subject, calls_of

_DATA = ("use", "with", "set", "vars", "input", "output", "schema")  # where nothing is a policy
_SCHEMA = re.compile(r"^#/use/schemas/([^/]+)")


def _unused_names(subject: Subject) -> Iterator[Finding]:
    use = subject.raw.get("use")
    use = use if isinstance(use, Mapping) else {}
    used = {
        "retries": set(_policies(subject.raw)),
        "errors": {code for site in subject.outline.sites for code in _codes(subject, site)},
        "schemas": set(_schemas(subject.raw)),
    }
    what = {"retries": "retry policy", "errors": "error", "schemas": "schema"}
    for section, names in used.items():
        listed = use.get(section)
        listed = listed if isinstance(listed, Mapping) else {}
        meant = {closest(name, listed) for name in names - listed.keys()}  # misspelt, which is found on its own
        for name in listed:
            if name not in names | meant:
                pointer = child(f"/use/{section}", name)
                message = f"nothing uses the {what[section]} {shown(name)}"
                hint = "take it out, or look for a misspelt name"
                yield Finding("SR229", pointer, message, hint, on_key=True, severity="warning")
    yield from _variables(subject)


def _variables(subject: Subject) -> Iterator[Finding]:
    read = {str(ref.path[1]) for _, ref in subject.references() if ref.path[0] == "vars" and len(ref.path) > 1}
    if any(ref.path == ("vars",) for _, ref in subject.references()):
        return  # all of them
    meant = {closest(name, subject.definition.vars) for name in read - subject.definition.vars.keys()}
    for name in subject.definition.vars:
        if name not in read | meant:
            message = f"nothing reads the variable {shown(name)}"
            yield Finding("SR229", child("/vars", name), message, "take it out", on_key=True, severity="warning")


def _policies(raw: Any) -> Iterator[str]:
    """Every policy that is named anywhere, but for where they are made."""
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            if key == "retry" and isinstance(value, str):
                yield value
            elif key not in _DATA and isinstance(value, (dict, list)):
                yield from _policies(value)
    elif isinstance(raw, list):
        for item in raw:
            yield from _policies(item)


def _schemas(raw: Any) -> Iterator[str]:
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            match = _SCHEMA.match(value) if key == "$ref" and isinstance(value, str) else None
            if match:
                yield match[1].replace("~1", "/").replace("~0", "~")
            if key != "with" and isinstance(value, (dict, list)):
                yield from _schemas(value)
    elif isinstance(raw, list):
        for item in raw:
            yield from _schemas(item)


def _codes(subject: Subject, site: Site) -> Iterator[str]:
    """Those that a step says, and those that the workers which it asks may say."""
    action = site.step.action
    if isinstance(action, WorkerAction):
        yield from action.raises
        named = action.call.with_.get("errors") if isinstance(action.call.with_, Mapping) else None
        yield from (str(code) for code in (named.values() if isinstance(named, Mapping) else ()))
    if isinstance(action, FailAction):
        yield action.error
    if isinstance(action, SignalAction) and action.on_timeout is not None:
        yield action.on_timeout
    for _, call in calls_of(site):
        yield from subject.contract(call.worker).get("raises") or ()
    for handler in site.handlers:
        yield from handler.catch.errors


RULES = (Rule({"SR229": "A name that nothing uses"}, _unused_names, needs="file"),)
