"""Templates: JSON values whose strings may hold `{{ expressions }}`. Only the template's text is ever read as such.

A string that is exactly one `{{ expression }}` gives the value itself, with its type: "007" stays a string, 7 a number.
(One line break after it is forgiven, as Jinja2 does: a YAML block scalar ends with one.) With text around, or with
several, it gives a string: strings as they are, numbers and booleans as in JSON (true, not True), while null, lists and
mappings in a text are faults. Rendering puts values in and never looks at them: a value that holds `{{ }}` is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from runner.expression.compiled import Expression, compile_expression
from runner.expression.fault import ExpressionFault, Misuse
from runner.expression.lexer import lex
from runner.expression.limits import MAX_PARTS, MAX_SOURCE
from runner.expression.references import Reference
from runner.expression.values import check_length, checked_result, text_of

Render = Callable[[Mapping[str, Any]], Any]
_BEGIN = "{{"
_CACHED = 2_048  # texts, each with its compiled expressions
_PLAIN = re.compile(r"[a-z_][\w .]{0,200}(?:(?:==|!=|[|+*/~<>,])(?:[\w .]{1,100}| ?'[\w .-]{0,100}' ?))*\}\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Slot:
    """One expression in a string; `offset` characters come before its source."""

    expression: Expression
    offset: int

    def evaluate(self, scope: Mapping[str, Any], pointer: str) -> Any:
        try:
            return self.expression.evaluate(scope)
        except ExpressionFault as fault:
            raise fault.at(pointer, self.offset) from None

    def references_at(self, pointer: str) -> tuple[Reference, ...]:
        return tuple(reference.at(pointer, self.offset) for reference in self.expression.references)


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template. Constant parts are handed out as they are, not copied.

    `render(scope)` is the value with every expression evaluated. It raises ExpressionFault with the string's pointer.
    """

    source: Any
    references: tuple[Reference, ...]
    render: Render = field(repr=False, compare=False)

    @property
    def is_constant(self) -> bool:
        """Whether it reads nothing, so that it always renders to the same value."""
        return not self.references


def compile_template(value: Any) -> Template:
    """The template of a JSON value. Keys of mappings are never templates. Raises ExpressionFault."""
    references: list[Reference] = []
    render = _compile(value, "", references)
    return Template(value, tuple(references), render if render is not None else lambda _scope: value)


@lru_cache(maxsize=_CACHED)
def split(text: str) -> tuple[str | Slot, ...]:
    """The literal parts and the expressions of a string, in turn. A `}}` inside a string of an expression is no end."""
    parts: list[str | Slot] = []
    position = 0
    while (begin := text.find(_BEGIN, position)) >= 0:
        _add_literal(parts, text, position, begin)
        if len(parts) >= 2 * MAX_PARTS:
            raise ExpressionFault(f"more than {MAX_PARTS} expressions in one text", source=text, column=begin + 1)
        slot, position = _slot(text, begin)
        parts.append(slot)
    _add_literal(parts, text, position, len(text))
    return tuple(parts)


def sole(parts: tuple[str | Slot, ...]) -> Slot | None:
    """The expression, if there is exactly one and nothing else."""
    if parts and isinstance(parts[0], Slot) and (len(parts) == 1 or parts[1:] == ("\n",)):
        return parts[0]
    return None


def _add_literal(parts: list[str | Slot], text: str, start: int, end: int) -> None:
    for marker in ("{%", "{#"):
        found = text.find(marker, start, end)
        if found >= 0:
            message = f'there are expressions only; for the characters themselves write {{{{ "{marker}" }}}}'
            raise ExpressionFault(f"{marker} is not allowed: {message}", source=text, column=found + 1, length=2)
    if end > start:
        parts.append(text[start:end])


def _slot(text: str, begin: int) -> tuple[Slot, int]:
    """The expression whose braces open at `begin`, and where the text goes on after it."""
    start = begin + len(_BEGIN)
    if text[start : start + 1] in ("-", "+"):
        message = "white space is not trimmed with {{-; for a sign put a space before it"
        raise ExpressionFault(message, source=text, column=begin + 1, length=3)
    rest = text[start:]
    offset = start + len(rest) - len(rest.lstrip())
    end = _end(text, offset, start)
    try:
        return Slot(compile_expression(text[offset:end].rstrip()), offset), end + len("}}")
    except ExpressionFault as fault:
        raise fault.at("", offset) from None


def _end(text: str, offset: int, start: int) -> int:
    """Where the closing braces are. The lexer looks at all that is left, which MAX_PARTS keeps from being quadratic."""
    plain = _PLAIN.match(text, offset)
    if plain is not None and plain.end() - offset <= MAX_SOURCE:  # nothing in it that a brace could belong to
        return plain.end() - len("}}")
    try:
        for lexeme in lex(text[offset:]):
            if lexeme.kind == "variable_end":
                if lexeme.text != "}}":
                    message = "white space is not trimmed with -}}; for a minus put a space after it"
                    raise ExpressionFault(message, column=lexeme.column, length=3)
                return offset + lexeme.column - 1
            if lexeme.column > MAX_SOURCE and lexeme.kind != "whitespace":
                raise ExpressionFault(f"the expression is longer than {MAX_SOURCE:,} characters")
    except ExpressionFault as fault:
        raise ExpressionFault(fault.message, source=text, column=offset + fault.column, length=fault.length) from None
    raise ExpressionFault("the expression is not closed: }} is missing", source=text, column=start - 1, length=2)


def _compile(value: Any, pointer: str, references: list[Reference]) -> Render | None:
    """None for a part that is constant."""
    if isinstance(value, str):
        return _compile_string(value, pointer, references)
    if isinstance(value, Mapping):
        for key in value:
            if isinstance(key, str) and _BEGIN in key:
                raise ExpressionFault(f"a key cannot be computed: {key[:40]}", pointer=pointer)
        items = {key: _compile(item, f"{pointer}/{_escaped(key)}", references) for key, item in value.items()}
        return _mapping(value, items) if any(items.values()) else None
    if isinstance(value, (list, tuple)):
        parts = [_compile(item, f"{pointer}/{index}", references) for index, item in enumerate(value)]
        return _list(value, parts) if any(parts) else None
    return None


def _escaped(key: Any) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


def _mapping(value: Mapping[str, Any], items: Mapping[str, Render | None]) -> Render:
    pairs = [(key, value[key], render) for key, render in items.items()]
    return lambda scope: {key: constant if render is None else render(scope) for key, constant, render in pairs}


def _list(value: Any, parts: list[Render | None]) -> Render:
    pairs = list(zip(value, parts, strict=True))
    return lambda scope: [constant if render is None else render(scope) for constant, render in pairs]


def _compile_string(text: str, pointer: str, references: list[Reference]) -> Render | None:
    if "{" not in text:
        return None
    try:
        parts = split(text)
    except ExpressionFault as fault:
        raise fault.at(pointer, 0) from None
    slots = [part for part in parts if isinstance(part, Slot)]
    for slot in slots:
        references.extend(slot.references_at(pointer))
    only = sole(parts)
    if only is not None:
        return _whole(only, pointer)
    return _text(tuple(parts), pointer) if slots else None


def _whole(slot: Slot, pointer: str) -> Render:
    """Most inputs are made of such: the fewer calls on the way to the value, the better."""
    evaluate, offset = slot.expression.evaluate, slot.offset

    def render(scope: Mapping[str, Any]) -> Any:
        try:
            return evaluate(scope)
        except ExpressionFault as fault:
            raise fault.at(pointer, offset) from None

    return render


def _text(parts: tuple[str | Slot, ...], pointer: str) -> Render:
    def render(scope: Mapping[str, Any]) -> str:
        texts: list[str] = []
        size = 0
        for part in parts:
            texts.append(part if isinstance(part, str) else _slot_text(part, scope, pointer))
            size += len(texts[-1])
        try:
            check_length(size)
            return str(checked_result("".join(texts)))
        except Misuse as misuse:
            raise ExpressionFault(str(misuse), pointer=pointer) from None

    return render


def _slot_text(slot: Slot, scope: Mapping[str, Any], pointer: str) -> str:
    value = slot.evaluate(scope, pointer)
    try:
        return text_of(value)
    except Misuse as misuse:
        source = slot.expression.source
        raise ExpressionFault(
            str(misuse), source=source, length=len(source), pointer=pointer, offset=slot.offset
        ) from None
