"""The definition that a command was given: a file, or a name in the project's definitions. None: a usage error."""

from __future__ import annotations

from pathlib import Path

from runner.definition.complaint import closest
from runner.definition.project import Project
from runner.errors import UsageError

_LISTED = 8


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
    raise UsageError(f"the definition {file} is not there.{_advice(path, project)}")


def _advice(path: Path, project: Project) -> str:
    """The definition that was meant, in the way that this one was named; or those that there are."""
    there = [each for each in sorted(project.definitions.glob("*.y*ml")) if each.is_file()]
    known = {each.stem: each for each in there if not each.stem.endswith(".test")}
    meant = closest(path.stem, known)
    if meant:
        return f' Did you mean "{_as_said(known[meant]) if path.suffix else meant}"?'
    some = [*list(known)[:_LISTED], *["…"][: len(known) - _LISTED]]
    return f" {_as_said(project.definitions)} has: {', '.join(some)}" if known else ""


def _as_said(path: Path) -> Path:
    """As a person would say it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def definition_file(file: str, project: Project) -> Path:
    """The same where standard input is not read."""
    path = definition_path(file, project)
    if path is None:
        raise UsageError("a file or a name is needed here; standard input is read by run and validate")
    return path
