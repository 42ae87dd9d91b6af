"""The point of no return, on every path: one pivot, nothing around it that undoes, only what goes forward behind it.

A path is followed with two facts: a pivot may have been passed, and one must have been. A step that is
skipped (`when`), a case that is chosen and a failure into a handler are other paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runner.definition.finding import Finding
from runner.definition.model import (
    ChildAction,
    FailAction,
    LoopAction,
    ParallelAction,
    RepeatAction,
    SignalAction,
    SwitchAction,
    WorkerAction,
)
from runner.definition.problem import Severity
from runner.lint.caught import catches_all, is_caught
from runner.lint.outline import Site
from runner.lint.rule import Rule, Subject

_MANY = {ParallelAction: "parallel", LoopAction: "for_each", RepeatAction: "repeat"}


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
    many: Site | None = None  # the innermost parallel, for_each or repeat around
    is_covered: bool = False  # it is in a scope behind the pivot that catches any failure and undoes it


_DEAD = _Path(may=False, must=True)  # nothing is found on a path that no run takes


def _paths(subject: Subject) -> Iterator[Finding]:
    walk = _Walk(subject)
    walk.sequence(subject.outline.steps, _Path(), _Around())
    yield from walk.found


class _Walk:
    def __init__(self, subject: Subject) -> None:
        self.subject, self.outline = subject, subject.outline
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
            around.many,
            around.is_covered or (path.may and catches_all(site)),
        )
        after = self.action(site, path, inside)
        failed = _Path(path.may or (after is not None and after.may), path.must)
        ends = [self.sequence(handled, failed, around) for handled in site.handled]
        if site.step.when is not None:
            ends.append(path)
        return _join([after, *ends])

    def action(self, site: Site, path: _Path, inside: _Around) -> _Path | None:
        match site.step.action:
            case WorkerAction() as action:
                return self.worker(site, action, path, inside)
            case ChildAction() as action:
                return self.child(site, action, path, inside)
            case FailAction():
                return None  # behind a pivot it is a way to call for a person
            case SignalAction(timeout=timeout, on_timeout=code):
                if path.may and timeout is not None and code is not None:
                    key = "on_timeout" if "on_timeout" in site.raw.get("wait_for", ()) else "timeout"
                    self.uncaught(site, code, f"wait_for/{key}", "waits after a pivot")
                return path
            case _ if site.arms:
                return self.arms(site, path, inside)
            case _:
                return path

    def arms(self, site: Site, path: _Path, inside: _Around) -> _Path | None:
        """Cases are other paths; branches are all gone, items perhaps none, rounds at least once."""
        action = site.step.action
        if type(action) in _MANY:
            collects = isinstance(action, LoopAction) and action.on_item_failure == "collect"
            tries = isinstance(action, ParallelAction) and action.join == "any"
            inside = _Around(inside.undoing, site, inside.is_covered or (path.may and (collects or tries)))
        ends = [self.sequence(arm.sites, path, inside) for arm in site.arms]
        if isinstance(action, ParallelAction) and action.join == "all":
            if None in ends:
                return None
            gone = [end for end in ends if end is not None]
            return _Path(any(end.may for end in gone), any(end.must for end in gone))
        if isinstance(action, LoopAction) or (isinstance(action, SwitchAction) and not action.has_else):
            ends.append(path)
        return _join(ends)

    def worker(self, site: Site, action: WorkerAction, path: _Path, inside: _Around) -> _Path:
        if action.kind == "pivot":
            self.pivot(site, path, inside)
            return _Path(may=True, must=True)
        if action.kind == "retriable" and not path.must:
            message = f'"{site.step.id}" is retriable, but not every path to it has passed a pivot'
            hint = "before a pivot a step must be able to fail: give it a compensate"
            self.find("SR310", f"{site.pointer}/kind", message, hint)
        elif action.kind == "none" and not {"kind", "compensate"} & site.raw.keys():
            pass  # it says nothing of its undo, which is found on its own
        elif action.kind in ("compensatable", "none") and path.may and not inside.is_covered:
            message = f'"{site.step.id}" comes after a pivot, where nothing is undone any more'
            hint = "make it kind: retriable or readonly, or catch any error with undo"
            self.find("SR309", f"{site.pointer}/worker", message, hint)
        elif action.kind in ("readonly", "retriable") and path.may:
            for at, code in self.errors(site, action):
                self.uncaught(site, code, at, f"is {action.kind} after a pivot")
        return path

    def errors(self, site: Site, action: WorkerAction) -> Iterator[tuple[str, str]]:
        """What the step says that it may fail with; else what its worker's contract says."""
        if "raises" in site.raw:
            yield from ((f"raises/{index}", code) for index, code in enumerate(action.raises))
        elif action.call.worker != "http.request":
            yield from (("worker", code) for code in self.subject.contract(action.call.worker).get("raises") or ())

    def child(self, site: Site, action: ChildAction, path: _Path, inside: _Around) -> _Path:
        """A child run with a pivot of its own counts as one; any other can be undone, and wants to be able to."""
        if action.is_pivot:
            self.pivot(site, path, inside)
            return _Path(may=True, must=True)
        if path.may and not inside.is_covered:
            message = f'"{site.step.id}" comes after a pivot, where nothing is undone any more'
            self.find("SR309", f"{site.pointer}/subworkflow", message, "catch any error of it, with undo")
        return path

    def uncaught(self, site: Site, code: str, at: str, what: str) -> None:
        if not is_caught(self.outline, site, code):
            message = f'"{site.step.id}" {what}: nothing undoes the run when it ends with "{code}"'
            hint = "catch it, or on_failure: continue"
            if isinstance(site.step.action, SignalAction):
                hint = "say on_timeout: continue, or catch it"
            is_retriable = isinstance(site.step.action, WorkerAction) and site.step.action.kind == "retriable"
            severity: Severity = "error" if is_retriable else "warning"
            self.found.append(Finding("SR313", f"{site.pointer}/{at}", message, hint, severity=severity))

    def pivot(self, site: Site, path: _Path, inside: _Around) -> None:
        step_id = site.step.id
        at = f"{site.pointer}/{'kind' if isinstance(site.step.action, WorkerAction) else 'subworkflow'}"
        if inside.many is not None:
            many = inside.many
            kind = _MANY[type(many.step.action)]
            message = f'"{step_id}" is a pivot inside of the {kind} "{many.step.id}", which may have to go back'
            self.find("SR314", at, message, "move the pivot in front of it, or behind it")
        elif inside.undoing is site:
            key = "on_failure" if "on_failure" in site.raw else "catch"
            message = f'"{step_id}" is a pivot: its failure cannot be undone and passed over'
            hint = "leave it out" if key == "on_failure" else "say undo: false in its catch"
            self.find("SR307", f"{site.pointer}/{key}", message, hint, on_key=True)
        elif inside.undoing is not None:
            message = f'"{step_id}" is a pivot, but the catch of "{inside.undoing.step.id}" around it undoes'
            self.find("SR307", at, message, "say undo: false there, or move the pivot out")
        if path.may:
            message = f'"{step_id}" is a second pivot on this path'
            self.find("SR308", at, message, "behind a pivot, steps are readonly or retriable")

    def find(self, code: str, pointer: str, message: str, hint: str, *, on_key: bool = False) -> None:
        self.found.append(Finding(code, pointer, message, hint, on_key))


def _join(paths: list[_Path | None]) -> _Path | None:
    joined: _Path | None = None
    for path in paths:
        if path is not None:
            joined = path.joined(joined)
    return joined


RULES = (
    Rule(
        {
            "SR307": "A pivot in a scope whose catch undoes",
            "SR308": "Two pivots on one path",
            "SR309": "A step after the pivot that can neither go forward nor be undone",
            "SR310": "A retriable step that no pivot comes before",
            "SR313": "A failure after the pivot that nothing catches",
            "SR314": "A pivot inside parallel, for_each or repeat",
        },
        _paths,
        needs="file",
    ),
)
