"""Every step where it stands: what is around it, what ran before it, and so what it can see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.definition.model import BlockAction, Catch, Definition, Step

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Handler:
    """One `catch` entry, and the ids that its condition and output can see."""

    catch: Catch
    pointer: str
    visible: frozenset[str]
    visible_after: frozenset[str]  # its own steps too


@dataclass(frozen=True, slots=True)
class Site:
    """A step and its surroundings. `raw` is what the file says there; the model has defaults filled in."""

    step: Step
    pointer: str
    raw: Mapping[str, Any]
    visible: frozenset[str]  # ids of steps that may have run before this one
    visible_inside: frozenset[str]  # for the `output` of a block: its own steps too
    blocks: tuple[Site, ...] = ()  # the blocks it is in, the outermost first, within its handler or section
    handler_of: Site | None = None  # the step whose catch it is in
    in_finally: bool = False
    handlers: list[Handler] = field(default_factory=list)
    children: list[Site] = field(default_factory=list)  # of a block
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
    visible_at_end: frozenset[str]  # for the workflow's output

    def around(self, site: Site) -> Iterator[Site]:
        """The steps whose catch may take a failure of this one: itself, its blocks, and out through handlers."""
        yield site
        yield from reversed(site.blocks)
        if site.handler_of is not None:  # a handler's failure is one of what is around its step
            yield from list(self.around(site.handler_of))[1:]


def outline_of(definition: Definition, value: Any) -> Outline:
    """`value` is what the file says: the raw form that the pointers lead through."""
    walk = _Walk()
    raw = value if isinstance(value, Mapping) else {}
    steps = walk.sequence(definition.steps, "/steps", raw.get("steps"), _Place())
    at_end = _seen(steps)
    finally_ = walk.sequence(
        definition.finally_, "/finally", raw.get("finally"), _Place(visible=at_end, in_finally=True)
    )
    sites = list(_flat([*steps, *finally_]))
    return Outline(steps, finally_, sites, {site.step.id: site for site in sites}, at_end)


@dataclass(frozen=True, slots=True)
class _Place:
    """What a sequence is in."""

    visible: frozenset[str] = _NONE
    blocks: tuple[Site, ...] = ()
    handler_of: Site | None = None
    in_finally: bool = False


class _Walk:
    def sequence(self, steps: tuple[Step, ...], pointer: str, raw: Any, place: _Place) -> list[Site]:
        sites: list[Site] = []
        visible = place.visible
        for index, step in enumerate(steps):
            node = raw[index] if isinstance(raw, list) and index < len(raw) else {}
            site = self._site(step, f"{pointer}/{index}", node, place, visible)
            sites.append(site)
            visible |= _seen([site])
        return sites

    def _site(self, step: Step, pointer: str, raw: Any, place: _Place, visible: frozenset[str]) -> Site:
        raw = raw if isinstance(raw, Mapping) else {}
        inside = visible | _inner_ids(step)
        site = Site(step, pointer, raw, visible, inside, place.blocks, place.handler_of, place.in_finally)
        if isinstance(step.action, BlockAction):
            within = _Place(visible, (*place.blocks, site), place.handler_of, place.in_finally)
            site.children.extend(self.sequence(step.action.steps, f"{pointer}/steps", raw.get("steps"), within))
        handlers = raw.get("catch")
        for index, catch in enumerate(step.catch):
            is_written = isinstance(handlers, list) and index < len(handlers)  # else it is on_failure: continue
            at = f"{pointer}/catch/{index}" if is_written else f"{pointer}/on_failure"
            entry = handlers[index] if is_written and isinstance(handlers[index], Mapping) else {}
            seen = inside | {step.id}
            place_inside = _Place(seen, (), site, place.in_finally)
            handled = self.sequence(catch.steps, f"{at}/steps", entry.get("steps"), place_inside)
            site.handled.append(handled)
            site.handlers.append(Handler(catch, at, seen, seen | _seen(handled)))
        return site


def _inner_ids(step: Step) -> frozenset[str]:
    """Ids of the steps of a block, handlers left out: what the block's `output` can read."""
    if not isinstance(step.action, BlockAction):
        return _NONE
    return frozenset().union(*({inner.id} | _inner_ids(inner) for inner in step.action.steps))


def _seen(sites: list[Site]) -> frozenset[str]:
    """What later steps can read of these: themselves and the steps of blocks, not those of handlers."""
    return frozenset().union(*({site.step.id} | _inner_ids(site.step) for site in sites))


def _flat(sites: list[Site]) -> Iterator[Site]:
    for site in sites:
        yield site
        yield from _flat(site.children)
        for handled in site.handled:
            yield from _flat(handled)
