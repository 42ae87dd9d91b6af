"""What is outside: a shop with a database, behind workers that use the barrier. Here effects are counted.

How an attempt fares depends on the seed, the operation, and how often that was asked: it may be slow, hang, crash its
process, fail before or after its effect, or arrive long after it was given up. Nothing here is undone by a fault of the
store; only `ctx.barrier` keeps an operation from happening twice.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runner.errors import BusinessError, NoEffectError
from runner.wire import TaskMessage
from runner.worker.context import Context
from runner.worker.registry import Registry
from runner.worker.verdict import Landed, NotLanded, Pending
from tests.simulation.loom import Loom

REGISTRY = Registry()
LONG_MS = 31_000  # more than two leases


class Fate(NamedTuple):
    """What becomes of one attempt. `answers` False: its process hears nothing of it (again)."""

    kind: str
    before_ms: int  # from its claim until it takes effect
    after_ms: int = 0  # from there until its process knows
    answers: bool = True
    crashes: bool = False  # and takes its process with it


@dataclass
class Effect:
    landed: int = 0
    undone: int = 0
    confirmed: int = 0


@dataclass
class Outside:
    """The shop of one simulation. `trouble`: how often an attempt does not fare well."""

    loom: Loom
    trouble: float = 0.0
    effects: dict[str, Effect] = field(default_factory=lambda: defaultdict(Effect))
    asked: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    log: list[tuple[int, str]] = field(default_factory=list)
    now: str = ""  # the fate of the attempt that runs
    _on_their_way: dict[int, Callable[[], None]] = field(default_factory=dict)
    _number: int = 0

    def __post_init__(self) -> None:
        self.pace_ms = 1_500 if self.loom.draw("pace") < 0.3 else 40
        self.database = sqlite3.connect(":memory:", check_same_thread=False)

    def fate_of(self, message: TaskMessage) -> Fate:
        key = message.idempotency_key
        self.asked[key] += 1
        nth = self.asked[key]
        fate = self._fate(message, key, nth)
        self.fates[fate.kind] += 1
        return fate

    def _fate(self, message: TaskMessage, key: str, nth: int) -> Fate:
        def draw(what: str) -> float:
            return self.loom.draw(what, key, nth)

        before_ms, after_ms = round(self.pace_ms * draw("before") ** 2), round(self.pace_ms * draw("after") ** 2)
        if message.phase == "action" and self.trouble and self.loom.draw("poison", key) < self.trouble / 25 and nth < 7:
            return Fate("poison", before_ms, answers=False, crashes=True)
        if self.trouble and message.timeout_ms > LONG_MS and draw("long") < 0.4:
            return Fate("long", round(LONG_MS + 30_000 * draw("slow")), after_ms)
        if draw("trouble") >= self.trouble:
            return Fate("well", before_ms, after_ms)
        kinds = _TROUBLES[message.phase]
        kind = kinds[int(draw("kind") * len(kinds))]
        late_ms = message.timeout_ms + round(40_000 * draw("late") ** 2)
        return {
            "slow": Fate("slow", round(message.timeout_ms * 0.9 * draw("slow")), after_ms),
            "tardy": Fate("tardy", before_ms, round(message.timeout_ms * 1.2 * draw("slow"))),
            "never": Fate("never", -1, answers=False),
            "silent": Fate("silent", before_ms, answers=False),
            "late": Fate("late", late_ms, answers=False),
            "crash": Fate("crash", -1 if draw("did") < 0.5 else before_ms, after_ms, answers=False, crashes=True),
        }.get(kind, Fate(kind, before_ms, after_ms))

    def expect(self, arrive: Callable[[], None]) -> int:
        """An attempt is on its way; it may be long in coming."""
        self._number += 1
        self._on_their_way[self._number] = arrive
        return self._number

    def arrives(self, number: int) -> bool:
        return self._on_their_way.pop(number, None) is not None

    def let_all_arrive(self) -> None:
        """Whatever can still happen happens."""
        while self._on_their_way:
            self._on_their_way[min(self._on_their_way)]()

    def note(self, what: str, context: Context) -> None:
        self.log.append((self.loom.now_ms, f"{what} {context.step_ref}"))

    def close(self) -> None:
        self.database.close()


_TROUBLES = {
    "action": ("declined", "declined", "no_effect", "raises", "breaks", "slow", "tardy", "never", "silent", "late",
               "late", "crash"),
    "verify": ("raises", "pending", "pending", "never", "slow", "crash"),
    "compensate": ("breaks", "raises", "silent", "never", "late", "crash", "declined"),
    "confirm": ("raises", "breaks", "crash"),
}
_shop: list[Outside] = []


def open_shop(shop: Outside) -> None:
    """The workers below serve this one from now on."""
    _shop[:] = [shop]


def _act(ctx: Context) -> Any:
    shop = _shop[0]
    with shop.database as database, ctx.barrier(database) as once:
        if once.done:
            return once.result
        if shop.now == "declined":
            raise BusinessError("declined")
        if shop.now == "no_effect":
            raise NoEffectError("not now")
        if shop.now == "raises":
            raise RuntimeError("before the effect")
        result = once.save({"ref": ctx.step_ref})
    shop.effects[ctx.step_ref].landed += 1
    shop.note("landed", ctx)
    if shop.now == "breaks":
        raise RuntimeError("after the effect")
    return result


@REGISTRY.worker("shop.do", queue="shop", raises=["declined"])
def do(ctx: Context) -> Any:
    """Have an effect."""
    return _act(ctx)


@REGISTRY.worker("narrow.do", queue="narrow", raises=["declined"], max_concurrency=1)
def do_one_at_a_time(ctx: Context) -> Any:
    """The same, over a queue with little room."""
    return _act(ctx)


@REGISTRY.worker("paced.do", queue="paced", raises=["declined"], rate_limit="4/s")
def do_slowly(ctx: Context) -> Any:
    """The same, so many in a second."""
    return _act(ctx)


@REGISTRY.worker("shop.undo", queue="shop")
def undo(ctx: Context) -> Any:
    """Take the effect away."""
    shop = _shop[0]
    with shop.database as database, ctx.barrier(database) as once:
        if once.done:
            return once.result
        if shop.now == "declined":
            raise BusinessError("held")
        if shop.now == "raises":
            raise RuntimeError("before the undo")
        once.save(None)
    shop.effects[ctx.step_ref].undone += 1
    shop.note("undone", ctx)
    if shop.now == "breaks":
        raise RuntimeError("after the undo")
    return None


@REGISTRY.worker("shop.look", queue="shop", readonly=True)
def look(ctx: Context) -> Landed | NotLanded | Pending:
    """Whether there is an effect; the last time it is asked, there will be none any more."""
    shop = _shop[0]
    if shop.now == "pending":
        return Pending("50ms")
    if shop.now == "raises":
        raise RuntimeError("no answer")
    with shop.database as database, ctx.barrier(database) as once:
        shop.note("seen" if once.done else "fenced" if ctx.fencing else "not seen", ctx)
        return Landed(once.result) if once.done else NotLanded()


@REGISTRY.worker("shop.tell", queue="shop")
def tell(ctx: Context) -> None:
    """Confirm an effect that will stay."""
    shop = _shop[0]
    with shop.database as database, ctx.barrier(database) as once:
        if once.done:
            return
        if shop.now == "raises":
            raise RuntimeError("before")
        once.save(None)
    shop.effects[ctx.step_ref].confirmed += 1
    if shop.now == "breaks":
        raise RuntimeError("after")


@REGISTRY.worker("shop.read", queue="shop", readonly=True)
def read(ctx: Context) -> Any:
    """Change nothing."""
    if _shop[0].now in ("raises", "breaks"):
        raise RuntimeError("cannot read")
    if _shop[0].now == "declined":
        raise BusinessError("declined")
    return {"ref": ctx.step_ref}
