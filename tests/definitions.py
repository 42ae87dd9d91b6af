"""Random definitions as the checker lets them pass, nested to depth four: before a pivot, with one, and behind it.

Behind a pivot steps are readonly or retriable, or sit in a block whose catch undoes it; nothing around a pivot undoes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

from hypothesis import strategies as st

from runner.definition.model import (
    BlockAction,
    Catch,
    FailAction,
    LoopAction,
    ParallelAction,
    RepeatAction,
    Retry,
    SetAction,
    SignalAction,
    Step,
    SwitchAction,
    SwitchCase,
    WaitAction,
)
from runner.interpreter.plan import Plan
from tests.world import (
    World,
    definite,
    landed,
    lost,
    no,
    no_effect,
    not_landed,
    ok,
    pending,
    plan_of,
    unknown,
)
from tests.world import step as worker_step

PATIENT = Retry(max_attempts=2, initial_ms=10, jitter="none")
RETRIES = st.sampled_from([Retry(max_attempts=n, initial_ms=10, jitter="none") for n in (1, 2, 3)])
ACTION_REPLIES = st.lists(
    st.sampled_from([ok(1), ok(1), no(), no_effect(), unknown(), lost(), definite("invalid_input")]), max_size=6
)
VERIFY_REPLIES = st.lists(
    st.sampled_from([
        landed(), not_landed(), not_landed(fenced=False), not_landed(fenced=False), pending(), unknown(), no(),
        no_effect(),
    ]),
    max_size=4,
)
UNDO_REPLIES = st.lists(st.sampled_from([ok(), ok(), no(), unknown(), no_effect()]), max_size=2)
SEEDS = st.integers(0, 1 << 30)
CODES = st.sampled_from([("any",), ("business",), ("technical",), ("declined",), ("timeout",)])
ON_UNKNOWN = {
    "compensatable": ["compensate", "compensate", "halt", "retry"], "none": ["halt", "retry"],
    "pivot": ["retry", "halt"], "retriable": ["retry", "halt"], "readonly": ["halt"],
}


def examples(usual: int) -> int:
    """How many of them to look at: a share of what is usual, as SAGARUN_EXAMPLES says (10: ten times as many)."""
    return max(1, round(usual * float(os.environ.get("SAGARUN_EXAMPLES", "1"))))


class Draft:
    """What one definition is drawn with."""

    def __init__(self, draw: Any, *, wide: bool, odd: bool) -> None:
        self.draw = draw
        self.wide = wide  # with branches, items side by side and signals
        self.odd = odd  # with variables and conditions, and with expressions that fail
        self.room = 30  # steps, about: what is nested and wide at once would fill a book
        self._ids: Iterator[int] = count()

    def name(self) -> str:
        self.room -= 1
        return f"s{next(self._ids)}"

    def item(self) -> str:
        return f"item{next(self._ids)}"

    def flip(self) -> bool:
        return bool(self.draw(st.booleans()))

    def one_of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    # -- before the pivot ---------------------------------------------------------------------------
    def sequence(self, depth: int, *, handling: bool = False) -> tuple[Step, ...]:
        many = self.one_of(1, 2, 3) if self.room > 0 else 1
        return tuple(self.step(depth, handling=handling) for _ in range(many))

    def step(self, depth: int, *, handling: bool) -> Step:
        kinds = ["worker"] * 6 + ["set"] * self.odd
        kinds += ["rethrow", "fail"] if handling else ["fail"] * self.rarely()
        if depth > 0 and self.room > 0:
            kinds += ["steps", "for_each", "repeat", "switch", "wait", "wait_for"] + ["parallel"] * 2 * self.wide
        chosen = self.one_of(*kinds)
        if chosen == "worker":
            kind = self.one_of("compensatable", "compensatable", "compensatable", "readonly", "none")
            return self.operation(kind, self.catches(depth))
        name = self.name()
        if chosen in ("fail", "rethrow"):
            return Step(name, name, FailAction("declined", rethrow=chosen == "rethrow"), when=self.when())
        if chosen == "set":
            return Step(name, name, SetAction({self.one_of("v", "w"): name}), when=self.when(), catch=self.catches(0))
        return Step(name, name, self.action(chosen, depth - 1), when=self.when(), catch=self.catches(depth))

    def action(self, kind: str, depth: int) -> Any:
        """What is neither a worker's step nor one of a line."""
        if kind == "steps":
            return BlockAction(self.sequence(depth))
        if kind == "parallel":
            branches = {f"b{n}": self.sequence(depth) for n in range(self.one_of(1, 2, 3))}
            return ParallelAction(branches, self.one_of("all", "all", "any"), self.one_of("drain", "cancel"))
        if kind == "for_each":
            items = "{{ [" + ", ".join("1" * self.one_of(0, 1, 2, 3)) + "] }}"
            side_by_side = self.one_of(1, 2) if self.wide else 1
            return LoopAction(
                items, self.item(), self.sequence(depth), side_by_side, self.one_of("fail", "fail", "collect")
            )
        if kind == "repeat":
            steps = self.sequence(depth)
            return RepeatAction(steps, self.until(steps[-1].id), self.one_of(1, 2, 3))
        if kind == "switch":
            cases = [SwitchCase(self.one_of("{{ false }}", "{{ vars.v == 'v0' }}"), self.sequence(depth))]
            if self.flip():
                cases.append(SwitchCase(self.one_of("{{ true }}", None), self.sequence(depth)))
            return SwitchAction(tuple(cases))
        if kind == "wait":
            return WaitAction(self.one_of("10ms", "1s", "{{ vars.v }}" if self.odd else "1h"))
        return self.signal()

    def until(self, last: str) -> str:
        return self.one_of("{{ true }}", "{{ false }}", f"{{{{ steps.{last}.status == 'completed' }}}}")

    def signal(self) -> SignalAction:
        match = self.one_of(None, None, "{{ result == 1 }}") if self.wide else None
        timeout = self.one_of("10ms", "1h", None) if self.wide else "10ms"
        return SignalAction("go", None, match, timeout, self.one_of("signal_timeout", "declined", None))

    def operation(self, kind: str, catch: tuple[Catch, ...] = (), *, finally_: bool = False) -> Step:
        verify = kind != "readonly" and self.flip()
        on_unknown = "verify" if verify else self.one_of(*ON_UNKNOWN[kind])
        return worker_step(
            self.name(), kind="compensatable" if kind == "none" else kind, undo=kind != "none", verify=verify,
            on_unknown=on_unknown, retry=self.draw(RETRIES), undo_retry=self.draw(RETRIES), catch=catch,
            when=None if kind == "pivot" else self.when(),
            confirm=kind != "readonly" and not finally_ and self.rarely(),
            output="{{ result.nothing }}" if self.odd and self.rarely() else None,
            undo_with={"ref": "{{ result.ref }}"} if self.odd and self.rarely() else None,
        )

    def when(self) -> str | None:
        conditions = ["{{ false }}", "{{ vars.v == 'v0' }}", "{{ steps.s0.output is defined }}", "{{ vars.w == 1 }}"]
        return self.one_of(*conditions) if self.odd and self.rarely() else None

    def rarely(self) -> bool:
        return bool(self.draw(st.integers(0, 9)) == 9)

    def catches(self, depth: int, *, undo: bool | None = None) -> tuple[Catch, ...]:
        if not self.flip():
            return ()
        steps = self.sequence(depth - 1, handling=True) if depth > 0 and self.room > 0 and self.flip() else ()
        return (Catch(errors=self.draw(CODES), undo=self.flip() if undo is None else undo, steps=steps),)

    # -- the pivot, and behind it -------------------------------------------------------------------
    def passing(self) -> tuple[Step, ...]:
        """A pivot in some place, and what follows it."""
        place = self.one_of("plain", "plain", "block", "handler")
        pivot = self.operation("pivot", self.catches(0, undo=False) if place == "plain" else ())
        if place == "plain":
            # A pivot whose failure is caught is not passed for certain: nothing retriable may follow then.
            return (pivot, *self.forward(2, certain=not pivot.catch))
        name = self.name()
        if place == "block":
            keep = self.catches(0, undo=False)
            inner = (*self.sequence(0), pivot, *self.forward(1))
            return (Step(name, name, BlockAction(inner), catch=keep), *self.forward(1, certain=not keep))
        catch = Catch(errors=("any",), undo=self.flip(), steps=(pivot, *self.forward(0)))
        return (Step(name, name, BlockAction(self.sequence(0)), catch=(catch,)), *self.forward(1, certain=False))

    def forward(self, depth: int, *, certain: bool = True) -> tuple[Step, ...]:
        return tuple(self.forward_step(depth, certain=certain) for _ in range(self.one_of(0, 1, 2)))

    def forward_step(self, depth: int, *, certain: bool) -> Step:
        kinds = ["readonly"] + ["retriable"] * 2 * certain + ["covered", "covered", "open", "wait"] * (depth > 0)
        chosen = self.one_of(*kinds)
        if chosen == "wait":
            name, patient = self.name(), SignalAction("go", timeout="10ms", on_timeout=None)
            return Step(name, name, self.one_of(WaitAction("10ms"), patient))
        if chosen == "open":
            # What goes forward only may also do so in rounds, items and branches.
            name, steps = self.name(), self.forward(0, certain=certain) or (self.operation("readonly"),)
            rounds = RepeatAction(steps, self.until(steps[-1].id), 2)
            branches = ParallelAction({"b0": steps, "b1": (self.operation("readonly"),)})
            side_by_side = branches if self.wide else rounds
            return Step(name, name, self.one_of(rounds, LoopAction("{{ [1, 1] }}", self.item(), steps), side_by_side))
        if chosen != "covered":
            if depth <= 0 or self.flip():
                return self.operation(chosen)
            steps = self.forward(depth - 1, certain=certain)
            return self.operation(chosen, (Catch(errors=self.draw(CODES), undo=self.flip(), steps=steps),))
        name = self.name()
        kinds = ["steps", "for_each", "repeat", "switch"] + ["parallel"] * 2 * self.wide
        action = self.action(self.one_of(*kinds), depth - 1)
        catch = Catch(errors=("any",), undo=True, steps=self.forward(depth - 1, certain=certain))
        return Step(name, name, action, catch=(catch,))


@st.composite
def plans(draw: Any, *, wide: bool = False, odd: bool = False, timeout_ms: int = 0) -> Plan:
    draft = Draft(draw, wide=wide, odd=odd)
    steps = draft.sequence(4 if wide else 3)
    if draft.flip():
        steps += draft.passing()
    last = draft.one_of((), (), ("readonly",), ("retriable",))
    finally_ = tuple(draft.operation(kind, finally_=True) for kind in last)
    return plan_of(*steps, finally_=finally_, compensation_retry=PATIENT, timeout_ms=timeout_ms, vars={"v": "v0"})


@st.composite
def replies(draw: Any, plan: Plan) -> dict[str, Any]:
    """For every worker what it answers at first; then it completes."""
    found = {}
    for place in plan.steps.values():
        if place.worker is not None and place.step is not None:
            found[f"do.{place.step.id}"] = draw(ACTION_REPLIES)
            found[f"look.{place.step.id}"] = draw(VERIFY_REPLIES)
            found[f"undo.{place.step.id}"] = draw(UNDO_REPLIES)
            found[f"tell.{place.step.id}"] = draw(UNDO_REPLIES)
    return found


@st.composite
def worlds(draw: Any, *, wide: bool = False) -> World:
    plan = draw(plans(wide=wide))
    if not wide:
        return World(plan, draw(replies(plan)))
    random = Random(draw(SEEDS))
    return World(plan, draw(replies(plan)), pick=random.randrange)
