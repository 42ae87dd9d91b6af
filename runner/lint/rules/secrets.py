"""Secrets where others read them: in the key that names a run, and written out in a definition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from runner.definition.finding import Finding, child
from runner.definition.inputs import MARK, has_secrets
from runner.expression.evaluate import Reference
from runner.lint.rule import Rule, Subject, calls_of
from runner.lint.shape import Shape, schema_of, shape_at

_HEADERS = re.compile(r"authorization|proxy-authorization|cookie|.*(api-?key|token|secret|password)", re.IGNORECASE)
_IN_URL = re.compile(r"\w+://[^/@\s{]*:(?P<secret>[^/@\s{]+)@")


def _secret_keys(subject: Subject) -> Iterator[Finding]:
    schema = subject.definition.input_schema
    if schema is None or not has_secrets(schema):
        return
    for text, reference in subject.references():
        behind = text.value[reference.offset + reference.column - 1 + reference.length :].lstrip()
        is_shown = not behind.startswith("|")  # a filter may make something of it that can be seen, such as its length
        if text.part == "key" and is_shown and _is_secret(Shape(schema, schema), reference):
            message = f"input.{'.'.join(map(str, reference.path[1:]))} is secret, and keys are shown"
            hint = "a start with such a key is refused: take what may be seen"
            column = reference.offset + reference.column
            yield Finding(
                "SR231", text.pointer, message, hint, column=column, length=reference.length, severity="warning"
            )


def _is_secret(shape: Shape, reference: Reference) -> bool:
    """Whether what the path leads to, or anything that it leads through, is marked."""
    path = reference.path[1:] if reference.path[0] == "input" else ()
    return any(schema_of(shape_at(shape, path[:length])).get(MARK) is True for length in range(1, len(path) + 1))


def _written_secrets(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        for pointer, call in calls_of(site):
            if call.worker != "http.request" or not isinstance(call.with_, Mapping):
                continue
            headers = call.with_.get("headers")
            for name, value in headers.items() if isinstance(headers, Mapping) else ():
                if isinstance(value, str) and value and "{{" not in value and _HEADERS.fullmatch(str(name)):
                    yield _written(child(f"{pointer}/with/headers", name))
            url = call.with_.get("url")
            if isinstance(url, str) and _IN_URL.match(url):
                yield _written(f"{pointer}/with/url")


def _written(pointer: str) -> Finding:
    message = "a secret that stands in a definition is in every copy of it"
    hint = "name it: a header takes {secret: NAME}, and sagarun.yaml says where NAME is"
    return Finding("SR232", pointer, message, hint, severity="warning")


RULES = (
    Rule({"SR231": "A key that shows a secret"}, _secret_keys),
    Rule({"SR232": "A secret that is written out"}, _written_secrets),
)
