"""One schedule: what is started and asked, what goes wrong and when, all drawn from a seed; and playing it to its end.

A plan is drawn before anything runs, so that it can be played again with less in it: `shrink` leaves out whatever the
violation does not need, and what is left is the story that is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from runner.client import Client
from runner.definition.load import load
from runner.definition.model import Definition
from runner.errors import SagarunError, StoreError, StoreUnavailable
from runner.interpreter.plan import Plan, compile_plan
from runner.starting import derived_run_id
from runner.store.ports import Store
from tests.simulation import verdict
from tests.simulation.actors import standing_on, start_engine, start_worker
from tests.simulation.invariants import Violated, Watch, hold
from tests.simulation.loom import BEGAN_MS, Loom, Process
from tests.simulation.outside import REGISTRY, Outside, open_shop
from tests.simulation.server import Clock, Entry, Fault, LossyMemoryStore, Reach, Server

FOLDER = Path(__file__).parent
CALM_MS = 60_000  # nothing goes wrong any more after so long, and
PATIENCE_MS = 1_800_000  # then everything must be over within this
NAMESPACE = "sim"
KINDS: dict[str, tuple[int, ...]] = {  # faults, and how long they take
    "kill_before": (0,), "kill_after": (0,), "pause_before": (200, 4_000, 12_000, 40_000, 70_000),
    "pause_after": (200, 4_000, 12_000, 40_000, 70_000), "lose_request": (0,), "lose_reply": (0,),
    "repeat": (0, 5, 500), "straggle": (5, 20, 60, 300, 5_000, 40_000), "outage": (300, 5_000, 20_000, 45_000),
    "clock_step": (-3_600_000, -5_000, 12_000, 40_000, 3_600_000), "deafen": (2_000, 20_000),
    "lose_lists": (0,), "crash": (2, 10, 50, 500, 2_000),
}  # fmt: skip

AIMED: dict[str, tuple[int, ...]] = {"haunt": (40_000, 70_000), "lose_claim": (0,)}  # in some plots only
GENTLE = {"outage", "clock_step", "deafen", "lose_lists"}  # nobody dies of these, or may be taken for dead


class Act(NamedTuple):
    """Something that somebody asks of a run."""

    at_ms: int
    verb: str
    run: int
    extra: str = ""

    def __str__(self) -> str:
        return f"{self.at_ms} ms: {self.verb} run {self.run} {self.extra}"


@dataclass(frozen=True)
class Plot:
    """Everything that a seed stands for."""

    seed: int
    runs: tuple[tuple[str, str, int], ...]  # workflow, group, number of items
    acts: tuple[Act, ...]
    faults: tuple[Fault, ...]
    trouble: float
    engines: int
    workers: int
    slots: int
    is_slow: bool


@dataclass
class Result:
    """What came of it."""

    seed: int
    violation: BaseException | None = None
    calls: int = 0
    virtual_ms: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    rewound: int = 0  # families that were held to their records only
    story: list[str] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the invariant that was violated."""
        return getattr(self.violation, "name", type(self.violation).__name__) if self.violation else ""


@cache
def definitions() -> dict[str, Definition]:
    return {path.stem: load(path, root=FOLDER) for path in sorted((FOLDER / "definitions").glob("*.yaml"))}


@cache
def plans() -> dict[str, Plan]:
    return {definition.digest: compile_plan(definition) for definition in definitions().values()}


def plan_of(digest: str) -> Plan:
    return plans()[digest]


def draw_plot(seed: int) -> Plot:
    random = Random(seed)
    names = [name for name in definitions() if name != "leaf"]
    count = random.choice([1, 1, 2, 2, 3])
    alike = random.random() < 0.3  # so that runs meet in one slot
    first = random.choice(names)
    runs = tuple(
        (first if alike else random.choice(names), random.choice("ab") if not alike else "a", random.randint(0, 4))
        for _ in range(count)
    )
    acts = [Act(random.choice([0, 0, 50, 900]), "start", run) for run in range(count)]
    for run in range(count):
        verbs = random.choices(
            ["again", "cancel", "signal", "signal twice", "resume", "abandon"], [3, 4, 4, 2, 1, 0.4],
            k=random.choice([0, 0, 1, 2]),
        )  # fmt: skip
        if runs[run][0] == "waits":
            verbs.append(random.choice(["signal", "signal twice"]))
        acts += [Act(round(10 ** random.uniform(0.5, 4.2)), verb, run, f"{random.getrandbits(16):x}") for verb in verbs]
    quiet = random.random() < 0.08
    allowed = random.sample(sorted(KINDS), random.randint(1, len(KINDS)))  # the others are switched off: a swarm
    number = random.choice([1, 2, 3, 5, 8, 13])
    if random.random() < 0.15:  # much of one kind
        often = ["straggle", "repeat", "crash", "lose_reply", "pause_after", "kill_after"]
        allowed, number = [random.choice(often)], 20
    faults = {}
    for _ in range(0 if quiet else number):
        kind = random.choice(allowed)
        at = round(2 ** random.uniform(1.5, 9.3))
        faults[at] = Fault(at, kind, random.choice(KINDS[kind]))
    return _aimed(Random(~seed), Plot(
        seed, runs, tuple(sorted(acts)), tuple(sorted(faults.values())), random.choice([0.0, 0.1, 0.25, 0.25, 0.5]),
        random.choice([1, 2, 2]), random.choice([1, 2, 2]), random.choice([1, 2, 4, 4]), random.random() < 0.2,
    ))  # fmt: skip


def _aimed(random: Random, plot: Plot) -> Plot:
    """Some plots have what nearly no other would have; drawn for itself, so that the others stay as they are."""
    chance = random.random()
    if chance < 0.04:  # long tasks, and nothing goes wrong but this: nobody may be taken for dead
        kind, ms = random.choice([("outage", 20_000), ("outage", 45_000), ("clock_step", 40_000)])
        alone = (Fault(random.randint(20, 150), kind, ms),)
        return replace(plot, runs=tuple(("line", "a", 0) for _ in plot.runs), faults=alone, trouble=0.25)
    if chance < 0.08:
        return replace(plot, faults=(Fault(0, "haunt", random.choice(AIMED["haunt"])), *plot.faults))
    if chance < 0.12:
        claims = [Fault(at, "lose_claim") for at in random.sample(range(8, 120), 3)]
        return replace(plot, faults=tuple(sorted([*plot.faults, *claims])))
    return plot


class Play:
    """A plot, on a store."""

    def __init__(self, plot: Plot, make_store: Callable[[Clock], Store], *, looks_inside: bool = True) -> None:
        self.plot = plot
        self.loom = Loom(plot.seed)
        self.watch = Watch(plan_of, looks_inside=looks_inside)
        self.server = Server(self.loom, list(plot.faults), make_store, self.watch, is_slow=plot.is_slow)
        self.server.on_kill, self.server.on_rewind = self._killed, self._rewound
        self.outside = Outside(self.loom, plot.trouble)
        self.rewound: set[str] = set()
        self._respawn: dict[Process, Callable[[], None]] = {}
        self._born = self._deaths = 0
        self._open_acts = len(plot.acts)
        self._people = Process("people")

    def run(self) -> Result:
        result = Result(self.plot.seed)
        open_shop(self.outside)
        try:
            with standing_on(self.loom):
                if self.plot.seed % 2:  # these workers ran here before: engines know their queues
                    self.server._execute("deployment", "put_workers", (REGISTRY.encoded_contracts(),), {})
                for number in range(self.plot.engines):
                    self._bear("engine", number)
                for number in range(self.plot.workers):
                    self._bear("worker", number)
                for number, act in enumerate(self.plot.acts):
                    self._ask(number, act, act.at_ms)
                self.loom.spawn(self._people, "operator", self._look_after_stuck_runs)
                self.loom.call_at(self.loom.now_ms + 500, self._look)
                self.loom.run()
                self.outside.let_all_arrive()
                self.server.clock.replayed_ms = self.server.clock()
                self._check_that_nobody_was_taken_for_dead()
                verdict.check_end(self.server.store, self.outside, plan_of, self.rewound)
        except AssertionError as violation:
            result.violation = violation
        except Exception as violation:
            result.violation = violation
        finally:
            self.outside.close()
        result.calls, result.virtual_ms = self.server.calls, self.loom.now_ms
        result.faults, result.fates = self.server.happened, self.outside.fates
        result.statuses = verdict.statuses(self.server.store)
        result.rewound = len(self.rewound)
        return result

    def _check_that_nobody_was_taken_for_dead(self) -> None:
        """For that is the grace; but a chain of outages has one grace only."""
        kinds = [fault.kind for fault in self.plot.faults]
        if self._deaths == 0 and set(kinds) <= GENTLE and kinds.count("outage") + kinds.count("clock_step") <= 1:
            ticks = [each for each in self.server.trace if isinstance(each, Entry) and each.verb == "tick"]
            lost = [tick.at_ms for tick in ticks if tick.answer.lost]
            hold("grace", not lost, f"nobody died, and tasks were taken for lost at {lost}")

    # -- processes ----------------------------------------------------------------------------------
    def _bear(self, kind: str, number: int) -> None:
        self._born += 1
        process = Process(f"{kind}{number}.{self._born}")
        self._respawn[process] = lambda: self._bear(kind, number)
        if kind == "engine":
            start_engine(self.server, process, f"e:{self._born}")
        else:
            chance = self.loom.draw("stops", self._born)
            stop_after_ms = 0 if self.server.is_calm or chance > 0.25 else round(60_000 * chance)
            slots, name = self.plot.slots, f"w:{self._born}"
            start_worker(self.server, process, name, self.outside, slots=slots, stop_after_ms=stop_after_ms)

    def _killed(self, process: Process) -> None:
        self.server.tell(process.name, "is dead")
        self._deaths += 1
        respawn = self._respawn.pop(process, None)
        if respawn is not None:
            delay_ms = round(10 ** (4.3 * self.loom.draw("respawn", process.name)))
            self.loom.call_at(self.loom.now_ms + delay_ms, respawn)

    def _rewound(self, cut: int) -> None:
        lost = self.server.log[cut:]
        for entry in lost:
            if entry.verb == "commit":
                self.rewound.update(commit.run_id for commit in entry.args[0])
            elif entry.verb in ("start", "post"):
                self.rewound.update(each.run_id for each in entry.args[0])
            elif entry.verb == "exchange":
                self.rewound.update(each.run_id for each in entry.options.get("completions", ()))
                self.rewound.update(task.run_id for task in getattr(entry.answer, "claimed", ()))
        since_ms = lost[0].at_ms if lost else self.loom.now_ms
        refs = [what.partition(" ")[2] for at_ms, what in self.outside.log if at_ms >= since_ms]
        self.rewound.update(ref.partition("/")[0] for ref in refs)

    # -- people -------------------------------------------------------------------------------------
    def _ask(self, number: int, act: Act, delay_ms: int) -> None:
        process = Process(f"client{number}")
        self._respawn[process] = lambda: self._ask(number, act, 0)

        def body() -> None:
            client = Client(store=Reach(self.server, process), root=FOLDER, contracts={})  # type: ignore[arg-type]
            while True:
                try:
                    self._do(client, act)
                except StoreUnavailable:
                    self.loom.sleep(500)
                    continue
                except SagarunError:
                    pass  # refused: it is over, say, or was never started
                self._open_acts -= 1
                self._respawn.pop(process, None)
                return

        self.loom.spawn(process, "client", body, delay_ms=delay_ms)

    def _do(self, client: Client, act: Act) -> None:
        workflow, group, items = self.plot.runs[act.run]
        key = f"k{act.run}"
        run_id = derived_run_id(NAMESPACE, workflow, key)
        if act.verb in ("start", "again"):
            value = {"group": group, "items": list(range(items))}
            handle = client.start(definitions()[workflow], value, idempotency_key=key)
            hold("I10", handle.id == run_id, f"{workflow} {key} is run {handle.id}")
        elif act.verb == "cancel":
            client.cancel(run_id, timeout=0.2)
        elif act.verb == "abandon":
            client.abandon(run_id, timeout=0.2)
        elif act.verb == "resume":
            client.resume(run_id, timeout=0.2)
        else:
            client.signal(run_id, "go", act.extra, signal_id=act.extra, timeout=0.2)
            if act.verb == "signal twice":
                client.signal(run_id, "go", act.extra, signal_id=act.extra, timeout=0.2)

    def _look_after_stuck_runs(self) -> None:
        client = Client(store=Reach(self.server, self._people), root=FOLDER, contracts={})  # type: ignore[arg-type]
        while True:
            self.loom.sleep(5_000)
            if not self.server.is_calm:
                continue
            for row in self.server.store.list_runs(limit=1_000):
                stored = self.server.store.load_runs([row.run_id])[0]
                if row.status == "stuck" or (stored is not None and stored.parked > 3 and not stored.terminal):
                    try:
                        client.resume(row.run_id, timeout=0.2)
                    except (SagarunError, StoreError):
                        continue

    def _look(self) -> None:
        """Whether it is calm by now, or over."""
        now_ms = self.loom.now_ms - BEGAN_MS
        if self._open_acts == 0 and self.server.store.count_live() == 0:
            self.loom.stop()
            return
        if not self.server.is_calm and now_ms >= CALM_MS:
            self.server.is_calm = True
            self.outside.trouble = 0.0
            self.server.tell("", "from now on all is well")
        if now_ms > CALM_MS + PATIENCE_MS:
            living = [f"{run.run_id} {run.status or 'pending'}" for run in self.server.store.list_runs(limit=9)
                      if run.status not in ("completed", "compensated", "cancelled", "abandoned")]
            raise Violated("I9", f"not over after {now_ms // 1000} s: {', '.join(living)}")
        self.loom.call_at(self.loom.now_ms + 500, self._look)


def in_memory(clock: Clock) -> Store:
    return LossyMemoryStore(namespace=NAMESPACE, clock=clock)


def play(
    plot: Plot, make_store: Callable[[Clock], Store] = in_memory, *, looks_inside: bool = True
) -> tuple[Result, Play]:
    stage = Play(plot, make_store, looks_inside=looks_inside)
    return stage.run(), stage


def simulate(seed: int) -> Result:
    return play(draw_plot(seed))[0]


# -- stories ------------------------------------------------------------------------------------------
def shrink(plot: Plot, is_bad: Callable[[Plot], bool], *, limit: int = 200) -> Plot:
    """The same plot without whatever the violation does not need."""
    tries = 0
    for name in ("faults", "acts", "runs"):
        index = 0
        while index < len(getattr(plot, name)) and tries < limit:
            tries += 1
            smaller = _without(plot, name, index)
            if smaller is not None and is_bad(smaller):
                plot = smaller
            else:
                index += 1
    for change in ({"trouble": 0.0}, {"engines": 1}, {"workers": 1}, {"is_slow": False}):
        smaller = replace(plot, **change)  # type: ignore[arg-type]
        if smaller != plot and is_bad(smaller):
            plot = smaller
    return plot


def _without(plot: Plot, name: str, index: int) -> Plot | None:
    parts: Sequence[Any] = getattr(plot, name)
    left = (*parts[:index], *parts[index + 1 :])
    if name == "runs":
        if not left:
            return None
        acts = tuple(act._replace(run=act.run - (act.run > index)) for act in plot.acts if act.run != index)
        return replace(plot, runs=left, acts=acts)
    return replace(plot, **{name: left})
