"""Problems of files, printed: with the line and a caret, on one line each, or as JSON. They are data; this renders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.cli.wording import plural
from runner.definition.problem import Problem
from runner.lint.text import render

FORMATS = ("full", "concise", "json", "jsonl")


def full(problems: Sequence[Problem], root: Path | None = None, texts: Mapping[str, str] | None = None) -> list[str]:
    """Each with its line. `texts` holds what is in no file (standard input), by the name in the problem."""
    known = dict(texts or {})
    lines: list[str] = []
    for problem in problems:
        if problem.file not in known:
            known[problem.file] = _text_of(problem.file, root)
        lines.extend(render(problem, known[problem.file]).splitlines())
    return [*lines, total(problems)]


def _text_of(file: str, root: Path | None) -> str:
    """"" for a file that cannot be read: then a problem is shown without its line."""
    for path in (Path(file), *([root / file] if root else [])):
        try:
            return path.read_text(encoding="utf-8", errors="replace").removeprefix("\ufeff")
        except (OSError, ValueError):
            continue
    return ""


def concise(problems: Iterable[Problem]) -> list[str]:
    return [str(problem) for problem in problems]


def as_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [asdict(problem) for problem in problems]


def total(problems: Sequence[Problem]) -> str:
    """'2 errors, 1 warning'"""
    counted = {name: sum(problem.severity == name for problem in problems) for name in ("error", "warning", "info")}
    return ", ".join(plural(count, name) for name, count in counted.items() if count) or "no problems"


def has_errors(problems: Iterable[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)
