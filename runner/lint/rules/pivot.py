"""The point of no return, on every path: one pivot, nothing around it that undoes, only what goes forward behind it.

A path is followed with two facts: a pivot may have been passed, and one must have been. A step that is
skipped (`when`) or fails into a handler is another path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runner.definition.finding import Finding
from runner.definition.model import BlockAction, FailAction, WorkerAction
from runner.lint.outline import Site
from runner.lint.rule import Rule, Subject


@dataclass(frozen=True, slots=True)
class _Path:
    """What is known where a path has come to."""

    may: bool = False
    must: bool = False

    def joined(self, other: _Path | None) -> _Path:
        return self if other is None else _Path(self.may or other.may, self.must and other.must)


@dataclass(frozen=True, slots=True)
class _Around:
    """What holds for a step because of what it is in."""

    undoing: Site | None = None  # the innermost step around whose catch undoes
    is_covered: bool = False  # it is in a scope behind the pivot that catches any failure and undoes it


_DEAD = _Path(may=False, must=True)  # nothing is found on a path that no run takes


def _paths(subject: Subject) -> Iterator[Finding]:
    walk = _Walk()
    walk.sequence(subject.outline.steps, _Path(), _Around())
    yield from walk.found


class _Walk:
    def __init__(self) -> None:
        self.found: list[Finding] = []

    def sequence(self, sites: list[Site], path: _Path, around: _Around) -> _Path | None:
        """The path behind the last step; None if no run gets there."""
        here: _Path | None = path
        for site in sites:
            after = self.step(site, here or _DEAD, around)
            here = None if here is None else after
        return here

    def step(self, site: Site, path: _Path, around: _Around) -> _Path | None:
        undoes = any(handler.catch.undo for handler in site.handlers)
        inside = _Around(
            site if undoes else around.undoing,
            around.is_covered or (path.may and _catches_all(site)),
        )
        after: _Path | None = path
        match site.step.action:
            case WorkerAction() as action:
                after = self.worker(site, action, path, inside)
            case BlockAction():
                after = self.sequence(site.children, path, inside)
            case FailAction():
                after = None
        failed = _Path(path.may or (after is not None and after.may), path.must)
        ends = [self.sequence(handled, failed, around) for handled in site.handled]
        if site.step.when is not None:
            ends.append(path)
        return _join([after, *ends])

    def worker(self, site: Site, action: WorkerAction, path: _Path, inside: _Around) -> _Path:
        if action.kind == "pivot":
            self.pivot(site, path, inside)
            return _Path(may=True, must=True)
        if action.kind == "retriable" and not path.must:
            message = f'"{site.step.id}" is retriable, but not every path to it has passed a pivot'
            hint = "before a pivot a step must be able to fail: give it a compensate"
            self.find("SR310", f"{site.pointer}/kind", message, hint)
        elif action.kind in ("compensatable", "none") and path.may and not inside.is_covered:
            message = f'"{site.step.id}" comes after a pivot, where nothing is undone any more'
            hint = "make it kind: retriable or readonly, or catch any error with undo"
            self.find("SR309", f"{site.pointer}/worker", message, hint)
        return path

    def pivot(self, site: Site, path: _Path, inside: _Around) -> None:
        step_id = site.step.id
        if inside.undoing is site:
            key = "on_failure" if "on_failure" in site.raw else "catch"
            message = f'"{step_id}" is a pivot: its failure cannot be undone and passed over'
            hint = "leave it out" if key == "on_failure" else "say undo: false in its catch"
            self.find("SR307", f"{site.pointer}/{key}", message, hint, on_key=True)
        elif inside.undoing is not None:
            message = f'"{step_id}" is a pivot, but the catch of "{inside.undoing.step.id}" around it undoes'
            self.find("SR307", f"{site.pointer}/kind", message, "say undo: false there, or move the pivot out")
        if path.may:
            message = f'"{step_id}" is a second pivot on this path'
            self.find("SR308", f"{site.pointer}/kind", message, "behind a pivot, steps are readonly or retriable")

    def find(self, code: str, pointer: str, message: str, hint: str, *, on_key: bool = False) -> None:
        self.found.append(Finding(code, pointer, message, hint, on_key))


def _join(paths: list[_Path | None]) -> _Path | None:
    joined: _Path | None = None
    for path in paths:
        if path is not None:
            joined = path.joined(joined)
    return joined


def _catches_all(site: Site) -> bool:
    """Whether any failure inside is caught and undone, whatever the conditions of its handlers say."""
    caught: set[str] = set()
    for handler in site.handlers:
        if handler.catch.when is None:
            if not handler.catch.undo and {"any", "business", "technical"} & set(handler.catch.errors):
                return False
            caught.update(handler.catch.errors)
    return "any" in caught or {"business", "technical"} <= caught


RULES = (
    Rule(
        {
            "SR307": "A pivot in a scope whose catch undoes",
            "SR308": "Two pivots on one path",
            "SR309": "A step after the pivot that can neither go forward nor be undone",
            "SR310": "A retriable step that no pivot comes before",
        },
        _paths,
        needs="file",
    ),
)
