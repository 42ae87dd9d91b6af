"""The workflows that steps start: found beside the file that names them, each read once, and checked like it.

A parent keeps the content hash of the very definition that was found, so that a run goes on with the children
that its definition had when it was started, whatever becomes of their files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.definition.complaint import did_you_mean
from runner.definition.finding import shown
from runner.definition.model import ChildAction, Definition, Step, WorkerAction, steps_below
from runner.definition.problem import Problem
from runner.definition.source import MAX_FILE_BYTES, Source, read_file
from runner.errors import DefinitionError

if TYPE_CHECKING:
    from runner.definition.load import Draft

MAX_DEPTH = 16
_SUFFIXES = (".yaml", ".yml")


class ChildRefused(Exception):
    """There is no definition that the step could start; the text says why. `hint` may say what to do."""

    def __init__(self, message: str, hint: str = "", code: str = "SR117") -> None:
        super().__init__(message)
        self.hint, self.code = hint, code


class Family:
    """The definitions in one folder. `examine` makes a draft of a source, and comes back here for its children."""

    def __init__(self, folder: Path, file: str, examine: Callable[[Source, Family], Draft]) -> None:
        self._folder = Path(os.path.realpath(folder))
        self._shown = Path(file).parent
        self._examine = examine
        self._sources: dict[Path, Source | list[Problem]] = {}
        self._drafts: dict[Path, Draft] = {}
        self._way = [self._folder / Path(file).name]  # the file being read, behind those that led to it

    def draft_of(self, workflow: str, version: str | None) -> Draft:
        """What could be made of the one definition that fits. Raises ChildRefused."""
        path = self._find(workflow, version)
        if path in self._way:
            names = [self._name(each) for each in self._way[self._way.index(path) :]]
            way = " → ".join([*names, names[0]])
            raise ChildRefused(f"a workflow cannot be part of itself: {way}", "a loop is a repeat step", "SR118")
        if path not in self._drafts:
            self._drafts[path] = self._read(path)
        return self._drafts[path]

    def _read(self, path: Path) -> Draft:
        from runner.definition.load import Draft

        source = self._sources[path]
        if not isinstance(source, Source):
            return Draft(problems=tuple(source))
        if len(self._way) > MAX_DEPTH:
            raise ChildRefused(f"workflows start each other more than {MAX_DEPTH} deep", code="SR113")
        self._way.append(path)
        try:
            return self._examine(source, self)
        finally:
            self._way.pop()

    def _find(self, workflow: str, version: str | None) -> Path:
        found = {path: self._version(path) for path in self._files() if self._is_of(path, workflow)}
        if not found:
            known = sorted({name for path in self._files() if (name := self._name(path))})
            there = f"there are: {', '.join(known[:5])}" if known else "put its definition there"
            message = f"no definition beside this file is of a workflow {shown(workflow)}"
            raise ChildRefused(message, did_you_mean(workflow, known) or there)
        fitting = [path for path, is_of in found.items() if version in (None, is_of, "")]
        listed = ", ".join(f"{path.name} ({is_of or 'unreadable'})" for path, is_of in found.items())
        if not fitting:
            raise ChildRefused(f"{shown(workflow)} has no version {shown(version)} here", f"there is: {listed}")
        if len(fitting) > 1:
            raise ChildRefused(f"several definitions are of {shown(workflow)}: {listed}", "say which version is meant")
        return fitting[0]

    # -- the folder -----------------------------------------------------------------------------------
    def _files(self) -> Iterator[Path]:
        """Files of the folder itself: a link that leads elsewhere is none of them."""
        for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            is_one = path.suffix in _SUFFIXES and not path.stem.endswith(".test")
            if is_one and path.is_file() and Path(os.path.realpath(path)).parent == self._folder:
                yield path

    def _is_of(self, path: Path, workflow: str) -> bool:
        """Whether the file defines this workflow; or says so, and cannot be read."""
        if path not in self._sources and not _mentions(path, workflow):
            return False
        source = self._source(path)
        if isinstance(source, Source):
            return self._name(path) == workflow
        said = re.search(rf"^workflow:\s*[\"']?{re.escape(workflow)}[\"']?\s*$", _text(path), re.MULTILINE)
        return said is not None

    def _source(self, path: Path) -> Source | list[Problem]:
        if path not in self._sources:
            try:
                self._sources[path] = read_file(path, str(self._shown / path.name))
            except DefinitionError as error:
                self._sources[path] = list(error.problems)
        return self._sources[path]

    def _name(self, path: Path) -> str:
        return self._said(path, "workflow")

    def _version(self, path: Path) -> str:
        return self._said(path, "version")

    def _said(self, path: Path, key: str) -> str:
        source = self._source(path)
        value: Any = source.value if isinstance(source, Source) else None
        said = value.get(key) if isinstance(value, dict) else None
        return said if isinstance(said, str) else ""


def _mentions(path: Path, word: str) -> bool:
    """Spares reading files that surely are another workflow's."""
    return word in _text(path)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""


# -- what a parent keeps of a child -------------------------------------------------------------------
def has_pivot(definition: Definition) -> bool:
    """Whether a run of it may pass a point of no return, itself or in a child that is undone with it."""
    return any(_is_pivot(step) for step in steps_below((*definition.steps, *definition.finally_)))


def _is_pivot(step: Step) -> bool:
    if isinstance(step.action, ChildAction):
        return step.action.is_pivot
    return isinstance(step.action, WorkerAction) and step.action.kind == "pivot"
