"""What must be true when all is over: every run has ended, and what is there outside is what the records say.

Runs that a crash of the server rewound are held to their records only: in the tier `standard` the world may know more
than the store (docs/reliability.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import msgspec

from runner.interpreter import event as ev
from runner.interpreter.paths import FINALLY
from runner.interpreter.plan import Plan
from runner.interpreter.record import decode_events, run_of
from runner.interpreter.state import Run
from runner.store.ports import Store
from tests.simulation.invariants import hold
from tests.simulation.outside import Outside


class Ended(NamedTuple):
    """A run that is over."""

    run_id: str
    run: Run
    events: list[Any]
    plan: Plan


def check_end(store: Store, outside: Outside, plan_of: Callable[[str], Plan], rewound: Collection[str]) -> None:
    ended = {}
    for stored in store.load_runs(store.find_runs("", limit=10_000)):
        if stored is None or not stored.state:
            continue  # cancelled before it began
        run = run_of(stored.state, stored.fields)
        events = decode_events(store.history(stored.run_id), {})
        ended[stored.run_id] = Ended(stored.run_id, run, events, plan_of(run.header.digest))
    for each in ended.values():
        _check_record(each)
        if each.run.header.parent not in ended:
            family = list(_family(each, ended))
            if not any(member.run_id in rewound for member, _ in family):
                _check_effects(each, family, ended, outside)


def _check_record(each: Ended) -> None:
    header = each.run.header
    undone = Counter(event.path for event in each.events if isinstance(event, ev.StepUndone) and not event.nothing)
    twice = [path for path, count in undone.items() if count > 1 and each.plan.steps[path].worker is not None]
    hold("I5", not twice, f"{each.run_id}: {twice} were undone twice")
    if header.status.value in ("compensated", "cancelled"):
        hold("I5", not header.skipped_undo, f"{each.run_id} is {header.status.value}, and an undo was skipped")
        hold("I15", header.pivot != "passed", f"{each.run_id} went back over its pivot")
        for path, node in each.run.nodes.items():
            worker = each.plan.steps[path].worker
            if worker is not None and worker.compensate is not None and node.effect:
                hold("I5", undone[path] == 1 or node.undo == "undone",
                     f"{each.run_id} is {header.status.value}, and {path} was never undone")
    over = [event.path for event in each.events
            if isinstance(event, ev.TaskDispatched) and event.attempt > _most_attempts(event)]
    hold("budget", not over, f"{each.run_id}: {over} had more attempts than their retry gives them")
    hold("I5", header.busy == 0 or header.status.value == "abandoned", f"{each.run_id} is over, and busy")
    hold("I6", not list(_steps_begun_on_the_way_back(each)), f"{each.run_id} began steps while it went back")


def _most_attempts(event: ev.TaskDispatched) -> int:
    """A run that turns back while it is verified for the last time asks once more, with a fence."""
    return event.max_attempts + (event.phase == "verify" and event.fencing)


def _steps_begun_on_the_way_back(each: Ended) -> Iterator[str]:
    """No action goes out for the first time below the root once that is being undone."""
    is_going_back = False
    for event in each.events:
        if isinstance(event, ev.UndoStarted) and event.path == "":
            is_going_back = True
        elif isinstance(event, ev.TaskDispatched) and event.phase == "action" and event.fresh and is_going_back:
            yield from () if event.path.startswith(FINALLY) else (event.path,)


def _family(root: Ended, ended: dict[str, Ended]) -> Iterator[tuple[Ended, str]]:
    """The run and all below it, each with the steps that lead there."""
    yield root, ""
    for other in ended.values():
        if other.run.header.parent == root.run_id:
            for member, prefix in _family(other, ended):
                yield member, f"{other.run.header.parent_path}/{prefix}"


def _check_effects(
    root: Ended, family: list[tuple[Ended, str]], ended: dict[str, Ended], outside: Outside
) -> None:
    listed = {standing.step: standing.reason for standing in root.run.header.standing}
    status = root.run.header.status.value
    for member, prefix in family:
        wanted = _wanted(member, ended)
        for path in member.run.nodes:
            worker = member.plan.steps[path].worker
            if worker is None or worker.kind == "readonly" or path.startswith(FINALLY):
                continue
            effect = outside.effects[f"{member.run_id}/{path}"]
            place, told = f"{prefix}{path}", f"the run is {status}"
            hold("world", effect.landed <= 1 and effect.undone <= effect.landed and effect.confirmed <= 1,
                 f"{place} took effect {effect.landed} times, and was undone {effect.undone} times")
            is_there = effect.landed > effect.undone
            covered = any(place == step or place.startswith(f"{step}/") for step in listed)
            if path in wanted and status == "completed":
                hold("world", is_there, f"{place} completed, {told}, and it is not there")
                hold("world", worker.confirm is None or effect.confirmed, f"{place} was never confirmed")
            elif is_there:
                hold("world", covered, f"{place} is there, {told}, and says nothing of that: {listed}")
                hold("world", worker.kind == "none" or status not in ("compensated", "cancelled"),
                     f"{place} is there, could be undone, and {told}")
            hold("world", status in ("completed", "abandoned") or not effect.confirmed,
                 f"{place} was confirmed, and {told}")


def _wanted(member: Ended, ended: dict[str, Ended]) -> set[str]:
    """Operations that belong to what the root completed: no walk back reached them, here or above."""
    above = member
    while above.run.header.status.value == "completed" and above.run.header.parent in ended:
        parent = ended[above.run.header.parent]
        node = parent.run.nodes[above.run.header.parent_path]
        if node.undo or node.child != above.run_id:
            return set()
        above = parent
    if above.run.header.status.value != "completed":
        return set()
    wanted = set()
    for event in member.events:
        if isinstance(event, ev.StepCompleted) or (isinstance(event, ev.StepStuck) and event.took_effect):
            wanted.add(event.path)
        elif isinstance(event, ev.UndoStarted):
            wanted.discard(event.path)
    return wanted


def statuses(store: Store) -> Counter[str]:
    """How runs ended."""
    return Counter(f"{_workflow(row.summary)} {row.status}" for row in store.list_runs(limit=10_000))


def _workflow(summary: bytes) -> str:
    return str(msgspec.json.decode(summary).get("workflow", "?"))
