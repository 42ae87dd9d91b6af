"""What the checker finds in a definition that a test spells out as its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.definition.load import examine_text
from runner.definition.problem import Problem
from runner.lint.linter import lint_draft

LOOK = "worker: look, kind: readonly"  # of a step that asks and changes nothing


def problems(*steps: str, head: str = "", tail: str = "", contracts: Any = None) -> list[Problem]:
    text = f"workflow: a\nversion: '1'\n{head}\nsteps:\n" + "".join(f"  - {step}\n" for step in steps) + tail
    return lint_draft(examine_text(text, file="a.yaml", root=Path(), contracts=contracts), contracts)


def found(*steps: str, head: str = "", tail: str = "", contracts: Any = None) -> list[str]:
    """The codes, in the order of the file."""
    return [problem.code for problem in problems(*steps, head=head, tail=tail, contracts=contracts)]


def without(codes: list[str], *others: str) -> list[str]:
    """The codes but for those that a test is not about."""
    return [code for code in codes if code not in others]
