"""The compiled form of a definition: every step by its static path, every expression parsed once.

A plan is what `decide` reads. It holds no state of any run, so all runs of a definition share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.definition.model import (
    BlockAction,
    Call,
    Definition,
    FailAction,
    LoopAction,
    ParallelAction,
    Retry,
    SetAction,
    Step,
    WorkerAction,
)
from runner.expression.evaluate import Condition, Template, compile_condition, compile_template
from runner.interpreter.paths import FINALLY, ROOT, child


@dataclass(frozen=True, slots=True)
class CallPlan:
    """A call with its input compiled. `late` are the arguments that read the step's own result."""

    worker: str
    arguments: Mapping[str, Template]
    late: Mapping[str, Template]
    timeout_ms: int
    retry: Retry


@dataclass(frozen=True, slots=True)
class CatchPlan:
    """One handler: what it catches, and how it goes on."""

    errors: frozenset[str]
    when: Condition | None
    undo: bool
    has_steps: bool
    output: Template | None


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step, or one scope that is not a step (then `step` is None)."""

    path: str
    kind: str  # worker, steps, parallel, for_each, set, fail, scope
    step: Step | None = None
    when: Condition | None = None
    output: Template | None = None
    catches: tuple[CatchPlan, ...] = ()
    children: tuple[str, ...] = ()  # sequence: step ids; parallel: branch names
    action: CallPlan | None = None
    compensate: CallPlan | None = None
    verify: CallPlan | None = None
    worker: WorkerAction | None = None
    values: Mapping[str, Template] = field(default_factory=dict)  # set
    items: Template | None = None  # for_each
    item_name: str = ""
    max_parallel: int = 1
    message: Template | None = None  # fail
    fail: FailAction | None = None

    @property
    def is_settled_by_undo(self) -> bool:
        """Whether an unknown outcome needs no further attempt once the run goes back: its undo ends the question."""
        return self.compensate is not None and self.worker is not None and self.worker.on_unknown != "halt"


@dataclass(frozen=True, slots=True)
class Plan:
    """One definition, ready to be interpreted."""

    definition: Definition
    steps: Mapping[str, StepPlan]  # by static path
    ids: Mapping[str, str]  # step id -> static path
    output: Template | None
    patient: Retry

    @property
    def has_finally(self) -> bool:
        return FINALLY in self.steps


def compile_plan(definition: Definition) -> Plan:
    """Raises ExpressionError for an expression that does not parse; a checked definition has none."""
    steps: dict[str, StepPlan] = {}
    ids: dict[str, str] = {}
    _add_scope(steps, ids, ROOT, definition.steps)
    if definition.finally_:
        _add_scope(steps, ids, FINALLY, definition.finally_)
    return Plan(
        definition=definition,
        steps=steps,
        ids=ids,
        output=None if definition.output is None else compile_template(definition.output),
        patient=definition.compensation_retry,
    )


def _add_scope(steps: dict[str, StepPlan], ids: dict[str, str], path: str, children: tuple[Step, ...]) -> None:
    steps[path] = StepPlan(path=path, kind="scope", children=tuple(step.id for step in children))
    _add_children(steps, ids, path, children)


def _add_children(steps: dict[str, StepPlan], ids: dict[str, str], path: str, children: tuple[Step, ...]) -> None:
    for step in children:
        _add_step(steps, ids, child(path, step.id), step)


def _add_step(steps: dict[str, StepPlan], ids: dict[str, str], path: str, step: Step) -> None:
    ids[step.id] = path
    shared: dict[str, Any] = {
        "path": path,
        "step": step,
        "when": None if step.when is None else compile_condition(step.when),
        "output": None if step.output is None else compile_template(step.output),
        "catches": tuple(
            CatchPlan(
                errors=frozenset(catch.errors),
                when=None if catch.when is None else compile_condition(catch.when),
                undo=catch.undo,
                has_steps=bool(catch.steps),
                output=None if catch.output is None else compile_template(catch.output),
            )
            for catch in step.catch
        ),
    }
    steps[path] = _ACTIONS[type(step.action)](shared, steps, ids, path, step.action)
    for index, catch in enumerate(step.catch):
        if catch.steps:
            _add_scope(steps, ids, f"{path}~{index}", catch.steps)


def _worker(shared: dict[str, Any], _s: Any, _i: Any, _p: str, action: WorkerAction) -> StepPlan:
    return StepPlan(
        kind="worker",
        worker=action,
        action=_call(action.call),
        compensate=None if action.compensate is None else _call(action.compensate),
        verify=None if action.verify is None else _call(action.verify),
        **shared,
    )


def _call(call: Call) -> CallPlan:
    templates = {name: compile_template(value) for name, value in (call.with_ or {}).items()}
    late = {name for name, template in templates.items() if any(r.path[0] == "result" for r in template.references)}
    return CallPlan(
        worker=call.worker,
        arguments={name: template for name, template in templates.items() if name not in late},
        late={name: template for name, template in templates.items() if name in late},
        timeout_ms=call.timeout_ms,
        retry=call.retry,
    )


def _block(shared: dict[str, Any], steps: Any, ids: Any, path: str, action: BlockAction) -> StepPlan:
    _add_children(steps, ids, path, action.steps)
    return StepPlan(kind="steps", children=tuple(step.id for step in action.steps), **shared)


def _parallel(shared: dict[str, Any], steps: Any, ids: Any, path: str, action: ParallelAction) -> StepPlan:
    for name, children in action.branches.items():
        _add_scope(steps, ids, f"{path}.{name}", children)
    return StepPlan(kind="parallel", children=tuple(action.branches), **shared)


def _loop(shared: dict[str, Any], steps: Any, ids: Any, path: str, action: LoopAction) -> StepPlan:
    _add_scope(steps, ids, f"{path}#", action.steps)
    return StepPlan(
        kind="for_each",
        items=compile_template(action.in_),
        item_name=action.as_,
        max_parallel=action.max_parallel,
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
    SetAction: _set,
    FailAction: _fail,
}
