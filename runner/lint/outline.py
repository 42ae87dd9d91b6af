"""Every step where it stands: what is around it, what ran before it, and so what it can see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.definition.model import Catch, ChildAction, Step
from runner.expression.evaluate import Reference
from runner.lint.view import NO_IDS, View


@dataclass(slots=True, eq=False)
class Handler:
    """One `catch` entry, and what its condition and its output can see."""

    catch: Catch
    pointer: str
    before: View
    after: View  # its own steps too
    ends: bool = True  # whether any run gets to its end


@dataclass(slots=True, eq=False)
class Arm:
    """One sequence inside of a step: a block's, a branch, an item, a round, a case."""

    name: str  # of the branch; "0", "1" … or "else" of the case
    sites: list[Site]
    after: View  # at its end
    ends: bool  # whether any run gets to its end
    when: str | None = None  # of the case
    pointer: str = ""  # of the case

    @property
    def has_output(self) -> bool:
        """Whether its last step, which gives its output, surely has one."""
        return bool(self.sites) and self.sites[-1].step.id in self.after.certain


@dataclass(slots=True, eq=False)
class Site:
    """A step and its surroundings. `raw` is what the file says there; the model has defaults filled in."""

    step: Step
    pointer: str
    raw: Mapping[str, Any]
    before: View  # for its `when`
    within: View  # for what it does: its `when` was true
    blocks: tuple[Site, ...] = ()  # the steps that it is inside of, the outermost first, within its handler or section
    handler_of: Site | None = None  # the step whose catch it is in
    in_finally: bool = False
    items: Mapping[str, Site] = field(default_factory=dict)  # the names of items in scope, with their for_each
    is_reached: bool = True  # some run gets here
    gives: bool = True  # once completed it has an output, however it came to that
    inside: View = field(default_factory=View)  # for its `output`: its own steps too
    handlers: list[Handler] = field(default_factory=list)
    arms: list[Arm] = field(default_factory=list)
    handled: list[list[Site]] = field(default_factory=list)  # by handler: its steps

    @property
    def in_handler(self) -> bool:
        """Whether any catch is around it, so that there is an error to read and to rethrow."""
        return self.handler_of is not None


@dataclass(frozen=True, slots=True)
class Outline:
    """All sites, in the order of the file. `steps` and `finally_` are those of the two sections themselves."""

    steps: list[Site]
    finally_: list[Site]
    sites: list[Site]
    by_id: Mapping[str, Site]
    at_end: View  # for the workflow's output

    def around(self, site: Site) -> Iterator[Site]:
        """The steps whose catch may take a failure of this one: itself, what it is in, and out through handlers."""
        yield site
        yield from reversed(site.blocks)
        if site.handler_of is not None:  # a handler's failure is one of what is around its step
            yield from list(self.around(site.handler_of))[1:]

    def until_pivot(self) -> Iterator[Site]:
        """The steps, in the order of the file, that no pivot comes before: behind it the run's timeout only alerts."""
        for site in flat(self.steps):
            if is_pivot(site):
                return
            yield site

    def everything_around(self, site: Site) -> Iterator[Site]:
        """What it is in, the innermost first; the step of a handler too, for the handler is in what that is in."""
        yield from reversed(site.blocks)
        if site.handler_of is not None:
            yield site.handler_of
            yield from self.everything_around(site.handler_of)

    def is_there(self, view: View, reference: Reference) -> bool:
        """Whether the step of a `steps.<id>.output` surely has one, where that is read."""
        step_id = str(reference.path[1])
        known = view.known | reference.known
        if step_id in view.certain or any(fact[:3] == ("steps", step_id, "output") for fact in known):
            return True
        if ("steps", step_id, "status", "completed") in known and self.by_id[step_id].gives:
            return True
        return ("run", "status", "completed") in known and step_id in self.at_end.certain


def is_pivot(site: Site) -> bool:
    """Whether it is a point of no return itself."""
    action = site.step.action
    return getattr(action, "kind", "") == "pivot" or (isinstance(action, ChildAction) and action.is_pivot)


def ids_of(sites: list[Site]) -> frozenset[str]:
    """The ids of these steps and of all inside of them, handlers left out."""
    inner = (ids_of(arm.sites) for site in sites for arm in site.arms)
    return NO_IDS.union((site.step.id for site in sites), *inner)


def flat(sites: list[Site]) -> Iterator[Site]:
    """These and everything below, in the order of the file."""
    for site in sites:
        yield site
        for arm in site.arms:
            yield from flat(arm.sites)
        for handled in site.handled:
            yield from flat(handled)
