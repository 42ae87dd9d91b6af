"""SARIF 2.1.0, the form of code scanning services."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runner import __version__
from runner.definition.problem import Problem
from runner.lint.linter import titles

_LEVEL = {"error": "error", "warning": "warning", "info": "note"}


def report(problems: Sequence[Problem], _files: Sequence[Path]) -> Iterator[str]:
    """One log with one run; `rules` names those that found something."""
    known = titles()
    codes = sorted({problem.code for problem in problems})
    rules = [{"id": code, "shortDescription": {"text": known.get(code, code)}} for code in codes]
    driver = {"name": "sagarun", "semanticVersion": __version__, "version": __version__, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, codes.index(problem.code)) for problem in problems],
    }
    log = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    yield json.dumps(log, indent=2, ensure_ascii=False)


def _result(problem: Problem, rule: int) -> dict[str, Any]:
    hint = f" ({problem.hint})" if problem.hint else ""
    region = {
        "startLine": problem.line,
        "startColumn": problem.column,
        "endColumn": problem.column + problem.length,
    }
    location = {"artifactLocation": {"uri": quote(problem.file)}, "region": region}
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": _LEVEL[problem.severity],
        "message": {"text": f"{problem.message}{hint}"},
        "locations": [{"physicalLocation": location}],
    }
