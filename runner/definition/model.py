"""What a definition says, frozen: the typed form of one YAML file, and nothing past YAML.

Templates (`with`, `output`, `set` …) are kept as plain JSON values; `interpreter.plan` compiles them.
All durations are milliseconds. `Definition.document` is the resolved JSON document ($refs inlined,
defaults and contract kinds filled in): it is what a run stores, hashes and finishes with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["readonly", "compensatable", "pivot", "retriable", "none"]  # none: `compensate: none`
OnUnknown = Literal["compensate", "verify", "retry", "halt"]
OnDuplicate = Literal["return", "reject", "rerun_if_undone"]


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently a technical failure is tried again."""

    max_attempts: int = 3
    backoff: Literal["fixed", "linear", "exponential"] = "exponential"
    initial_ms: int = 200
    max_ms: int = 5_000
    multiplier: float = 2.0
    jitter: Literal["none", "full"] = "full"


PATIENT = Retry(max_attempts=12, initial_ms=1_000, max_ms=600_000)
DEFAULT_TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True)
class Call:
    """A worker, what it is given, and the patience it is asked with."""

    worker: str
    with_: Any  # template of an object
    timeout_ms: int
    retry: Retry


@dataclass(frozen=True, slots=True)
class WorkerAction:
    """`worker:` one operation of the outside world, with its undo and its verification."""

    call: Call
    kind: Kind
    on_unknown: OnUnknown
    raises: tuple[str, ...] = ()
    queue_timeout_ms: int = 0  # 0: none
    total_timeout_ms: int = 0
    heartbeat_ms: int = 0
    compensate: Call | None = None
    reason: str = ""  # why `compensate: none`
    verify: Call | None = None
    confirm: Call | None = None


@dataclass(frozen=True, slots=True)
class BlockAction:
    """`steps:` a sequence that is a scope of its own."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ParallelAction:
    """`parallel:` named branches side by side."""

    branches: Mapping[str, tuple[Step, ...]]
    join: Literal["all", "any"] = "all"
    on_branch_failure: Literal["drain", "cancel"] = "drain"


@dataclass(frozen=True, slots=True)
class LoopAction:
    """`for_each:` the block once for each item."""

    in_: Any  # template that gives a list
    as_: str
    steps: tuple[Step, ...]
    max_parallel: int = 1
    on_item_failure: Literal["fail", "collect"] = "fail"
    output: Any = None  # template of an item's output; None: the output of its last step


@dataclass(frozen=True, slots=True)
class RepeatAction:
    """`repeat:` the block again until the condition holds, or `max_rounds` ran."""

    steps: tuple[Step, ...]
    until: str  # condition, read after each round from inside of it
    max_rounds: int
    output: Any = None  # template of a round's output; None: the output of its last step


@dataclass(frozen=True, slots=True)
class SwitchCase:
    """One way of a switch; `when` is None for `else`."""

    when: str | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class SwitchAction:
    """`switch:` the first case whose condition holds; none: the step is skipped."""

    cases: tuple[SwitchCase, ...]

    @property
    def has_else(self) -> bool:
        return any(case.when is None for case in self.cases)


@dataclass(frozen=True, slots=True)
class WaitAction:
    """`wait:` a pause that outlives every process. One of the two is given."""

    duration: Any = None  # template of a duration: "10s"
    until: Any = None  # template of an ISO 8601 time with a zone


@dataclass(frozen=True, slots=True)
class SignalAction:
    """`wait_for:` what somebody outside tells the run."""

    signal: str
    schema: Mapping[str, Any] | None = None  # of its data; whoever sends it checks
    match: str | None = None  # condition; `result` is the data
    timeout: Any = None  # template of a duration; None: it waits for ever
    on_timeout: str | None = "signal_timeout"  # the error's code; None: continue without output


@dataclass(frozen=True, slots=True)
class ChildAction:
    """`subworkflow:` a run of another workflow, of the very definition that is kept under `digest`."""

    workflow: str
    version: str
    digest: str
    with_: Any  # template of the child's input
    has_pivot: bool = False  # the child, or a child of it, has a point of no return
    compensate: Call | None = None  # instead of the child's own undo

    @property
    def is_pivot(self) -> bool:
        """Whether it is a point of no return for its parent too: past the child's own, nothing undoes it."""
        return self.has_pivot and self.compensate is None


@dataclass(frozen=True, slots=True)
class SetAction:
    """`set:` run variables."""

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FailAction:
    """`fail:` ends the scope with an error, or (`fail: rethrow`) with the one being handled."""

    error: str = ""
    message: Any = ""  # template of a string
    rethrow: bool = False


Action = (
    WorkerAction | BlockAction | ParallelAction | LoopAction | RepeatAction | SwitchAction | WaitAction | SignalAction
    | ChildAction | SetAction | FailAction
)


@dataclass(frozen=True, slots=True)
class Catch:
    """One way forward after a failure. `errors` are codes, or business, technical, any."""

    errors: tuple[str, ...] = ("any",)
    when: str | None = None
    undo: bool = True
    steps: tuple[Step, ...] = ()
    output: Any = None


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a definition."""

    id: str  # given, or derived from its place: "step_3"
    path: str  # static: "reserve", "checks/score", "charge~0/fallback", "~finally/record"
    action: Action
    when: str | None = None
    summary: str = ""
    catch: tuple[Catch, ...] = ()  # `on_failure: continue` is already written out as a catch
    output: Any = None  # template over `result`; None: the result itself


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many runs may be on their way at once, in all or for each value of `key`."""

    limit: int
    key: str | None = None  # template over the input; None: one for all
    on_limit: Literal["queue", "reject"] = "queue"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When runs start by themselves."""

    cron: str
    timezone: str = "UTC"
    overlap: Literal["skip", "queue", "allow"] = "skip"
    input: Any = None


@dataclass(frozen=True, slots=True)
class Definition:
    """One workflow."""

    workflow: str
    version: str
    steps: tuple[Step, ...]
    finally_: tuple[Step, ...] = ()
    summary: str = ""
    input_schema: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    on_duplicate: OnDuplicate = "return"
    timeout_ms: int = 0  # 0: none
    compensation_retry: Retry = PATIENT
    concurrency: Concurrency | None = None
    schedule: Schedule | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None
    document: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""  # sha256 of the canonical document
    # By digest: all that subworkflows below may start. Known only of a definition that was read from a file.
    children: Mapping[str, Definition] = field(default_factory=dict, compare=False)


def steps_below(steps: Iterable[Step]) -> Iterator[Step]:
    """These steps and all in them: of blocks, branches, loops, cases and handlers."""
    for step in steps:
        yield step
        for sequence in sequences_of(step):
            yield from steps_below(sequence)


def sequences_of(step: Step) -> Iterator[tuple[Step, ...]]:
    """The lists of steps right below a step, its handlers' last."""
    match step.action:
        case BlockAction() | LoopAction() | RepeatAction() as action:
            yield action.steps
        case ParallelAction() as action:
            yield from action.branches.values()
        case SwitchAction() as action:
            yield from (case.steps for case in action.cases)
    yield from (catch.steps for catch in step.catch)
