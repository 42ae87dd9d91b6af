"""Plays one scenario on a stage, and says what came of it that was not expected.

The same for every stage: which call is answered next, when an event's moment has come and how far time moves is
decided here and nowhere else. Workers answer at once unless the scenario says how long they take; time only
passes when nothing else is left to happen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.definition.inputs import InputChecker
from runner.definition.model import Definition
from runner.definition.problem import Problem
from runner.definition.signals import prepare_signal, signal_names
from runner.errors import InputError, SignalMisfit
from runner.interpreter import event as ev
from runner.interpreter.verdict import verdict_in
from runner.lint.checked import check_file, load_checked
from tests.conformance.language.scenario import (
    NEVER_MS,
    Answer,
    Event,
    Scenario,
    answer_of,
    fits,
    milliseconds,
)
from tests.conformance.language.stage import Call, Stage, View, label_of

MAX_TURNS = 5_000
OVER = ("completed", "compensated", "cancelled", "abandoned")


def load(scenario: Scenario, folder: Path) -> tuple[Definition | None, list[Problem]]:
    """The scenario's definition as a file among its others, with every check applied."""
    definitions = folder / "definitions"
    definitions.mkdir(exist_ok=True)
    for name, text in {"scenario.yaml": scenario.definition, **scenario.others}.items():
        (definitions / name).write_text(text)
    return check_file(definitions / "scenario.yaml", root=folder, contracts=scenario.contracts)


def play(scenario: Scenario, make_stage: Callable[[], Stage], folder: Path) -> list[str]:
    """What is not as the scenario says; empty when everything is."""
    definition, problems = load(scenario, folder)
    if "invalid" in scenario.expect:
        return _compare_problems(scenario.expect["invalid"], problems)
    if definition is None:
        return [f"the definition is refused: {problem}" for problem in problems]
    try:
        value = InputChecker(definition.input_schema).prepare(scenario.input)
    except InputError as error:
        return [] if scenario.expect.get("start") == "refused" else [str(error)]
    if scenario.expect.get("start") == "refused":
        return ["the start is not refused"]
    stage = make_stage()
    try:
        return _Player(scenario, stage, folder).play(definition, value)
    finally:
        stage.close()


def _compare_problems(expected: Mapping[str, Any], problems: list[Problem]) -> list[str]:
    errors = [problem for problem in problems if problem.severity == "error"]
    found = {"lines": sorted({problem.line for problem in errors}), "codes": sorted({each.code for each in errors})}
    return [
        f"problems: {name} {found[name]}, expected {expected[name]}: {[str(each) for each in errors]}"
        for name in ("lines", "codes") if name in expected and sorted(expected[name]) != found[name]
    ] + ([] if errors else ["the definition is not refused"])


@dataclass
class _Player:
    scenario: Scenario
    stage: Stage
    folder: Path
    wrong: list[str] = field(default_factory=list)
    begun: list[Call] = field(default_factory=list)  # every call, in the order in which they were seen
    log: list[tuple[str, ev.AnyEvent]] = field(default_factory=list)  # (prefix of the run, what happened in it)

    def __post_init__(self) -> None:
        self._nonces: set[str] = set()
        self._left = {label: list(answers) for label, answers in self.scenario.answers.items()}
        self._events = list(self.scenario.events)
        self._answered: Counter[str] = Counter()
        self._read: Counter[str] = Counter()  # events of each run that are in the log
        self._open: list[Call] = []
        self._began_ms = 0

    # -- playing ------------------------------------------------------------------------------------
    def play(self, definition: Definition, value: Any) -> list[str]:
        self._definition = definition
        self._began_ms = self.stage.now_ms
        self.stage.start(definition, value)
        for _ in range(MAX_TURNS):
            self._look()
            if not self._turn():
                break
        else:
            self.wrong.append("it goes on and on")
        self.wrong += [f"its moment never came: {event.at}" for event in self._events]
        self.wrong += [f"never asked: {label}, {len(left)} answers left" for label, left in self._left.items() if left]
        self._compare(self.scenario.expect)
        self._check_what_always_holds()
        return self.wrong

    def _turn(self) -> bool:
        """The next thing that happens; False: nothing more does."""
        due = sorted((call for call in self._open if self._is_due(call)), key=_place)
        if self._events and self._is_moment(self._events[0], is_idle=not due):
            self._apply(self._events.pop(0))
            return True
        if due:
            self._end(due[0])
            return True
        if self._is_over():
            return False
        next_ms = self._next_ms()
        if next_ms is not None:
            self.stage.advance_to(max(next_ms, self.stage.now_ms))
        return next_ms is not None

    def _look(self) -> None:
        self.stage.settle()
        self._open = self.stage.calls()
        for call in sorted(self._open, key=_place):
            if call.answer is None:
                left = self._left.get(call.label)
                call.answer = left.pop(0) if left else _usual(call)
                self.begun.append(call)
                self.stage.attend(call)
        for view in self.stage.views():
            new = view.events[self._read[view.run_id] :]
            self._read[view.run_id] += len(new)
            self.log += [(view.prefix, event) for event in new]
        if any(call.is_stopping and call.answer and not call.answer.ignores_stop for call in self._open):
            self._look()

    def _is_due(self, call: Call) -> bool:
        return call.is_stopping or call.due_ms <= self.stage.now_ms

    def _end(self, call: Call) -> None:
        self._answered[call.label] += 1
        if call.overruns and not call.is_stopping:
            self.stage.overrun(call)
        else:
            self.stage.answer(call)

    def _is_over(self) -> bool:
        """Nothing more can come of it by itself."""
        if self._events and self._events[0].at.startswith("after "):
            return False
        statuses = {view.status for view in self.stage.views()}
        return not self._open and (statuses <= {*OVER, "pending"} or "stuck" in statuses)

    def _next_ms(self) -> int | None:
        moments = [call.due_ms for call in self._open if call.due_ms < NEVER_MS]
        if (due_ms := self.stage.next_due_ms()) is not None:
            moments.append(due_ms)
        if self._events and self._events[0].at.startswith("after "):
            moments.append(self._began_ms + milliseconds(self._events[0].at.removeprefix("after ")))
        return min(moments, default=None)

    # -- events -------------------------------------------------------------------------------------
    def _is_moment(self, event: Event, *, is_idle: bool) -> bool:
        kind, _, what = event.at.partition(" ")
        match kind:
            case "start":
                return True
            case "asked":
                return any(call.label == what for call in self._open)
            case "answered":
                return self._answered[what] > 0
            case "idle":
                return is_idle
            case "after":
                return self.stage.now_ms >= self._began_ms + milliseconds(what)
            case "stuck":
                return any(view.status == "stuck" for view in self.stage.views())
            case _:
                return self._root().status in OVER

    def _apply(self, event: Event) -> None:
        verb, given = _verb(event.do)
        if verb == "restart":
            self.stage.restart()
        elif verb == "late":
            self.stage.say_late(given["call"], answer_of(given["answer"]))
        elif verb:
            expected = event.expect.get("answer", "created" if verb in ("start", "rerun") else "accepted")
            if verb == "start":
                verdict, why = self._start_more(given), ""
            elif verb == "rerun":
                verdict, why = self.stage.rerun(given["as"]), ""
            else:
                verdict, why = self._ask(verb, given)
            if verdict != expected:
                self.wrong.append(f"{event.at}: {verb} is {verdict} ({why}), expected {expected}")
        self._look()
        self.wrong += [
            f"at {event.at}: {text}"
            for text in self._differences({key: value for key, value in event.expect.items() if key != "answer"})
        ]

    def _ask(self, verb: str, given: Any) -> tuple[str, str]:
        """A request's answer: accepted, held, refused, or duplicate for a signal that was sent before."""
        nonce, prefix = f"request-{len(self._nonces)}", _prefix(given.get("run", ""))
        view = next(view for view in reversed(self.stage.views()) if view.prefix == prefix)
        if verb == "signal":
            nonce = f"signal:{given.get('id', nonce)}"
            try:
                given = {**given, "data": self._signal_of(view, given)}
            except SignalMisfit as misfit:
                return "refused", str(misfit)
        is_over, before = view.status in OVER, len(self.log)
        self.stage.post(_REQUESTS[verb](nonce, given), prefix)
        self._look()
        if nonce in self._nonces:
            return "duplicate", ""
        self._nonces.add(nonce)
        verdict, why = verdict_in((each for _, each in self.log[before:]), nonce)
        # A run that is over keeps no record of what was asked of it.
        return ("refused", "it is over") if verdict == "asked" and is_over else (verdict, why)

    def _signal_of(self, view: View, given: Mapping[str, Any]) -> Any:
        """The data as whoever sends it has prepared it. Raises SignalMisfit."""
        digest = view.run.header.digest if view.run is not None else self._definition.digest
        definition = {self._definition.digest: self._definition, **self._definition.children}[digest]
        data = given.get("data")
        return prepare_signal(definition, given["name"], data) if given["name"] in signal_names(definition) else data

    def _start_more(self, given: Mapping[str, Any]) -> str:
        definition = self._definition
        if "definition" in given:
            path = self.folder / "definitions" / given["definition"]
            definition = load_checked(path, root=self.folder, contracts=self.scenario.contracts)
        value = InputChecker(definition.input_schema).prepare(given.get("input", self.scenario.input))
        return self.stage.start_more(given["as"], definition, value, given.get("key"))

    # -- what came of it --------------------------------------------------------------------------------
    def _root(self) -> View:
        return self.stage.views()[0]

    def _compare(self, expect: Mapping[str, Any]) -> None:
        self.wrong += self._differences(expect)

    def _differences(self, expect: Mapping[str, Any]) -> list[str]:
        return [text for key, wanted in expect.items() for text in _FACETS[key](self, wanted)]

    def labels(self) -> list[str]:
        """Every call, in the order in which they went out. Tasks that nobody took were no calls."""
        found: list[str] = []
        at: dict[tuple[str, str], int] = {}
        for prefix, event in self.log:
            if isinstance(event, ev.TaskDispatched):
                at[prefix, event.path] = len(found)
                found.append("" if event.worker.startswith("nobody.") else label_of(event.phase, prefix + event.path))
            elif isinstance(event, ev.TaskSettled) and _was_never_claimed(event):
                found[at[prefix, event.path]] = ""
        return [label for label in found if label]

    def undone(self) -> list[str]:
        """Operations whose undo was confirmed, by a worker or a person."""
        asked = {label.removeprefix("undo ") for label in self.labels() if label.startswith("undo ")}
        return [
            prefix + event.path
            for prefix, event in self.log
            if isinstance(event, ev.StepUndone) and not event.nothing and not event.skipped
            and prefix + event.path in asked
        ]

    def _check_what_always_holds(self) -> None:
        """The same operation has the same names in every phase and attempt; no two operations share one."""
        keys: dict[str, set[Any]] = {}
        refs: dict[str, set[Any]] = {}
        for call in self.begun:
            keys.setdefault(call.label, set()).add(call.facts["key"])
            refs.setdefault(_operation(call.label), set()).add(call.facts["ref"])
        for named in (keys, refs):
            self.wrong += [f"{label} has several names: {names}" for label, names in named.items() if len(names) > 1]
            if len({name for names in named.values() for name in names}) < len(named):
                self.wrong.append(f"two operations share a name: {named}")
        for path in refs:
            fences = [call.facts.get("fence", n) for n, call in enumerate(self.begun) if _operation(call.label) == path]
            if fences != sorted(set(fences)):
                self.wrong.append(f"the fences of {path} do not increase: {fences}")
        recorded, seen = Counter(self.labels()), Counter(call.label for call in self.begun)
        if recorded - seen - Counter(self._unheard()) or seen - recorded:
            self.wrong.append(f"recorded and not seen: {recorded - seen}; seen and not recorded: {seen - recorded}")

    def _unheard(self) -> list[str]:
        """Calls that a worker process answered by itself, so that no function heard of them."""
        return [
            label_of(event.phase, prefix + event.path) for prefix, event in self.log
            if isinstance(event, ev.TaskDispatched) and event.worker.startswith(("absent.", "strict."))
        ]


def _place(call: Call) -> tuple[Any, ...]:
    """Calls that are due at once are answered in the order of their labels; lines#10 after lines#9."""
    parts = re.split(r"(\d+)", call.label)
    return (call.due_ms, [int(part) if index % 2 else part for index, part in enumerate(parts)])


def _prefix(name: str) -> str:
    """Of the run that is named so: "" the first; "pay" the child that the step pay started; "second:" another one."""
    return name if not name or name.endswith(":") else f"{name}/"


def _operation(label: str) -> str:
    return label.rpartition(" ")[2]


def _usual(call: Call) -> Answer:
    return Answer("landed") if call.facts["phase"] == "verify" else Answer()


def _was_never_claimed(event: ev.TaskSettled) -> bool:
    return event.outcome == "revoked" or (event.error is not None and event.error.code == "queue_timeout")


def _verb(do: Any) -> tuple[str, Any]:
    if do is None:
        return "", None
    return (do, {}) if isinstance(do, str) else next(iter(do.items()))


_REQUESTS: dict[str, Callable[[str, Any], ev.Request]] = {
    "cancel": lambda nonce, given: ev.CancelRequested(0, nonce=nonce, reason=given.get("reason", "")),
    "abandon": lambda nonce, given: ev.AbandonRequested(0, nonce=nonce, reason=given.get("reason", "")),
    "signal": lambda nonce, given: ev.SignalSent(
        0, nonce=nonce, name=given["name"], signal_id=nonce.removeprefix("signal:"), data=given.get("data")
    ),
    "resume": lambda nonce, given: ev.ResumeRequested(0, nonce=nonce, reason=given.get("reason", "")),
    "resolve": lambda nonce, given: ev.ResolveRequested(
        0, nonce=nonce, reason=given.get("reason", ""), step=given["step"], as_=given["as"], output=given.get("output")
    ),
}


# -- facets of an expectation ---------------------------------------------------------------------------
def _same(name: str, found: Any, wanted: Any) -> list[str]:
    is_same = found == wanted and type(found) is type(wanted)
    return [] if is_same else [f"{name}: {found!r}, expected {wanted!r}"]


def _subset(name: str, found: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> list[str]:
    if found is None or wanted is None:
        return _same(name, found, wanted)
    return [text for key, value in wanted.items() for text in _same(f"{name}.{key}", found.get(key), value)]


def _error(player: _Player, wanted: Any) -> list[str]:
    run = player._root().run
    error = run.header.error if run is not None else None
    fields = ("code", "kind", "message", "details", "step", "attempt", "cause")
    found = None if error is None else {name: getattr(error, name) for name in fields}
    return _subset("error", found, wanted)


def _standing(player: _Player, wanted: list[Any]) -> list[str]:
    run = player._root().run
    found = [{"step": each.step, "reason": each.reason} for each in (run.header.standing if run is not None else ())]
    names = [each if isinstance(each, str) else each["step"] for each in wanted]
    reasons = {each["step"]: each["reason"] for each in wanted if not isinstance(each, str)}
    wrong = _same("standing", [each["step"] for each in found], names)
    return wrong or [
        text for each in found if each["step"] in reasons
        for text in _same(f"standing.{each['step']}", each["reason"], reasons[each["step"]])
    ]


def _steps(player: _Player, wanted: Mapping[str, str]) -> list[str]:
    found = {
        view.prefix + path: node.status.value
        for view in player.stage.views() if view.run is not None for path, node in view.run.nodes.items()
    }
    return [text for path, status in wanted.items() for text in _same(path, found.get(path, "pending"), status)]


def _calls(player: _Player, wanted: list[Any]) -> list[str]:
    labels = player.labels()
    return [] if fits(wanted, labels) else [f"calls: {labels}, expected {wanted}"]


def _undone(player: _Player, wanted: list[Any]) -> list[str]:
    found = player.undone()
    return [] if fits(wanted, found) else [f"undone: {found}, expected {wanted}"]


def _inputs(player: _Player, wanted: Mapping[str, Any]) -> list[str]:
    wrong = []
    for label, value in wanted.items():
        given = [call.facts["input"] for call in player.begun if call.label == label]
        wrong += [text for each in given for text in _same(f"input of {label}", each, value)]
        wrong += [] if given else [f"{label} was never called"]
    return wrong


def _seen(player: _Player, wanted: Mapping[str, Any]) -> list[str]:
    """What the last call with this label was told."""
    wrong = []
    for label, facts in wanted.items():
        given = [call.facts for call in player.begun if call.label == label]
        wrong += _subset(label, given[-1], facts) if given else [f"{label} was never called"]
    return wrong


def _alerts(player: _Player, wanted: int) -> list[str]:
    count = sum(isinstance(event, ev.AlertRaised) for _, event in player.log)
    return [] if bool(count) == bool(wanted) else [f"{count} alerts, expected {wanted}"]


def _stuck(player: _Player, wanted: list[str]) -> list[str]:
    found = [f"{view.prefix}{path}" for view in player.stage.views() if view.run for path in view.run.header.stuck]
    return _same("stuck", sorted(found), sorted(wanted))


def _runs(player: _Player, wanted: Mapping[str, str]) -> list[str]:
    found = {view.prefix: view.status for view in player.stage.views()}
    return [text for name, status in wanted.items() for text in _same(name, found.get(_prefix(name), "none"), status)]


def _effects(player: _Player, wanted: Mapping[str, int]) -> list[str]:
    return [text for path, n in wanted.items() for text in _same(f"effects of {path}", player.stage.effects(path), n)]


def _output(player: _Player, wanted: Any) -> list[str]:
    run = player._root().run
    return _same("output", run.payloads.get("~output") if run is not None else None, wanted)


def _takes(player: _Player, wanted: str) -> list[str]:
    return _same("it takes (ms)", player.stage.now_ms - player._began_ms, milliseconds(wanted))


def _status(player: _Player, wanted: str) -> list[str]:
    return _same("status", player._root().status, wanted)


_FACETS: dict[str, Callable[[_Player, Any], list[str]]] = {
    "status": _status, "output": _output, "error": _error, "standing": _standing, "steps": _steps, "calls": _calls,
    "undone": _undone, "inputs": _inputs, "seen": _seen, "alerts": _alerts, "stuck": _stuck, "takes": _takes,
    "runs": _runs, "effects": _effects,
}
