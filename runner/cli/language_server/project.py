"""Which project an open file belongs to, what kind of file it is, and what the project's workers take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from runner.builtin import builtin_contracts
from runner.cli.checking.contracts import Contracts, lock_file, read_lock
from runner.definition.project import Project, find_project
from runner.errors import ConfigError

_DEFINITION = re.compile(r"^(?:workflow|steps):", re.MULTILINE)
_SUFFIXES = (".yaml", ".yml")


class Projects:
    """Reads the lock file again when it has changed."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[int, Contracts | None]] = {}

    def of(self, path: Path) -> Project:
        """Raises ConfigError."""
        return find_project(path)

    def contracts(self, project: Project) -> Contracts | None:
        """None where there is no lock file, or none that can be read."""
        file = lock_file(project)
        try:
            changed_ns = file.stat().st_mtime_ns
        except OSError:
            return None
        known = self._read.get(file)
        if known is None or known[0] != changed_ns:
            try:
                contracts: Contracts | None = {**builtin_contracts(), **read_lock(file)}
            except ConfigError:
                contracts = None
            known = self._read[file] = (changed_ns, contracts)
        return known[1]


def kind_of(path: Path, text: str) -> Literal["definition", "test", "other"]:
    """An editor shows us every YAML file that it opens; most are none of ours."""
    if path.suffix not in _SUFFIXES:
        return "other"
    is_ours = path.parent.name == "definitions" or path.stem.endswith(".saga")
    if path.stem.endswith(".test"):
        return "test" if is_ours or re.search(r"^definition:", text, re.MULTILINE) else "other"
    return "definition" if is_ours or len({*_DEFINITION.findall(text)}) == 2 else "other"
