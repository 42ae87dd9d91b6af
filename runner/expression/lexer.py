"""Source text to lexemes, by Jinja2's lexer, and what the parser must not be given.

Jinja2 keeps a line in each token and node. An expression is short, so its lexemes carry the column in the line's place;
whatever Jinja2 makes of them then knows its column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jinja2.exceptions import TemplateSyntaxError

from runner.expression.environment import ENVIRONMENT
from runner.expression.fault import ExpressionFault, refuse
from runner.expression.limits import MAX_BRACKETS

UNEXPECTED: Final = {  # what may have been meant by a character that nothing begins with
    "&": 'write "and"',
    "!": 'write "not"',
    "?": 'write "a if test else b"',
    "$": "names stand alone: input.total",
    "}": 'an expression ends with "}}"',
    "'": "the string is not closed",
    '"': "the string is not closed",
    "\\": "a backslash belongs into a string",
    "=": 'compare with "=="',
}
_ESCAPE = re.compile(r"""\\(?:[\\'"nrtbf]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})""")
_TOKEN = re.compile(
    r"""(?P<whitespace>[ ]+)|(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)|(?P<integer>(?:0|[1-9][0-9]{0,17})(?![\w.]))
    |(?P<string>'[^'\\\r\n]*')|(?P<operator>==|!=|<=|>=|//|\*(?!\*)|[-+/%~<>()[\],.|:])""",
    re.VERBOSE,
)
_CLOSED_BY = {"(": ")", "[": "]"}
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_SIGNS = frozenset({"+", "-", "not"})


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A piece of the source; all of them in turn are the source. `column` is 1-based."""

    column: int
    kind: str
    text: str


def lex(source: str) -> Iterator[Lexeme]:
    """The lexemes of `source`; ends after the first `}}` that belongs to no bracket or string."""
    quick = _plain(source)
    if quick is not None:
        yield from quick
        return
    if "\r" in source:
        raise ExpressionFault("a carriage return is not allowed", source=source, column=source.index("\r") + 1)
    position = 0
    try:
        for _line, kind, text in ENVIRONMENT.lexer.tokeniter(source, None, None, "variable"):
            yield Lexeme(position + 1, kind, text)
            position += len(text)
            if kind == "variable_end":
                return
    except TemplateSyntaxError as error:
        character = source[position : position + 1]
        what = f"unexpected {character!r}" if "char" in (error.message or "") else readable(error)
        hint = "" if ", expected" in what else UNEXPECTED.get(character, "")
        message = f"{what}: {hint}" if hint else what
        raise ExpressionFault(message, source=source, column=position + 1) from None


def _plain(source: str) -> list[Lexeme] | None:
    """The same for a source of nothing but words, whole numbers, simple texts and operators; None for any other."""
    lexemes: list[Lexeme] = []
    awaited: list[str] = []  # the brackets that are open
    position, end = 0, len(source)
    while position < end:
        match = _TOKEN.match(source, position)
        if match is None:
            return None
        text = match[0]
        if text in _CLOSED_BY:
            awaited.append(_CLOSED_BY[text])
        elif text in _CLOSING and (not awaited or awaited.pop() != text):
            return None
        lexemes.append(Lexeme(position + 1, match.lastgroup or "", text))
        position = match.end()
    return lexemes


def check_lexemes(lexemes: tuple[Lexeme, ...]) -> None:
    """What the parser must not see: nesting that exhausts its stack, escapes that Python only warns about."""
    depth = signs = 0
    for lexeme in lexemes:
        depth += (lexeme.text in _OPENING) - (lexeme.text in _CLOSING)
        if depth > MAX_BRACKETS:
            refuse(f"more than {MAX_BRACKETS} brackets are open here", lexeme.column)
        signs = signs + 1 if lexeme.text in _SIGNS else 0
        if signs > 2:
            refuse("more than two signs in a row", lexeme.column)
        if lexeme.text == "**":
            refuse("** does not exist here: multiply", lexeme.column, 2)
        if lexeme.kind == "string":
            _check_string(lexeme)


def _check_string(lexeme: Lexeme) -> None:
    body = lexeme.text[1:-1]
    position = body.find("\\")
    while position >= 0:
        match = _ESCAPE.match(body, position)
        if match is None:
            refuse(r'unknown escape in a string: for a backslash write "\\"', lexeme.column + 1 + position)
        position = body.find("\\", match.end())


def readable(error: TemplateSyntaxError) -> str:
    """Jinja2's message in words for an expression, which has an end but no template."""
    message = error.message or "the expression cannot be read"
    for end in ("'end of template'", "end of template"):
        message = message.replace(f"unexpected {end}", "the expression ends too early").replace(end, "the end")
    return message
