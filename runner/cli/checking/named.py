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
        return _as_said(named)
    if path.exists():
        kind = "a folder, not a file" if path.is_dir() else "not a file; standard input is read for -"
        raise UsageError(f"the definition {file} is {kind}")
    there = [each for each in project.definitions.glob("*.y*ml") if each.is_file() and not each.stem.endswith(".test")]
    known = [str(_as_said(each)) if path.suffix else each.stem for each in there]
    raise UsageError(f"the definition {file} is not there.{did_you_mean(file, known)}")


def _as_said(path: Path) -> Path:
    """As a person would say it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def definition_file(file: str, project: Project) -> Path:
    """The same where standard input is not read."""
    path = definition_path(file, project)
    if path is None:
        raise UsageError("a file or a name is needed here; standard input is read by run and validate")
    return path
