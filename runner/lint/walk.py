"""Walks a definition from its first step to its last, as a run would, and notes at each what can be read there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runner.definition.finding import child
from runner.definition.model import (
    BlockAction,
    Definition,
    FailAction,
    LoopAction,
    ParallelAction,
    RepeatAction,
    SignalAction,
    Step,
    SwitchAction,
    WaitAction,
)
from runner.lint.outline import Arm, Handler, Outline, Site, flat
from runner.lint.view import View, joined


def outline_of(definition: Definition, value: Any) -> Outline:
    """`value` is what the file says: the raw form that the pointers lead through."""
    walk = _Walk()
    raw = value if isinstance(value, Mapping) else {}
    steps = walk.sequence(definition.steps, "/steps", raw.get("steps"), _Place(), View())
    late = View(visible=steps.after.visible)  # finally runs after a failure anywhere, too
    finally_ = walk.sequence(definition.finally_, "/finally", raw.get("finally"), _Place(in_finally=True), late)
    sites = list(flat([*steps.sites, *finally_.sites]))
    return Outline(steps.sites, finally_.sites, sites, {site.step.id: site for site in sites}, steps.after)


@dataclass(frozen=True, slots=True)
class _Place:
    """What a sequence is in."""

    blocks: tuple[Site, ...] = ()
    handler_of: Site | None = None
    in_finally: bool = False
    items: Mapping[str, Site] = field(default_factory=dict)
    is_reached: bool = True

    def inside(self, site: Site, item: str | None = None) -> _Place:
        items = self.items if item is None else {**self.items, item: site}
        return replace(self, blocks=(*self.blocks, site), items=items)


@dataclass(frozen=True, slots=True)
class _End:
    """How an action ends: what is in view then, whether it gave an output, whether it ends at all.

    `skips`: perhaps nothing is done; then the step's own `output` is not evaluated either.
    """

    view: View
    has_output: bool = True
    ends: bool = True
    skips: bool = False


class _Walk:
    def sequence(self, steps: tuple[Step, ...], pointer: str, raw: Any, place: _Place, view: View) -> Arm:
        sites: list[Site] = []
        ends = True
        for index, step in enumerate(steps):
            here = place if ends else replace(place, is_reached=False)
            site, after = self.step(step, f"{pointer}/{index}", _item(raw, index), here, view)
            sites.append(site)
            ends = ends and after is not None
            # Behind a dead end nothing is found to be uncertain: that it is dead is what there is to say.
            view = after if ends and after is not None else (after or site.inside).behind(certain=[step.id])
        return Arm("", sites, view, ends)

    def step(
        self, step: Step, pointer: str, raw: Mapping[str, Any], place: _Place, view: View
    ) -> tuple[Site, View | None]:
        """The site, and the view behind it; None if no run gets there."""
        within = view.where(step.when)
        site = Site(
            step, pointer, raw, view, within, place.blocks, place.handler_of, place.in_finally, place.items,
            place.is_reached, inside=within,
        )
        act = _ACTIONS.get(type(step.action))
        end = _End(within) if act is None else act(self, site, step.action, raw, place)
        site.inside = end.view
        own = [step.id]
        gives = end.has_output or (step.output is not None and not end.skips)
        ways = [end.view.behind(visible=own, certain=own if gives else ())] if end.ends else []
        ways.extend(self.handlers(site, place, within.behind(visible=end.view.visible | {step.id})))
        after = joined(ways)
        site.gives = after is None or step.id in after.certain
        if step.when is not None:
            after = view.behind(visible=end.view.visible | {step.id}).perhaps(step.when, after)
        return site, after

    def handlers(self, site: Site, place: _Place, failed: View) -> list[View]:
        """The views behind the handlers that a run gets through, as what comes after the step has them."""
        ways = []
        written = site.raw.get("catch")
        for index, catch in enumerate(site.step.catch):
            is_written = isinstance(written, list) and index < len(written)  # else it is on_failure: continue
            at = f"{site.pointer}/catch/{index}" if is_written else f"{site.pointer}/on_failure"
            entry = _item(written, index)
            inside = replace(place, blocks=(), handler_of=site)
            view = failed.where(catch.when)
            handled = self.sequence(catch.steps, f"{at}/steps", entry.get("steps"), inside, view)
            site.handled.append(handled.sites)
            site.handlers.append(Handler(catch, at, failed, handled.after, handled.ends))
            if handled.ends:
                gives = catch.output is not None or handled.has_output
                ways.append(view.behind(certain=[site.step.id] if gives else ()))
        return ways


def _block(walk: _Walk, site: Site, action: BlockAction, raw: Mapping[str, Any], place: _Place) -> _End:
    arm = walk.sequence(action.steps, f"{site.pointer}/steps", raw.get("steps"), place.inside(site), site.within)
    site.arms.append(arm)
    return _End(arm.after, arm.has_output, arm.ends)


def _parallel(walk: _Walk, site: Site, action: ParallelAction, raw: Mapping[str, Any], place: _Place) -> _End:
    view = site.within
    branches = _below(raw, "parallel", "branches")
    for name, steps in action.branches.items():
        at = child(f"{site.pointer}/parallel/branches", name)
        arm = walk.sequence(steps, at, branches.get(name), place.inside(site), view)
        arm.name = name
        site.arms.append(arm)
    seen = [arm.after.visible for arm in site.arms]
    every = action.join == "all" or len(site.arms) == 1
    certain = [arm.after.certain for arm in site.arms] if every else []
    ended = [arm.ends for arm in site.arms]
    return _End(
        view.behind(visible=frozenset().union(*seen), certain=frozenset().union(*certain)),
        ends=all(ended) if action.join == "all" else any(ended),
    )


def _loop(walk: _Walk, site: Site, action: LoopAction, raw: Mapping[str, Any], place: _Place) -> _End:
    at, steps = f"{site.pointer}/for_each/steps", _below(raw, "for_each").get("steps")
    site.arms.append(walk.sequence(action.steps, at, steps, place.inside(site, action.as_), site.within))
    return _End(site.within)  # perhaps there are no items; and nobody sees into them from outside


def _repeat(walk: _Walk, site: Site, action: RepeatAction, raw: Mapping[str, Any], place: _Place) -> _End:
    at, steps = f"{site.pointer}/repeat/steps", _below(raw, "repeat").get("steps")
    arm = walk.sequence(action.steps, at, steps, place.inside(site), site.within)
    site.arms.append(arm)
    return _End(site.within, arm.has_output or action.output is not None, arm.ends)


def _switch(walk: _Walk, site: Site, action: SwitchAction, raw: Mapping[str, Any], place: _Place) -> _End:
    view = site.within
    for index, case in enumerate(action.cases):
        key = "steps" if case.when is not None else "else"
        at, below = f"{site.pointer}/switch/{index}", _item(raw.get("switch"), index).get(key)
        arm = walk.sequence(case.steps, f"{at}/{key}", below, place.inside(site), view.where(case.when))
        arm.name, arm.when, arm.pointer = (str(index) if case.when is not None else "else"), case.when, at
        site.arms.append(arm)
        if case.when is not None:
            view = view.where(case.when, holds=False)
    ways = [arm.after for arm in site.arms if arm.ends] + ([] if action.has_else else [view])
    seen = frozenset().union(*(arm.after.visible for arm in site.arms))
    after = (joined(ways) or site.within).behind(visible=seen)
    gives = action.has_else and all(arm.has_output for arm in site.arms if arm.ends)
    return _End(after, gives, bool(ways), skips=not action.has_else)


def _fail(_walk: _Walk, site: Site, _action: FailAction, _raw: Any, _place: _Place) -> _End:
    return _End(site.within, ends=False)


def _wait(_walk: _Walk, site: Site, _action: WaitAction, _raw: Any, _place: _Place) -> _End:
    return _End(site.within, has_output=False)


def _signal(_walk: _Walk, site: Site, action: SignalAction, _raw: Any, _place: _Place) -> _End:
    return _End(site.within, has_output=action.timeout is None or action.on_timeout is not None)


def _item(raw: Any, index: int) -> Mapping[str, Any]:
    """What the file has there in a list, if it is a mapping."""
    item = raw[index] if isinstance(raw, list) and index < len(raw) else None
    return item if isinstance(item, Mapping) else {}


def _below(raw: Any, *keys: str) -> Mapping[str, Any]:
    """What the file has there, if it is a mapping."""
    for key in keys:
        raw = raw.get(key) if isinstance(raw, Mapping) else None
    return raw if isinstance(raw, Mapping) else {}


_ACTIONS: Mapping[type, Callable[[_Walk, Site, Any, Mapping[str, Any], _Place], _End]] = {
    BlockAction: _block,
    ParallelAction: _parallel,
    LoopAction: _loop,
    RepeatAction: _repeat,
    SwitchAction: _switch,
    FailAction: _fail,
    WaitAction: _wait,
    SignalAction: _signal,
}
