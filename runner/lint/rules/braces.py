"""Texts that were meant as expressions: a path without its braces, or in those of another language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from runner.definition.finding import Finding, shown
from runner.lint.reading import Text
from runner.lint.rule import Rule, Subject
from runner.lint.shape import Shape, schema_of
from runner.lint.shapes import shapes_of

_BARE = re.compile(r"(?P<path>[a-z_]\w*(?:\.\w+|\[\w+\])+)")
_FRAMED = re.compile(r"(?:\$?\{\s*|\$\(\s*|<%=?\s*|\$\.?)(?P<path>[a-z_]\w*(?:\.\w+|\[\w+\])+)\s*(?:\}|\)|%>)?")
_DOLLAR = re.compile(r"\$(?P<template>\{\{[^{}]*\}\})")
_OF_STEP = ("output", "status", "error")


def _without_braces(subject: Subject) -> Iterator[Finding]:
    for text in subject.texts:
        if text.is_key or text.fault is not None:
            continue
        meant = _meant(subject, text)
        if meant:
            is_dollar = "{{" in text.value
            message = f"{shown(text.value)} {'gives a text that begins with $' if is_dollar else 'is a text here'}"
            yield Finding("SR230", text.pointer, message, f'write "{meant}"', severity="warning")


def _meant(subject: Subject, text: Text) -> str:
    """The expression that was probably meant, with its braces, or nothing."""
    value = text.value.strip()
    dollar = _DOLLAR.fullmatch(value)
    if dollar:  # "${{ … }}" is how GitHub writes it; in front of a number it is a price
        known = shapes_of(subject).read(text, text.references[0].path) if len(text.references) == 1 else None
        return dollar["template"] if known is not None and known.is_none_of("number") else ""
    framed = _FRAMED.fullmatch(value)
    if framed and framed["path"].partition(".")[0] in text.names:
        return f"{{{{ {framed['path']} }}}}"
    bare = _BARE.fullmatch(value)
    return f"{{{{ {value} }}}}" if bare and _is_there(subject, text, value.split(".")) else ""


def _is_there(subject: Subject, text: Text, path: list[str]) -> bool:
    """Whether a path without braces leads to something that is surely there: else it may well be a text."""
    name, first = path[0], path[1] if len(path) > 1 else ""
    if name not in text.names:
        return False
    if name == "steps":
        return first in text.view.visible and len(path) > 2 and path[2].partition("[")[0] in _OF_STEP
    if name == "input":
        schema = subject.definition.input_schema
        properties = schema_of(Shape(schema, schema)).get("properties", {})
        return isinstance(properties, Mapping) and first.partition("[")[0] in properties
    if name == "vars":
        return first in subject.definition.vars
    return (name, first) in (("run", "id"), ("run", "started_at"), ("step", "ref"), ("step", "id"), ("error", "code"))


RULES = (Rule({"SR230": "A text that was meant as an expression"}, _without_braces),)
