"""What a scenario is played on: something that runs definitions, and lets the player answer calls and move time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from runner.definition.model import Definition
from runner.interpreter import event as ev
from runner.interpreter.state import Run
from tests.conformance.language.scenario import NEVER_MS, Answer

_PHASES = {"action": "", "compensate": "undo ", "verify": "verify ", "confirm": "confirm "}


def label_of(phase: str, path: str) -> str:
    """`reserve`, `undo reserve`, `verify lines#2/charge`; steps of a child run have its step's path in front."""
    return f"{_PHASES[phase]}{path}"


@dataclass(eq=False)
class Call:
    """A worker was called and has not answered yet."""

    run_id: str
    path: str  # in its own run
    label: str
    facts: dict[str, Any]  # what the worker is told: input, attempt, key, ref, cause, fencing, …
    since_ms: int
    timeout_ms: int
    heartbeat_ms: int = 0
    answer: Answer | None = None  # once the player has chosen it
    is_stopping: bool = False  # it was asked to stop

    @property
    def limit_ms(self) -> int:
        """How long it may take."""
        silent = self.answer is not None and self.answer.beats is None
        return min(self.timeout_ms, self.heartbeat_ms or NEVER_MS) if silent else self.timeout_ms

    @property
    def overruns(self) -> bool:
        return self.answer is not None and self.answer.takes_ms >= self.limit_ms

    @property
    def due_ms(self) -> int:
        takes_ms = self.answer.takes_ms if self.answer is not None else 0
        return self.since_ms + min(takes_ms, self.limit_ms)


@dataclass
class View:
    """One run as it is now. `prefix`: the step that it is the child of ("pay/"), or its name ("second:")."""

    run_id: str
    prefix: str
    run: Run | None  # None: it waits for a slot
    events: list[ev.AnyEvent] = field(default_factory=list)

    @property
    def status(self) -> str:
        return "pending" if self.run is None else self.run.header.status.value


class Stage(Protocol):
    now_ms: int

    def start(self, definition: Definition, value: Any) -> None:
        """The first run."""

    def settle(self) -> None:
        """Whatever follows without a worker's answer and without time passing."""

    def calls(self) -> list[Call]:
        """Those that are not answered yet."""

    def attend(self, call: Call) -> None:
        """`call.answer` is chosen now."""

    def answer(self, call: Call) -> None: ...

    def overrun(self, call: Call) -> None:
        """Its time is over."""

    def post(self, request: ev.Request, prefix: str) -> None:
        """To the run with this prefix."""

    def start_more(self, name: str, definition: Definition, value: Any, key: str | None) -> str:
        """Another run. created, existing, conflict, duplicate or limited."""

    def rerun(self, name: str) -> str:
        """The first run once more."""

    def say_late(self, label: str, answer: Answer) -> None:
        """An attempt that is over answers after all."""

    def restart(self) -> None:
        """All that is not stored is forgotten."""

    def next_due_ms(self) -> int | None:
        """When the first timer or queue timeout is due."""

    def advance_to(self, at_ms: int) -> None: ...

    def views(self) -> list[View]:
        """The first run, then its children and what was started besides."""

    def effects(self, label: str) -> int:
        """How often the service behind the barrier has this operation's effect."""

    def close(self) -> None: ...
