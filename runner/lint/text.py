"""A problem as people read it in a terminal: the line it is in, and a caret under what is meant.

What stands in a file is shown, never obeyed: control characters become question marks, long lines are cut.
"""

from __future__ import annotations

import unicodedata

from runner.definition.problem import Problem

_WIDTH = 120  # columns of the file's line
_BEFORE = 40  # of those, in front of the caret when the line is cut


def render(problem: Problem, source_text: str) -> str:
    """The full form. Without the line (a file that cannot be read) it is the concise one, `str(problem)`."""
    lines = source_text.split("\n")
    if not source_text or problem.line > len(lines):
        return str(problem)
    line = lines[problem.line - 1].rstrip("\r")
    line, start = _cut(line, problem.column - 1)
    length = min(problem.length, max(len(line) - start, 1))
    head = f"{problem.file}:{problem.line}:{problem.column}: {problem.severity}[{problem.code}]: {problem.message}"
    gutter = " " * len(str(problem.line))
    caret = " " * _columns(line[:start]) + "^" * max(_columns(line[start : start + length]), 1)
    hint = f" {problem.hint}" if problem.hint else ""
    return f"{head}\n{gutter} |\n{problem.line} | {_clean(line)}\n{gutter} | {caret}{hint}"


def _cut(line: str, start: int) -> tuple[str, int]:
    """At most `_WIDTH` characters around the start, and where the start is in them."""
    if len(line) <= _WIDTH:
        return line, start
    first = max(start - _BEFORE, 0)
    part = line[first : first + _WIDTH]
    if first + _WIDTH < len(line):
        part += "…"
    return (f"…{part}", start - first + 1) if first else (part, start)


def _clean(line: str) -> str:
    return "".join(char if char.isprintable() else " " if char == "\t" else "?" for char in line)


def _columns(text: str) -> int:
    """How wide a terminal shows it: East Asian characters take two columns, combining ones none."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)
