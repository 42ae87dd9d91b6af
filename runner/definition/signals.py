"""The signals that runs of a definition take: by which names, and with what data.

Rule: whoever sends a signal checks it here, because the run only keeps what it is told. What a `wait_for` takes in the
end is decided when the run gets there (`match`); here it is only asked whether some `wait_for` could take it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from runner.definition.complaint import did_you_mean
from runner.definition.inputs import InputChecker
from runner.definition.model import (
    BlockAction,
    Definition,
    LoopAction,
    ParallelAction,
    RepeatAction,
    SignalAction,
    Step,
    SwitchAction,
)
from runner.errors import InputError, SignalMisfit


def all_steps(definition: Definition) -> Iterator[Step]:
    """Every step, through all containers and handlers, in the order of the definition."""
    yield from _walk(definition.steps)
    yield from _walk(definition.finally_)


def _walk(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        for sequence in _sequences(step):
            yield from _walk(sequence)


def _sequences(step: Step) -> Iterator[tuple[Step, ...]]:
    match step.action:
        case BlockAction(steps) | LoopAction(steps=steps) | RepeatAction(steps=steps):
            yield steps
        case ParallelAction(branches):
            yield from branches.values()
        case SwitchAction(cases):
            yield from (case.steps for case in cases)
    yield from (catch.steps for catch in step.catch)


def signal_waits(definition: Definition, name: str = "") -> list[tuple[Step, SignalAction]]:
    """The steps that wait for the signal of this name, or for any."""
    return [
        (step, step.action) for step in all_steps(definition)
        if isinstance(step.action, SignalAction) and name in ("", step.action.signal)
    ]  # fmt: skip


def signal_names(definition: Definition) -> list[str]:
    """Each once, in the order of the definition."""
    return list(dict.fromkeys(action.signal for _, action in signal_waits(definition)))


def unknown_signal(definition: Definition, name: str) -> str:
    """Why a run of this definition takes no signal of this name, as the rest of a sentence about the run."""
    names = signal_names(definition)
    if not names:
        return f"takes no signals: no step of {definition.workflow} {definition.version} has a wait_for"
    hint = did_you_mean(name, names)
    return f'takes no signal "{name}"; {f"{hint} " if hint else ""}it takes: {", ".join(names)}'


def prepare_signal(definition: Definition, name: str, data: Any) -> Any:
    """A copy of the data with the defaults of the first schema that it fits. Raises SignalMisfit if it fits none.

    None stands for an empty object where the schema takes one, as with a run's input.
    """
    misfits: dict[str, tuple[str, ...]] = {}
    for step, action in signal_waits(definition, name):
        checker = InputChecker(action.schema)
        given = [{}, None] if data is None and action.schema else [data]
        for value in given:
            try:
                return checker.prepare(value)
            except InputError as error:
                misfits.setdefault(step.id, error.problems)
    if len(set(misfits.values())) == 1:
        raise SignalMisfit(name, next(iter(misfits.values())))
    raise SignalMisfit(name, [f"{step}: {problem}" for step, problems in misfits.items() for problem in problems])
