"""A definition from a file with every check applied: what whoever starts runs from a file calls."""

from __future__ import annotations

from pathlib import Path

from runner.definition.load import Contracts, examine
from runner.definition.model import Definition
from runner.definition.problem import Problem
from runner.errors import DefinitionError
from runner.lint.linter import lint_draft


def check_file(
    path: Path | str, *, root: Path | str, contracts: Contracts | None = None, text: str | None = None
) -> tuple[Definition | None, list[Problem]]:
    """The definition, if nothing is wrong with it, and every problem in the order of the file.

    `text`: what is to be in the file, and is not yet.
    """
    draft = examine(path, root=root, contracts=contracts, text=text)
    problems = lint_draft(draft, contracts)
    is_sound = draft.is_sound and not any(problem.severity == "error" for problem in problems)
    return (draft.definition if is_sound else None), problems


def load_checked(path: Path | str, *, root: Path | str, contracts: Contracts | None = None) -> Definition:
    """The definition, or DefinitionError with every problem."""
    definition, problems = check_file(path, root=root, contracts=contracts)
    if definition is None:
        raise DefinitionError(problems)
    return definition
