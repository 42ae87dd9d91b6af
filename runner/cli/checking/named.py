"""The definition that a command was given: a file, or a name in the project's definitions. None: a usage error."""

from __future__ import annotations

from pathlib import Path

from runner.cli.failure import did_you_mean
from runner.definition.project import Project
from runner.errors import UsageError


def definition_path(file: str, project: Project) -> Path | None:
    """The file, or the definition of that name; None for standard input. Raises UsageError."""
    if file == "-":
        return None
    path = Path(file)
    if path.is_file():
        return path
    named = project.definitions / f"{file}.yaml"
    if not path.suffix and named.is_file():
        return named.relative_to(Path.cwd()) if named.is_relative_to(Path.cwd()) else named  # as a person would say it
    known = [each.stem for each in project.definitions.glob("*.y*ml") if not each.stem.endswith(".test")]
    hint = did_you_mean(path.stem, known)
    kind = "a folder, not a file" if path.is_dir() else "not there"
    raise UsageError(f"the definition {file} is {kind}.{hint}")


def definition_file(file: str, project: Project) -> Path:
    """The same where standard input is not read."""
    path = definition_path(file, project)
    if path is None:
        raise UsageError("a file or a name is needed here; standard input is read by run and validate")
    return path
