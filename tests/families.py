"""Families of runs at random: what is really there in the end is what the root says.

A world of workers whose answers get lost, as in truth.py, around a root whose steps start children and theirs; runs
hear of each other late, are cancelled, stuck, mended and abandoned at random moments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from runner.definition.model import Catch, Retry, Step
from runner.interpreter import event as ev
from runner.interpreter.paths import FINALLY
from runner.interpreter.plan import Plan
from runner.interpreter.run_id import child_run_id
from runner.interpreter.state import Run
from runner.wire import TaskMessage
from tests.truth import Effect
from tests.world import (
    World,
    block,
    definite,
    each,
    landed,
    lost,
    no,
    no_effect,
    not_landed,
    ok,
    parallel,
    pending,
    plan_of,
    step,
    sub,
    unknown,
)

LEVELS = ("grandchild", "child", "root")
FEW = Retry(max_attempts=2, initial_ms=10, jitter="none")


class Drawn:
    """Definitions of one family: those of a level start those of the level below."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.plans: dict[str, Plan] = {}
        for level, name in enumerate(LEVELS):
            self._ids: Iterator[int] = count()
            steps = self.sequence(LEVELS[:level], 2)
            self.plans[name] = plan_of(
                *steps, digest=name, timeout_ms=100_000, compensation_retry=FEW,
                finally_=[self.operation("readonly")] if random.random() < 0.2 else [],
            )

    def name(self) -> str:
        return f"s{next(self._ids)}"

    def sequence(self, below: tuple[str, ...], depth: int) -> tuple[Step, ...]:
        return tuple(self.step(below, depth) for _ in range(self.random.choice([1, 2, 3])))

    def step(self, below: tuple[str, ...], depth: int) -> Step:
        kinds = ["worker"] * 4 + ["sub"] * 5 * bool(below) + ["block", "parallel", "each"] * (depth > 0)
        chosen = self.random.choice(kinds)
        if chosen == "worker":
            return self.operation(self.random.choice(["compensatable"] * 4 + ["none", "readonly"]))
        name, catch = self.name(), self.catches(below, depth)
        if chosen == "sub":
            return sub(name, of=self.random.choice(below), undo=self.random.random() < 0.2, undo_retry=FEW, catch=catch)
        if chosen == "block":
            return block(name, *self.sequence(below, depth - 1), catch=catch)
        if chosen == "each":
            items = "{{ [1, 2] }}"
            inside = self.sequence(below, depth - 1)
            return each(name, *inside, items=items, max_parallel=self.random.choice([1, 2]), catch=catch)
        branches = {f"b{number}": self.sequence(below, depth - 1) for number in range(2)}
        join, how = self.random.choice(["all", "any"]), self.random.choice(["drain", "cancel"])
        return parallel(name, branches, join=join, on_failure=how, catch=catch)

    def catches(self, below: tuple[str, ...], depth: int) -> tuple[Catch, ...]:
        if self.random.random() < 0.7:
            return ()
        steps = self.sequence(below, depth - 1) if depth > 0 and self.random.random() < 0.5 else ()
        return (Catch(undo=self.random.random() < 0.6, steps=steps),)

    def operation(self, kind: str) -> Step:
        verify = kind != "readonly" and self.random.random() < 0.3
        return step(
            self.name(), kind="compensatable" if kind == "none" else kind, undo=kind != "none", verify=verify,
            retry=FEW, undo_retry=FEW, confirm=kind == "compensatable" and self.random.random() < 0.3,
        )


@dataclass
class FamilyTruth:
    """Drives a family to its end, and holds what the root says against what is there."""

    random: Random
    trouble: float = 0.3
    effects: dict[str, Effect] = field(default_factory=dict)  # by step.ref
    abandons: bool = True
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        drawn = Drawn(self.random)
        self.root = World(drawn.plans["root"], {}, input={}, plans=drawn.plans)
        self.root.is_deaf = True

    # -- what services do -----------------------------------------------------------------------------
    def effect(self, ref: str) -> Effect:
        return self.effects.setdefault(ref, Effect())

    def reply(self, world: World, message: TaskMessage) -> Any:
        effect = self.effect(message.step_ref)
        bad = self.random.random() < self.trouble
        if message.phase == "action":
            return self._act(message, effect, bad=bad)
        if message.phase == "verify":
            return self._look(message, effect, bad=bad)
        if message.phase == "confirm":
            assert effect.is_there, f"{message.step_ref} is to be confirmed, and is not there"
            assert self._root_is_decided_for(world), f"{message.step_ref} is to be confirmed too early"
            return self.random.choice([unknown(), no_effect()]) if bad else ok()
        if not bad or self.random.random() < 0.3:
            self._undo(world, message.path, effect)
            return ok() if not bad else unknown()
        return self.random.choice([no(), no_effect(), unknown(), lost()])

    def _act(self, message: TaskMessage, effect: Effect, *, bad: bool) -> Any:
        if effect.is_refused:
            return definite("already_undone")
        if not bad:
            effect.land()
            return ok({"ref": message.step_ref})
        chosen = self.random.choice(["no", "no_effect", "landed", "not", "late"])
        if chosen in ("no", "no_effect"):
            return no() if chosen == "no" and not effect.is_there else no_effect()
        if chosen == "landed":
            effect.land()
        effect.is_late = effect.is_late or chosen == "late"
        return unknown()

    def _look(self, message: TaskMessage, effect: Effect, *, bad: bool) -> Any:
        if bad:
            return self.random.choice([unknown(), pending(5), no_effect()])
        if effect.is_there:
            return landed({"ref": message.step_ref})
        effect.is_refused = effect.is_refused or message.fencing
        return not_landed(fenced=message.fencing)

    def _undo(self, world: World, path: str, effect: Effect) -> None:
        effect.undo()
        child = world.run_node(path).child
        for below in self.root.family():
            # A compensation of the step's own takes away all that the child did, and all below it.
            if child and child in self._line(below):
                for ref, other in self.effects.items():
                    if ref.startswith(f"{below.run_id}/"):
                        other.undo()

    def _line(self, world: World | None) -> list[str]:
        """This run's id and those of the runs above it."""
        found = []
        while world is not None:
            found.append(world.run_id)
            world = world.parent
        return found

    def _root_is_decided_for(self, world: World) -> bool:
        """Whether the run that decides for this one has: the topmost that does not end by itself before."""
        while world.parent is not None and world.header.holds:
            world = world.parent
        return world.header.decided

    # -- driving --------------------------------------------------------------------------------------
    def finish(self, stop_at: int) -> World:
        root = self.root.start()
        for index in range(6_000):
            if index > 400:
                self.trouble = 0.0
            if root.header.is_terminal and not root.unheard and self._is_over():
                return root
            if index == stop_at:
                self._stop()
                continue
            for effect in self.effects.values():
                if effect.is_late and self.random.random() < 0.2:
                    effect.land()
                    effect.is_late = False
            self._go_on()
        raise AssertionError(f"the family does not end: {[each.status for each in root.family()]} {self.log[-9:]}")

    def _is_over(self) -> bool:
        return all(each.run is None or each.header.is_terminal for each in self.root.family())

    def _go_on(self) -> None:
        root = self.root
        living = [each for each in root.family() if each.run is not None and not each.header.is_terminal]
        if self.random.random() < 0.1 and living:
            self.random.choice(living).reload()
        tasks = [(world, path) for world in living for path in sorted(world.tasks)]
        timers = [(world, name) for world in living for name in sorted(world.node_timers())]
        for world, path in tasks:
            if self.random.random() < 0.3:
                world.claimed.add(path)
        if root.unheard and (not tasks or self.random.random() < 0.4):
            root.deliver()
        elif tasks and (not timers or self.random.random() < 0.8):
            world, path = self.random.choice(tasks)
            world.answer(path, self.reply(world, world.tasks[path]))
        elif timers:
            world, name = self.random.choice(timers)
            world.fire(name)
        elif not root.unheard:
            self._mend([each for each in living if each.header.stuck])

    def _stop(self) -> None:
        world = self.random.choice([each for each in self.root.family() if each.run is not None])
        if world.header.is_terminal:
            return
        chosen = self.random.choice(["cancel", "cancel", "timeout", "abandon" if self.abandons else "cancel"])
        self.log.append(f"{chosen} {world.run_id}")
        if chosen == "cancel":
            world.take(ev.CancelRequested(world.now_ms, nonce="c"))
        elif chosen == "abandon":
            world.take(ev.AbandonRequested(world.now_ms, nonce="a"))
        elif "~run@timeout" in world.timers:
            world.fire("~run@timeout")

    def _mend(self, stuck: list[World]) -> None:
        states = [(each.run_id, each.status) for each in self.root.family()]
        assert stuck, f"nothing is stuck, and nothing comes: {states}"
        for each_run in self.root.family():
            if each_run.parent is None and each_run not in stuck:
                assert each_run.header.stuck_children, "the root does not say that it waits for a stuck run"
        world = self.random.choice(stuck)
        path = self.random.choice(world.header.stuck)
        if self.random.random() < 0.4:
            world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
            self.trouble *= 0.8
            return
        self._resolve(world, path)

    def _resolve(self, world: World, path: str) -> None:
        node, effect = world.run_node(path), self.effect(f"{world.run_id}/{path}")
        if node.phase == "confirm" and node.undo == "":
            self._say(world, path, "completed")
        elif node.undo == "undoing":
            if self.random.random() < 0.7:
                self._undo(world, path, effect)
                assert self._say(world, path, "compensated")
            else:
                assert self._say(world, path, "skipped")
        elif effect.is_there or self.random.random() < 0.5:
            effect.land()
            if not effect.is_there:  # a tombstone: only its absence can be said
                assert self._say(world, path, "failed")
                return
            assert self._say(world, path, "completed")
        else:
            effect.is_refused = True
            assert self._say(world, path, "failed")

    def _say(self, world: World, path: str, as_: str) -> bool:
        told = world.take(ev.ResolveRequested(world.now_ms, nonce="s", step=path or "output", as_=as_, output={}))
        return not any(isinstance(event, ev.RequestRefused) and event.nonce == "s" for event in told)

    # -- the account ----------------------------------------------------------------------------------
    def check(self) -> None:
        root = self.root
        for effect in self.effects.values():
            if effect.is_late:
                effect.land()
        listed = {standing.step: standing.reason for standing in root.header.standing}
        for world in root.family():
            if world.run is None:
                continue
            prefix = self._prefix(world)
            wanted = self._wanted(world)
            for path in self._operations(world):
                self._check_effect(world, path, f"{prefix}{path}", listed, is_wanted=path in wanted)
        self._check_starts()
        for world in root.family():
            if world.run is not None and world.status in ("compensated", "cancelled"):
                assert not world.header.skipped_undo
            assert not (world.run and world.header.busy and world.status != "abandoned"), f"{world.run_id} is busy"

    def _check_effect(
        self, world: World, path: str, place: str, listed: dict[str, str], *, is_wanted: bool
    ) -> None:
        is_there = self.effect(f"{world.run_id}/{path}").is_there
        covered = any(place == step or place.startswith(f"{step}/") for step in listed)
        if is_wanted and self.root.status == "completed":
            assert is_there, f"{place} belongs to the completed run and is not there"
        elif is_there:
            assert covered, f"{place} is there, the root is {self.root.status}, and it says nothing of that: {listed}"
            if self.root.status in ("compensated", "cancelled"):
                worker = world.plan.steps[path].worker
                assert worker is not None
                assert worker.kind == "none", f"{place} is there, could be undone, and the root is {self.root.status}"

    def _prefix(self, world: World) -> str:
        prefix = ""
        while world.parent is not None:
            prefix = f"{world.header.parent_path}/{prefix}"
            world = world.parent
        return prefix

    def _operations(self, world: World) -> list[str]:
        run: Run | None = world.run
        assert run is not None
        workers = [(path, world.plan.steps[path].worker) for path in run.nodes if not path.startswith(FINALLY)]
        return [path for path, worker in workers if worker is not None and worker.kind != "readonly"]

    def _wanted(self, world: World) -> set[str]:
        """Operations that belong to what the root completed: no walk back reached them, here or above."""
        if world.status != "completed":
            return set()
        above = world
        while above.parent is not None:
            node = above.parent.run_node(above.header.parent_path)
            if node.undo or node.child != above.run_id or above.parent.status != "completed":
                return set()
            above = above.parent
        wanted = set()
        for event in world.events:
            if isinstance(event, ev.StepCompleted) or (isinstance(event, ev.StepStuck) and event.took_effect):
                wanted.add(event.path)
            elif isinstance(event, ev.UndoStarted):
                wanted.discard(event.path)
        return wanted

    def _check_starts(self) -> None:
        """Each child is the one that its step's name says, and nobody else's."""
        for world in self.root.family():
            for event in world.of(ev.ChildStarted):
                assert event.run_id in {child_run_id(f"{world.run_id}/{event.path}", n) for n in (1, 2, 3, 4)}
        started = [event.run_id for world in self.root.family() for event in world.of(ev.ChildStarted)]
        assert len(started) == len(set(started))
