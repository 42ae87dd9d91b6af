"""What really happens outside: services with a barrier, behind workers whose answers get lost.

The interpreter is told outcomes; this knows the effects. An unknown attempt has secretly landed, or not, or lands
later; what is late is let through until a tombstone refuses it. Undo and fencing verification plant tombstones.
A verification tells the truth. At the end the run's own account is held against what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from runner.interpreter import event as ev
from runner.interpreter.evolve_step import is_to_be_confirmed
from runner.interpreter.paths import FINALLY, RUN_TIMEOUT
from runner.wire import TaskMessage
from tests.invariants import assert_an_end_is_final, assert_nothing_went_back_over_the_pivot
from tests.world import (
    Reply,
    World,
    definite,
    landed,
    lost,
    no,
    no_effect,
    not_landed,
    ok,
    pending,
    unknown,
)


@dataclass
class Effect:
    """One operation's effect in the world, by its `step.ref`."""

    is_there: bool = False
    is_refused: bool = False  # a tombstone: nothing lands any more
    is_late: bool = False  # an action is still on its way
    is_asked: bool = False  # to be confirmed
    is_confirmed: bool = False

    def land(self) -> None:
        if not self.is_refused:
            self.is_there = True

    def undo(self) -> None:
        self.is_there, self.is_refused = False, True


@dataclass
class Truth:
    """A world whose workers answer as `random` has it, cancelled, timed out and mended at random moments."""

    world: World
    random: Random
    trouble: float = 0.35  # how often an answer is not the plain one
    effects: dict[str, Effect] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    # -- what services do -----------------------------------------------------------------------------
    def effect(self, ref: str) -> Effect:
        return self.effects.setdefault(ref, Effect())

    def reply(self, message: TaskMessage) -> Reply:
        return _PHASES[message.phase](self, message, self.effect(message.step_ref))

    def act(self, message: TaskMessage, effect: Effect) -> Reply:
        if effect.is_refused:
            return definite("already_undone")
        if self.random.random() >= self.trouble:
            effect.land()
            return ok({"ref": message.step_ref})
        chosen = self.random.choice(["no", "no_effect", "landed", "not", "late", "late", "crash"])
        if chosen == "no_effect" or (chosen == "no" and effect.is_there):
            return no_effect()
        if chosen == "no":
            return no()
        if chosen == "landed":
            effect.land()
        effect.is_late = effect.is_late or chosen == "late"
        return lost() if chosen == "crash" else unknown()

    def look(self, message: TaskMessage, effect: Effect) -> Reply:
        if self.random.random() < self.trouble / 2:
            return self.random.choice([unknown(), no_effect(), pending(5), no(), lost()])
        if effect.is_there:
            return landed({"ref": message.step_ref})
        # Every third service cannot seal a key, and says so.
        if message.fencing and sum(message.step.encode()) % 3:
            effect.is_refused = True
            return not_landed(fenced=True)
        return not_landed(fenced=False)

    def undo(self, _message: TaskMessage, effect: Effect) -> Reply:
        if self.random.random() >= self.trouble:
            effect.undo()
            return ok()
        chosen = self.random.choice(["no", "no_effect", "undone", "not", "crash"])
        if chosen == "undone":
            effect.undo()
        return {"no": no(), "no_effect": no_effect(), "crash": lost()}.get(chosen, unknown())

    def confirm(self, message: TaskMessage, effect: Effect) -> Reply:
        assert effect.is_there, f"{message.path} is to be confirmed, and is not there"
        effect.is_asked = True
        chosen = self.random.choice(["no", "no_effect", "told", "not", "crash"])
        if self.random.random() >= self.trouble:
            chosen = "ok"
        effect.is_confirmed = effect.is_confirmed or chosen in ("ok", "told")
        return {"ok": ok(), "no": no(), "no_effect": no_effect(), "crash": lost()}.get(chosen, unknown())

    def arrive(self) -> None:
        """What is late may arrive now."""
        for effect in self.effects.values():
            if effect.is_late and self.random.random() < 0.2:
                effect.land()
                effect.is_late = False

    # -- what people do -------------------------------------------------------------------------------
    def mend(self) -> None:
        """An operator looks at the truth and says it, asks again, or gives up."""
        world = self.world
        path = self.random.choice(world.header.stuck)
        chosen = self.random.choice(["resume", "resume", "resolve", "resolve", "resolve", "abandon"])
        self.log.append(f"{chosen} {path}")
        if chosen == "resume":
            world.take(ev.ResumeRequested(world.now_ms, nonce="r"))
        elif chosen == "abandon" and self.random.random() < 0.3:
            world.take(ev.AbandonRequested(world.now_ms, nonce="a"))
        else:
            self._resolve(path)

    def _resolve(self, path: str) -> None:
        effect = self.effect(f"run1/{path}")
        if self.world.header.confirming and is_to_be_confirmed(self.world.plan, self.world.run_node(path)):
            effect.is_confirmed = True  # the operator tells it, or knows that it need not be told
            assert self._say(path, self.random.choice(["completed", "skipped"]))
            return
        if self.world.run_node(path).undo == "undoing":
            as_ = self.random.choice(["compensated", "compensated", "skipped"])
            if as_ == "compensated":
                effect.undo()
            assert self._say(path, as_)
            return
        if self.random.random() < 0.5:
            effect.land()  # the operator does by hand what was asked for
        if effect.is_there:
            assert self._say(path, "completed")
            return
        was = effect.is_refused
        effect.is_refused = True  # or sees to it that it never happens
        if not self._say(path, "failed") and not self._say(path, "skipped"):
            effect.is_refused = was
            effect.is_there = True
            assert self._say(path, "completed")

    def _say(self, path: str, as_: str) -> bool:
        request = ev.ResolveRequested(self.world.now_ms, nonce="s", step=path or "output", as_=as_, output={})
        told = self.world.take(request)
        return not any(isinstance(event, ev.RequestRefused) and event.nonce == "s" for event in told)

    # -- driving --------------------------------------------------------------------------------------
    def finish(self, *, stop_at: int, how: str, each: Callable[[World], None] = lambda world: None) -> World:
        """Until the run is over. `how` it is stopped before the answer with number `stop_at`: cancel, timeout or ""."""
        world = self.world.start()
        for index in range(3_000):
            if index == stop_at:
                self._stop(how)
            self.arrive()
            self._disturb()
            if world.header.is_terminal:
                return world
            world.claimed.update(path for path in world.tasks if self.random.random() < 0.5)
            if world.header.agenda:
                world.take(ev.Continued(world.now_ms))
            elif world.tasks and (not world.node_timers() or self.random.random() < 0.8):
                path = self.random.choice(sorted(world.tasks))
                world.answer(path, self.reply(world.tasks[path]))
            elif world.node_timers():
                world.fire(self.random.choice(sorted(world.node_timers())))
            elif world.waits_for_a_signal():
                world.signal("go", 1)
            else:
                assert world.status == "stuck", f"{world.status} with nothing to wait for"
                assert world.header.stuck
                self.trouble = 0.0 if index > 300 else self.trouble
                self.mend()
            each(world)
        raise AssertionError(f"the run does not end: {world.calls[-20:]}")

    def _disturb(self) -> None:
        """What must not matter: another engine, timers and outcomes that come too late."""
        world, chance = self.world, self.random.random()
        if chance < 0.1:
            world.reload()
        elif chance < 0.15:
            late = sorted({"s0@1", "s1@1", "s1@2", "s2@1", "gone@1"} - world.timers.keys())
            world.take(ev.TimerFired(world.now_ms, self.random.choice(late)))
        elif chance < 0.2 and world.run is not None:
            closed = sorted(path for path, node in world.run.nodes.items() if not node.open)
            if closed:
                outcome = self.random.choice(["completed", "failed", "unknown"])
                world.take(ev.TaskSettled(world.now_ms, self.random.choice(closed), outcome))
        elif chance < 0.25:
            world.signal("go", self.random.choice([1, 2]))

    def _stop(self, how: str) -> None:
        if how == "cancel":
            self.world.take(ev.CancelRequested(self.world.now_ms, nonce="c"))
        elif how == "timeout" and RUN_TIMEOUT in self.world.timers:
            self.world.fire(RUN_TIMEOUT)

    # -- the account ----------------------------------------------------------------------------------
    def check(self) -> None:
        """What the run says of its effects is so."""
        world = self.world
        for effect in self.effects.values():
            if effect.is_late:
                effect.land()  # whatever can still happen has happened
        listed = {standing.step: standing.reason for standing in world.header.standing}
        wanted = self._wanted() if world.status == "completed" else set()
        for path in self._operations():
            there = self.effect(f"run1/{path}").is_there
            if path in wanted:
                assert there, f"{path} completed and is not there"
                assert path not in listed, f"{path} is wanted, and is listed as standing"
            elif there:
                assert path in listed, f"{path} is there, and {world.status} says nothing of it"
            elif path in listed and world.status != "abandoned":
                assert listed[path].startswith("may "), f"{path} is not there, and listed: {listed[path]}"
        for path in self._operations():
            effect, confirm = self.effect(f"run1/{path}"), world.plan.steps[path].confirm
            if path in wanted and confirm is not None:
                assert effect.is_confirmed, f"{path} stands, and was not confirmed"
            elif world.status != "abandoned":
                assert not effect.is_asked, f"{path} was to be confirmed"
        if world.status != "abandoned":
            assert world.header.busy == 0, "it is over, and something is still under way"
        if world.status in ("compensated", "cancelled"):
            assert world.header.pivot != "passed"
            assert not world.header.skipped_undo
        assert_nothing_went_back_over_the_pivot(world)
        assert_an_end_is_final(world)

    def _operations(self) -> list[str]:
        found = []
        for path in self.world.run.nodes if self.world.run else ():
            worker = self.world.plan.steps[path].worker
            if worker is not None and worker.kind != "readonly" and not path.startswith(FINALLY):
                found.append(path)
        return found

    def _wanted(self) -> set[str]:
        """Operations whose effect belongs to the completed run: they took effect, and no walk back reached them."""
        wanted = set()
        for event in self.world.events:
            if isinstance(event, ev.StepCompleted) or (isinstance(event, ev.StepStuck) and event.took_effect):
                wanted.add(event.path)
            elif isinstance(event, ev.UndoStarted):
                wanted.discard(event.path)
        return wanted


_PHASES: dict[str, Callable[[Truth, TaskMessage, Effect], Any]] = {
    "action": Truth.act,
    "verify": Truth.look,
    "compensate": Truth.undo,
    "confirm": Truth.confirm,
}
