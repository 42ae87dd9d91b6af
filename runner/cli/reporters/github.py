"""Workflow commands of GitHub Actions: each finding becomes an annotation in the diff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from runner.definition.problem import Problem

_LEVEL = {"error": "error", "warning": "warning", "info": "notice"}


def report(problems: Sequence[Problem], _files: Sequence[Path]) -> Iterator[str]:
    """One line a finding: `::error file=…,line=…::message`."""
    for problem in problems:
        properties = {
            "file": problem.file,
            "line": problem.line,
            "col": problem.column,
            "endColumn": problem.column + problem.length,
            "title": f"sagarun {problem.code}",
        }
        given = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
        hint = f"\n{problem.hint}" if problem.hint else ""
        yield f"::{_LEVEL[problem.severity]} {given}::{_data(problem.message + hint)}"


def _data(text: str) -> str:
    """A percent sign first: the others are written with one. Nothing of a file can begin a command of its own."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
