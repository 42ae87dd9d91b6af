"""The compiled form of a definition: every step by its static path, every expression parsed once.

A plan is what `decide` reads. It holds no state of any run, so all runs of a definition share one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from runner.definition.model import (
    BlockAction,
    Call,
    ChildAction,
    Definition,
    FailAction,
    LoopAction,
    ParallelAction,
    RepeatAction,
    Retry,
    SetAction,
    SignalAction,
    Step,
    SwitchAction,
    WaitAction,
    WorkerAction,
)
from runner.expression.evaluate import Condition, Template, compile_condition, compile_template
from runner.interpreter.paths import FINALLY, ROOT, child, static

_WHOLE_OUTPUT = re.compile(r"\{\{\s*steps\.([a-z][a-z0-9_]*)\.output\s*\}\}")


@dataclass(frozen=True, slots=True)
class CallPlan:
    """A call with its input compiled. `late` are the arguments that read the step's own result."""

    worker: str
    arguments: Mapping[str, Template]
    late: Mapping[str, Template]
    timeout_ms: int
    retry: Retry
    wholes: Mapping[str, str]  # argument -> step whose output it is, as it is; empty if any is something else


@dataclass(frozen=True, slots=True)
class CatchPlan:
    """One handler: what it catches, and how it goes on."""

    errors: frozenset[str]
    when: Condition | None
    undo: bool
    has_steps: bool
    output: Template | None


# What `join: any` and `on_item_failure: collect` put around each branch and item: undone in place, and nothing instead.
SETTLED_IN_PLACE = CatchPlan(errors=frozenset({"any"}), when=None, undo=True, has_steps=False, output=None)


@dataclass(frozen=True, slots=True)
class SignalPlan:
    """What a `wait_for` waits for."""

    name: str
    match: Condition | None
    timeout: Template | None
    on_timeout: str | None  # None: it goes on without output


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step, or one scope that is not a step (then `step` is None)."""

    path: str
    kind: str  # worker, subworkflow, steps, parallel, for_each, repeat, switch, wait, wait_for, set, fail, scope
    step: Step | None = None
    when: Condition | None = None
    output: Template | None = None
    catches: tuple[CatchPlan, ...] = ()
    children: tuple[str, ...] = ()  # sequence: step ids; parallel: branch names; switch: "0", "1", "else"
    position: int = 0  # among the steps of its sequence
    action: CallPlan | None = None
    compensate: CallPlan | None = None
    verify: CallPlan | None = None
    confirm: CallPlan | None = None
    worker: WorkerAction | None = None
    child: ChildAction | None = None  # subworkflow
    values: Mapping[str, Template] = field(default_factory=dict)  # set; subworkflow: the child's input
    items: Template | None = None  # for_each
    item_name: str = ""
    max_parallel: int = 1
    joins_any: bool = False  # parallel: the first branch that completes is enough
    collects: bool = False  # for_each: a failed item is one of the results
    kills: bool = False  # parallel: where one branch ends the others, it ends what of them is claimed too
    weight: int = 1  # for_each and repeat: nodes that an item or round has at most, but for loops inside
    until: Condition | None = None  # repeat
    max_rounds: int = 0
    cases: tuple[Condition | None, ...] = ()  # switch: beside `children`; None is `else`
    duration: Template | None = None  # wait
    moment: Template | None = None
    signal: SignalPlan | None = None  # wait_for
    message: Template | None = None  # fail
    fail: FailAction | None = None
    # What the input of a worker step reads: outputs that it hands on as they are, once for each place; other steps.
    hands_on: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()
    reads_steps_at_large: bool = False  # which steps, is not known before
    reads_nothing_else: bool = False

    @property
    def is_operation(self) -> bool:
        """Whether it does something outside of this run."""
        return self.worker is not None or self.child is not None

    @property
    def is_pivot(self) -> bool:
        if self.child is not None:
            return self.child.is_pivot
        return self.worker is not None and self.worker.kind == "pivot"

    @property
    def just_ends(self) -> bool:
        """Completing, it hands on what its worker gave. A pivot is the engine's: others are told when it is passed."""
        late = self.compensate is not None and self.compensate.late
        return self.worker is not None and self.output is None and not late and not self.is_pivot

    @property
    def is_settled_by_undo(self) -> bool:
        """Whether an unknown outcome needs no further attempt once the run goes back: its undo ends the question."""
        return self.compensate is not None and self.worker is not None and self.worker.on_unknown != "halt"


class Places(dict[str, StepPlan]):
    """Steps and scopes by static path. The path of a node finds its place too: the items of a loop share one."""

    def __missing__(self, path: str) -> StepPlan:
        place = static(path)
        if place == path:
            raise KeyError(path)
        return self[place]


@dataclass(frozen=True, slots=True)
class Plan:
    """One definition, ready to be interpreted."""

    definition: Definition
    steps: Places
    ids: Mapping[str, str]  # step id -> static path
    output: Template | None
    patient: Retry
    signals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # name -> the places that wait for it
    has_confirms: bool = False
    # The steps of the root that just end, each with the one that begins then whatever it gave; "" after the last.
    plain_ends: Mapping[str, str] = field(default_factory=dict)
    # By the path of a step what relay.py worked out of it.
    followers: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def has_finally(self) -> bool:
        return FINALLY in self.steps


def compile_plan(definition: Definition) -> Plan:
    """Raises ExpressionError for an expression that does not parse; a checked definition has none."""
    steps = Places()
    ids: dict[str, str] = {}
    _add_scope(steps, ids, ROOT, definition.steps)
    if definition.finally_:
        _add_scope(steps, ids, FINALLY, definition.finally_)
    return Plan(
        definition=definition,
        steps=steps,
        ids=ids,
        output=_template(definition.output),
        patient=definition.compensation_retry,
        signals=_waiting_places(steps),
        has_confirms=any(place.confirm is not None or place.child is not None for place in steps.values()),
        plain_ends=_plain_ends(steps),
    )


def _waiting_places(steps: Mapping[str, StepPlan]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for path, place in steps.items():
        if place.signal is not None:
            found[place.signal.name] = (*found.get(place.signal.name, ()), path)
    return found


def _plain_ends(steps: Mapping[str, StepPlan]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, next_ in pairwise((*steps[ROOT].children, "")):
        is_plain = steps[path].just_ends and steps[path].confirm is None
        if is_plain and (not next_ or steps[next_].when is None):
            found[path] = next_
    return found


def _add_scope(
    steps: dict[str, StepPlan], ids: dict[str, str], path: str, children: tuple[Step, ...],
    *, catches: tuple[CatchPlan, ...] = (), output: Any = None,
) -> None:
    steps[path] = StepPlan(
        path=path, kind="scope", children=tuple(step.id for step in children), catches=catches, output=_template(output)
    )
    _add_children(steps, ids, path, children)


def _add_children(steps: dict[str, StepPlan], ids: dict[str, str], path: str, children: tuple[Step, ...]) -> None:
    for position, step in enumerate(children):
        _add_step(steps, ids, child(path, step.id), step, position)


def _template(value: Any) -> Template | None:
    return None if value is None else compile_template(value)


def _condition(source: str | None) -> Condition | None:
    return None if source is None else compile_condition(source)


def _add_step(steps: dict[str, StepPlan], ids: dict[str, str], path: str, step: Step, position: int) -> None:
    ids[step.id] = path
    shared: dict[str, Any] = {
        "path": path,
        "step": step,
        "position": position,
        "when": _condition(step.when),
        "output": _template(step.output),
        "catches": tuple(
            CatchPlan(
                errors=frozenset(catch.errors),
                when=_condition(catch.when),
                undo=catch.undo,
                has_steps=bool(catch.steps),
                output=_template(catch.output),
            )
            for catch in step.catch
        ),
    }
    steps[path] = _ACTIONS[type(step.action)](shared, steps, ids, path, step.action)
    for index, catch in enumerate(step.catch):
        if catch.steps:
            _add_scope(steps, ids, f"{path}~{index}", catch.steps)


def _worker(shared: dict[str, Any], _s: Any, _i: Any, _p: str, action: WorkerAction) -> StepPlan:
    hands_on: list[str] = []
    read: set[tuple[Any, ...]] = set()
    for text in _texts(action.call.with_):
        whole = _WHOLE_OUTPUT.fullmatch(text)
        if whole:
            hands_on.append(whole[1])
        else:
            read |= {tuple(reference.path) for reference in compile_template(text).references}
    of_steps = [path for path in read if path[0] == "steps"]
    return StepPlan(
        hands_on=tuple(hands_on),
        reads=frozenset(path[1] for path in of_steps if len(path) > 1 and isinstance(path[1], str)),
        reads_nothing_else=not read,
        reads_steps_at_large=any(len(path) < 2 or not isinstance(path[1], str) for path in of_steps),
        kind="worker",
        worker=action,
        action=_call(action.call),
        compensate=None if action.compensate is None else _call(action.compensate),
        verify=None if action.verify is None else _call(action.verify),
        confirm=None if action.confirm is None else _call(action.confirm),
        **shared,
    )


def _texts(value: Any) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _call(call: Call) -> CallPlan:
    templates = {name: compile_template(value) for name, value in (call.with_ or {}).items()}
    late = {name for name, template in templates.items() if any(r.path[0] == "result" for r in template.references)}
    return CallPlan(
        worker=call.worker,
        arguments={name: template for name, template in templates.items() if name not in late},
        late={name: template for name, template in templates.items() if name in late},
        wholes=_wholes(call.with_ or {}),
        timeout_ms=call.timeout_ms,
        retry=call.retry,
    )


def _wholes(given: Mapping[str, Any]) -> dict[str, str]:
    found = {name: _WHOLE_OUTPUT.fullmatch(text) if isinstance(text, str) else None for name, text in given.items()}
    return {name: whole[1] for name, whole in found.items() if whole} if all(found.values()) else {}


def _block(shared: dict[str, Any], steps: Any, ids: Any, path: str, action: BlockAction) -> StepPlan:
    _add_children(steps, ids, path, action.steps)
    return StepPlan(kind="steps", children=tuple(step.id for step in action.steps), **shared)


def _parallel(shared: dict[str, Any], steps: Any, ids: Any, path: str, action: ParallelAction) -> StepPlan:
    is_any = action.join == "any"
    for name, children in action.branches.items():
        _add_scope(steps, ids, f"{path}.{name}", children, catches=(SETTLED_IN_PLACE,) if is_any else ())
    return StepPlan(
        kind="parallel",
        children=tuple(action.branches),
        joins_any=is_any,
        kills=action.on_branch_failure == "cancel",
        **shared,
    )


def _loop(shared: dict[str, Any], steps: Any, ids: Any, path: str, action: LoopAction) -> StepPlan:
    collects = action.on_item_failure == "collect"
    caught = (SETTLED_IN_PLACE,) if collects else ()
    _add_scope(steps, ids, f"{path}#", action.steps, catches=caught, output=action.output)
    return StepPlan(
        kind="for_each",
        items=compile_template(action.in_),
        item_name=action.as_,
        max_parallel=action.max_parallel,
        collects=collects,
        weight=_weight(steps, f"{path}#"),
        **shared,
    )


def _repeat(shared: dict[str, Any], steps: Any, ids: Any, path: str, action: RepeatAction) -> StepPlan:
    _add_scope(steps, ids, f"{path}#", action.steps, output=action.output)
    return StepPlan(
        kind="repeat",
        until=compile_condition(action.until),
        max_rounds=action.max_rounds,
        weight=_weight(steps, f"{path}#"),
        **shared,
    )


def _weight(steps: Mapping[str, StepPlan], path: str) -> int:
    return sum(place.startswith(path) and "#" not in place[len(path) :] for place in steps)


def _switch(shared: dict[str, Any], steps: Any, ids: Any, path: str, action: SwitchAction) -> StepPlan:
    names = ["else" if case.when is None else str(index) for index, case in enumerate(action.cases)]
    for name, case in zip(names, action.cases, strict=True):
        _add_scope(steps, ids, f"{path}.{name}", case.steps)
    conditions = tuple(_condition(case.when) for case in action.cases)
    return StepPlan(kind="switch", children=tuple(names), cases=conditions, **shared)


def _wait(shared: dict[str, Any], _s: Any, _i: Any, _p: str, action: WaitAction) -> StepPlan:
    return StepPlan(kind="wait", duration=_template(action.duration), moment=_template(action.until), **shared)


def _wait_for(shared: dict[str, Any], _s: Any, _i: Any, _p: str, action: SignalAction) -> StepPlan:
    signal = SignalPlan(action.signal, _condition(action.match), _template(action.timeout), action.on_timeout)
    return StepPlan(kind="wait_for", signal=signal, **shared)


def _subworkflow(shared: dict[str, Any], _s: Any, _i: Any, _p: str, action: ChildAction) -> StepPlan:
    return StepPlan(
        kind="subworkflow",
        child=action,
        values={name: compile_template(value) for name, value in (action.with_ or {}).items()},
        compensate=None if action.compensate is None else _call(action.compensate),
        **shared,
    )


def _set(shared: dict[str, Any], _s: Any, _i: Any, _p: str, action: SetAction) -> StepPlan:
    values = {name: compile_template(value) for name, value in action.values.items()}
    return StepPlan(kind="set", values=values, **shared)


def _fail(shared: dict[str, Any], _s: Any, _i: Any, _p: str, action: FailAction) -> StepPlan:
    return StepPlan(kind="fail", message=compile_template(action.message), fail=action, **shared)


_ACTIONS: Mapping[type, Any] = {
    WorkerAction: _worker,
    BlockAction: _block,
    ParallelAction: _parallel,
    LoopAction: _loop,
    RepeatAction: _repeat,
    SwitchAction: _switch,
    WaitAction: _wait,
    SignalAction: _wait_for,
    ChildAction: _subworkflow,
    SetAction: _set,
    FailAction: _fail,
}
